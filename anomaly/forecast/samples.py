"""Channels' series as samples to learn from and to be judged on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from anomaly.forecast import features, targets
from anomaly.forecast.grid import Floats, Grid
from anomaly.forecast.release import Shape

TARGET_MAX = 15.0
"""In scales: what lies further out counts as so far, or single readings would decide what is learned."""


class Samples(NamedTuple):
    """n rows of one or more channels."""

    inputs: features.Inputs  # (n, features)
    targets: Floats  # (n, 3, horizons), relative to centre and scale; NaN: not known

    @property
    def rows(self) -> int:
        """n."""
        return len(self.inputs)


def of_grid(grid: Grid, shape: Shape, last: int | None = None) -> Samples:
    """Every row that can be forecast from; rows and what they look ahead to end before row `last`."""
    grid = grid._replace(value=grid.value[:last])
    seen = features.see(grid, np.arange(len(grid.value)), *shape.stretch)
    wanted = (of_value(grid.value, shape) - seen.centre[:, None, None]) / seen.scale[:, None, None]
    usable = np.isfinite(seen.centre) & np.isfinite(wanted).any((1, 2))
    return Samples(seen.inputs[usable], np.clip(wanted[usable], -TARGET_MAX, TARGET_MAX))


def of_value(value: Floats, shape: Shape) -> Floats:
    """(rows, 3, horizons) what comes: value, level held above, level held below."""
    filled = features.fill(value)
    parts = [
        targets.values(filled, shape.horizons),
        targets.held(filled, shape.horizons, *shape.stretch),
        -targets.held(-filled, shape.horizons, *shape.stretch),
    ]
    return np.stack(parts, 1)


def join(parts: Sequence[Samples]) -> Samples:
    """One after the other."""
    return Samples(
        np.concatenate([part.inputs for part in parts]), np.concatenate([part.targets for part in parts])
    )
