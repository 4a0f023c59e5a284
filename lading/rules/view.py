"""A frame as the rules read it: from a decoded frame, or from columns that were checked before."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lading.frame import Frame, Header, Run
from lading.rules.track import MINUTE_MS, Summary
from lading.totals import Reading, Totals


class RunView(NamedTuple):
    """One channel's readings in a frame, and its totals after them (decoded, or the 142 bytes)."""

    channel: int
    quantity: int
    first_seq: int
    reading_count: int
    totals: Totals | bytes
    totals_count: int
    summary: Summary | None  # None: not made, or there is no reading
    readings: Callable[[], Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class FrameView:
    """A frame's header and runs."""

    header: Header
    runs: Sequence[RunView]


def view(frame: Frame) -> FrameView:
    """A decoded frame as the rules read it."""
    return FrameView(frame.header, [_view_run(run) for run in frame.runs])


def _view_run(run: Run) -> RunView:
    record = run.record
    head = (record.channel, record.quantity, record.first_seq, record.count)
    return RunView(*head, record.totals, record.totals.count, None, lambda: run.readings)


def summarize(readings: Sequence[Reading]) -> Summary:
    """What a run, not empty, is like. The twin of the kernel that detectors use."""
    pairs = list(itertools.pairwise(readings))
    changes = [i for i, (before, after) in enumerate(pairs) if before.value != after.value]
    head, tail = (changes[0], changes[-1] + 1) if changes else (len(readings) - 1, 0)
    starts, ends = [0, *(i + 1 for i in changes)], [*changes, len(readings) - 1]
    flags = 0
    for reading in readings:
        flags |= reading.flags
    return Summary(
        flags=flags,
        last_flags=readings[-1].flags,
        least=min(reading.value for reading in readings),
        greatest=max(reading.value for reading in readings),
        first_value=readings[0].value,
        last_value=readings[-1].value,
        first_ms=readings[0].time_ms,
        last_ms=readings[-1].time_ms,
        step_ms=max((after.time_ms - before.time_ms for before, after in pairs), default=0),
        rate=max((rate(before, after) for before, after in pairs), default=0),
        same_ms=max(readings[j].time_ms - readings[i].time_ms for i, j in zip(starts, ends, strict=True)),
        head_ms=readings[head].time_ms,
        tail=tail,
        tail_ms=readings[tail].time_ms,
    )


def rate(before: Reading, after: Reading) -> int:
    """Change scaled to a minute."""
    return abs(after.value - before.value) * MINUTE_MS // (after.time_ms - before.time_ms)
