"""Appending: one append at a time, each record once and in order, also over outages and a producer that wedged.

The producer is idempotent: whatever it repeats, the broker takes once. So records of an append that was not
acknowledged in time are never sent again while their producer lives; they are waited for by whatever comes next. Only
when the broker answers others and this producer gets nowhere is it given up. Then the log is searched, from where it
ended before these records were sent, and what is not there is sent by a new one.
"""

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

import structlog
from kafka import TopicPartition
from kafka import errors as kafka_errors

from lading.errors import ServiceError
from lading.kafka.asking import Asker
from lading.kafka.clients import DELIVERY_MS, REFUSALS, Broker, Producer, as_service_error, service_errors
from lading.log import partition_of

WAIT_S = 1.0
QUIET_S = 0.5
"""How long a closed producer's last bytes may still be on their way into the log of a broker that answers."""
_NOBODY = kafka_errors.ClusterAuthorizationFailedError
_log = structlog.get_logger()


@dataclass(slots=True)
class _Sent:
    """One record on its way. `offset` once it is known."""

    partition: int
    key: bytes
    value: bytes
    future: Any
    offset: int = -1
    refusal: kafka_errors.KafkaError | None = None

    def look(self) -> None:
        """Take over what the future says. One that failed says nothing of where the record is, refusals apart."""
        if self.future.succeeded():
            self.offset = int(self.future.value.offset)
        elif self.future.failed():
            self.refusal = _refusal(self.future.exception)

    @property
    def settled(self) -> bool:
        return self.offset >= 0 or self.refusal is not None

    @property
    def lost_sight(self) -> bool:
        """The producer is through with it and where it is remains to be seen."""
        return not self.settled and bool(self.future.is_done)


@dataclass(slots=True)
class _Append:
    topic: str
    records: list[_Sent]
    left: int = 0  # not settled when last looked at
    stalled_from_s: float = math.inf

    def look(self) -> list[_Sent]:
        """Those that are not settled."""
        for record in self.records:
            if not record.settled:
                record.look()
        return [record for record in self.records if not record.settled]


class Appender:
    """The producer of a log, and what of it is not settled. May be shared by threads: they take turns."""

    def __init__(
        self,
        broker: Broker,
        asker: Asker,
        *,
        append_s: float,
        stall_s: float,
        delivery_ms: int = DELIVERY_MS,
    ) -> None:
        self._broker = broker
        self._asker = asker
        self._append_s = append_s
        self._stall_s = stall_s
        self._delivery_ms = delivery_ms
        self._lock = Lock()
        self._producer: Producer | None = None
        self._unsettled: _Append | None = None
        self._next: dict[tuple[str, int], int] = {}  # what is sent now lies at or after it

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """See `Log.append`; the items are within bounds and the topic is there."""
        with self._turn() as deadline_s, service_errors(f"appending to {topic}"):
            late = self._unsettled
            if late is not None:
                self._settle(late, deadline_s)
            if late is not None and late.records:
                raise ServiceError(
                    "log_failed",
                    "an append that failed before went through only now, wanted its caller to read the log again first",
                )
            append = self._send(topic, items)
            self._settle(append, deadline_s)
            if any(isinstance(record.refusal, _NOBODY) for record in append.records):
                self._give_up()  # it would refuse for ever, also once the user has the right
            _require_taken(append)
            return [(record.partition, record.offset) for record in append.records]

    def settle(self) -> None:
        """What an append that failed has sent is in the log on return, or will never be."""
        if self._unsettled is not None:
            with self._turn() as deadline_s, service_errors("settling a failed append"):
                if self._unsettled is not None:
                    self._settle(self._unsettled, deadline_s)

    def close(self) -> None:
        """End the producer; what it has not sent is dropped."""
        self._give_up()

    @contextmanager
    def _turn(self) -> Iterator[float]:
        """The monotonic time by which the turn must end."""
        if not self._lock.acquire(timeout=self._append_s):
            raise ServiceError("log_failed", f"another append takes longer than {self._append_s} s")
        try:
            yield time.monotonic() + self._append_s
        finally:
            self._lock.release()

    def _send(self, topic: str, items: Iterable[tuple[bytes, bytes]]) -> _Append:
        if self._producer is None:
            self._producer = self._broker.producer(self._delivery_ms)
        self._producer.partitions_for(topic)
        if (topic, 0) not in self._next:
            self._next.update({(topic, p): end for p, end in self._asker.ends(topic).items()})
        append = self._unsettled = _Append(topic, [])
        for key, value in items:
            partition = partition_of(key, self._asker.partitions)
            future = self._producer.send(topic, value, key, partition=partition)
            append.records.append(_Sent(partition, key, value, future))
        append.left = len(append.records)
        return append

    def _settle(self, append: _Append, deadline_s: float) -> None:
        """Wait until every record is settled; if the producer gets nowhere, heal. ServiceError at the deadline."""
        while pending := self._wait(append):
            if any(record.lost_sight for record in pending) or self._is_stalled(append, len(pending)):
                self._heal(append, pending, deadline_s)
            if time.monotonic() > deadline_s:
                raise ServiceError(
                    "log_failed",
                    f"{append.topic}: {len(pending)} of {len(append.records)} records not acknowledged in "
                    f"{self._append_s} s, wanted all; they may come still",
                )
        for record in append.records:
            place = (append.topic, record.partition)
            self._next[place] = max(self._next[place], record.offset + 1)
            self._asker.saw(*place, record.offset + 1)
        self._unsettled = None

    def _wait(self, append: _Append) -> list[_Sent]:
        """Wait a while; what is not settled then."""
        if self._producer is not None:
            with suppress(kafka_errors.KafkaTimeoutError, kafka_errors.UnknownError):
                self._producer.flush(WAIT_S)
        return append.look()

    def _is_stalled(self, append: _Append, pending: int) -> bool:
        """Whether for `stall_s` the broker answered others and nothing of this append went on."""
        if pending < append.left or not self._asker.answers(append.topic, WAIT_S):
            append.left, append.stalled_from_s = pending, math.inf
            return False
        append.stalled_from_s = min(append.stalled_from_s, time.monotonic())
        return time.monotonic() - append.stalled_from_s > self._stall_s

    # Healing

    def _heal(self, append: _Append, pending: list[_Sent], deadline_s: float) -> None:
        """Give the producer up and send what the log does not have. ServiceError when the broker does not answer."""
        self._asker.ends(append.topic)
        self._give_up()
        time.sleep(QUIET_S)
        ends = self._asker.ends(append.topic)
        append.look()
        for partition in sorted({record.partition for record in pending}):
            self._find(append.topic, partition, ends[partition], pending, deadline_s)
        missing = [record for record in pending if not record.settled]
        _log.warning(
            "log_producer_healed",
            topic=append.topic,
            found=len(pending) - len(missing),
            sent_again=len(missing),
        )
        self._producer = self._broker.producer(self._delivery_ms)
        for record in missing:
            record.future = self._producer.send(
                append.topic, record.value, record.key, partition=record.partition
            )

    def _find(
        self, topic: str, partition: int, end: int, pending: Iterable[_Sent], deadline_s: float
    ) -> None:
        """Give those of the partition's pending records that are in the log their offsets."""
        places: dict[tuple[bytes, bytes], list[int]] = {}
        taken = Counter[tuple[bytes, bytes]]()
        for record in self._between(topic, partition, self._next[topic, partition], end, deadline_s):
            places.setdefault((record.key or b"", record.value or b""), []).append(record.offset)
        for sent in pending:
            item = (sent.key, sent.value)
            if sent.partition == partition and taken[item] < len(places.get(item, ())):
                sent.offset = places[item][taken[item]]
                taken[item] += 1

    def _between(self, topic: str, partition: int, first: int, end: int, deadline_s: float) -> Iterator[Any]:
        if first >= end:
            return
        consumer = self._broker.consumer()
        try:
            place = TopicPartition(topic, partition)
            consumer.assign([place])
            consumer.seek(place, first)
            while first < end:
                if time.monotonic() > deadline_s + self._append_s:
                    raise ServiceError("log_failed", f"{topic}: nothing came from {partition}:{first}")
                for record in consumer.poll(int(WAIT_S * 1000)).get(place, ()):
                    first = record.offset + 1
                    yield record
        finally:
            consumer.close(autocommit=False)

    def _give_up(self) -> None:
        """End the producer and its thread without waiting for what it has not sent."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.give_up(WAIT_S)


def _refusal(exc: BaseException) -> kafka_errors.KafkaError | None:
    """The broker's word that a record is not in the log. One who may append nowhere gets no producer's number:
    kafka-python tells that in words alone, before anything is sent."""
    if isinstance(exc, REFUSALS):
        return exc
    return _NOBODY(str(exc)) if _NOBODY.__name__ in str(exc) else None


def _require_taken(append: _Append) -> None:
    for record in append.records:
        if record.refusal is not None:
            raise as_service_error(record.refusal, f"appending to {append.topic}", time.monotonic())
