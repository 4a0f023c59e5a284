# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator,index"
# In compiled code int and numpy's integers are one.
"""What the forecaster sees of a channel's past.

Its last day ever coarser, what came at this time of earlier days, how high it was held of late, and the time of day.
Values are relative: to the channel's value now (`centre`) and to its usual deviation over a week (`scale`), so that one
model serves channels of any level.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from anomaly.forecast import targets
from anomaly.forecast.grid import Floats, Grid

VERSION = 1
"""Of what the numbers below mean: a release names the version that it was trained on."""
FINE, MIDDLE, COARSE = 24, 16, 18
"""Single rows, means of 3 rows, means of 12 rows: 24 + 48 + 216 rows, a day of five minutes."""
MIDDLE_ROWS, COARSE_ROWS = 3, 12
AHEAD, AHEAD_ROWS = 14, 3
"""Blocks of the same time on earlier days, the first of them just past."""
DAYS = 7
SUMMARY = 7
HELD_ROWS = (12, 36, 288, 864)
"""Spans over which the greatest level held is looked for."""
CLOCK = 4
RELATIVE = FINE + MIDDLE + COARSE + 2 * AHEAD + SUMMARY + len(HELD_ROWS)
FEATURES = RELATIVE + CLOCK
CLIP = 8.0
FILL_ROWS_MAX = 6
"""Rows for which the last value stands in where nothing came: half an hour of five minutes."""
SCALE_MIN = 0.05
_DAY_MS = 86_400_000
_MONDAY = 3  # days from the Monday before 1970-01-01 to it
_HELD_ROWS = np.array(HELD_ROWS)

Rows = npt.NDArray[np.int64]
Inputs = npt.NDArray[np.float32]


class Seen(NamedTuple):
    """n rows as the model sees them."""

    inputs: Inputs  # (n, FEATURES)
    centre: Floats  # (n,) unit of the channel; NaN where the row cannot be forecast from
    scale: Floats  # (n,) unit of the channel


def day_rows(step_ms: int) -> int:
    """Rows of a day."""
    return max(1, round(_DAY_MS / step_ms))


def history_rows(step_ms: int) -> int:
    """Rows that a forecast looks back at most."""
    return (DAYS + 1) * day_rows(step_ms)


def see(grid: Grid, rows: Rows, hold: int, pause: int) -> Seen:
    """Features of the grid's rows, of each from itself and earlier rows alone. `hold` and `pause` are rows."""
    filled = fill(grid.value)
    count = len(rows)
    seen = Seen(np.zeros((count, FEATURES), np.float32), np.full(count, np.nan), np.ones(count))
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(filled))])
    known = np.concatenate([[0.0], np.cumsum(np.isfinite(filled))])
    held = _held_until(filled, hold, pause)
    _see(filled, total, known, held, rows, day_rows(grid.step_ms), seen)
    _tell_time(grid, rows, seen)
    return seen


def _held_until(filled: Floats, hold: int, pause: int) -> Floats:
    """(rows,) the level held for `hold` rows up to `pause` rows ago: whether a dip is a pause is known by then."""
    out = np.full(len(filled), np.nan)
    late = hold + pause - 1
    if late < len(filled):
        out[late:] = targets.held_from(filled, hold, pause)[: len(filled) - late]
    return out


def _tell_time(grid: Grid, rows: Rows, out: Seen) -> None:
    """Time of day as an angle, whether it is the weekend (all UTC), and how large the scale is."""
    ended_ms = grid.begin_ms + (rows + 1) * grid.step_ms
    angle = 2 * math.pi * (ended_ms % _DAY_MS) / _DAY_MS
    out.inputs[:, RELATIVE] = np.sin(angle)
    out.inputs[:, RELATIVE + 1] = np.cos(angle)
    out.inputs[:, RELATIVE + 2] = (ended_ms // _DAY_MS + _MONDAY) % 7 >= 5
    out.inputs[:, RELATIVE + 3] = np.clip(np.log(out.scale), -CLIP, CLIP)


def fill(value: Floats) -> Floats:
    """Short gaps take the value before them."""
    out = value.copy()
    _fill(out)
    return out


@njit(cache=True)
def _fill(value: Floats) -> None:
    last, age = np.nan, 0
    for i in range(len(value)):
        if np.isnan(value[i]):
            age += 1
            if age <= FILL_ROWS_MAX:
                value[i] = last
        else:
            last, age = value[i], 0


@njit(cache=True)
def _mean(total: Floats, known: Floats, first: int, last: int, otherwise: float) -> float:
    """Mean of what is known of rows first to last − 1, cut to the grid."""
    first, last = max(first, 0), min(last, len(total) - 1)
    if last <= first:
        return otherwise
    count = known[last] - known[first]
    return (total[last] - total[first]) / count if count > 0 else otherwise


@njit(cache=True)
def _see(value: Floats, total: Floats, known: Floats, held: Floats, rows: Rows, day: int, out: Seen) -> None:
    levels = np.empty(RELATIVE)
    for i in range(len(rows)):
        at = rows[i]
        recent = known[at + 1] - known[max(0, at + 1 - FINE)]
        if np.isnan(value[at]) or recent < FINE / 2:
            continue
        centre = value[at]
        week = _mean(total, known, at + 1 - DAYS * day, at + 1, centre)
        deviation, count = 0.0, 0
        for j in range(max(0, at + 1 - DAYS * day), at + 1):
            if not np.isnan(value[j]):
                deviation += abs(value[j] - week)
                count += 1
        out.centre[i] = centre
        out.scale[i] = max(deviation / count, SCALE_MIN)
        _see_row(value, total, known, at, day, week, levels)
        _see_held(held, at, centre, levels[RELATIVE - len(_HELD_ROWS) :])
        for k in range(RELATIVE):
            out.inputs[i, k] = min(CLIP, max(-CLIP, (levels[k] - centre) / out.scale[i]))


@njit(cache=True)
def _see_row(
    value: Floats, total: Floats, known: Floats, at: int, day: int, week: float, out: Floats
) -> None:
    k = 0
    for lag in range(FINE):
        here = value[at - lag] if at >= lag else np.nan
        out[k] = week if np.isnan(here) else here
        k += 1
    end = at + 1 - FINE
    for _ in range(MIDDLE):
        out[k] = _mean(total, known, end - MIDDLE_ROWS, end, week)
        end -= MIDDLE_ROWS
        k += 1
    for _ in range(COARSE):
        out[k] = _mean(total, known, end - COARSE_ROWS, end, week)
        end -= COARSE_ROWS
        k += 1
    for block in range(AHEAD):
        together, greatest, count = 0.0, -np.inf, 0
        for days in range(1, DAYS + 1):
            first = at + 1 - days * day + (block - 1) * AHEAD_ROWS
            here = _mean(total, known, first, min(first + AHEAD_ROWS, at + 1), np.nan)
            if not np.isnan(here):
                together += here
                greatest = max(greatest, here)
                count += 1
        out[k] = together / count if count else week
        out[k + AHEAD] = greatest if count else week
        k += 1
    _summarize(value, at, day, week, out[k + AHEAD :])


@njit(cache=True)
def _summarize(value: Floats, at: int, day: int, week: float, out: Floats) -> None:
    """The week's mean; greatest, least and roughness (as a level above now) of two hours and of a day."""
    out[0] = week
    k = 1
    for span in (FINE, day):
        greatest, least, rough, count = value[at], value[at], 0.0, 0
        for j in range(max(1, at + 1 - span), at + 1):
            if np.isnan(value[j]) or np.isnan(value[j - 1]):
                continue
            greatest, least = max(greatest, value[j]), min(least, value[j])
            rough += abs(value[j] - value[j - 1])
            count += 1
        out[k], out[k + 1] = greatest, least
        out[k + 2] = value[at] + (rough / count if count else 0.0)
        k += 3


@njit(cache=True)
def _see_held(held: Floats, at: int, now: float, out: Floats) -> None:
    """The greatest level held in each span; the value now where none is known."""
    for k in range(len(_HELD_ROWS)):
        greatest = -np.inf
        for j in range(max(0, at + 1 - _HELD_ROWS[k]), at + 1):
            if held[j] > greatest:
                greatest = held[j]
        out[k] = greatest if greatest > -np.inf else now
