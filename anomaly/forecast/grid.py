# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
# In compiled code int and numpy's integers are one.
"""Readings at whatever times they came, as means over steps of equal length: what features and targets are made of."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from lading.errors import MalformedError

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

GRID_ROWS_MAX = 4_000_000
"""38 years of five minutes: a grid longer than that has a clock for its fault."""


class Grid(NamedTuple):
    """Row i is the mean of what was valid from begin_ms + i·step_ms up to the next row; NaN where nothing was."""

    begin_ms: int
    step_ms: int
    value: Floats

    def time_ms(self, row: int) -> int:
        """When the row begins. Its mean is known when it ends."""
        return self.begin_ms + row * self.step_ms


def to_grid(time_ms: Times, value: Floats, step_ms: int) -> Grid:
    """Means by step over readings in any order; NaN, infinite values and what is no reading are left out.

    MalformedError `grid` where they lie further apart than a grid may be long.
    """
    valid = np.isfinite(value)
    times, values = time_ms[valid], value[valid]
    if not len(times):
        return Grid(0, step_ms, np.empty(0))
    first, last = int(times.min()) // step_ms, int(times.max()) // step_ms
    rows = last - first + 1
    if rows > GRID_ROWS_MAX:
        raise MalformedError("grid", f"{rows} steps of {step_ms} ms, wanted at most {GRID_ROWS_MAX}")
    total, count = np.zeros(rows), np.zeros(rows)
    _add(times // step_ms - first, values, total, count)
    with np.errstate(invalid="ignore"):
        return Grid(first * step_ms, step_ms, total / count)


@njit(cache=True)
def _add(row: Times, value: Floats, total: Floats, count: Floats) -> None:
    for i in range(len(row)):
        total[row[i]] += value[i]
        count[row[i]] += 1.0
