# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Rows of several columns: one score a row, and one alarm an episode.

row's score = the greatest of its columns' scores
an alarm begins at a row with score ≥ RAISE, QUIET_ROWS or more after the last alarm's begin, and only once the score
was below REARM · RAISE in between; `hold` rows from there say its score, all others say 0
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from anomaly.detectors.arith import Bytes, Floats, Ints
from anomaly.detectors.scorer import Scorer

RAISE = 0.5
REARM = 0.7
QUIET_ROWS = 40
HOLD_ROWS = 1
WIDTH = 4
_QUIET, _LEFT, _SAID, _UP = range(
    WIDTH
)  # rows to be quiet yet; rows to hold yet, at which score; not yet below again


@njit(cache=True, error_model="numpy")
def alarm_rows(row: Floats, score: Floats, hold: int, out: Floats) -> None:
    """The kernel: `row` (WIDTH,) f64 state, `score` (n,) in [0, 1], `out` (n,): what the alarms say."""
    for i in range(len(score)):
        row[_QUIET] -= 1.0
        if score[i] < REARM * RAISE:
            row[_UP] = 0.0
        if score[i] >= RAISE and row[_QUIET] <= 0.0 and row[_UP] == 0.0:
            row[_QUIET], row[_LEFT], row[_SAID], row[_UP] = float(QUIET_ROWS), float(hold), score[i], 1.0
        out[i] = row[_SAID] if row[_LEFT] > 0.0 else 0.0
        row[_LEFT] -= 1.0


class RowScores(NamedTuple):
    """One entry a row."""

    said: Floats  # what the alarms say, in [0, 1]
    score: Floats  # before alarms
    detector: Bytes  # which view said most
    column: Ints  # in which column


class RowScorer:
    """Scores rows of the same columns, in time order."""

    def __init__(self, columns: int, hold: int = HOLD_ROWS) -> None:
        self._columns = columns
        self._hold = hold
        self._scorer = Scorer(columns)
        self._alarm = np.zeros(WIDTH)

    def score(self, time_ms: Ints, values: Floats) -> RowScores:
        """`values` (rows, columns), NaN where there is none."""
        rows = len(time_ms)
        slot = np.tile(np.arange(self._columns), rows)
        found = self._scorer.score(slot, np.repeat(time_ms, self._columns), values.reshape(-1))
        score = found.score.reshape(rows, self._columns)
        column = score.argmax(axis=1)
        at = np.arange(rows), column
        said = np.empty(rows)
        alarm_rows(self._alarm, score[at], self._hold, said)
        return RowScores(said, score[at], found.detector.reshape(rows, self._columns)[at], column)
