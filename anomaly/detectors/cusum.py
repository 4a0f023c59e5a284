# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""CUSUM: how much the readings have drifted to one side of the channel's level, more than they usually do.

    z = (v − level) / scale, within ± STEP_MAX;  level and scale as in `robust`
    up ← max(0, up + z − DRIFT);  down ← max(0, down − z − DRIFT);  each at most SUM_MAX
    out = max(up, down)

Source: Page, Continuous inspection schemes, Biometrika 41 (1954); z held as in Lucas and Crosier's robust CUSUM (1982).
"""

from anomaly.detectors import robust
from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault

DRIFT = 1.0
STEP_MAX = 4.0
SUM_MAX = 200.0
_UP = robust.WIDTH
_DOWN = _UP + 1
WIDTH = _DOWN + 1
_WARM = float(robust.WARM_READINGS)
_deviation = robust.deviation


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    new = row[0] < _WARM
    z = min(max(_deviation(row, value, pace), -STEP_MAX), STEP_MAX)
    if new:
        return NONE
    row[_UP] = min(max(row[_UP] + z - DRIFT, 0.0), SUM_MAX)
    row[_DOWN] = min(max(row[_DOWN] - z - DRIFT, 0.0), SUM_MAX)
    return max(row[_UP], row[_DOWN])


@compiled
def cusum(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in mean deviations, summed."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
