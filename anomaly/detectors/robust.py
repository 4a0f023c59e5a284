# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Robust level and scale: how far a reading is from the channel's level, in mean deviations.

    out = |v − level| / scale
    d = v − level, held within ± CLIP · scale once the channel is warm
    level ← level + g · d;  scale ← scale + g · (|d| − scale);  g = pace · max(GAIN, 1 / n)

Source: Huber's clipping of each step (Robust Statistics, 1981, chapter 7) on exponential averages.
"""

from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault

WIDTH = 3  # readings seen, level, scale
GAIN = 0.005
CLIP = 4.0
WARM_READINGS = 30
SCALE_SHARE_MIN = 1e-6  # of the level: below it a difference is one of rounding
SCALE_MIN = 1e-9
SURPRISE_MAX = 1e6


@compiled
def scale_of(level: float, scale: float) -> float:
    """The scale, or the least that counts at this level."""
    return max(max(scale, abs(level) * SCALE_SHARE_MIN), SCALE_MIN)


@compiled
def deviation(row: Floats, value: float, pace: float) -> float:
    """How far a reading is from the level, in scales and with its sign, within ± SURPRISE_MAX; then learns it."""
    count = row[0]
    row[0] = count + 1.0
    if count == 0.0:
        row[1] = value
        return 0.0
    level = row[1]
    scale = scale_of(level, row[2])
    d = value - level
    surprise = min(max(d / scale, -SURPRISE_MAX), SURPRISE_MAX)
    gain = pace * max(GAIN, 1.0 / (count + 1.0))
    if count >= WARM_READINGS:
        d = min(max(d, -CLIP * scale), CLIP * scale)
    row[1] = level + gain * d
    row[2] = row[2] + gain * (abs(d) - row[2])
    return surprise


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    new = row[0] == 0.0
    z = deviation(row, value, pace)
    return NONE if new else abs(z)


@compiled
def robust(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in mean deviations."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
