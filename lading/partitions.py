"""Working on the log by partition: which ones are this process's, one worker and one state file for each.

What decides about a gateway lies in one partition number (`topics.OF_A_GATEWAY`), so a worker sees those topics'
one partition, and the others whole. Who owns which partition says the `Share`: a consumer group where the log is Kafka,
everything where it is embedded. A lock file keeps two processes of one machine from one state file meanwhile.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

from lading import sqlite, topics
from lading.errors import ServiceError
from lading.locks import take
from lading.log import Log, Record, WatchedLog, partition_of

NOT_READ = 2**62
"""A next offset past every record: the partition is not wanted."""
_log = structlog.get_logger()


class PartitionLog:
    """The log as the worker of one partition sees it. See `lading.log.WatchedLog`."""

    def __init__(self, log: WatchedLog, partition: int, count: int) -> None:
        assert 0 <= partition < count, f"partition {partition} of {count}"
        self._log = log
        self._partition = partition
        self._count = count
        self._others = {other: NOT_READ for other in range(count) if other != partition}

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """See `Log.append`; a key of another partition is another worker's, and our bug."""
        if topic in topics.OF_A_GATEWAY and topic != topics.DEAD:  # what is malformed may name anyone
            for key, _ in items:
                found = partition_of(key, self._count)
                assert found == self._partition, f"{topic}: key {key.hex()} is of partition {found}"
        return self._log.append(topic, items)

    def read(self, topic: str, positions: Mapping[int, int], count_max: int) -> list[Record]:
        """See `Log.read`."""
        if topic not in topics.OF_A_GATEWAY:
            return self._log.read(topic, positions, count_max)
        at = positions.get(self._partition, 0)
        return self._log.read(topic, {**self._others, self._partition: at}, count_max)

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """See `Log.commit`."""
        self._log.commit(group, topic, self._own(topic, positions))

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """See `Log.committed`."""
        return self._own(topic, self._log.committed(group, topic))

    def end(self, topic: str) -> dict[int, int]:
        """See `Log.end`."""
        return self._own(topic, self._log.end(topic))

    def ends(self, names: Sequence[str]) -> dict[str, dict[int, int]]:
        """See `WatchedLog.ends`."""
        return seen_by(self._partition, self._log.ends(names))

    def known_ends(self, names: Sequence[str]) -> dict[str, dict[int, int]]:
        """See `WatchedLog.known_ends`."""
        return seen_by(self._partition, self._log.known_ends(names))

    def wait(self, positions: Mapping[str, Mapping[int, int]], wait_s: float) -> bool:
        """See `WatchedLog.wait`."""
        return self._log.wait(watched({self._partition: positions}, self._count), wait_s)

    def _own(self, topic: str, positions: Mapping[int, int]) -> dict[int, int]:
        return seen_by(self._partition, {topic: positions})[topic]


class Share(Protocol):
    """Which partitions are this process's."""

    def poll(self, release: Callable[[frozenset[int]], None]) -> frozenset[int]:
        """The partitions now. Those that go to another process are given to `release` first, which ends their work."""

    def close(self) -> None:
        """Leave: the others get this process's partitions at once."""


class WholeShare:
    """Every partition: one process does the work, and a second one stands by for its locks."""

    def __init__(self, count: int) -> None:
        self._all = frozenset(range(count))

    def poll(self, release: Callable[[frozenset[int]], None]) -> frozenset[int]:
        """See `Share.poll`."""
        return self._all

    def close(self) -> None:
        """See `Share.close`."""


class Closable(Protocol):
    """What a worker can at least."""

    def close(self) -> None:
        """Give up files and threads."""


W = TypeVar("W", bound=Closable)


class Workers(Generic[W]):
    """One open worker for each partition that is this process's. `state(partition)` is where its state lies."""

    def __init__(self, share: Share, open_worker: Callable[[int], W], state: Callable[[int], Path]) -> None:
        self._share = share
        self._open_worker = open_worker
        self._state = state
        self._workers: dict[int, W] = {}
        self._locks: dict[int, int] = {}
        self._busy: set[int] = set()

    def now(self) -> dict[int, W]:
        """Workers by partition, after taking up what is new to this process and giving up what no longer is its own."""
        owned = self._share.poll(self._release)
        self._release(frozenset(self._workers) - owned)
        for partition in sorted(owned - self._workers.keys()):
            self._take_up(partition)
        return dict(self._workers)

    @property
    def open(self) -> Mapping[int, W]:
        """Workers that are open, by partition, without asking what is to change."""
        return self._workers

    def close(self) -> None:
        """End all work, then leave."""
        self._release(frozenset(self._workers))
        self._share.close()

    def _take_up(self, partition: int) -> None:
        """Open the partition's worker, unless its state is another process's still."""
        lock = _locked(self._state(partition))
        if lock is None:
            if partition not in self._busy:
                _log.warning("partition_busy", partition=partition, state=str(self._state(partition)))
            self._busy.add(partition)
            return
        self._busy.discard(partition)
        try:
            self._workers[partition] = self._open_worker(partition)
        except BaseException:
            os.close(lock)
            raise
        self._locks[partition] = lock
        _log.info("partition_taken", partition=partition)

    def _release(self, partitions: frozenset[int]) -> None:
        for partition in sorted(partitions & self._workers.keys()):
            try:
                self._workers.pop(partition).close()
            finally:
                os.close(self._locks.pop(partition))
            _log.info("partition_released", partition=partition)


def seen_by(partition: int, offsets: Mapping[str, Mapping[int, int]]) -> dict[str, dict[int, int]]:
    """What a partition's worker sees of offsets, by topic and partition: of a gateway's topics its own alone."""
    return {
        topic: {p: at for p, at in of_topic.items() if p == partition or topic not in topics.OF_A_GATEWAY}
        for topic, of_topic in offsets.items()
    }


def watched(workers: Mapping[int, Mapping[str, Mapping[int, int]]], count: int) -> dict[str, dict[int, int]]:
    """What some workers have read, by partition, as one: a gateway's topics each in its own, others the least."""
    found: dict[str, dict[int, int]] = {}
    for partition, positions in workers.items():
        for topic, at in positions.items():
            if topic in topics.OF_A_GATEWAY:
                own = found.setdefault(topic, dict.fromkeys(range(count), NOT_READ))
                own[partition] = at.get(partition, 0)
            else:
                known = found.setdefault(topic, dict(at))
                found[topic] = {p: min(known[p], at[p]) for p in known.keys() & at.keys()}
    return found


def state_path(path: Path, partition: int, count: int) -> Path:
    """A partition's state file: `ingest.sqlite` where there is one partition, else `ingest-3.sqlite`."""
    return path if count == 1 else path.with_name(f"{path.stem}-{partition}{path.suffix}")


def partition_count(log: Log) -> int:
    """How many partitions a gateway's topics have; ServiceError `log_topic` where they differ."""
    counts = {topic: len(log.end(topic)) for topic in topics.OF_A_GATEWAY}
    if len(set(counts.values())) != 1:
        raise ServiceError("log_topic", f"partitions differ: {counts}, wanted one number for all")
    return counts[topics.FRAMES]


def _locked(state: Path) -> int | None:
    """An open file that holds the state's owner until it is closed or its process ends; None: another has it.

    Not the lock of the file itself (`lading.sqlite.held`), which its worker takes besides.
    """
    sqlite.make_folder(state, "lock_failed")
    return take(f"{state}.owner.lock")
