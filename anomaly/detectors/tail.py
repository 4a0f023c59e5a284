# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Calibration: how rare a surprise is among those of its own channel, by a learned Pareto tail.

    q: running quantile of the surprise x, the one that a share TAIL exceeds: q ← q · (1 + r · (1 − TAIL)) if x > q,
       else q · (1 − r · TAIL); r = pace · RATE;
       at first the greatest of WARM_READINGS, which is near it
    a: mean of ln(x / q) above q (Hill's estimate), each at most EXCESS_MAX
    p = TAIL · (x / q)^(−1 / a) above q;  out = −log10 p, at most CAP; below q, linear from 0 to −log10 TAIL

Source: Hill, A simple general approach to inference about the tail of a distribution, Annals of Statistics 3 (1975);
the quantile by stochastic approximation, as in Robbins and Monro (1951), in steps that are a share of q.
"""

from anomaly.detectors.arith import FAULT, Floats, Ints, compiled, is_fault, ln

WIDTH = 3  # readings seen, q, a
TAIL = 0.03
LOG_TAIL = 1.5228787452803376  # −log10 TAIL
RATE = 0.02
EXCESS_RATE = 0.02
EXCESS_BEGIN = 0.5
EXCESS_MIN, EXCESS_MAX = 0.05, 2.0
CAP = 8.0
WARM_READINGS = 50
FLOOR = 1e-9
_LOG10_E = 0.4342944819032518


@compiled
def step(row: Floats, surprise: float, pace: float) -> float:
    """−log10 of how probable such a surprise is; 0 while the channel is new; NaN for a fault."""
    if is_fault(surprise):
        return FAULT
    if surprise < 0.0:
        return 0.0
    x = max(surprise, FLOOR)
    count = row[0]
    row[0] = count + 1.0
    if count < WARM_READINGS:
        row[1], row[2] = max(row[1], x), EXCESS_BEGIN
        return 0.0
    q, a, rate = row[1], row[2], pace * RATE
    if x > q:
        excess = ln(x / q)
        score = LOG_TAIL + excess * _LOG10_E / max(a, EXCESS_MIN)
        row[1] = q * (1.0 + rate * (1.0 - TAIL))
        row[2] = a + pace * EXCESS_RATE * (min(excess, EXCESS_MAX) - a)
    else:
        score = LOG_TAIL * (x / q)
        row[1] = max(q * (1.0 - rate * TAIL), FLOOR)
    return min(score, CAP)


@compiled
def tail(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `value` is a surprise, zero or more; `out` −log10 of its probability, 0 to CAP."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], value[i], 1.0)
