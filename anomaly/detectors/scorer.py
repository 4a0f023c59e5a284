"""The ensemble over many channels: their state in one block, a row a channel."""

from typing import NamedTuple

import numpy as np

from anomaly.detectors.arith import Bytes, Floats, Ints
from anomaly.detectors.ensemble import DETECTORS, RUN_READINGS, WIDTH, WORK, ensemble
from lading.errors import MalformedError

__all__ = ["DETECTORS", "ROW_BYTES", "STATE_BYTES", "Scored", "Scorer"]

ROW_VERSION = 2
STATE_BYTES = 8 * WIDTH
ROW_BYTES = 1 + STATE_BYTES
_ROOM_MIN = 16


class Scored(NamedTuple):
    """One entry a reading."""

    score: Floats  # in [0, 1]; 0 for a fault and while a channel is new
    detector: Bytes  # which view said most: a number in DETECTORS
    closed: Bytes  # 1 where a row became known, so that the score is new


class Scorer:
    """Scores readings of `count` channels, or of more after `grow`. One thread at a time."""

    def __init__(self, count: int = 0) -> None:
        self._count = count
        self._state = np.zeros((max(count, _ROOM_MIN), WIDTH))
        self._work, self._times = np.empty(WORK), np.empty(RUN_READINGS, np.int64)

    @property
    def count(self) -> int:
        """Channels there is state for."""
        return self._count

    def grow(self, count: int) -> None:
        """State for `count` channels; those that are there keep theirs."""
        if count > len(self._state):
            room = np.zeros((max(count, 2 * len(self._state)), WIDTH))
            room[: self._count] = self._state[: self._count]
            self._state = room
        self._count = max(count, self._count)

    def score(self, slot: Ints, time_ms: Ints, value: Floats) -> Scored:
        """Scores of readings, each of the channel in `slot`; those of one channel in time order. NaN is a fault."""
        assert len(slot) == len(time_ms) == len(value), "one slot, time and value a reading"
        assert not len(slot) or 0 <= slot.min() <= slot.max() < self._count, "slots below `count`"
        if bool((slot[1:] < slot[:-1]).any()):
            return self._by_channel(slot, time_ms, value)
        scored = Scored(np.empty(len(value)), *(np.empty(len(value), np.uint8) for _ in range(2)))
        ensemble(self._state, slot, time_ms, value, *scored, self._work, self._times)
        scored.score[np.isnan(scored.score)] = 0.0
        return scored

    def _by_channel(self, slot: Ints, time_ms: Ints, value: Floats) -> Scored:
        """The same, a channel after the other: its state stays near while its readings are scored."""
        order = np.argsort(slot, kind="stable")
        found = self.score(slot[order], time_ms[order], value[order])
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return Scored(found.score[back], found.detector[back], found.closed[back])

    def row(self, slot: int) -> bytes:
        """One channel's state: ROW_VERSION u8, then WIDTH f64, little-endian."""
        assert 0 <= slot < self._count
        return bytes([ROW_VERSION]) + bytes(self._state[slot].astype("<f8").tobytes())

    def put(self, slot: int, row: bytes) -> None:
        """Restore what `row` gave, here or in another process."""
        assert 0 <= slot < self._count
        if len(row) != ROW_BYTES or row[0] != ROW_VERSION:
            found = f"version {row[0]} of {len(row)} bytes" if row else "no bytes"
            raise MalformedError(
                "detector_state", f"found {found}, wanted version {ROW_VERSION} of {ROW_BYTES} bytes"
            )
        self._state[slot] = np.frombuffer(row, "<f8", offset=1)
