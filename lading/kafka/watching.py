"""Waiting until a topic has something new: the broker holds the question back until it can be answered.

A consumer of its own, whose records nobody gets: those that serve reads must not wait at one partition's end while
another's records are due (`FETCH_WAIT_MS`).
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka_errors

from lading.errors import ServiceError
from lading.kafka.asking import Asker
from lading.kafka.clients import Broker, service_errors
from lading.kafka.reading import NOT_READ
from lading.log import APPEND_ITEMS_MAX

HOLD_MS = 500
"""How long the broker keeps a question that it cannot answer."""
_FETCH_BYTES = 1  # a batch comes all the same
_RECORDS_MAX = APPEND_ITEMS_MAX
"""All that came: while some of a partition is left, the client asks for the others alone, and the broker holds that."""
_CLOSE_MS = 1_000


class Watcher:
    """Waits at the ends of topics. One thread at a time; another's wait is a rest."""

    def __init__(self, broker: Broker, asker: Asker) -> None:
        self._broker = broker
        self._asker = asker
        self._lock = Lock()
        self._consumer: Any = None
        self._next: dict[TopicPartition, int] = {}  # what is watched, and where the consumer goes on

    def wait(self, positions: Mapping[str, Mapping[int, int]], wait_s: float) -> bool:
        """See `WatchedLog.wait`; the topics are there."""
        until_s = time.monotonic() + wait_s
        at = {
            TopicPartition(topic, p): where.get(p, 0)
            for topic, where in positions.items()
            for p in range(self._asker.partitions)
            if where.get(p, 0) < NOT_READ
        }
        if at and self._lock.acquire(blocking=False):
            try:
                with service_errors("waiting for records"):
                    return self._is_past(at, wait_s)
            except ServiceError:  # whoever reads next is told why
                self._drop()
            finally:
                self._lock.release()
        time.sleep(max(until_s - time.monotonic(), 0))
        return False

    def close(self) -> None:
        """Close the consumer. A later wait opens a new one."""
        with self._lock:
            self._drop()

    def _is_past(self, at: dict[TopicPartition, int], wait_s: float) -> bool:
        if self._consumer is None:
            self._consumer = self._broker.consumer(
                partition_bytes=_FETCH_BYTES, fetch_bytes=_FETCH_BYTES, wait_ms=HOLD_MS
            )
        if self._next.keys() != at.keys():
            self._consumer.assign(list(at))
            self._next = dict.fromkeys(at, -1)
        for place, position in at.items():
            if self._next[place] != position:
                self._consumer.seek(place, position)
                self._next[place] = position
        found: Mapping[TopicPartition, list[Any]] = self._consumer.poll(
            int(wait_s * 1000), max_records=_RECORDS_MAX
        )
        for place, records in found.items():
            self._next[place] = records[-1].offset + 1
            self._asker.saw(place.topic, place.partition, self._next[place])
        return bool(found)

    def _drop(self) -> None:
        consumer, self._consumer, self._next = self._consumer, None, {}
        if consumer is not None:
            with suppress(kafka_errors.KafkaError, RuntimeError, OSError):
                consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)
