# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Scores to episodes: one alarm with begin, peak and end, instead of one a reading.

    begins at score ≥ RAISE; goes on, though the score dips, until new scores in a row were below LOWER that stand for
    HOLD_ROWS rows of five minutes;  ends at the last reading with a new score that was not below LOWER

Hysteresis (RAISE, LOWER) keeps one episode from being many; the hold joins what comes again at once.
Faults, and scores that only repeat the last (NaN), count as neither. Source: alarm hysteresis and off-delay as in
ISA-18.2 (IEC 62682), section 10.
"""

from dataclasses import dataclass

import numpy as np

from anomaly.detectors.arith import Bytes, Floats, Ints, compiled

RAISE, LOWER = 0.5, 0.25
HOLD_ROWS = 30
WIDTH = 6
NOTHING, BEGUN, ENDED = 0, 1, 2
_UP, _BEGIN, _PEAK, _PEAK_AT, _LAST, _QUIET = range(WIDTH)


@compiled
def step(row: Floats, time_ms: int, score: float, fives: int) -> int:
    """One score, of a row as long as so many of five minutes: NOTHING, BEGUN or ENDED. After ENDED the row still holds
    begin, peak and end of what ended."""
    if not score >= 0.0:
        return NOTHING
    if row[_UP] == 0.0:
        if score < RAISE:
            return NOTHING
        row[_UP], row[_QUIET] = 1.0, 0.0
        row[_BEGIN] = row[_PEAK_AT] = row[_LAST] = float(time_ms)
        row[_PEAK] = score
        return BEGUN
    if score > row[_PEAK]:
        row[_PEAK], row[_PEAK_AT] = score, float(time_ms)
    if score >= LOWER:
        row[_LAST], row[_QUIET] = float(time_ms), 0.0
        return NOTHING
    row[_QUIET] += fives
    if row[_QUIET] < HOLD_ROWS:
        return NOTHING
    row[_UP] = 0.0
    return ENDED


@compiled
def episodes(
    state: Floats, slot: Ints, time_ms: Ints, score: Floats, fives: Bytes, event: Bytes, rows: Floats
) -> None:
    """The kernel: `event` (n,) u8, and where it is not NOTHING, `rows` (n, WIDTH) f64 gets the channel's row."""
    for i in range(len(score)):
        row = state[slot[i]]
        event[i] = step(row, time_ms[i], score[i], fives[i])
        if event[i] != NOTHING:
            for k in range(WIDTH):
                rows[i, k] = row[k]


@dataclass(frozen=True, slots=True)
class Episode:
    """An alarm. `end_ms` None while it is up. `at` is the position of the reading that began or ended it."""

    slot: int
    at: int
    begin_ms: int
    peak_ms: int
    peak: float
    end_ms: int | None


class Episodes:
    """Episodes of many channels."""

    def __init__(self, count: int = 0) -> None:
        self._state = np.zeros((count, WIDTH))

    def grow(self, count: int) -> None:
        """Room for `count` channels."""
        if count > len(self._state):
            self._state = np.concatenate([self._state, np.zeros((count - len(self._state), WIDTH))])

    def take(self, slot: Ints, time_ms: Ints, score: Floats, fives: Bytes) -> list[Episode]:
        """What begins and what ends with these scores, in their order; `fives`: as `closed` of `Scored`."""
        event, rows = np.zeros(len(score), np.uint8), np.zeros((len(score), WIDTH))
        episodes(self._state, slot, time_ms, score, fives, event, rows)
        return [_episode(int(slot[i]), int(i), int(event[i]), rows[i]) for i in np.flatnonzero(event)]

    def going_on(self, slot: int) -> Episode | None:
        """The channel's alarm that is up; its end is the last time so far that was not below LOWER."""
        row = self._state[slot]
        return _episode(slot, -1, ENDED, row) if row[_UP] else None

    def row(self, slot: int) -> bytes:
        """One channel's state."""
        return bytes(self._state[slot].astype("<f8").tobytes())

    def put(self, slot: int, row: bytes) -> None:
        """Restore what `row` gave."""
        self._state[slot] = np.frombuffer(row, "<f8")


def _episode(slot: int, at: int, event: int, row: Floats) -> Episode:
    end_ms = int(row[_LAST]) if event == ENDED else None
    return Episode(slot, at, int(row[_BEGIN]), int(row[_PEAK_AT]), float(row[_PEAK]), end_ms)
