# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Conformal calibration: which share of the channel's own surprises were as great, without a model of their tail.

    n[k]: decayed count of the surprises in bin k; bins are quarter octaves of x from 2^OCTAVE_MIN on, by the bits of x
    p = (1 + Σ over k > b of n[k] + n[b] / 2) / (1 + Σ n);  out = −log10 p
    n ← n · (1 − pace · FORGET), then n[b] ← n[b] + pace

Source: Laxhammar and Falkman, Conformal anomaly detection (2010); Vovk et al., Algorithmic learning in a random world.
"""

import numpy as np
from numba import njit

from anomaly.detectors.arith import FAULT, Floats, Ints, is_fault, log10

BINS = 128
OCTAVE_MIN = -20
FORGET = 1.0 / 4096.0
WARM_SURPRISES = 50.0
_TOTAL, _SEEN, _BINS = 0, 1, 2
WIDTH = _BINS + BINS
_BIAS = (1023 + OCTAVE_MIN) * 4


@njit(cache=True, error_model="numpy")
def bin_of(surprise: float) -> int:
    """Exponent and two bits of the mantissa."""
    bits = np.float64(surprise).view(np.int64)
    return min(max((bits >> 50) - _BIAS, 0), BINS - 1)


@njit(cache=True, error_model="numpy")
def step(row: Floats, surprise: float, pace: float) -> float:
    """−log10 of how probable such a surprise is; 0 while there are few; NaN for a fault."""
    if is_fault(surprise):
        return FAULT
    if surprise < 0.0:
        return 0.0
    here = bin_of(surprise + 0.0)
    above = 0.5 * row[_BINS + here]
    for k in range(here + 1, BINS):
        above += row[_BINS + k]
    score = -log10((1.0 + above) / (1.0 + row[_TOTAL]))
    keep = 1.0 - pace * FORGET
    for k in range(BINS):
        row[_BINS + k] *= keep
    row[_BINS + here] += pace
    row[_TOTAL] = row[_TOTAL] * keep + pace
    row[_SEEN] += 1.0
    return 0.0 if row[_SEEN] <= WARM_SURPRISES else max(score, 0.0)


@njit(cache=True, error_model="numpy")
def conformal(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `value` is a surprise, zero or more; `out` −log10 of its share."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], value[i], 1.0)
