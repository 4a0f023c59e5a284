"""How good a release is on series that it has not seen: pinball loss, calibration, and how early it calls.

Every row is forecast from itself and earlier rows alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly.forecast import baselines, calls, judging, samples
from anomaly.forecast.calls import Judged, Stretch
from anomaly.forecast.grid import Floats, Grid, Times
from anomaly.forecast.judging import Figure
from anomaly.forecast.release import Shape
from anomaly.forecast.series import Series
from anomaly.forecast.serving import Forecaster

BLOCKS = ("value", "above", "below")
SWEEP = tuple(round(0.02 * n, 2) for n in range(1, 41))
MODEL = "model"
_DAY_MS = 86_400_000


class Ahead(NamedTuple):
    """Mean pinball loss of a way to forecast at a horizon, unit of the channels."""

    block: str
    method: str
    horizon_ms: int
    figure: Figure


class Covered(NamedTuple):
    """How often the truth lay at or below a quantile: calibrated where that is the level."""

    block: str
    level: float
    figure: Figure


class Early(NamedTuple):
    """Calls at one threshold over all channels."""

    threshold: float
    excursions: int
    called: int  # before the crossing
    lead_ms_median: Figure
    false: int
    false_a_week: float  # a channel
    false_a_week_worst: float  # of the channel with most


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel with its forecasts."""

    name: str
    grid: Grid
    risk: Floats  # (rows,) probability of a breach within the call's horizon
    excursions: list[Stretch]
    calls: list[Stretch]


@dataclass(frozen=True, slots=True)
class Backtest:
    """All of it."""

    release: str
    ahead: list[Ahead]
    covered: list[Covered]
    early: Early | None  # none without a limit
    sweep: list[Early]
    channels: list[Channel]


def backtest(
    forecaster: Forecaster, series: Sequence[Series], upper: float | None, threshold: float, seed: int = 1
) -> Backtest:
    """Judge a release on channels; with an upper limit, its calls, too."""
    shape = forecaster.shape
    grids = [(one.name, one.grid(shape.step_ms)) for one in series if len(one.value)]
    forecasts = [forecaster.forecast_rows(grid) for _, grid in grids]
    stacks = [np.stack([one.quantiles, one.above, one.below], 1) for one in forecasts]
    ahead, covered = _judge([grid for _, grid in grids], stacks, shape, seed)
    if upper is None:
        return Backtest(forecaster.release, ahead, covered, None, [], [])
    at = calls.call_horizon(shape)
    channels = [
        _channel(name, grid, one.breach(upper).probability[:, at], upper, threshold, shape)
        for (name, grid), one in zip(grids, forecasts, strict=True)
    ]
    sweep = [early(channels, level, shape, seed) for level in SWEEP]
    chosen = early(channels, threshold, shape, seed)
    return Backtest(forecaster.release, ahead, covered, chosen, sweep, channels)


def _channel(name: str, grid: Grid, risk: Floats, upper: float, threshold: float, shape: Shape) -> Channel:
    events = calls.excursions(grid.value, upper, *shape.stretch, grid.step_ms)
    return Channel(name, grid, risk, events, calls.calls(risk, threshold, grid.step_ms))


def early(channels: Sequence[Channel], threshold: float, shape: Shape, seed: int) -> Early:
    """What calls at a threshold are worth."""
    judged = [
        calls.judge(
            calls.calls(one.risk, threshold, one.grid.step_ms),
            one.excursions,
            shape.hold_ms,
            one.grid.step_ms,
            int(np.isfinite(one.risk).sum()),
        )
        for one in channels
    ]
    leads_ms = np.array([lead for one in judged for lead in one.leads_ms], float)
    false, weeks = sum(len(one.false) for one in judged), sum(one.weeks for one in judged)
    return Early(
        threshold,
        len(leads_ms),
        int((leads_ms > 0).sum()),
        judging.median(leads_ms, seed),
        false,
        false / weeks if weeks else 0.0,
        max((_rate(one) for one in judged), default=0.0),
    )


def _rate(judged: Judged) -> float:
    return len(judged.false) / judged.weeks if judged.weeks else 0.0


def _judge(
    grids: list[Grid], stacks: list[Floats], shape: Shape, seed: int
) -> tuple[list[Ahead], list[Covered]]:
    levels = tuple(shape.quantiles)
    if not grids:
        return [], []
    target = np.concatenate([samples.of_value(grid.value, shape) for grid in grids])
    model = np.concatenate(stacks)
    points = [baselines.points(grid.value, shape.horizons, shape.step_ms) for grid in grids]
    blocks = _blocks(grids)
    unknown = np.isnan(model[:, 0, 0, 0])
    target[unknown] = np.nan
    ahead: list[Ahead] = []
    covered: list[Covered] = []
    for k, block in enumerate(BLOCKS):
        found = {MODEL: model[:, k]}
        for name in baselines.BASELINES:
            point = np.concatenate([one[name] for one in points])
            found[name] = baselines.spread(point, target[:, k], levels)
        for method, quantiles in found.items():
            loss = judging.pinball(quantiles, target[:, k], levels)
            ahead += [
                Ahead(block, method, horizon_ms, judging.mean(loss[:, h], blocks, seed))
                for h, horizon_ms in enumerate(shape.horizons_ms)
            ]
        hits = judging.covered(model[:, k], target[:, k])
        flat = np.repeat(blocks, hits.shape[1])
        covered += [
            Covered(block, level, judging.mean(hits[..., q].reshape(-1), flat, seed))
            for q, level in enumerate(levels)
        ]
    return ahead, covered


def _blocks(grids: list[Grid]) -> Times:
    """(rows,) a number for each day of each channel."""
    return np.concatenate(
        [
            (grid.begin_ms + np.arange(len(grid.value)) * grid.step_ms) // _DAY_MS * 1_000_003 + number
            for number, grid in enumerate(grids)
        ]
    )
