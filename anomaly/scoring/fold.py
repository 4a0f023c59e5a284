# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
# In compiled code int and numpy's integers are one.
"""Kernel: a channel's scores in short, part by part (docs/spec/anomaly.md)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from anomaly.detectors.arith import Bytes, Floats, Ints

Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

# A channel's row. TAKEN counts readings since the scoring began, the rest is of this part; PEAK are a score's bits,
# which sort as scores do.
FIELDS = 7
TAKEN, FIRST_SEQ, COUNT, INVALID, PEAK, PEAK_SEQ, DIGEST = range(FIELDS)
DIGEST_START = 14695981039346656037
_START = np.uint64(DIGEST_START)
_PRIME = np.uint64(1099511628211)
_ZERO, _ONE = np.uint64(0), np.uint64(1)


class Runs(NamedTuple):
    """r runs of n readings, in the order of the log."""

    slot: Ints  # (r,) the channel's row
    starts: Ints  # (r + 1,) first reading of each run
    ends: Flags  # (r,) the run is its part's last
    seq: Words  # (n,) the reading's number
    invalid: Flags  # (n,) FAULT or CLOCK
    score: Floats  # (n,) in [0, 1]
    detector: Bytes  # (n,)


@njit(cache=True)
def fold(rows: Words, runs: Runs, place: Ints, parts: Words) -> None:
    """Fold runs into `rows` (channels, FIELDS) u64.

    place (n,) i64 gets each reading's place among its channel's, from 0; parts (r, FIELDS) u64 the row after each run.
    Digest: FNV-1a over 64-bit words, a score's bits and then its detector.
    """
    for r in range(len(runs.slot)):
        row = rows[runs.slot[r]]
        for i in range(runs.starts[r], runs.starts[r + 1]):
            bits = np.float64(runs.score[i]).view(np.uint64)
            if row[COUNT] == _ZERO:
                row[FIRST_SEQ], row[INVALID], row[DIGEST] = runs.seq[i], _ZERO, _START
                row[PEAK], row[PEAK_SEQ] = bits, runs.seq[i]
            elif bits > row[PEAK]:
                row[PEAK], row[PEAK_SEQ] = bits, runs.seq[i]
            place[i] = row[TAKEN]
            row[TAKEN] += _ONE
            row[COUNT] += _ONE
            row[INVALID] += _ONE if runs.invalid[i] else _ZERO
            row[DIGEST] = (row[DIGEST] ^ bits) * _PRIME
            row[DIGEST] = (row[DIGEST] ^ np.uint64(runs.detector[i])) * _PRIME
        parts[r] = row
        if runs.ends[r]:
            row[COUNT] = _ZERO
