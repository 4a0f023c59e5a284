"""What a forecast must beat: naive last value, seasonal naive, exponential smoothing.

Each gives a point for every horizon; its quantiles are that point plus the quantiles of its own errors, by horizon
and in scales of the channel, over the rows that it is judged on: calibrated by what judges it, which favours it.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit

from anomaly.forecast import features
from anomaly.forecast.grid import Floats

SMOOTHING = 0.3

Points = Callable[[Floats, tuple[int, ...], int], Floats]
"""(rows, horizons) from values (rows,), horizons in rows and rows of a day."""


class Scored(NamedTuple):
    """A way to forecast, and its quantiles (rows, horizons, q)."""

    name: str
    quantiles: Floats


def last_value(value: Floats, horizons: tuple[int, ...], _: int) -> Floats:
    """It stays as it is."""
    return np.repeat(value[:, None], len(horizons), 1)


def seasonal(value: Floats, horizons: tuple[int, ...], day: int) -> Floats:
    """It will be as it was then a day before; the last value where that is not known."""
    out = last_value(value, horizons, day)
    for k, ahead in enumerate(horizons):
        back = day - ahead % day
        earlier = np.full(len(value), np.nan)
        earlier[back:] = value[: len(value) - back] if back < len(value) else []
        out[:, k] = np.where(np.isnan(earlier), out[:, k], earlier)
    return out


def smoothed(value: Floats, horizons: tuple[int, ...], _: int) -> Floats:
    """Simple exponential smoothing, sᵢ = sᵢ₋₁ + α·(xᵢ − sᵢ₋₁), α = 0.3 (Brown 1956): it stays at that level."""
    return np.repeat(_smooth(value)[:, None], len(horizons), 1)


@njit(cache=True)
def _smooth(value: Floats) -> Floats:
    out = np.empty_like(value)
    level = np.nan
    for i in range(len(value)):
        if not np.isnan(value[i]):
            level = value[i] if np.isnan(level) else level + SMOOTHING * (value[i] - level)
        out[i] = level
    return out


BASELINES: dict[str, Points] = {"last_value": last_value, "seasonal": seasonal, "smoothed": smoothed}


def points(value: Floats, horizons: tuple[int, ...], step_ms: int) -> dict[str, Floats]:
    """Every baseline's points on a channel's grid."""
    filled = features.fill(value)
    return {name: of(filled, horizons, features.day_rows(step_ms)) for name, of in BASELINES.items()}


def spread(point: Floats, target: Floats, levels: tuple[float, ...]) -> Floats:
    """(rows, horizons, q): the point and the quantiles of its errors, relative to centre and scale."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no row has a target: no error, NaN
        errors = np.nanquantile(target - point, levels, axis=0)  # (q, horizons)
    return point[..., None] + errors.T[None]
