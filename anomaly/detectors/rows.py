# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Rows of a table: one score a row, from one column or from several.

One column, by the ensemble's score s where it is new, in two bands:
    an alarm begins at a row with s ≥ RAISE, QUIET_MS and QUIET_NEW new scores or more after the last alarm's begin, and
    only once s was below REARM · RAISE in between, or where s is half the rest of the way from the last alarm's s to 1
    `hold` rows from there say 0.5 + s / 2 of the alarm's first row; all others say LOWER · s
Several columns, by the greatest H of `level` and C of `change` over them; a column without a value keeps its H for
MISSED_ROWS, but a row without any says 0:
    a row says H / (H + H_HALF); but 0 where a change begins by the same rule with C_RAISE, QUIET_ROWS after the last:
    there one episode ends and another begins; rows within `hold` of one at 0.5 or more say no less than it
"""

from typing import NamedTuple

import numpy as np

from anomaly.detectors import change
from anomaly.detectors.arith import Bytes, Floats, Ints, compiled, is_fault
from anomaly.detectors.scorer import DETECTORS, Scorer

RAISE = 0.5
REARM = 0.82
QUIET_MS, QUIET_NEW = 200 * 60_000, 7
QUIET_ROWS = 40
HOLD_ROWS = 1
H_HALF = 1.8
C_RAISE = 3.0
UPPER, LOWER = 0.5, 0.49
MISSED_ROWS = 10
NAMES = (*DETECTORS, "level", "change")
LEVEL, CHANGE = len(DETECTORS), len(DETECTORS) + 1
WIDTH = 6
# new scores since the last alarm; its time; rows to hold yet, at which score; not yet below again; that alarm's score
_SINCE, _AT_MS, _LEFT, _SAID, _UP, _LAST = range(WIDTH)
_change = change.step
MISSED = change.WIDTH  # of a column's row: for how many rows it had no value
COLUMN_WIDTH = MISSED + 1


@compiled
def begins(row: Floats, score: float, gate: float, again: float, quiet: bool) -> bool:
    """Whether an alarm begins with this score; `row` (WIDTH,) f64 is what is kept from row to row.

    `again`: the score at which one begins though the last is still up. `quiet`: none begins so soon after the last.
    """
    row[_SINCE] += 1.0
    if score < REARM * gate:
        row[_UP] = 0.0
    if score < gate or (quiet and row[_LAST] != 0.0) or (row[_UP] != 0.0 and score < again):
        return False
    row[_SINCE], row[_UP], row[_LAST] = 0.0, 1.0, score
    return True


@compiled
def alarm_rows(row: Floats, time_ms: Ints, score: Floats, new: Bytes, hold: int, out: Floats) -> None:
    """The kernel for one column: `score` (n,) in [0, 1], `new` (n,) 1 where it is no repetition, `out` (n,) in two
    bands."""
    for i in range(len(score)):
        since_ms = float(time_ms[i]) - row[_AT_MS]  # less than none where a clock was set back
        quiet = row[_SINCE] + 1.0 < QUIET_NEW or 0.0 <= since_ms < QUIET_MS
        if new[i] and begins(row, score[i], RAISE, 0.5 + 0.5 * row[_LAST], quiet):
            row[_AT_MS] = float(time_ms[i])
            row[_LEFT], row[_SAID] = float(hold), UPPER + score[i] * (1.0 - UPPER)
        out[i] = row[_SAID] if row[_LEFT] > 0.0 else score[i] * LOWER
        row[_LEFT] -= 1.0


@compiled
def level_rows(
    state: Floats,
    row: Floats,
    time_ms: Ints,
    value: Floats,
    hold: int,
    out: Floats,
    said: Bytes,
    column: Ints,
) -> None:
    """The kernel for several: `state` (k, COLUMN_WIDTH), `value` (n, k) f64, NaN a fault; `out`, `said`, `column` (n,).

    `said` is LEVEL, or CHANGE where one begins; `column` the one that was furthest off.
    """
    for i in range(len(value)):
        high, most = 0.0, 0.0
        column[i], said[i] = 0, LEVEL
        changed, filled = 0, False
        for j in range(value.shape[1]):
            if is_fault(value[i, j]):
                state[j, MISSED] += 1.0
            else:
                state[j, MISSED] = 0.0
                filled = True
                c = _change(state[j], time_ms[i], value[i, j], 1.0)
                if c > most:
                    most, changed = c, j
            if state[j, MISSED] <= MISSED_ROWS and state[j, change.LEVEL] > high:
                high = state[j, change.LEVEL]
                column[i] = j
        score = high / (high + H_HALF) if filled else 0.0
        if score >= UPPER:
            row[_LEFT], row[_SAID] = float(hold), score
        held = row[_SAID] if row[_LEFT] > 0.0 else score
        row[_LEFT] -= 1.0
        out[i] = max(score, held)
        if begins(row, most, C_RAISE, np.inf, row[_SINCE] + 1.0 < QUIET_ROWS):
            out[i], said[i], column[i] = 0.0, CHANGE, changed


class RowScores(NamedTuple):
    """One entry a row."""

    said: Floats  # what comes out, in [0, 1]; 0.5 and more is an alarm
    detector: Bytes  # which said most: a number in NAMES
    column: Ints  # in which column
    learned: int | None  # of one column: how many rows of five minutes or more that became known
    silent: int | None  # of one column: in how many of its first rows days alone can say something


class RowScorer:
    """Scores rows of the same columns, in time order."""

    def __init__(self, columns: int, hold: int = HOLD_ROWS) -> None:
        self._hold = hold
        self._columns = columns
        self._scorer = Scorer(1)
        self._row = np.zeros(WIDTH)
        self._levels = np.zeros((columns, COLUMN_WIDTH))

    def score(self, time_ms: Ints, values: Floats) -> RowScores:
        """`values` (rows, columns), NaN where there is none."""
        rows = len(time_ms)
        said, column = np.empty(rows), np.zeros(rows, np.int64)
        if self._columns == 1:
            found = self._scorer.score(column, time_ms, values[:, 0])
            alarm_rows(self._row, time_ms, found.score, found.closed, self._hold, said)
            return RowScores(
                said, found.detector, column, int(np.count_nonzero(found.closed)), self._scorer.silent_rows(0)
            )
        detector = np.empty(rows, np.uint8)
        level_rows(self._levels, self._row, time_ms, values, self._hold, said, detector, column)
        return RowScores(said, detector, column, None, None)
