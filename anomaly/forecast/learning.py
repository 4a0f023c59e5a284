"""`lading anomaly train` without its command line: series to a release."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomaly.forecast import baselines, export, features, judging, network, samples
from anomaly.forecast.grid import Grid
from anomaly.forecast.release import BLOCKS, Data, Metric, Shape, Training, Weights, require_new
from anomaly.forecast.series import Series, Source
from anomaly.forecast.training import Plan, Tell, train
from lading.errors import ServiceError

MINUTE_MS = 60_000
ROWS_MIN = 200
HELD_OUT_FROM = 0.8
_DAY_MS = 86_400_000
BLOCK_NAMES = ("value", "above", "below")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the model is to be: spans of time in ms."""

    quantity: int = 1
    step_ms: int = 5 * MINUTE_MS
    hold_ms: int = 45 * MINUTE_MS
    pause_ms: int = 10 * MINUTE_MS
    horizons_ms: tuple[int, ...] = tuple(m * MINUTE_MS for m in (15, 30, 45, 60, 90, 120, 180))
    quantiles: tuple[float, ...] = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99)
    hidden: tuple[int, ...] = (32, 32)

    def shape(self) -> Shape:
        """Checked, with its layers."""
        outputs = BLOCKS * len(self.horizons_ms) * len(self.quantiles)
        return Shape(
            features=1,
            quantity=self.quantity,
            step_ms=self.step_ms,
            hold_ms=self.hold_ms,
            pause_ms=self.pause_ms,
            horizons_ms=list(self.horizons_ms),
            quantiles=list(self.quantiles),
            layers=[features.FEATURES, *self.hidden, outputs],
        )


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of it."""

    id: str
    rows: int
    metrics: list[Metric]


def learn(
    series: Sequence[Series], source: Source, shape: Shape, plan: Plan, folder: Path, tell: Tell
) -> Learned:
    """Train on the earlier part of each channel, judge on the rest, write the release.

    ServiceError `too_little` where there are too few rows.
    """
    require_new(folder)
    grids = [one.grid(shape.step_ms) for one in series if len(one.value)]
    parts = [samples.of_grid(grid, shape, split(grid)) for grid in grids]
    found = samples.join(parts) if parts else None
    if found is None or found.rows < ROWS_MIN:
        rows = 0 if found is None else found.rows
        raise ServiceError(
            "too_little", f"{rows} rows to learn from in {len(series)} channels, wanted at least {ROWS_MIN}"
        )
    weights = train(found, shape, plan, tell)
    metrics = judge(grids, shape, weights, plan.seed)
    data = Data(
        source=source.kind,
        root=source.root.hex(),
        batches=source.batches,
        frames=source.frames,
        readings=sum(len(one.value) for one in series),
        channels=len(grids),
        first_ms=min(int(one.time_ms.min()) for one in series if len(one.value)),
        last_ms=max(int(one.time_ms.max()) for one in series if len(one.value)),
        held_out_from=HELD_OUT_FROM,
    )
    training = Training(
        seed=plan.seed,
        steps=plan.steps,
        batch_rows=plan.batch_rows,
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        rows=found.rows,
    )
    return Learned(export.export(folder, shape, weights, data, training, metrics), found.rows, metrics)


def split(grid: Grid) -> int:
    """The row from which a channel is held out."""
    return int(len(grid.value) * HELD_OUT_FROM)


def judge(grids: Sequence[Grid], shape: Shape, weights: Weights, seed: int) -> list[Metric]:
    """Pinball loss of the model and the baselines, and coverage, on what was held out; in the channels' scales."""
    held_out = [_held_out(grid, shape, weights, number) for number, grid in enumerate(grids)]
    if not sum(len(one.blocks) for one in held_out):
        return []
    levels = tuple(shape.quantiles)
    blocks = np.concatenate([one.blocks for one in held_out])
    target = np.concatenate([one.target for one in held_out])
    model = np.concatenate([one.model for one in held_out])
    found: list[Metric] = []

    def add(name: str, values: np.ndarray) -> None:
        figure = judging.mean(values.reshape(-1), np.repeat(blocks, values.size // len(blocks)), seed)
        if figure.rows:
            found.append(
                Metric(name=name, value=figure.value, low=figure.low, high=figure.high, count=figure.rows)
            )

    for k, block in enumerate(BLOCK_NAMES):
        add(f"pinball/{block}/model", judging.pinball(model[:, k], target[:, k], levels))
        for name in baselines.BASELINES:
            point = np.concatenate([one.points[name] for one in held_out])
            spread = baselines.spread(point, target[:, k], levels)
            add(f"pinball/{block}/{name}", judging.pinball(spread, target[:, k], levels))
        hits = judging.covered(model[:, k], target[:, k])
        for q, level in enumerate(levels):
            add(f"coverage/{block}/{level:g}", hits[..., q])
    return found


@dataclass(frozen=True, slots=True)
class _HeldOut:
    blocks: np.ndarray  # (n,) channel and day
    target: np.ndarray  # (n, 3, horizons), relative
    model: np.ndarray  # (n, 3, horizons, q), relative
    points: dict[str, np.ndarray]  # (n, horizons), relative


def _held_out(grid: Grid, shape: Shape, weights: Weights, number: int) -> _HeldOut:
    rows = np.arange(split(grid), len(grid.value))
    seen = features.see(grid, rows, *shape.stretch)
    usable = np.isfinite(seen.centre)
    centre, scale = seen.centre[usable], seen.scale[usable]
    target = (samples.of_value(grid.value, shape)[rows][usable] - centre[:, None, None]) / scale[
        :, None, None
    ]
    points = {
        name: (point[rows][usable] - centre[:, None]) / scale[:, None]
        for name, point in baselines.points(grid.value, shape.horizons, shape.step_ms).items()
    }
    days = (grid.begin_ms + rows[usable] * grid.step_ms) // _DAY_MS
    model = network.run(shape, weights, seen.inputs[usable])
    return _HeldOut(days * 1_000_003 + number, target, model, points)
