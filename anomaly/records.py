"""A step's records: as many as it may hold, and what becomes of one that cannot be used."""

from collections.abc import Callable, Iterable

import structlog

from lading.errors import MalformedError, RejectedError
from lading.log import Record

STEP_BYTES_MAX = 4 * 1024 * 1024

_log = structlog.get_logger()


def take_or_tell(topic: str, record: Record, take: Callable[[], Iterable[int]]) -> Iterable[int]:
    """Legs that a record touches. One that cannot be used is passed over, and said so."""
    try:
        return take()
    except (MalformedError, RejectedError) as exc:
        place = f"{topic}:{record.partition}:{record.offset}"
        _log.error("record_refused", place=place, code=exc.code, reason=exc.text)
        return ()


def within_bytes(records: list[Record]) -> list[Record]:
    """The first records, as many as a step may hold; the others are read again by the next."""
    left = STEP_BYTES_MAX
    for count, record in enumerate(records):
        left -= len(record.value)
        if left < 0:
            return records[: max(count, 1)]
    return records
