# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Residual to the last cycle: compressors and defrosts come again, though nobody told how often.

    for each lag L = 1 … LAGS: m[L] ← m[L] + GAIN · (|v[t] − v[t − L]| − m[L]): the mean difference of what lies L apart
    the period is the lag LAG_MIN … LAGS − NEAR with the least m, chosen before v[t] is learned
    out = least |v[t] − v[t − L]| for the lags L within NEAR of the period

Source: Ross et al., Average magnitude difference function pitch extractor, IEEE Trans. ASSP 22 (1974).
"""

from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault

LAGS = 48
LAG_MIN = 4  # nearer ones are the reading's own neighbours
NEAR = 1
GAIN = 0.02
WARM_READINGS = 2 * LAGS
_NEXT, _RING = 1, 2  # 0: readings seen; next place; ring of the last LAGS; m[1 … LAGS]
_MEANS = _RING + LAGS
WIDTH = _MEANS + LAGS


@compiled
def _period(row: Floats) -> int:
    """The lag with the least mean difference."""
    best = LAG_MIN
    for lag in range(LAG_MIN + 1, LAGS - NEAR + 1):
        if row[_MEANS + lag - 1] < row[_MEANS + best - 1]:
            best = lag
    return best


@compiled
def _learn(row: Floats, value: float, pace: float) -> None:
    """Let the reading into the means and the ring."""
    place = int(row[_NEXT])
    for lag in range(1, LAGS + 1):
        at = place - lag
        at = at + LAGS if at < 0 else at
        d = abs(value - row[_RING + at])
        row[_MEANS + lag - 1] += pace * GAIN * (d - row[_MEANS + lag - 1])
    row[_RING + place] = value
    row[_NEXT] = float(place + 1 if place + 1 < LAGS else 0)


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    count = row[0]
    row[0] = count + 1.0
    if count == 0.0:
        for k in range(LAGS):
            row[_RING + k] = value
    period = _period(row)
    residual = 0.0
    for lag in range(period - NEAR, period + NEAR + 1):
        at = int(row[_NEXT]) - lag
        at = at + LAGS if at < 0 else at
        d = abs(value - row[_RING + at])
        residual = d if lag == period - NEAR else min(residual, d)
    _learn(row, value, pace)
    return NONE if count < WARM_READINGS else residual


@compiled
def cycle(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in the channel's own unit."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
