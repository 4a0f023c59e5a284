"""From quantiles of the level held to the probability and the time of a breach."""

from typing import NamedTuple

import numpy as np

from anomaly.forecast.grid import Floats

_WIDTH_MIN = 1e-6
_LEAST = 0.5e-6
"""Of a probability that has a time: less is no millionth, and its half may be no number to interpolate between."""


class Breach(NamedTuple):
    """Of n channels: how probable a breach is within each horizon, and when it most likely begins if there is one."""

    probability: Floats  # (n, horizons) never falling along them; NaN: no forecast
    first_ms: Floats  # (n,) ms from now at which half the probability of the last horizon is reached


def exceedance(quantiles: Floats, levels: tuple[float, ...], limit: float | Floats) -> Floats:
    """P(X > limit) where quantiles (…, q) are of X at `levels`: linear between them, an exponential tail beyond.

    `limit` is one, or an array that goes with the axes before q. The tail goes on as it fell
    between the last two quantiles, on either side.
    """
    q, p = quantiles.astype(np.float64), np.array(levels)
    rank = (q < np.asarray(limit)[..., None]).sum(-1)
    inner = np.clip(rank, 1, len(p) - 1)[..., None]
    low, high = np.take_along_axis(q, inner - 1, -1)[..., 0], np.take_along_axis(q, inner, -1)[..., 0]
    below, above = p[inner[..., 0] - 1], p[inner[..., 0]]
    width = np.maximum(high - low, _WIDTH_MIN)
    between = 1 - below - (above - below) * (limit - low) / width
    past, before = np.maximum(limit - high, 0) / width, np.maximum(low - limit, 0) / width
    top = (1 - above) * np.exp(-np.log((1 - below) / (1 - above)) * past)
    bottom = 1 - below * np.exp(-np.log(above / below) * before)
    found = np.where(rank == len(p), top, np.where(rank == 0, bottom, between))
    return np.where(np.isnan(q[..., 0]), np.nan, found)


def of_upper(
    held: Floats, levels: tuple[float, ...], horizons_ms: tuple[int, ...], upper: float | Floats
) -> Breach:
    """Of an upper limit, or of one a channel (n, 1), from quantiles (n, horizons, q) of the level held above."""
    return _breach(exceedance(held, levels, upper), horizons_ms)


def of_lower(
    held: Floats, levels: tuple[float, ...], horizons_ms: tuple[int, ...], lower: float | Floats
) -> Breach:
    """Of a lower limit, or of one a channel (n, 1), from quantiles (n, horizons, q) of the level held below."""
    return _breach(1 - exceedance(held, levels, lower), horizons_ms)


def _breach(probability: Floats, horizons_ms: tuple[int, ...]) -> Breach:
    rising = np.maximum.accumulate(probability, axis=-1)
    return Breach(rising, first_times(rising, horizons_ms))


def first_times(probability: Floats, horizons_ms: tuple[int, ...]) -> Floats:
    """Where each row of (n, horizons) reaches half its last value, linear from 0 now; NaN where it is no millionth."""
    times = np.concatenate([[0.0], horizons_ms])
    out = np.full(len(probability), np.nan)
    for i, row in enumerate(probability):
        if not np.isnan(row).any() and row[-1] >= _LEAST:
            out[i] = np.interp(row[-1] / 2, np.concatenate([[0.0], row]), times)
    return out
