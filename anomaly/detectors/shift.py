# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Level shift: the mean of the last READINGS against the long-run level, in the long-run mean deviations.

    out = |mean of the last READINGS − level| / scale;  level and scale as in `robust`

Source: a moving-average control chart (Roberts 1959) with a learned level.
"""

from anomaly.detectors import robust
from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault

READINGS = 16
_RING = robust.WIDTH + 1  # after level and scale: the next place, then the last readings
WIDTH = _RING + READINGS
_long_run = robust.step
_scale_of = robust.scale_of
_WARM = float(READINGS)


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    level = row[1]
    scale = _scale_of(level, row[2])
    count = row[0]
    _long_run(row, time_ms, value, pace)
    place = int(row[_RING - 1])
    row[_RING + place] = value
    row[_RING - 1] = float((place + 1) % READINGS)
    if count < _WARM:
        return NONE
    total = 0.0
    for k in range(READINGS):
        total += row[_RING + k]
    return min(abs(total / READINGS - level) / scale, robust.SURPRISE_MAX)


@compiled
def shift(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in mean deviations."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
