"""How good quantiles are: pinball loss and coverage, with bootstrap intervals over days of channels."""

from typing import NamedTuple

import numpy as np

from anomaly.forecast.grid import Floats, Times

DRAWS = 500
_LOW, _HIGH = 0.025, 0.975


class Figure(NamedTuple):
    """A mean with its 95 % interval, and over how many numbers."""

    value: float
    low: float
    high: float
    rows: int


def pinball(quantiles: Floats, target: Floats, levels: tuple[float, ...]) -> Floats:
    """(…) mean over the levels of ρ(y, q) = max(τ·(y − q), (τ − 1)·(y − q)); NaN where y is not known."""
    tau = np.array(levels)
    error = target[..., None] - quantiles
    loss: Floats = np.maximum(tau * error, (tau - 1) * error).mean(-1)
    return loss


def covered(quantiles: Floats, target: Floats) -> Floats:
    """(…, q) 1 where y lies at or below the quantile, 0 where above; NaN where y is not known."""
    below = (target[..., None] <= quantiles).astype(np.float64)
    return np.where(np.isnan(target)[..., None], np.nan, below)


def mean(values: Floats, blocks: Times, seed: int) -> Figure:
    """Mean of values (n,) that are not NaN. What lies in one block, (n,) a number each, is drawn together.

    Rows of one day are like one another, so the interval is over days: percentile bootstrap, Efron (1979).
    """
    there = ~np.isnan(values)
    if not there.any():
        return Figure(float("nan"), float("nan"), float("nan"), 0)
    _, block = np.unique(blocks[there], return_inverse=True)
    total = np.bincount(block, values[there])
    count = np.bincount(block)
    drawn = np.random.default_rng(seed).integers(0, len(total), (DRAWS, len(total)))
    means = total[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.quantile(means, [_LOW, _HIGH])
    value = total.sum() / count.sum()
    return Figure(float(value), float(min(low, value)), float(max(high, value)), int(there.sum()))


def median(values: Floats, seed: int) -> Figure:
    """Median of values (n,) with a percentile bootstrap over them."""
    if not len(values):
        return Figure(float("nan"), float("nan"), float("nan"), 0)
    drawn = np.random.default_rng(seed).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.quantile(np.median(values[drawn], axis=1), [_LOW, _HIGH])
    return Figure(float(np.median(values)), float(low), float(high), len(values))
