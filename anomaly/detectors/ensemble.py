# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""The ensemble: every view of a channel, each calibrated by its own tail, added up, in one pass over the readings.

    total = Σ over views of −log10 p, each at most tail.CAP;  score = total / FULL, at most 1
    alarm up from score ≥ RAISE until score < LOWER; views then learn at PACE_UP of their speed
    detector: the number, in DETECTORS, of the view with the greatest −log10 p

A channel's row: the alarm, then each view's state and its tail's. The constants of the whole ensemble are here.
"""

from numba import njit

from anomaly.detectors import daily, robust, shift, tail
from anomaly.detectors.arith import FAULT, Bytes, Floats, Ints, is_fault

DETECTORS = ("none", "spike", "shift", "daily")
FULL = 16.0
RAISE, LOWER = 0.5, 0.25
PACE_UP = 0.1

_SPIKE = 1  # 0: alarm up
_SPIKE_TAIL = _SPIKE + robust.WIDTH
_SHIFT = _SPIKE_TAIL + tail.WIDTH
_SHIFT_TAIL = _SHIFT + shift.WIDTH
_DAILY = _SHIFT_TAIL + tail.WIDTH
_DAILY_TAIL = _DAILY + daily.WIDTH
WIDTH = _DAILY_TAIL + tail.WIDTH

_spike, _shift, _daily, _tail = robust.step, shift.step, daily.step, tail.step


@njit(cache=True, error_model="numpy")
def step(row: Floats, time_ms: int, value: float) -> tuple[float, int]:
    """One reading: the score in [0, 1] and the detector's number; NaN and 0 for a fault."""
    if is_fault(value):
        return FAULT, 0
    pace = PACE_UP if row[0] != 0.0 else 1.0
    a = _tail(row[_SPIKE_TAIL:_SHIFT], _spike(row[_SPIKE:_SPIKE_TAIL], time_ms, value, pace), pace)
    b = _tail(row[_SHIFT_TAIL:_DAILY], _shift(row[_SHIFT:_SHIFT_TAIL], time_ms, value, pace), pace)
    c = _tail(row[_DAILY_TAIL:WIDTH], _daily(row[_DAILY:_DAILY_TAIL], time_ms, value, pace), pace)
    score = min((a + b + c) / FULL, 1.0)
    if score >= RAISE:
        row[0] = 1.0
    elif score < LOWER:
        row[0] = 0.0
    if score == 0.0:
        return score, 0
    most = max(a, max(b, c))
    return score, 1 if a == most else 2 if b == most else 3


@njit(cache=True, error_model="numpy")
def ensemble(state: Floats, slot: Ints, time_ms: Ints, value: Floats, score: Floats, detector: Bytes) -> None:
    """The kernel: `score` (n,) f64 in [0, 1], NaN for a fault; `detector` (n,) u8."""
    for i in range(len(value)):
        score[i], detector[i] = step(state[slot[i]], time_ms[i], value[i])
