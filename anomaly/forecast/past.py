# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator,index"
# In compiled code int and numpy's integers are one.
"""A channel's last days as rows, reading by reading: what `grid.to_grid` makes of them at once, in bounded memory."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numba import njit

from anomaly.forecast.grid import Floats, Grid, Times

NOTHING = -1  # the newest row of a past without one
_TOTAL, _COUNT = range(2)


@dataclass(slots=True)
class Past:
    """Means of rows in a ring, of which the newest is still being added up. Readings come in time order."""

    ring: Floats  # (rows,) row r at r mod rows; NaN where nothing was
    open: Floats = field(default_factory=lambda: np.zeros(2))  # sum and count of the newest row
    newest: Times = field(default_factory=lambda: np.full(1, NOTHING))
    last_frame_seq: int = -1
    is_feared: bool = False  # by the newest forecast: a breach soon

    @classmethod
    def of(cls, rows: int) -> Self:
        """Nothing yet, and room for so many rows."""
        return cls(np.full(rows, np.nan))

    def grid(self, step_ms: int) -> Grid:
        """All rows from the first that is known, the newest as it is now. Of a past that has one."""
        newest, rows = int(self.newest[0]), len(self.ring)
        value = np.roll(self.ring, -(newest + 1) % rows)
        value[-1] = self.open[_TOTAL] / self.open[_COUNT]
        first = int(np.argmax(~np.isnan(value)))
        return Grid((newest + 1 - rows + first) * step_ms, step_ms, value[first:])


@njit(cache=True)
def add(
    ring: Floats,
    open_: Floats,
    newest: Times,
    time_ms: Times,
    value: Floats,
    first: int,
    end: int,
    step_ms: int,
    gap_rows: int,
    is_met: bool,
) -> int:
    """Take readings `first` to `end` − 1, up to one that opens another row, at most `gap_rows` after the newest; where
    that is. `is_met`: the first does, and is taken. NaN is no reading; one of an earlier row comes too late."""
    for i in range(first, end):
        if not np.isfinite(value[i]):
            continue
        row, last = time_ms[i] // step_ms, newest[0]
        if row < last:
            continue
        if row > last:
            if last >= 0 and row - last <= gap_rows and not (is_met and i == first):
                return i
            _open(ring, open_, last, row)
            newest[0] = row
        open_[_TOTAL] += value[i]
        open_[_COUNT] += 1.0
    return end


@njit(cache=True)
def _open(ring: Floats, open_: Floats, last: int, row: int) -> None:
    """Close the newest row, and begin another; nothing is known of those between."""
    rows = len(ring)
    if last >= 0:
        ring[last % rows] = open_[_TOTAL] / open_[_COUNT]
        for gap in range(max(last + 1, row - rows), row + 1):
            ring[gap % rows] = np.nan
    open_[_TOTAL] = open_[_COUNT] = 0.0
