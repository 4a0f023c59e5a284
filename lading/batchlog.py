"""A batch's frames read back from the log: the tenant's frames among the positions that its record names."""

from collections.abc import Callable, Iterator, Mapping

from lading import topics
from lading.batch import BatchRecord
from lading.errors import ServiceError
from lading.log import Log, Record

TenantOf = Callable[
    [bytes], str
]  # gateway id → tenant's name; ServiceError `gateway_unknown` when there is none (yet)
READ_RECORDS = 4096


def records_between(log: Log, topic: str, ranges: Mapping[int, tuple[int, int]]) -> Iterator[Record]:
    """Records of partition → (first, last), inclusive, partitions ascending. ServiceError `log_hole`."""
    for partition, (first, last) in sorted(ranges.items()):
        at = first
        elsewhere = {other: end for other, end in log.end(topic).items() if other != partition}
        while at <= last:
            found = log.read(topic, {**elsewhere, partition: at}, READ_RECORDS)
            wanted = [record for record in found if record.partition == partition and record.offset <= last]
            if not wanted or wanted[0].offset != at:
                raise ServiceError("log_hole", f"{topic}: nothing at {partition}:{at}, wanted up to {last}")
            yield from wanted
            at = wanted[-1].offset + 1


def frames_of(log: Log, batch: BatchRecord, tenant_of: TenantOf) -> Iterator[Record]:
    """The log records of a batch's frames, in leaf order."""
    ranges = {partition: (first, last) for partition, first, last in batch.positions}
    for record in records_between(log, topics.FRAMES, ranges):
        if tenant_of(record.key) == batch.tenant_name:
            yield record
