"""Readings before a frame has them: what a sensor gave, whether a frame can say it, and what time it gets."""

from dataclasses import dataclass
from typing import NamedTuple

from lading.errors import LadingError, RejectedError, ServiceError
from lading.fields import I32_MAX, I32_MIN, TIME_MS_MAX
from lading.quantities import CLOCK, FLAGS_KNOWN


class NewReading(NamedTuple):
    """A value as the sensor gave it; the gateway numbers it and checks its time."""

    channel: int
    time_ms: int
    value_milli: int
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A reading that was not taken, by its place in what was given."""

    index: int
    error: LadingError


class Tried(NamedTuple):
    """Of readings that were tried: `left` are not durable, for the store failed as `failure` says."""

    left: list[NewReading]
    failure: ServiceError | None
    refused: list[LadingError]


def check(new: NewReading) -> None:
    """RejectedError unless a frame can say it."""
    _, time_ms, value_milli, flags = new
    if not 0 <= time_ms <= TIME_MS_MAX:
        raise RejectedError("reading_time", f"{time_ms} ms, wanted 0..{TIME_MS_MAX}")
    if not I32_MIN <= value_milli <= I32_MAX:
        raise RejectedError("reading_value", f"{value_milli}, wanted {I32_MIN}..{I32_MAX}")
    if flags & ~FLAGS_KNOWN:
        raise RejectedError("reading_flags", f"flags {flags:#x}, wanted within {FLAGS_KNOWN:#x}")


def stamp(new: NewReading, last_ms: int, clock_floor_ms: int, issued_ms: int) -> tuple[int, int]:
    """(time, flags) of a reading whose channel's last one was at `last_ms`.

    A clock behind that past gives the time right after it, flagged CLOCK. So does one below the floor, which was
    never set; its placeholders begin no earlier than `issued_ms`, when the open leg's order was issued (0: no leg).
    """
    if new.time_ms >= clock_floor_ms:
        if new.time_ms > last_ms:
            return new.time_ms, new.flags
        time_ms = last_ms + 1
    else:
        time_ms = max(last_ms + 1, clock_floor_ms, issued_ms)
    if time_ms > TIME_MS_MAX:
        raise RejectedError("reading_time", f"the channel's past ends at {last_ms} ms, nothing can follow")
    return time_ms, new.flags | CLOCK
