"""Forecasts from a release: histories in, quantiles and breaches out. Needs neither torch nor Lightning.

The cost of a channel is that of one row of features and three small matrix products, whatever its history; of the
history the last eight days are looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anomaly.forecast import breach, features, network
from anomaly.forecast.breach import Breach
from anomaly.forecast.grid import Floats, Grid, Times, to_grid
from anomaly.forecast.release import Shape, Weights, load

VALUE, ABOVE, BELOW = range(3)


class History(NamedTuple):
    """A channel's readings in any order, at any spacing; NaN is no reading."""

    time_ms: Times
    value: Floats


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of n channels. NaN where a channel's history does not reach: too few rows, or nothing just before now."""

    release: str
    begin_ms: Times  # (n,) what horizons count from: the end of the channel's last row
    quantiles: Floats  # (n, horizons, q) of the value at each horizon, unit of the channel
    above: Floats  # (n, horizons, q) of the level held above within each horizon
    below: Floats  # (n, horizons, q) of the level held below
    levels: tuple[float, ...]
    horizons_ms: tuple[int, ...]

    def breach(self, upper: float) -> Breach:
        """Probability and time of a breach of an upper limit."""
        return breach.of_upper(self.above, self.levels, self.horizons_ms, upper)

    def breach_below(self, lower: float) -> Breach:
        """Of a lower limit."""
        return breach.of_lower(self.below, self.levels, self.horizons_ms, lower)


class Forecaster:
    """A release at work."""

    def __init__(self, release: str, shape: Shape, weights: Weights) -> None:
        self.release = release
        self.shape = shape
        self._weights = weights

    @staticmethod
    def load(folder: Path) -> "Forecaster":
        """From a release's folder."""
        release = load(folder)
        return Forecaster(release.id, release.manifest, release.weights)

    @property
    def rows(self) -> int:
        """Of a channel's history, what a forecast looks at."""
        return features.history_rows(self.shape.step_ms)

    def forecast(self, histories: Sequence[History]) -> Forecast:
        """The next hours of each channel, from its own last row on."""
        step_ms = self.shape.step_ms
        return self.forecast_grids([to_grid(*_last(one, self.rows, step_ms), step_ms) for one in histories])

    def forecast_grids(self, grids: Sequence[Grid]) -> Forecast:
        """The same of rows of `step_ms`, no more than `rows` a channel."""
        seen: list[features.Seen] = []
        begin_ms = np.zeros(len(grids), np.int64)
        for i, grid in enumerate(grids):
            own = grid if len(grid.value) else grid._replace(value=np.array([np.nan]))
            begin_ms[i] = own.time_ms(len(own.value))
            seen.append(features.see(own, np.array([len(own.value) - 1]), *self.shape.stretch))
        return self._forecast(seen, begin_ms)

    def forecast_rows(self, grid: Grid) -> Forecast:
        """Of one channel: a forecast from every row, each knowing that row and earlier ones alone."""
        rows = np.arange(len(grid.value))
        seen = features.see(grid, rows, *self.shape.stretch)
        return self._forecast([seen], grid.begin_ms + (rows + 1) * grid.step_ms)

    def _forecast(self, seen: Sequence[features.Seen], begin_ms: Times) -> Forecast:
        shape = self.shape
        inputs = np.concatenate(
            [one.inputs for one in seen] or [np.empty((0, features.FEATURES), np.float32)]
        )
        centre = np.concatenate([one.centre for one in seen] or [np.empty(0)])[:, None, None, None]
        scale = np.concatenate([one.scale for one in seen] or [np.empty(0)])[:, None, None, None]
        found = network.run(shape, self._weights, inputs) * scale + centre
        return Forecast(
            self.release,
            begin_ms,
            found[:, VALUE],
            found[:, ABOVE],
            found[:, BELOW],
            tuple(shape.quantiles),
            tuple(shape.horizons_ms),
        )


def _last(history: History, rows: int, step_ms: int) -> History:
    """What lies in the rows up to that of the newest reading that is valid."""
    valid = np.isfinite(history.value)
    if not valid.any():
        return History(np.empty(0, np.int64), np.empty(0))
    row = history.time_ms // step_ms
    near = valid & (row > row[valid].max() - rows)
    return History(history.time_ms[near], history.value[near])
