# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Recall of the same time on the last days: how unlike yesterday's, and the days' before, a row is.

    interval: the median of the first INTERVALS intervals between rows, about ROW_MS or more (`gather`);  rows a day:
    day / interval. Where it is longer, near and smooth go by `scale`, how many times as long it is, at most SCALE_MAX
    from the INTERVALS-th on a row's place goes by its time, so that rows that were lost shift nothing; of two at one
    place the later counts.  Of more than ROWS rows a day, RING rows hold less than DAYS days
    r[d]: least |v − row| over the rows from near before to near after this time, d days ago;  DAYS days
    out ← out + smooth · (mean of r[d] over the days that are known − out);  0 until a day is known

0, too, for a channel that is read less than ROWS_MIN times a day. High: a pattern of the day that was broken.
Source: seasonal naive residual (Hyndman and Athanasopoulos, Forecasting, 2021, section 5.2) with a tolerance in time.
"""

import numpy as np

from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault
from anomaly.detectors.gather import ROW_MS
from anomaly.detectors.vectors import least_difference, least_differences

DAY_MS = 86_400_000
DAYS = 3
NEAR = 9
ROWS, ROWS_MIN = 288, 2 * NEAR
SMOOTH = 1.0 / 8.0
INTERVALS = 15
SCALE_FROM, SCALE_MAX = 1.2, 4.0
RING = DAYS * ROWS + 2 * NEAR
_SEEN, _LAST_MS, _INTERVAL, _PERIOD, _SCALE, _NEAR, _ANCHOR_MS, _PLACE, _NEXT, _KEPT, _SMOOTH, _INTERVALS = (
    range(12)
)
_RING = _INTERVALS + INTERVALS
WIDTH = _RING + RING
UNKNOWN = np.nan
_WINDOW = 2 * NEAR + 1
_least_near = least_difference(_WINDOW)
_EIGHT = 8
_least_of_eight = least_differences(_WINDOW)


@compiled
def scale(row: Floats) -> float:
    """How much longer than ROW_MS the channel's rows are, from 1 to SCALE_MAX: what an hour has fewer of them."""
    return max(row[_SCALE], 1.0)


@compiled
def longer(row: Floats) -> float:
    """The same without a bound, 0 until it is known."""
    return row[_INTERVAL] / ROW_MS


@compiled
def alike(row: Floats) -> int:
    """How many rows may be scored together, all by one `scale`: it changes with the first row behind INTERVALS."""
    seen = int(row[_SEEN])
    return INTERVALS - seen if seen < INTERVALS else RING


@compiled
def _settle(row: Floats, time_ms: int) -> None:
    """The median interval gives rows a day, 0 where they are too few, and what goes by the hour."""
    for i in range(1, INTERVALS):
        x = row[_INTERVALS + i]
        k = i
        while k > 0 and row[_INTERVALS + k - 1] > x:
            row[_INTERVALS + k] = row[_INTERVALS + k - 1]
            k -= 1
        row[_INTERVALS + k] = x
    interval = max(row[_INTERVALS + INTERVALS // 2], 1.0)
    period = np.floor(DAY_MS / interval + 0.5)
    longer = interval / ROW_MS
    row[_INTERVAL], row[_PERIOD] = interval, period if period >= ROWS_MIN else 0.0
    row[_SCALE] = min(longer, SCALE_MAX) if longer >= SCALE_FROM else 1.0
    row[_NEAR] = np.floor(NEAR / row[_SCALE] + 0.5)
    row[_ANCHOR_MS] = float(time_ms)


@compiled
def _keep(row: Floats, value: float) -> None:
    """One more row in the ring."""
    place = int(row[_NEXT])
    row[_RING + place] = value
    row[_NEXT] = float(place + 1 if place + 1 < RING else 0)
    row[_KEPT] = min(row[_KEPT] + 1.0, float(RING))


@compiled
def _take_back(row: Floats) -> None:
    """The newest row goes: another is to stand there."""
    row[_NEXT] = row[_NEXT] - 1.0 if row[_NEXT] > 0.0 else float(RING - 1)
    row[_KEPT] -= 1.0


@compiled
def _place(row: Floats, time_ms: int) -> float:
    """Of a row in time, counted from the anchor."""
    return np.floor((float(time_ms) - row[_ANCHOR_MS]) / row[_INTERVAL] + 0.5)


@compiled
def _pass(row: Floats, time_ms: int) -> None:
    """Time goes by: an interval of the first, or so many rows that are lacking."""
    interval = float(time_ms) - row[_LAST_MS]
    row[_LAST_MS] = float(time_ms)
    seen = int(row[_SEEN])
    row[_SEEN] = float(min(seen + 1, INTERVALS + 1))
    if 0 < seen <= INTERVALS:
        row[_INTERVALS + seen - 1] = interval
        if seen == INTERVALS:
            _settle(row, time_ms)
    elif row[_PERIOD] > 0.0:
        further = _place(row, time_ms) - row[_PLACE]
        if further < 0.0:  # the clock was set: from here on
            row[_ANCHOR_MS], row[_PLACE] = float(time_ms), 0.0
            return
        row[_PLACE] += further
        if further == 0.0:
            _take_back(row)
        for _ in range(int(min(further - 1.0, float(RING)))):
            _keep(row, UNKNOWN)


@compiled
def _least_across(row: Floats, value: float, place: int, window: int) -> float:
    """The same row by row: where the ring ends in between, or fewer are near."""
    least = np.inf
    for _ in range(window):
        d = abs(value - row[place])
        least = d if d < least else least
        place = place + 1 if place + 1 < WIDTH else _RING
    return least


@compiled
def _least(row: Floats, value: float, back: int) -> float:
    """The least |v − row| near `back` rows ago; infinite where none is known."""
    near = int(row[_NEAR])
    place = int(row[_NEXT]) - back - near
    place = _RING + (place + RING if place < 0 else place)
    if near != NEAR or place + _WINDOW > WIDTH:
        return _least_across(row, value, place, 2 * near + 1)
    return _least_near(row, place, value)


@compiled
def _residual(row: Floats, value: float) -> float:
    """Mean over the days; NONE where no day is known."""
    period, kept = int(row[_PERIOD]), int(row[_KEPT])
    if period == 0:
        return NONE
    total, days = 0.0, 0.0
    for day in range(1, DAYS + 1):
        if day * period + int(row[_NEAR]) > kept:
            break
        least = _least(row, value, day * period)
        if least < np.inf:
            total += least
            days += 1.0
    return total / days if days > 0.0 else NONE


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One row. All are kept, at whatever pace: what an alarm was about is compared with in its turn."""
    if is_fault(value):
        return FAULT
    _pass(row, time_ms)
    residual = _residual(row, value)
    if residual != NONE:
        row[_SMOOTH] += SMOOTH * scale(row) * (residual - row[_SMOOTH])
    _keep(row, value)
    return row[_SMOOTH]


@compiled
def _days(row: Floats, kept: float) -> int:
    """How many days are known once so many rows are kept."""
    days = 0
    for day in range(1, DAYS + 1):
        days += 1 if day * row[_PERIOD] + NEAR <= kept else 0
    return days


@compiled
def _whole(row: Floats, back: int) -> int:
    """Where the rows begin that the next eight need, `back` rows ago; −1 where the ring ends in between."""
    place = int(row[_NEXT]) - back - NEAR
    place = _RING + (place + RING if place < 0 else place)
    return place if place + _WINDOW + _EIGHT <= WIDTH else -1


@compiled
def _even(row: Floats, time_ms: Ints, i: int) -> int:
    """Known days, if the next eight rows each follow the one before, and all of them know the same; else 0."""
    if row[_SEEN] <= INTERVALS or row[_PERIOD] == 0.0 or row[_NEAR] != float(NEAR):
        return 0
    even = row[_NEXT] + _EIGHT <= RING
    for k in range(_EIGHT):
        even &= _place(row, time_ms[i + k]) == row[_PLACE] + (k + 1)
    days = _days(row, row[_KEPT])
    even &= days == _days(row, min(row[_KEPT] + (_EIGHT - 1), float(RING)))
    for day in range(1, DAYS + 1):
        even &= day > days or _whole(row, day * int(row[_PERIOD])) >= 0
    return days if even else 0


@compiled
def _eight(row: Floats, time_ms: Ints, value: Floats, i: int, days: int, near: Floats, out: Floats) -> None:
    """What `step` does with each of eight rows, from `i` on, that `_even` has found to be alike."""
    period = int(row[_PERIOD])
    for k in range(i, i + _EIGHT):
        out[k] = 0.0
    for day in range(1, days + 1):
        _least_of_eight(row, _whole(row, day * period), value, i, near[day - 1])
    smooth = row[_SMOOTH]
    for k in range(i, i + _EIGHT):
        total, known = 0.0, 0.0
        for day in range(days):
            least = near[day, k]
            total += least if least < np.inf else 0.0
            known += 1.0 if least < np.inf else 0.0
        smooth += SMOOTH * (total / known - smooth) if known > 0.0 else 0.0
        out[k] = smooth
    row[_SMOOTH] = smooth
    place = _RING + int(row[_NEXT])
    for k in range(_EIGHT):
        row[place + k] = value[i + k]
    row[_LAST_MS] = float(time_ms[i + _EIGHT - 1])
    row[_PLACE] += _EIGHT
    row[_NEXT] = 0.0 if row[_NEXT] + _EIGHT == RING else row[_NEXT] + _EIGHT
    row[_KEPT] = min(row[_KEPT] + _EIGHT, float(RING))


@compiled
def run(row: Floats, time_ms: Ints, value: Floats, pace: float, near: Floats, out: Floats) -> None:
    """Rows of one channel, none a fault: `step` of each. `near`: room for DAYS rows as long as `value`."""
    i = 0
    while i < len(value):
        days = _even(row, time_ms, i) if i + _EIGHT <= len(value) else 0
        if days > 0:
            _eight(row, time_ms, value, i, days, near, out)
            i += _EIGHT
        else:
            out[i] = step(row, time_ms[i], value[i], pace)
            i += 1


@compiled
def recall(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in the channel's own unit."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
