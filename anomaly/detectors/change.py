# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Change: the mean of the last readings against that of those before, in units that know how the channel wanders.

    c = |mean of the last NEW − mean of the OLD before|;  out = c / (s + SPREAD · w + DRIFT · d);  w, d as in `level`
    s ← s + r · (c − s), each step at most CLIP · s;  r = pace · max(GAIN, 1 / n)

The reference follows what changed, so that the way back is a change, too. The row begins with that of `level`.
Source: two-window change detection, Kifer, Ben-David and Gehrke, VLDB (2004), with the difference of means.
"""

from anomaly.detectors import level
from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault
from anomaly.detectors.level import CLIP, GAIN, MU, SCALE_MIN, SCALE_SHARE_MIN, SURPRISE_MAX, D, W

NEW, OLD = 8, 30
SPREAD, DRIFT = 0.3, 1.0
WARM_CHANGES = 30.0
LEVEL = level.WIDTH  # what `level` said of this reading
_S, _CHANGES, _NEXT, _RING = LEVEL + 1, LEVEL + 2, LEVEL + 3, LEVEL + 4
_READINGS = NEW + OLD
WIDTH = _RING + _READINGS
_level = level.step


@compiled
def _difference(row: Floats, value: float) -> float:
    """Takes the reading into the ring: the difference of the two means."""
    place = int(row[_NEXT])
    row[_RING + place] = value
    place = place + 1 if place + 1 < _READINGS else 0  # the oldest
    row[_NEXT] = float(place)
    old, new = 0.0, 0.0
    for k in range(_READINGS):
        at = place + k
        at = at - _READINGS if at >= _READINGS else at
        if k < OLD:
            old += row[_RING + at]
        else:
            new += row[_RING + at]
    return abs(new / NEW - old / OLD)


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    row[LEVEL] = _level(row, time_ms, value, pace)
    c = _difference(row, value)
    if row[0] < _READINGS:
        return NONE
    least = max(abs(row[MU]) * SCALE_SHARE_MIN, SCALE_MIN)
    surprise = min(c / max(row[_S] + SPREAD * row[W] + DRIFT * row[D], least), SURPRISE_MAX)
    row[_CHANGES] += 1.0
    if row[_CHANGES] > WARM_CHANGES:
        c = min(c, CLIP * max(row[_S], least))
    row[_S] += pace * max(GAIN, 1.0 / row[_CHANGES]) * (c - row[_S])
    return surprise if row[_CHANGES] > WARM_CHANGES else NONE


@compiled
def change(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in scales."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
