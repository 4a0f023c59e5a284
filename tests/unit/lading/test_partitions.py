"""Working by partition: what a worker sees, who opens it, and that two never have one state."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from lading import topics
from lading.errors import ServiceError
from lading.log import SqliteLog, partition_of
from lading.partitions import PartitionLog, WholeShare, Workers, partition_count, state_path
from lading.sqlite import held

COUNT = 4


@pytest.fixture
def log(tmp_path: Path) -> SqliteLog:
    return SqliteLog(tmp_path / "log.sqlite", partitions=COUNT)


def key_in(partition: int) -> bytes:
    """Some key of a partition."""
    return next(key for n in range(1_000) if partition_of(key := b"%d" % n, COUNT) == partition)


def test_a_worker_sees_its_partition_of_a_gateways_topics(log: SqliteLog) -> None:
    """Frames of one partition, from the position given; nothing of the others, in reads, ends and commits alike."""
    log.append(topics.FRAMES, [(key_in(p), b"%d/%d" % (p, n)) for n in range(3) for p in range(COUNT)])
    for partition in range(COUNT):
        view = PartitionLog(log, partition, COUNT)
        assert [record.value for record in view.read(topics.FRAMES, {}, 10)] == [
            b"%d/%d" % (partition, n) for n in range(3)
        ]
        assert [record.value for record in view.read(topics.FRAMES, {partition: 2}, 10)] == [
            b"%d/2" % partition
        ]
        assert view.end(topics.FRAMES) == {partition: 3}
        view.commit("group", topics.FRAMES, {partition: partition + 1})
        assert view.committed("group", topics.FRAMES) == {partition: partition + 1}
    assert log.committed("group", topics.FRAMES) == {0: 1, 1: 2, 2: 3, 3: 4}


def test_a_worker_sees_the_other_topics_whole(log: SqliteLog) -> None:
    """Batches and anchors concern every partition."""
    log.append(topics.BATCHES, [(key_in(p), b"%d" % p) for p in range(COUNT)])
    view = PartitionLog(log, 2, COUNT)
    assert sorted(record.value for record in view.read(topics.BATCHES, {}, 10)) == [b"0", b"1", b"2", b"3"]
    assert view.end(topics.BATCHES) == dict.fromkeys(range(COUNT), 1)


def test_a_worker_writes_no_other_partition(log: SqliteLog) -> None:
    """A frame under another partition's key is our bug: it stops the worker, and the log has nothing of it."""
    view = PartitionLog(log, 1, COUNT)
    with pytest.raises(AssertionError, match="is of partition 3"):
        view.append(topics.FRAMES, [(key_in(1), b"own"), (key_in(3), b"not own")])
    assert log.read(topics.FRAMES, {}, 10) == []


def test_partitions_must_not_differ(log: SqliteLog, tmp_path: Path) -> None:
    """A gateway's frames and verdicts would lie in different partition numbers: refused by name."""
    assert partition_count(log) == COUNT
    log.append(topics.VERDICTS, [(b"k", b"v")])
    other = SqliteLog(tmp_path / "log.sqlite", partitions=2)
    with pytest.raises(ServiceError, match="partitions differ") as refused:
        partition_count(other)
    assert refused.value.code == "log_topic"


def test_one_partition_keeps_the_state_file_that_was() -> None:
    """An installation that is not partitioned goes on with the file it has."""
    assert state_path(Path("x/ingest.sqlite"), 0, 1) == Path("x/ingest.sqlite")
    assert state_path(Path("x/ingest.sqlite"), 3, 4) == Path("x/ingest-3.sqlite")


class Assigned:
    """A share whose assignment the test writes."""

    def __init__(self, *partitions: int) -> None:
        self.partitions = frozenset(partitions)
        self.lost: frozenset[int] = frozenset()
        self.is_closed = False

    def poll(self, release: Callable[[frozenset[int]], None]) -> frozenset[int]:
        release(self.lost)
        self.lost = frozenset()
        return self.partitions

    def close(self) -> None:
        self.is_closed = True


class Worker:
    """Notes its end."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


def make(share: Assigned, folder: Path) -> Workers[Worker]:
    return Workers(share, Worker, lambda partition: folder / f"state-{partition}")


def test_workers_follow_the_assignment(tmp_path: Path) -> None:
    """What is assigned is opened once and stays; what is taken away is closed before the next step."""
    share = Assigned(0, 1)
    workers = make(share, tmp_path)
    first = workers.now()
    assert set(first) == {0, 1}
    assert workers.now() == first
    share.lost, share.partitions = frozenset({1}), frozenset({0, 2})
    second = workers.now()
    assert set(second) == {0, 2}
    assert second[0] is first[0]
    assert not first[1].is_open
    workers.close()
    assert not any(worker.is_open for worker in second.values())
    assert share.is_closed


def test_two_processes_never_have_one_state(tmp_path: Path) -> None:
    """Who comes to a partition while its last owner still works waits, and takes it up when the lock is free."""
    one, other = make(Assigned(0), tmp_path), make(Assigned(0, 1), tmp_path)
    assert set(one.now()) == {0}
    assert set(other.now()) == {1}
    assert set(other.now()) == {1}
    one.close()
    assert set(other.now()) == {0, 1}


def test_a_worker_that_does_not_open_leaves_its_lock(tmp_path: Path) -> None:
    """A state file that fails must not stay locked by a process that does not work on it."""

    def fail(_partition: int) -> Worker:
        raise ServiceError("state_failed", "disk")

    broken: Workers[Worker] = Workers(Assigned(0), fail, lambda partition: tmp_path / f"state-{partition}")
    with pytest.raises(ServiceError):
        broken.now()
    assert set(make(Assigned(0), tmp_path).now()) == {0}


def test_a_worker_may_lock_its_own_state(tmp_path: Path) -> None:
    """The lock on a partition is not the one on its state file, which the worker takes: it must not wait for itself."""

    class Holder:
        def __init__(self, partition: int) -> None:
            self._held = ExitStack()
            self._held.enter_context(held(tmp_path / f"state-{partition}", 0))

        def close(self) -> None:
            self._held.close()

    workers = Workers(WholeShare(COUNT), Holder, lambda partition: tmp_path / f"state-{partition}")
    assert set(workers.now()) == set(range(COUNT))
    workers.close()
