# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Cross-channel residual: how far each sensor of a gateway is from what the others say it should be.

    z[j] = (v[j] − level[j]) / scale[j] as in `robust`, within ± Z_MAX; 0 for a column without a value
    e[j] = z[j] − Σ w[j, i] · z[i];  w[j, i] ← w[j, i] + RATE · pace · e[j] · z[i] / (1 + Σ z[i]²);  all i but j
    out[j] = |e[j]|

Source: normalised least mean squares, Widrow and Hoff (1960), Nagumo and Noda (1967).
"""

from anomaly.detectors import robust
from anomaly.detectors.arith import FAULT, NONE, Floats, compiled, is_fault

COLUMNS_MAX = 64  # the cost of a row grows with its square
RATE = 0.02
Z_MAX = 8.0
WARM_ROWS = 64.0
_WEIGHTS = robust.WIDTH + 1  # of a column's row: level and scale; z of now; weights of the others
_Z = robust.WIDTH
_deviation = robust.deviation


def width(columns: int) -> int:
    """Float64 numbers of state a column."""
    return _WEIGHTS + columns


@compiled
def cross(state: Floats, value: Floats, pace: float, out: Floats) -> None:
    """The kernel over rows: `state` (k, width(k)) f64, changed in place; `value` and `out` (rows, k) f64.

    A row needs two values; a column without one gets NaN, and NONE where its value stands alone or is new.
    """
    k = value.shape[1]
    for i in range(len(value)):
        power, there = 0.0, 0
        for j in range(k):
            v = value[i, j]
            z = 0.0
            if not is_fault(v):
                z = min(max(_deviation(state[j], v, pace), -Z_MAX), Z_MAX)
                there += 1
            state[j, _Z] = z
            power += z * z
        for j in range(k):
            v = value[i, j]
            if is_fault(v):
                out[i, j] = FAULT
                continue
            z = state[j, _Z]
            e = z
            for m in range(k):
                if m != j:
                    e -= state[j, _WEIGHTS + m] * state[m, _Z]
            gain = RATE * pace * e / (1.0 + (power - z * z))
            for m in range(k):
                if m != j:
                    state[j, _WEIGHTS + m] += gain * state[m, _Z]
            out[i, j] = NONE if there < 2 or state[j, 0] <= WARM_ROWS else abs(e)
