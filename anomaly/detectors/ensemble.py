# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""The ensemble: every view of a channel, each ranked among its own, their ranks added up, in one pass over readings.

    p[i]: share of view i's surprises that were as great (`conformal`), at least SHARE_MIN
    total = −log10 Π p[i];  score = total / FULL, at most 1
    alarm up from score ≥ RAISE until score < LOWER; views then learn at PACE_UP of their speed
    detector: the number, in DETECTORS, of the view with the least p

A channel's row: the alarm, then each view's state and its ranks. The constants of the whole ensemble are here.
Source: Fisher's combination of tests (Statistical methods for research workers, 1925).
"""

from numba import njit

from anomaly.detectors import conformal, profile, robust, shift, sustained
from anomaly.detectors.arith import FAULT, Bytes, Floats, Ints, is_fault, log10

DETECTORS = ("none", "spike", "shift", "daily", "sustained")
FULL = 12.0
SHARE_MIN = 1e-8
RAISE, LOWER = 0.5, 0.25
PACE_UP = 0.1

_SPIKE = 1  # 0: alarm up
_SPIKE_RANKS = _SPIKE + robust.WIDTH
_SHIFT = _SPIKE_RANKS + conformal.WIDTH
_SHIFT_RANKS = _SHIFT + shift.WIDTH
_DAILY = _SHIFT_RANKS + conformal.WIDTH
_DAILY_RANKS = _DAILY + profile.WIDTH
_SUSTAINED = _DAILY_RANKS + conformal.WIDTH
_SUSTAINED_RANKS = _SUSTAINED + sustained.WIDTH
WIDTH = _SUSTAINED_RANKS + conformal.WIDTH

_spike, _shift, _daily, _sustained, _share = (
    robust.step,
    shift.step,
    profile.step,
    sustained.step,
    conformal.share,
)


@njit(cache=True, error_model="numpy")
def step(row: Floats, time_ms: int, value: float) -> tuple[float, int]:
    """One reading: the score in [0, 1] and the detector's number; NaN and 0 for a fault."""
    if is_fault(value):
        return FAULT, 0
    pace = PACE_UP if row[0] != 0.0 else 1.0
    a = _share(row[_SPIKE_RANKS:_SHIFT], _spike(row[_SPIKE:_SPIKE_RANKS], time_ms, value, pace), pace)
    b = _share(row[_SHIFT_RANKS:_DAILY], _shift(row[_SHIFT:_SHIFT_RANKS], time_ms, value, pace), pace)
    c = _share(row[_DAILY_RANKS:_SUSTAINED], _daily(row[_DAILY:_DAILY_RANKS], time_ms, value, pace), pace)
    d = _share(
        row[_SUSTAINED_RANKS:WIDTH], _sustained(row[_SUSTAINED:_SUSTAINED_RANKS], time_ms, value, pace), pace
    )
    least = min(min(a, b), min(c, d))
    product = max(a, SHARE_MIN) * max(b, SHARE_MIN) * (max(c, SHARE_MIN) * max(d, SHARE_MIN))
    score = min(-log10(product) / FULL, 1.0) if product < 1.0 else 0.0
    if score >= RAISE:
        row[0] = 1.0
    elif score < LOWER:
        row[0] = 0.0
    if score == 0.0:
        return score, 0
    return score, 1 if a == least else 2 if b == least else 3 if c == least else 4


@njit(cache=True, error_model="numpy")
def ensemble(state: Floats, slot: Ints, time_ms: Ints, value: Floats, score: Floats, detector: Bytes) -> None:
    """The kernel: `score` (n,) f64 in [0, 1], NaN for a fault; `detector` (n,) u8."""
    for i in range(len(value)):
        score[i], detector[i] = step(state[slot[i]], time_ms[i], value[i])
