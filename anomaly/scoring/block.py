"""What is kept of channels: the detectors' state, episodes' and sums', a row each, in blocks."""

from typing import NamedTuple

import numpy as np

from anomaly.detectors.arith import Bytes, Floats, Ints
from anomaly.detectors.episodes import Episode, Episodes
from anomaly.detectors.scorer import Scorer
from anomaly.scoring.fold import FIELDS, Flags, Runs, Words, fold
from lading.errors import MalformedError

ROOM_MIN = 16


class Row(NamedTuple):
    """All state of one channel, to be kept."""

    sums: bytes
    episode: bytes
    scorer: bytes


class Readings(NamedTuple):
    """n readings in r runs, in the order of the log."""

    slot: Ints  # (r,) whose each run is
    starts: Ints  # (r + 1,) first reading of each run
    ends: Flags  # (r,) the run is its part's last
    seq: Words  # (n,)
    time_ms: Ints  # (n,)
    value: Floats  # (n,) NaN where invalid


class Found(NamedTuple):
    """What was said of them."""

    score: Floats  # (n,)
    detector: Bytes  # (n,)
    place: Ints  # (n,) the reading's place among its channel's, from 0
    parts: Words  # (r, FIELDS) the channel's sums after each run
    episodes: list[Episode]  # what began and ended; begin, peak and end are places


class Block:
    """Channels by slot. A slot that is given back begins anew with the next channel."""

    def __init__(self) -> None:
        self._scorer = Scorer()
        self._episodes = Episodes()
        self._sums = np.zeros((0, FIELDS), np.uint64)
        self._free: list[int] = []
        self._made = 0
        self._blank = Row(bytes(self._sums.itemsize * FIELDS), Episodes(1).row(0), Scorer(1).row(0))

    @property
    def used(self) -> int:
        """Slots in use."""
        return self._made - len(self._free)

    @property
    def row_bytes(self) -> int:
        """Length of a channel's whole row."""
        return sum(map(len, self._blank))

    def take(self) -> int:
        """A slot for a new channel."""
        if self._free:
            return self._free.pop()
        if self._made == len(self._sums):
            room = max(2 * self._made, ROOM_MIN)
            self._sums = np.concatenate([self._sums, np.zeros((room - self._made, FIELDS), np.uint64)])
            self._episodes.grow(room)
        self._made += 1
        self._scorer.grow(self._made)
        return self._made - 1

    def give_back(self, slot: int) -> None:
        """The channel is not needed any more."""
        self.put(slot, self._blank)
        self._free.append(slot)

    def row(self, slot: int) -> Row:
        """All of a channel's state."""
        sums = self._sums[slot].astype("<u8").tobytes()
        return Row(sums, self._episodes.row(slot), self._scorer.row(slot))

    def put(self, slot: int, row: Row) -> None:
        """Restore what `row` gave; MalformedError `detector_state` for another version's."""
        if len(row.sums) != len(self._blank.sums) or len(row.episode) != len(self._blank.episode):
            raise MalformedError(
                "detector_state", f"found rows of {len(row.sums)} and {len(row.episode)} bytes"
            )
        self._scorer.put(slot, row.scorer)
        self._episodes.put(slot, row.episode)
        self._sums[slot] = np.frombuffer(row.sums, "<u8")

    def going_on(self, slot: int) -> Episode | None:
        """The channel's episode that is up; its end is the last reading so far that was not low."""
        return self._episodes.going_on(slot)

    def score(self, readings: Readings) -> Found:
        """Score readings, fold their scores into the sums, and see what episodes begin and end."""
        count = len(readings.seq)
        slot = np.repeat(readings.slot, np.diff(readings.starts))
        scored = self._scorer.score(slot, readings.time_ms, readings.value)
        invalid = np.isnan(readings.value)
        place, parts = np.empty(count, np.int64), np.empty((len(readings.slot), FIELDS), np.uint64)
        runs = Runs(
            readings.slot,
            readings.starts,
            readings.ends,
            readings.seq,
            invalid,
            scored.score,
            scored.detector,
        )
        fold(self._sums, runs, place, parts)
        heard = np.where(scored.closed, scored.score, np.nan)
        said = self._episodes.take(slot, place, heard, scored.closed)
        return Found(scored.score, scored.detector, place, parts, said)
