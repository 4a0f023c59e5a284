"""When a forecast calls, what it calls for, and how long before it comes."""

from typing import NamedTuple

import numpy as np

from anomaly.forecast import targets
from anomaly.forecast.grid import Floats
from anomaly.forecast.release import Shape

CALL_ABOVE = 0.2
"""Probability of a breach within the call's horizon at which a call begins."""
END_BELOW = 0.5
"""Of that probability: what it must stay under, for QUIET_MS, for the call to end."""
QUIET_MS = 3 * 3_600_000
LEAD_MAX_MS = 3 * 3_600_000
"""How long before an excursion a call may begin that is over when it comes; and the longest lead that counts."""
APART_MS = 9_000_000
"""Excursions closer than that are one."""
AFTER_MS = 3_600_000
"""So long after an excursion's end a call is still part of it."""


class Stretch(NamedTuple):
    """Rows `begin` to `end` − 1."""

    begin: int
    end: int


class Judged(NamedTuple):
    """What calls were worth on one channel. An excursion's lead is −hold where nothing called: then the rule alarms."""

    leads_ms: list[int]  # of each excursion, in order
    false: list[Stretch]  # calls for which nothing came
    weeks: float  # of rows that could be forecast from


def call_horizon(shape: Shape) -> int:
    """Which horizon calls look at: the last that is not longer than the hold."""
    return max(0, sum(span_ms <= shape.hold_ms for span_ms in shape.horizons_ms) - 1)


def calls(probability: Floats, threshold: float, step_ms: int) -> list[Stretch]:
    """Calls by row, from the probability of a breach (rows,); where it is NaN nothing is known, and a call goes on."""
    found: list[Stretch] = []
    quiet_rows, quiet, begin = QUIET_MS // step_ms, 0, -1
    for row, value in enumerate(probability):
        if begin < 0:
            if value >= threshold:
                begin, quiet = row, 0
        elif value >= threshold * END_BELOW:
            quiet = 0
        elif not np.isnan(value):
            quiet += 1
            if quiet >= quiet_rows:
                found.append(Stretch(begin, row))
                begin = -1
    return found if begin < 0 else [*found, Stretch(begin, len(probability))]


def excursions(value: Floats, limit: float, hold: int, pause: int, step_ms: int) -> list[Stretch]:
    """Stretches above the limit of at least `hold` rows, pauses of up to `pause` rows bridged; from crossing to end."""
    starts = np.flatnonzero(targets.held_from(value, hold, pause) > limit)
    bridged = targets.bridge(value, pause) > limit
    found: list[Stretch] = []
    for start in starts:
        if found and start < found[-1].end:
            continue
        below = np.flatnonzero(~bridged[start:])
        end = int(start + below[0]) if len(below) else len(value)
        if found and (start - found[-1].end) * step_ms <= APART_MS:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Stretch(int(start), end))
    return found


def judge(made: list[Stretch], events: list[Stretch], hold_ms: int, step_ms: int, rows: int) -> Judged:
    """Leads and false calls. A call is true where an excursion begins while it stands, or soon after its begin.

    Soon is LEAD_MAX_MS. One that begins during an excursion gives it a negative lead, and is not false.
    """
    near, after = LEAD_MAX_MS // step_ms, AFTER_MS // step_ms
    true: set[Stretch] = set()
    leads_ms: list[int] = []
    for event in events:
        lead_ms = -hold_ms
        for call in made:
            ahead = event.begin - call.begin
            if (
                ahead >= 0 and (call.end >= event.begin or ahead <= near)
            ) or 0 < -ahead <= event.end - event.begin + after:
                true.add(call)
                lead_ms = max(lead_ms, min(ahead * step_ms, LEAD_MAX_MS))
        leads_ms.append(lead_ms)
    return Judged(leads_ms, [call for call in made if call not in true], rows * step_ms / (7 * 86_400_000))
