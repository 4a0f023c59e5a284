# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
# In compiled code int and numpy's integers are one.
"""What a forecast is judged by: the value at each horizon, and the level held within it.

The level held within a horizon is the highest level above which the channel stays for `hold` without a pause longer
than `pause`, in a stretch that begins within the horizon. A limit is breached within the horizon exactly where the
level held exceeds it: so its quantiles give the probability of a breach for any limit, and no limit is trained on.
"""

import numpy as np
from numba import njit

from anomaly.forecast.grid import Floats


def values(value: Floats, horizons: tuple[int, ...]) -> Floats:
    """(rows, horizons) value so many rows later; NaN where there is none."""
    out = np.full((len(value), len(horizons)), np.nan)
    for k, ahead in enumerate(horizons):
        out[: max(len(value) - ahead, 0), k] = value[ahead:]
    return out


def held(value: Floats, horizons: tuple[int, ...], hold: int, pause: int) -> Floats:
    """(rows, horizons) level held within the horizon, stretches beginning in the next row or later."""
    start = held_from(value, hold, pause)
    out = np.full((len(value), len(horizons)), np.nan)
    _greatest_ahead(start, np.array(horizons), out)
    return out


def held_from(value: Floats, hold: int, pause: int) -> Floats:
    """(rows,) the least value of the `hold` rows that begin here, pauses of up to `pause` rows bridged."""
    out = np.full(len(value), np.nan)
    _held_from(bridge(value, pause), hold, out)
    return np.minimum(out, value)


@njit(cache=True)
def bridge(value: Floats, pause: int) -> Floats:
    """A dip of up to `pause` rows is lifted to the lower of its shores."""
    n = len(value)
    out = value.copy()
    for i in range(n):
        for width in range(1, pause + 1):
            for first in range(i - width + 1, i + 1):
                left, right = first - 1, first + width
                if left < 0 or right >= n:
                    continue
                shore = min(value[left], value[right])
                if shore > out[i]:
                    out[i] = shore
    return out


@njit(cache=True)
def _held_from(value: Floats, hold: int, out: Floats) -> None:
    for i in range(len(value) - hold + 1):
        least = np.inf
        for j in range(i, i + hold):
            if np.isnan(value[j]):
                least = np.nan
                break
            least = min(least, value[j])
        out[i] = least


@njit(cache=True)
def _greatest_ahead(start: Floats, horizons: np.ndarray, out: Floats) -> None:
    for i in range(len(start)):
        for k in range(len(horizons)):
            greatest = -np.inf
            for j in range(i + 1, i + 1 + horizons[k]):
                if j >= len(start) or np.isnan(start[j]):
                    greatest = np.nan
                    break
                greatest = max(greatest, start[j])
            out[i, k] = greatest
