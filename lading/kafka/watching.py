"""The tail of topics: waiting until there is something new, and reading what came.

A consumer of its own, which the broker keeps waiting while there is nothing: those that serve reads must not wait at
one partition's end while another's records are due (`FETCH_WAIT_MS`). What it was given is held for whoever waited:
reading on at the tail so costs no further question.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka_errors

from lading.errors import ServiceError
from lading.kafka.asking import Asker
from lading.kafka.clients import Broker, service_errors
from lading.kafka.reading import NOT_READ, in_a_row, served
from lading.log import APPEND_ITEMS_MAX, Record

HOLD_MS = 500
"""How long the broker keeps a question that it cannot answer."""
_PARTITION_FETCH_BYTES = 1024 * 1024  # at least a whole batch comes all the same
_FETCH_BYTES = 4 * 1024 * 1024
_HELD_BYTES_MAX = 16 * 1024 * 1024
"""What nobody reads is given up, and found again by whoever does."""
_RECORDS_MAX = APPEND_ITEMS_MAX
"""All that came: while some of a partition is left, the client asks for the others alone, and the broker holds that."""
_READ_S = 0.2
_CLOSE_MS = 1_000


class Watcher:
    """Stands at the ends of topics. One thread at a time: another's wait is a rest, and its read finds nothing."""

    def __init__(self, broker: Broker, asker: Asker, read_bytes_max: int) -> None:
        self._broker = broker
        self._asker = asker
        self._read_bytes_max = read_bytes_max
        self._lock = Lock()
        self._consumer: Any = None
        self._next: dict[TopicPartition, int] = {}  # what is watched, and where the consumer goes on
        self._held: dict[TopicPartition, deque[Record]] = {}  # what came before that and was not passed

    def wait(self, positions: Mapping[str, Mapping[int, int]], wait_s: float) -> bool:
        """See `WatchedLog.wait`; the topics are there."""
        until_s = time.monotonic() + wait_s
        at = {
            place: position for topic, of in positions.items() for place, position in self._places(topic, of)
        }
        with self._turn("waiting for records") as is_mine:
            if at and is_mine:
                self._go_to(at)
                return self._has(at) or self._poll(wait_s)
        time.sleep(max(until_s - time.monotonic(), 0))
        return False

    def read(self, topic: str, positions: Mapping[int, int], count_max: int) -> list[Record]:
        """Records past positions that stand at the tail, as `Log.read`; none: ask a reader."""
        at = dict(self._places(topic, positions))
        with self._turn(f"reading {topic}") as is_mine:
            if at and is_mine and all(self._stands_at(place, position) for place, position in at.items()):
                for place, position in at.items():
                    self._pass(place, position)
                self._await(at)
                held = {place.partition: self._held[place] for place in at}
                return served(held, count_max, self._read_bytes_max)
        return []

    def close(self) -> None:
        """Close the consumer. A later wait opens a new one."""
        with self._lock:
            self._drop()

    @contextmanager
    def _turn(self, what: str) -> Iterator[bool]:
        """Whether it is this thread's. Where the broker fails, all is let go: whoever reads next is told why."""
        is_mine = self._lock.acquire(blocking=False)
        try:
            with suppress(ServiceError), service_errors(what):
                yield is_mine
                return
            self._drop()
        finally:
            if is_mine:
                self._lock.release()

    def _places(self, topic: str, positions: Mapping[int, int]) -> Iterator[tuple[TopicPartition, int]]:
        for partition in range(self._asker.partitions):
            if (position := positions.get(partition, 0)) < NOT_READ:
                yield TopicPartition(topic, partition), position

    def _go_to(self, at: Mapping[TopicPartition, int]) -> None:
        """Watch these places alone, from these positions on."""
        if self._consumer is None:
            self._consumer = self._broker.consumer(
                partition_bytes=_PARTITION_FETCH_BYTES, fetch_bytes=_FETCH_BYTES, wait_ms=HOLD_MS
            )
        if self._next.keys() != at.keys():
            self._consumer.assign(list(at))
            self._next, self._held = dict.fromkeys(at, -1), {place: deque() for place in at}
        for place, position in at.items():
            if self._stands_at(place, position):
                self._pass(place, position)
            else:
                self._held[place].clear()
                self._consumer.seek(place, position)
                self._next[place] = position

    def _stands_at(self, place: TopicPartition, position: int) -> bool:
        held, end = self._held.get(place), self._next.get(place, -1)
        return (held[0].offset if held else end) <= position <= end

    def _pass(self, place: TopicPartition, position: int) -> None:
        held = self._held[place]
        while held and held[0].offset < position:
            held.popleft()

    def _has(self, at: Mapping[TopicPartition, int]) -> bool:
        return any(self._held[place] for place in at)

    def _await(self, at: Mapping[TopicPartition, int]) -> None:
        """Let what is known to be past the positions come in."""
        until_s = time.monotonic() + _READ_S
        is_known = any(
            self._asker.seen(place.topic, place.partition) > position for place, position in at.items()
        )
        while is_known and not self._has(at) and (left_s := until_s - time.monotonic()) > 0:
            self._poll(left_s)

    def _poll(self, wait_s: float) -> bool:
        """Take what comes. Whether anything did."""
        if sum(len(record.value) for held in self._held.values() for record in held) > _HELD_BYTES_MAX:
            raise ServiceError(
                "log_failed", f"more than {_HELD_BYTES_MAX} bytes were waited for and not read"
            )
        found: Mapping[TopicPartition, list[Any]] = self._consumer.poll(
            int(wait_s * 1000), max_records=_RECORDS_MAX
        )
        for place, records in found.items():
            self._held[place] += in_a_row(place.topic, place.partition, records, self._next[place])
            self._next[place] = records[-1].offset + 1
            self._asker.saw(place.topic, place.partition, self._next[place])
        return bool(found)

    def _drop(self) -> None:
        consumer, self._consumer, self._next, self._held = self._consumer, None, {}, {}
        if consumer is not None:
            with suppress(kafka_errors.KafkaError, RuntimeError, OSError):
                consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)
