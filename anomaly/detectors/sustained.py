# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Sustained deviation: the readings stay on one side of the channel's middle, by more than they usually move.

    gain = pace · max(GAIN, 1 / n);  step ← step + gain · (|v − the last v| − step)
    spread likewise, of |v − middle|, which counts for CLIP spreads at most
    middle ← middle + STRIDE · gain · spread · sign(v − middle): a running median
    out = least |v[i] − middle| over the last READINGS, where all of them are on one side; else 0. `unit` is the step

What is brief, however high, does not count: a defrost or a door. High: an excursion. Source: the run rules of control
charts (Western Electric, 1956); the step is the mean of successive differences (von Neumann, 1941).
"""

import numpy as np

from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault
from anomaly.detectors.vectors import extreme

READINGS = 12
GAIN = 1.0 / 4096.0
STRIDE = 3.0
CLIP, CLIP_FROM = 10.0, 30.0  # spreads that a deviation counts for, at most; from which reading on
STEP_SHARE_MIN, STEP_MIN = 1e-6, 1e-9  # of the middle, as for a scale
WARM_READINGS = 50.0
_MIDDLE, _STEP, _SPREAD, _LAST, _NEXT, _RING = 1, 2, 3, 4, 5, 6  # 0: readings seen
WIDTH = _RING + READINGS
_lowest, _highest = extreme(READINGS, "<"), extreme(READINGS, ">")


@compiled
def usable(step: float, middle: float) -> float:
    """The mean step from reading to reading, as it is usable to divide by."""
    return max(max(step, abs(middle) * STEP_SHARE_MIN), STEP_MIN)


@compiled
def _learn(row: Floats, value: float, pace: float) -> None:
    """Middle, step, spread and ring."""
    count = row[0] + 1.0
    row[0] = count
    if count == 1.0:
        row[_MIDDLE] = row[_LAST] = value
    gain = pace * max(GAIN, 1.0 / count)
    row[_STEP] += gain * (abs(value - row[_LAST]) - row[_STEP])
    row[_LAST] = value
    off = abs(value - row[_MIDDLE])
    held = min(off, CLIP * row[_SPREAD] + STEP_MIN) if count > CLIP_FROM else off
    row[_SPREAD] += gain * (held - row[_SPREAD])
    way = (1.0 if value > row[_MIDDLE] else 0.0) - (1.0 if value < row[_MIDDLE] else 0.0)
    row[_MIDDLE] += STRIDE * gain * row[_SPREAD] * way
    place = int(row[_NEXT])
    row[_RING + place] = value
    row[_NEXT] = float(place + 1 if place + 1 < READINGS else 0)


@compiled
def _distance(row: Floats, middle: float, readings: int) -> float:
    """The least distance of the last readings from the middle; 0 where they are on both sides."""
    place = int(row[_NEXT])
    low = high = row[_RING + (place - 1 if place > 0 else READINGS - 1)]
    for _ in range(readings):
        place = place - 1 if place > 0 else READINGS - 1
        low = min(low, row[_RING + place])
        high = max(high, row[_RING + place])
    return max(max(low - middle, middle - high), 0.0)


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    _learn(row, value, pace)
    return NONE if row[0] <= WARM_READINGS else _distance(row, row[_MIDDLE], READINGS)


@compiled
def run(
    row: Floats,
    value: Floats,
    pace: float,
    readings: int,
    warm: float,
    room: Floats,
    out: Floats,
    units: Floats,
) -> None:
    """Readings of one channel, none a fault: `step`, by the last `readings`, at most READINGS, and `usable` after each,
    behind the first `warm`. `room`: two rows, READINGS longer.

    They stand in one of them behind those of the ring: so the last are read as vectors while the ring is written.
    Which of two zeros is the least would be a question of order, and the answer's sign of it: those go by the ring.
    """
    past, lows = room[0], room[1]
    place = int(row[_NEXT])
    for k in range(READINGS):
        past[k] = row[_RING + place]
        place = place + 1 if place + 1 < READINGS else 0
    for i in range(len(value)):
        past[READINGS + i] = value[i]
    for i in range(len(value)):
        lows[i], out[i] = _lowest(past, i + 1), _highest(past, i + 1)
    count, middle, step, spread, last = row[0], row[_MIDDLE], row[_STEP], row[_SPREAD], row[_LAST]
    for i in range(len(value)):
        count += 1.0
        v = value[i]
        if count == 1.0:
            middle, last = v, v
        gain = pace * max(GAIN, 1.0 / count)
        step += gain * (abs(v - last) - step)
        off = abs(v - middle)
        cap = CLIP * spread + STEP_MIN if count > CLIP_FROM else np.inf
        spread += gain * (min(off, cap) - spread)
        way = (1.0 if v > middle else 0.0) - (1.0 if v < middle else 0.0)
        middle += STRIDE * gain * way * spread
        last = v
        row[_RING + np.uint64(place)] = v
        place = place + 1 if place + 1 < READINGS else 0
        units[i] = usable(step, middle)
        low, high = lows[i], out[i]
        far = max(max(low - middle, middle - high), 0.0)
        if low == 0.0 or high == 0.0 or readings != READINGS:
            row[_NEXT] = float(place)
            far = _distance(row, middle, readings)
        out[i] = NONE if count <= warm else far
    row[0], row[_MIDDLE], row[_STEP], row[_SPREAD], row[_LAST] = count, middle, step, spread, last
    row[_NEXT] = float(place)


@compiled
def sustained(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in the channel's own unit."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
