# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator,index"
# In compiled code int and numpy's integers are one.
"""What the forecaster sees of a channel's past: its last day ever coarser, and what came at this time of earlier days.

Everything is relative: to the channel's value now (`centre`) and to its usual deviation over a week (`scale`), so that
one model serves channels of any level and unit.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from anomaly.forecast.grid import Floats

VERSION = 1
"""Of what the numbers below mean: a release names the version that it was trained on."""
FINE, MIDDLE, COARSE = 24, 16, 18
"""Single rows, means of 3 rows, means of 12 rows: 24 + 48 + 216 rows, a day of five minutes."""
MIDDLE_ROWS, COARSE_ROWS = 3, 12
AHEAD, AHEAD_ROWS = 14, 3
"""Blocks of the same time on earlier days, the first of them just past."""
DAYS = 7
SUMMARY = 8
FEATURES = FINE + MIDDLE + COARSE + 2 * AHEAD + SUMMARY
CLIP = 8.0
FILL_ROWS_MAX = 6
"""Rows for which the last value stands in where nothing came: half an hour of five minutes."""
HISTORY_ROWS_MIN = FINE
SCALE_MIN = 0.05

Rows = npt.NDArray[np.int64]
Inputs = npt.NDArray[np.float32]


class Seen(NamedTuple):
    """n rows as the model sees them."""

    inputs: Inputs  # (n, FEATURES)
    centre: Floats  # (n,) unit of the channel; NaN where the row cannot be forecast from
    scale: Floats  # (n,) unit of the channel


def day_rows(step_ms: int) -> int:
    """Rows of a day."""
    return max(1, round(86_400_000 / step_ms))


def history_rows(step_ms: int) -> int:
    """Rows that a forecast looks back at most."""
    return (DAYS + 1) * day_rows(step_ms)


def see(value: Floats, rows: Rows, step_ms: int) -> Seen:
    """Features of the grid's rows, of each from itself and earlier rows alone."""
    filled = fill(value)
    count = len(rows)
    seen = Seen(np.zeros((count, FEATURES), np.float32), np.full(count, np.nan), np.ones(count))
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(filled))])
    known = np.concatenate([[0.0], np.cumsum(np.isfinite(filled))])
    _see(filled, total, known, rows, day_rows(step_ms), seen)
    return seen


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
def _see(value: Floats, total: Floats, known: Floats, rows: Rows, day: int, out: Seen) -> None:
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
        _see_row(value, total, known, at, day, week, centre, out.inputs[i])
        for k in range(FEATURES):
            out.inputs[i, k] = min(CLIP, max(-CLIP, out.inputs[i, k] / out.scale[i]))


@njit(cache=True)
def _see_row(
    value: Floats, total: Floats, known: Floats, at: int, day: int, week: float, centre: float, out: Inputs
) -> None:
    k = 0
    for lag in range(FINE):
        here = value[at - lag] if at >= lag else np.nan
        out[k] = week - centre if np.isnan(here) else here - centre
        k += 1
    end = at + 1 - FINE
    for _ in range(MIDDLE):
        out[k] = _mean(total, known, end - MIDDLE_ROWS, end, week) - centre
        end -= MIDDLE_ROWS
        k += 1
    for _ in range(COARSE):
        out[k] = _mean(total, known, end - COARSE_ROWS, end, week) - centre
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
        out[k] = (together / count if count else week) - centre
        out[k + AHEAD] = (greatest if count else week) - centre
        k += 1
    _summarize(value, at, day, week, centre, out[k + AHEAD :])


@njit(cache=True)
def _summarize(value: Floats, at: int, day: int, week: float, centre: float, out: Inputs) -> None:
    """The week's mean; greatest, least and roughness of two hours, a day, and the time since the day's greatest."""
    out[0] = week - centre
    k = 1
    for span in (FINE, day):
        greatest, least, rough, count, _age = centre, centre, 0.0, 0, 0
        for j in range(max(1, at + 1 - span), at + 1):
            if np.isnan(value[j]) or np.isnan(value[j - 1]):
                continue
            if value[j] >= greatest:
                greatest, _age = value[j], at - j
            least = min(least, value[j])
            rough += abs(value[j] - value[j - 1])
            count += 1
        out[k], out[k + 1] = greatest - centre, least - centre
        out[k + 2] = rough / count if count else 0.0
        k += 3
    out[k] = 0.0
