"""Reading a topic: consumers that stay where they read last, so that reading on costs no seek."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from threading import Lock
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka_errors

from lading.errors import ServiceError
from lading.kafka.asking import Asker
from lading.kafka.clients import PARTITION_FETCH_BYTES, Broker, service_errors
from lading.log import Record

READERS_OF_TOPIC_MAX = 2
READERS_MAX = 24
NOT_READ = 2**60
"""From this position on nothing will ever be: a caller says so that it does not want the partition."""
KEPT_BYTES = 8 * 1024 * 1024
KEPT_RECORDS = 10_000
"""What may be held of a partition that the read at hand does not want."""
_SINGLE_FETCH_BYTES = 64 * 1024  # at least one whole batch comes all the same
_POLL_MS = 200


class Reader:
    """A consumer in one topic with what it has fetched and nobody has passed yet. One thread at a time: `lock`."""

    def __init__(self, consumer: Any, topic: str, asker: Asker, read_bytes_max: int, answer_s: float) -> None:
        self.lock = Lock()
        self.used_s = 0.0
        self.topic = topic
        self._consumer = consumer
        self._asker = asker
        self._read_bytes_max = read_bytes_max
        self._answer_s = answer_s
        self._begin()

    def moves(self, positions: Mapping[int, int]) -> tuple[int, int]:
        """What reading from these positions costs: partitions that another's reading leaves, and ones to be sought."""
        at = {p: positions.get(p, 0) for p in self._next}
        sought = [p for p in at if at[p] < NOT_READ and not self._stands_at(p, at[p])]
        return sum(self._next[p] < NOT_READ for p in sought), len(sought)

    def _stands_at(self, partition: int, position: int) -> bool:
        held, end = self._held[partition], self._next[partition]
        return (held[0].offset if held else end) <= position <= end

    def turn_to(self, topic: str) -> None:
        """Read another topic from now on."""
        if topic != self.topic:
            self.topic = topic
            self._begin()

    def read(self, positions: Mapping[int, int], count_max: int) -> list[Record]:
        """See `Log.read`."""
        wanted = [p for p in self._held if positions.get(p, 0) < NOT_READ]
        if not wanted:
            return []
        self._assign(wanted)
        for partition in wanted:
            self._place(partition, positions.get(partition, 0))
        while self._poll(wanted, count_max, 0):
            pass
        if not any(self._held[p] for p in wanted):
            self._await({p: positions.get(p, 0) for p in wanted}, count_max)
        return self._served(wanted, count_max)

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close(autocommit=False, timeout_ms=1000)

    def _begin(self) -> None:
        partitions = range(self._asker.partitions)
        self._held: dict[int, deque[Record]] = {partition: deque() for partition in partitions}
        self._held_bytes = dict.fromkeys(partitions, 0)
        self._next: dict[int, int] = dict.fromkeys(partitions, NOT_READ)  # where the consumer goes on
        self._assigned: list[int] = []

    def _assign(self, wanted: Sequence[int]) -> None:
        """Fetch these, and go on with what other reads want, while that is not much: else those begin anew.

        (A consumer that pauses partitions may never fetch from them again.)
        """
        others = [p for p in self._assigned if p not in wanted]
        kept = [p for p in others if self._held_bytes[p] <= KEPT_BYTES and len(self._held[p]) <= KEPT_RECORDS]
        for partition in set(others) - set(kept):
            self._let_go(partition)
            self._next[partition] = NOT_READ
        assigned = sorted([*kept, *wanted])
        if assigned != self._assigned:
            self._consumer.assign([TopicPartition(self.topic, partition) for partition in assigned])
            self._assigned = assigned

    def _place(self, partition: int, position: int) -> None:
        """Let go what was passed; go elsewhere if need be."""
        held = self._held[partition]
        if held and held[0].offset <= position < self._next[partition]:
            for _ in range(position - held[0].offset):
                self._held_bytes[partition] -= len(held.popleft().value)
        elif self._next[partition] == position:  # all was passed
            self._let_go(partition)
        else:
            self._let_go(partition)
            self._consumer.seek(TopicPartition(self.topic, partition), position)
            self._next[partition] = position

    def _let_go(self, partition: int) -> None:
        self._held[partition].clear()
        self._held_bytes[partition] = 0

    def _poll(self, wanted: Sequence[int], count_max: int, wait_ms: int) -> int:
        """Take what has come in, as far as a read may give it. How many of the wanted records that were."""
        room = count_max - sum(len(self._held[p]) for p in wanted)
        if room < 1 or sum(self._held_bytes[p] for p in wanted) >= self._read_bytes_max:
            return 0
        found: Mapping[TopicPartition, list[Any]] = self._consumer.poll(wait_ms, max_records=room)
        taken = {place.partition: self._take(place.partition, records) for place, records in found.items()}
        return sum(count for partition, count in taken.items() if partition in wanted)

    def _take(self, partition: int, records: list[Any]) -> int:
        new = in_a_row(self.topic, partition, records, self._next[partition])
        self._held[partition].extend(new)
        self._held_bytes[partition] += sum(len(record.value) for record in new)
        self._next[partition] = new[-1].offset + 1
        return len(new)

    def _await(self, positions: Mapping[int, int], count_max: int) -> None:
        """Nothing is at hand: what lies past the positions now is waited for."""
        is_known = any(self._asker.seen(self.topic, p) > at for p, at in positions.items())
        if is_known and self._poll(list(positions), count_max, _POLL_MS):
            return  # asking first would have cost as much time again
        ends = self._asker.ends(self.topic)
        behind = {p: (at, ends[p]) for p, at in positions.items() if at < ends[p]}
        if not behind:
            return
        deadline_s = time.monotonic() + self._answer_s
        while not any(self._held[p] for p in positions):
            if time.monotonic() > deadline_s:
                raise ServiceError(
                    "log_failed",
                    f"{self.topic}: no record came in {self._answer_s} s, wanted (from, to) {behind}",
                )
            self._poll(list(positions), count_max, _POLL_MS)

    def _served(self, wanted: Sequence[int], count_max: int) -> list[Record]:
        """What is served stays held until a later read passes it."""
        held = {partition: self._held[partition] for partition in wanted}
        is_short = sum(self._held_bytes[p] for p in wanted) <= self._read_bytes_max
        return served(held, count_max, None if is_short else self._read_bytes_max)


def in_a_row(topic: str, partition: int, found: Sequence[Any], position: int) -> list[Record]:
    """What the client found, as records. ServiceError `log_hole` when they are not every one from a position on."""
    first, last = found[0].offset, found[-1].offset
    if first != position or last - first != len(found) - 1:
        raise ServiceError(  # a compacted topic, or one that something else writes in transactions
            "log_hole",
            f"{topic}: {len(found)} records came from {partition}:{first} to {last}, wanted every one from "
            f"{position} on",
        )
    return [Record(partition, r.offset, r.key or b"", r.value or b"", r.timestamp) for r in found]


def served(
    held: Mapping[int, Sequence[Record]], count_max: int, bytes_max: int | None = None
) -> list[Record]:
    """The first of what is held, by partition: partitions share the count. With `bytes_max`, up to the one past it."""
    counts = {partition: len(records) for partition, records in held.items()}
    if sum(counts.values()) > count_max:
        left = count_max
        for at, partition in enumerate(sorted(counts, key=lambda p: counts[p])):
            counts[partition] = min(counts[partition], -(-left // (len(counts) - at)))
            left -= counts[partition]
    parts = (islice(held[partition], count) for partition, count in counts.items())
    records = list(chain.from_iterable(parts))
    return records if bytes_max is None else _within_bytes(records, bytes_max)


def _within_bytes(records: Iterable[Record], bytes_max: int) -> list[Record]:
    """The first records, up to the one that passes the bound."""
    found: list[Record] = []
    bytes_left = bytes_max
    for record in records:
        found.append(record)
        bytes_left -= len(record.value)
        if bytes_left <= 0:
            break
    return found


class Readers:
    """The readers of a log. A read goes to the one that stands where it begins. May be shared by threads."""

    def __init__(self, broker: Broker, asker: Asker, read_bytes_max: int, answer_s: float) -> None:
        self._broker = broker
        self._asker = asker
        self._read_bytes_max = read_bytes_max
        self._answer_s = answer_s
        self._lock = Lock()
        self._along: list[Reader] = []
        self._single: Reader | None = None

    def read(self, topic: str, positions: Mapping[int, int], count_max: int) -> list[Record]:
        """See `Log.read`; the topic is there."""
        is_single = count_max <= self._asker.partitions
        with service_errors(f"reading {topic}"):
            try:
                with self._reader(topic, positions, is_single) as reader:
                    return reader.read(positions, count_max)
            except kafka_errors.OffsetOutOfRangeError:
                inside = self._inside(topic, positions)
            with self._reader(topic, inside, is_single) as reader:
                return reader.read(inside, count_max)

    def close(self) -> None:
        """Close the consumers. A later read opens new ones."""
        with self._lock:
            open_now, self._along, self._single = [*self._along, self._single], [], None
        for reader in open_now:
            if reader is not None:
                reader.close()

    @contextmanager
    def _reader(self, topic: str, positions: Mapping[int, int], is_single: bool) -> Iterator[Reader]:
        """A reader, locked. One that failed is not used again."""
        reader = self._for_single(topic) if is_single else self._for_reading_on(topic, positions)
        try:
            reader.used_s = time.monotonic()
            yield reader
        except kafka_errors.OffsetOutOfRangeError:
            raise
        except (ServiceError, kafka_errors.KafkaError, RuntimeError):
            self._drop(reader)
            raise
        finally:
            reader.lock.release()

    def _for_single(self, topic: str) -> Reader:
        with self._lock:
            if self._single is None:
                self._single = self._new(topic, _SINGLE_FETCH_BYTES)
            reader = self._single
        reader.lock.acquire()
        reader.turn_to(topic)
        return reader

    def _for_reading_on(self, topic: str, positions: Mapping[int, int]) -> Reader:
        with self._lock:
            own = [reader for reader in self._along if reader.topic == topic]
            reader = _fitting(own, positions)
            if reader is not None:
                return reader
            if len(own) < READERS_OF_TOPIC_MAX:
                self._make_room()
                reader = self._new(topic, PARTITION_FETCH_BYTES)
                self._along.append(reader)
            else:
                reader = min(own, key=lambda one: one.used_s)
        reader.lock.acquire()
        return reader

    def _new(self, topic: str, partition_bytes: int) -> Reader:
        consumer = self._broker.consumer(partition_bytes=partition_bytes)
        return Reader(consumer, topic, self._asker, self._read_bytes_max, self._answer_s)

    def _make_room(self) -> None:
        if len(self._along) >= READERS_MAX:
            oldest = min(self._along, key=lambda one: one.used_s)
            if oldest.lock.acquire(blocking=False):
                self._along.remove(oldest)
                oldest.close()

    def _drop(self, reader: Reader) -> None:
        with self._lock:
            if reader is self._single:
                self._single = None
            elif reader in self._along:
                self._along.remove(reader)
        reader.close()

    def _inside(self, topic: str, positions: Mapping[int, int]) -> dict[int, int]:
        """Positions without those past the end. ServiceError `log_hole` for those before the oldest record."""
        begins, ends = self._asker.begins(topic), self._asker.ends(topic)
        for partition, begin in begins.items():
            if positions.get(partition, 0) < begin:
                raise ServiceError(
                    "log_hole",
                    f"{topic}: partition {partition} begins at {begin}, wanted {positions.get(partition, 0)}: what was "
                    "there is deleted, by retention or by hand",
                )
        return {p: at if (at := positions.get(p, 0)) <= end else NOT_READ for p, end in ends.items()}


def _fitting(readers: list[Reader], positions: Mapping[int, int]) -> Reader | None:
    """The reader with least to seek among those that lose nothing by it, locked."""
    free = [reader for reader in readers if reader.lock.acquire(blocking=False)]
    fitting = [reader for reader in free if reader.moves(positions)[0] == 0]
    best = min(fitting, key=lambda one: one.moves(positions), default=None)
    for reader in free:
        if reader is not best:
            reader.lock.release()
    return best
