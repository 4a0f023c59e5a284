"""Archive files that were lost, written again from the log."""

from collections.abc import Iterator
from pathlib import Path

from ingest.archive import FRAMES_SUFFIX, GROUP, Archive, Archived
from ingest.erasure import erasures
from lading import topics
from lading.batch import BatchRecord
from lading.errors import ServiceError
from lading.log import Log, SqliteLog

READ_RECORDS = 1_000


def rebuild(log: Log, folder: Path, archive: Archive) -> Iterator[Archived]:
    """Write each batch that the log says is archived and whose files are not both there. Others follow by `step`.

    ServiceError `erased`: readings of the batch were erased, and this log has them still.
    """
    gone = set() if isinstance(log, SqliteLog) else {name for one in erasures(folder) for name in one.batches}
    done = log.committed(GROUP, topics.BATCHES)
    positions: dict[int, int] = {}
    while records := log.read(topics.BATCHES, positions, READ_RECORDS):
        for record in records:
            positions[record.partition] = record.offset + 1
            if record.offset < done.get(record.partition, 0):
                batch = BatchRecord.decode(record.value)
                path = folder / batch.location
                if not (path.is_file() and path.with_suffix(FRAMES_SUFFIX).is_file()):
                    if batch.location in gone:
                        raise ServiceError(
                            "erased", f"{batch.location} was erased, and the log has its readings"
                        )
                    yield archive.write(batch)
