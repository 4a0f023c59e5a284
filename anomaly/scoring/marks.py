"""Which readings an episode rests on: from a reading's place among its channel's to its time, number and frame."""

from collections import defaultdict

import numpy as np

from anomaly.detectors.episodes import Episode
from anomaly.scoring.block import Found, Readings
from anomaly.scoring.leg import Mark, Open
from anomaly.scoring.plan import Plan
from lading.episode import SCORE_MAX, Moment
from lading.fast import header_hashes
from lading.frame import HEADER_BYTES
from lading.walk import Walked


class Marks:
    """The readings of one batch."""

    def __init__(self, walked: Walked, plan: Plan, readings: Readings, found: Found, slots: set[int]) -> None:
        self._walked, self._plan, self._readings, self._found = walked, plan, readings, found
        self._starts = readings.starts.tolist()
        self._hashes: dict[int, bytes] = {}  # by frame
        self._runs: dict[int, list[int]] = defaultdict(list)
        for run, slot in enumerate(plan.slot):
            if slot in slots and plan.count[run]:
                self._runs[slot].append(run)

    def run_of(self, reading: int) -> int:
        """The run that a reading of the batch is in."""
        return int(np.searchsorted(self._readings.starts, reading, "right")) - 1

    def opened(self, episode: Episode, before: Open | None) -> Open:
        """The episode's marks, those that are not in this batch from before."""
        places = (
            episode.begin_ms,
            episode.peak_ms,
            episode.begin_ms if episode.end_ms is None else episode.end_ms,
        )
        begin, peak, last = (self._mark(episode.slot, place, before) for place in places)
        at = self._reading(episode.slot, episode.peak_ms)
        if at is not None:
            detector, score = int(self._found.detector[at]), int(episode.peak * SCORE_MAX)
            return Open(begin, peak, last, detector, score)
        assert before is not None, "a peak that is not in this batch was seen before"
        return Open(begin, peak, last, before.detector, before.score)

    def _mark(self, slot: int, place: int, before: Open | None) -> Mark:
        at = self._reading(slot, place)
        if at is None:
            assert before is not None, f"place {place} is in this batch, or was seen before"
            return next(mark for mark in before[:3] if mark.place == place)
        frame = self._plan.frame[self.run_of(at)]
        time_ms, seq = int(self._readings.time_ms[at]), int(self._readings.seq[at])
        return Mark(place, Moment(time_ms, seq, self._hash(frame)))

    def _hash(self, frame: int) -> bytes:
        if frame not in self._hashes:
            header = self._walked.headers[frame * HEADER_BYTES : (frame + 1) * HEADER_BYTES]
            self._hashes[frame] = header_hashes(header).tobytes()
        return self._hashes[frame]

    def _reading(self, slot: int, place: int) -> int | None:
        """The reading of the batch at a place of the channel."""
        for run in self._runs[slot]:
            first = int(self._found.place[self._starts[run]])
            if first <= place < first + self._plan.count[run]:
                return int(self._starts[run]) + place - first
        return None
