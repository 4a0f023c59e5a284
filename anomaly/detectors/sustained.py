# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Sustained deviation: the readings stay on one side of the channel's middle, by more than they usually move.

    middle ← middle + pace · RATE · step · sign(v − middle): a running median;  step: mean of |v − the last|, by GAIN
    out = least |v[i] − middle| / step over the last READINGS, where all of them are on one side; else 0

What is brief, however high, does not count: a defrost or a door. High: an excursion. Source: the run rules of control
charts (Western Electric, 1956), in units of the median step (von Neumann's successive differences, 1941).
"""

from numba import njit

from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, is_fault

READINGS = 12
RATE = 0.05
GAIN = 0.01
STEP_SHARE_MIN, STEP_MIN = 1e-6, 1e-9  # of the middle, as for a scale
SURPRISE_MAX = 1e6
WARM_READINGS = 50.0
_MIDDLE, _STEP, _LAST, _NEXT, _RING = 1, 2, 3, 4, 5  # 0: readings seen
WIDTH = _RING + READINGS


@njit(cache=True, error_model="numpy")
def _learn(row: Floats, value: float, pace: float) -> float:
    """Middle, step and ring; the step that is usable."""
    count = row[0]
    row[0] = count + 1.0
    if count == 0.0:
        row[_MIDDLE] = row[_LAST] = value
    moved = abs(value - row[_LAST])
    row[_LAST] = value
    row[_STEP] += pace * max(GAIN, 1.0 / (count + 1.0)) * (moved - row[_STEP])
    step_ = max(max(row[_STEP], abs(row[_MIDDLE]) * STEP_SHARE_MIN), STEP_MIN)
    way = 1.0 if value > row[_MIDDLE] else -1.0 if value < row[_MIDDLE] else 0.0
    row[_MIDDLE] += pace * max(RATE, 4.0 / (count + 4.0)) * step_ * way
    place = int(row[_NEXT])
    row[_RING + place] = value
    row[_NEXT] = float(place + 1 if place + 1 < READINGS else 0)
    return step_


@njit(cache=True, error_model="numpy")
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    unit = _learn(row, value, pace)
    if row[0] <= WARM_READINGS:
        return NONE
    middle = row[_MIDDLE]
    low, high = row[_RING], row[_RING]
    for k in range(1, READINGS):
        low = min(low, row[_RING + k])
        high = max(high, row[_RING + k])
    least = max(low - middle, middle - high)
    return min(max(least, 0.0) / unit, SURPRISE_MAX)


@njit(cache=True, error_model="numpy")
def sustained(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in mean steps from reading to reading."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
