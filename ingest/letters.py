"""Dead letters by their place in the log."""

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from lading import topics
from lading.deadletter import DeadLetter
from lading.errors import ServiceError
from lading.log import Log

READ_RECORDS = 256


class Numbered(NamedTuple):
    """A dead letter and its number, `partition:offset`."""

    number: str
    letter: DeadLetter


def letters(log: Log) -> Iterator[Numbered]:
    """Every dead letter, oldest first in each partition."""
    at: dict[int, int] = {}
    while records := log.read(topics.DEAD, at, READ_RECORDS):
        for record in records:
            yield Numbered(f"{record.partition}:{record.offset}", DeadLetter.decode(record.value))
            at[record.partition] = record.offset + 1


def newest(log: Log, count: int, code: str = "") -> list[Numbered]:
    """The letters that came last over all partitions, in the order in which they came; with a code those alone."""
    found = (one for one in letters(log) if not code or one.letter.code == code)
    last = heapq.nlargest(count, enumerate(found), key=lambda item: (item[1].letter.received_ms, item[0]))
    return [one for _, one in reversed(last)]


def find_letter(log: Log, number: str) -> Numbered:
    """The dead letter of a number (OFFSET alone: of partition 0); ServiceError `dead_number`."""
    try:
        partition, offset = (int(part) for part in (number if ":" in number else f"0:{number}").split(":"))
    except ValueError as exc:
        raise ServiceError(
            "dead_number", f"{number!r}, wanted PARTITION:OFFSET as `dead list` shows"
        ) from exc
    ends = log.end(topics.DEAD)
    if not 0 <= offset < ends.get(partition, 0):
        raise ServiceError("dead_number", f"no dead letter {number}")
    records = log.read(topics.DEAD, {**ends, partition: offset}, len(ends))
    found = next(record for record in records if record.partition == partition)
    return Numbered(number, DeadLetter.decode(found.value))
