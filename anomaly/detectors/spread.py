# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Distribution shift: how the last readings are spread over the channel's usual range, against how they usually are.

    z = (v − level) / scale as in `robust`; its bin b by EDGES; p, q: shares of the bins, short and long memory
    p[k] ← p[k] + SHORT · ([k = b] − p[k]);  q[k] ← q[k] + pace · LONG · ([k = b] − q[k]), both 1 / BINS at first
    out = Σ (p[k] − q[k])² / (q[k] + SHARE_MIN)

Source: Pearson's χ² distance of two histograms (1900), with exponential forgetting.
"""

from anomaly.detectors import robust
from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault

EDGES = (-3.0, -1.5, -0.75, 0.0, 0.75, 1.5, 3.0)
BINS = len(EDGES) + 1
SHORT, LONG = 1.0 / 32.0, 1.0 / 1024.0
SHARE_MIN = 0.01
WARM_READINGS = 64.0
_P = robust.WIDTH
_Q = _P + BINS
WIDTH = _Q + BINS
_deviation = robust.deviation


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    count = row[0]
    if count == 0.0:
        for k in range(BINS):
            row[_P + k] = row[_Q + k] = 1.0 / BINS
    z = _deviation(row, value, pace)
    here = 0
    for edge in EDGES:
        here += 1 if z > edge else 0
    out = 0.0
    slow = pace * max(LONG, 1.0 / (count + BINS))
    for k in range(BINS):
        hit = 1.0 if k == here else 0.0
        p = row[_P + k] + SHORT * (hit - row[_P + k])
        q = row[_Q + k]
        out += (p - q) * (p - q) / (q + SHARE_MIN)
        row[_P + k] = p
        row[_Q + k] = q + slow * (hit - q)
    return NONE if count < WARM_READINGS else out


@compiled
def spread(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` has no unit."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
