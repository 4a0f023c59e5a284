"""SHA-256 and the tree of docs/spec/tree.md, sixteen messages at a time, in Numba; `lading.tree` is the pure twin.

`lading.sha16` emits the compression function; here are the kernels over rows of bytes. Hashes are rows of (n, 32) u8.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from lading.sha16 import LANES, compress16, nodes16, start16, store16
from lading.tree import EMPTY_ROOT, HASH_BYTES, siblings

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

_BLOCK = 64
_LENGTH_BYTES = 9  # the end mark and the message's length in bits


@njit(cache=True)
def _hash_rows(rows: Bytes, prefix: int, scratch: Bytes, state: npt.NDArray[np.uint32], out: Bytes) -> None:
    """out[i] = SHA-256(prefix byte ‖ rows[i]), or of rows[i] alone where prefix is negative.

    rows (n, k) u8; scratch (16, blocks·64) u8 already holds prefix and padding; state (128,) u32; out (n, 32) u8.
    """
    n, k = rows.shape
    skip = 0 if prefix < 0 else 1
    sources = np.empty(LANES, np.int64)
    targets = np.empty(LANES, np.int64)
    for first in range(0, n, LANES):
        for lane in range(LANES):
            row = min(first + lane, n - 1)
            scratch[lane, skip : skip + k] = rows[row]
            targets[lane] = row * HASH_BYTES
        start16(state)
        for at in range(0, scratch.shape[1], _BLOCK):
            for lane in range(LANES):
                sources[lane] = lane * scratch.shape[1] + at
            compress16(state, scratch, sources)
        store16(state, out, targets)
