"""Batch records read from the log, put together to intervals: in any order of partitions, each record once or twice."""

from typing import NamedTuple

from lading.batch import BatchRecord
from lading.errors import ServiceError
from lading.log import Record

RECORDS_MAX = 200_000
"""Batch records that may wait for the rest of their interval, or for an interval before it."""


class Interval(NamedTuple):
    """An interval's batch records in batch order, as far as they were read, and the next offsets after them."""

    number: int
    records: list[BatchRecord]
    positions: dict[int, int]

    @property
    def ranges(self) -> dict[int, tuple[int, int]]:
        """Its frames: partition → (first, last)."""
        return {partition: (first, last) for partition, first, last in self.records[0].positions}


class Waiting:
    """Records of intervals that were not taken yet."""

    def __init__(self) -> None:
        self._intervals: dict[int, dict[int, BatchRecord]] = {}
        self._positions: dict[int, dict[int, int]] = {}
        self._count = 0

    def add(self, record: Record) -> None:
        """A record of the batch topic. ServiceError `batch_log` when another one has its place."""
        batch = BatchRecord.decode(record.value)
        have = self._intervals.setdefault(batch.interval, {})
        if have.setdefault(batch.batch_index, batch) != batch:
            raise ServiceError(
                "batch_log", f"interval {batch.interval} has two batches {batch.batch_index}, wanted one"
            )
        positions = self._positions.setdefault(batch.interval, {})
        positions[record.partition] = record.offset + 1
        self._count += 1
        if self._count > RECORDS_MAX:
            raise ServiceError("batch_log", f"{self._count} records wait, wanted whole intervals in turn")

    def first(self) -> Interval | None:
        """The interval that comes first, whole or not."""
        if not self._intervals:
            return None
        number = min(self._intervals)
        records = [record for _, record in sorted(self._intervals[number].items())]
        return Interval(number, records, self._positions[number])

    def pop_whole(self) -> Interval | None:
        """The interval that comes first, if it is whole."""
        first = self.first()
        if first is None or len(first.records) < first.records[0].batch_count:
            return None
        del self._intervals[first.number], self._positions[first.number]
        self._count -= len(first.records)
        return first
