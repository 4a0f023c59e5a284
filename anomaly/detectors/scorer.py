"""The ensemble over many channels: their state in chunks of memory, a row a channel."""

from typing import NamedTuple

import numpy as np

from anomaly.detectors.arith import Bytes, Floats, Ints
from anomaly.detectors.ensemble import DETECTORS, RUN_READINGS, WIDTH, WORK, ensemble, silent_rows
from lading.errors import MalformedError

__all__ = ["DETECTORS", "ROW_BYTES", "STATE_BYTES", "Scored", "Scorer"]

ROW_VERSION = 2
STATE_BYTES = 8 * WIDTH
ROW_BYTES = 1 + STATE_BYTES
CHUNK_ROWS = 4_096
"""State grows by these, and no row moves: to move all of them to a longer block would hold them twice. A chunk is long
enough (74 MB) to be a mapping of its own, of large pages, and takes memory only as its rows are used."""


class Scored(NamedTuple):
    """One entry a reading."""

    score: Floats  # in [0, 1]; 0 for a fault and while a channel is new
    detector: Bytes  # which view said most: a number in DETECTORS
    closed: Bytes  # 0 where the score is no new one; else how many rows of five minutes its row is, 1 to 4


class Scorer:
    """Scores readings of `count` channels, or of more after `grow`. One thread at a time."""

    def __init__(self, count: int = 0) -> None:
        self._count = 0
        self._chunks: list[Floats] = []  # (CHUNK_ROWS, WIDTH) each
        self._work, self._times = np.empty(WORK), np.empty(RUN_READINGS, np.int64)
        self.grow(count)

    @property
    def count(self) -> int:
        """Channels there is state for."""
        return self._count

    def grow(self, count: int) -> None:
        """State for `count` channels; those that are there keep theirs."""
        while count > CHUNK_ROWS * len(self._chunks):
            self._chunks.append(np.zeros((CHUNK_ROWS, WIDTH)))
        self._count = max(count, self._count)

    def score(self, slot: Ints, time_ms: Ints, value: Floats) -> Scored:
        """Scores of readings, each of the channel in `slot`; those of one channel in time order. NaN is a fault."""
        assert len(slot) == len(time_ms) == len(value), "one slot, time and value a reading"
        assert not len(slot) or 0 <= slot.min() <= slot.max() < self._count, "slots below `count`"
        if bool((slot[1:] < slot[:-1]).any()):
            return self._by_channel(slot, time_ms, value)
        scored = Scored(np.empty(len(value)), *(np.empty(len(value), np.uint8) for _ in range(2)))
        edges = np.searchsorted(slot, CHUNK_ROWS * np.arange(len(self._chunks) + 1))
        for chunk in np.flatnonzero(np.diff(edges)):
            those = slice(edges[chunk], edges[chunk + 1])
            row = slot[those] - chunk * CHUNK_ROWS
            said = (one[those] for one in scored)
            ensemble(self._chunks[chunk], row, time_ms[those], value[those], *said, self._work, self._times)
        scored.score[np.isnan(scored.score)] = 0.0
        return scored

    def _by_channel(self, slot: Ints, time_ms: Ints, value: Floats) -> Scored:
        """The same, a channel after the other: its state stays near while its readings are scored."""
        order = np.argsort(slot, kind="stable")
        found = self.score(slot[order], time_ms[order], value[order])
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return Scored(found.score[back], found.detector[back], found.closed[back])

    def silent_rows(self, slot: int) -> int:
        """In how many of a channel's first rows next to nothing can be said, as far as its rate is known."""
        return silent_rows(self._row(slot))

    def row(self, slot: int) -> bytes:
        """One channel's state: ROW_VERSION u8, then WIDTH f64, little-endian."""
        assert 0 <= slot < self._count
        return bytes([ROW_VERSION]) + bytes(self._row(slot).astype("<f8").tobytes())

    def put(self, slot: int, row: bytes) -> None:
        """Restore what `row` gave, here or in another process."""
        assert 0 <= slot < self._count
        if len(row) != ROW_BYTES or row[0] != ROW_VERSION:
            found = f"version {row[0]} of {len(row)} bytes" if row else "no bytes"
            raise MalformedError(
                "detector_state", f"found {found}, wanted version {ROW_VERSION} of {ROW_BYTES} bytes"
            )
        self._row(slot)[:] = np.frombuffer(row, "<f8", offset=1)

    def _row(self, slot: int) -> Floats:
        chunk, at = divmod(slot, CHUNK_ROWS)
        row: Floats = self._chunks[chunk][at]
        return row
