# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator,call-overload"
"""Logarithms of our own: those of the C library differ between machines."""

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

NONE = -1.0  # the surprise of a detector that has nothing to say yet
FAULT = np.nan  # what it says of a fault: this constant, as x − x has another sign on other machines
compiled = njit(cache=True, error_model="numpy", _nrt=False)
"""For every kernel: division by zero gives an infinity; nothing is allocated, so no view of an array is counted."""

_MANTISSA = np.int64((1 << 52) - 1)
_ONE = np.int64(1023 << 52)
_SQRT2 = 1.4142135623730951
_LN2 = 0.6931471805599453
_LOG10_E = 0.4342944819032518


@compiled
def ln(x: float) -> float:
    """Natural logarithm of a positive normal number, to about 1e-13.

    x = 2^k · m, m in [√½, √2): ln x = k · ln 2 + 2 · artanh t, t = (m − 1) / (m + 1), by its series to t^15.
    """
    bits = np.float64(x).view(np.int64)
    power = (bits >> 52) - 1023
    m = np.int64((bits & _MANTISSA) | _ONE).view(np.float64)
    if m > _SQRT2:
        m = m * 0.5
        power = power + 1
    t = (m - 1.0) / (m + 1.0)
    u = t * t
    series = 1.0 / 13.0 + u * (1.0 / 15.0)
    series = 1.0 / 9.0 + u * (1.0 / 11.0 + u * series)
    series = 1.0 / 5.0 + u * (1.0 / 7.0 + u * series)
    series = 1.0 + u * (1.0 / 3.0 + u * series)
    return power * _LN2 + 2.0 * t * series


@compiled
def log10(x: float) -> float:
    """Decimal logarithm of a positive normal number, to about 1e-13."""
    return ln(x) * _LOG10_E


@compiled
def is_fault(value: float) -> bool:
    """NaN or an infinity."""
    return value - value != 0.0


@compiled
def least_at(row: Floats, first: int, count: int) -> int:
    """The place, from `first` on, of the first of the least of `count` numbers; `count` a multiple of 4, no NaN.

    Four at a time and without a branch: which of them is the least is nothing that a processor can guess.
    """
    a, b, c, d = row[first], row[first + 1], row[first + 2], row[first + 3]
    for k in range(4, count, 4):
        x = row[first + k]
        a = x if x < a else a
        x = row[first + k + 1]
        b = x if x < b else b
        x = row[first + k + 2]
        c = x if x < c else c
        x = row[first + k + 3]
        d = x if x < d else d
    a = b if b < a else a
    c = d if d < c else c
    a = c if c < a else a
    for k in range(count):
        if row[first + k] == a:
            return k
    return 0
