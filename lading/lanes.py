"""SHA-256 and the tree of docs/spec/tree.md, sixteen messages at a time, in Numba; `lading.tree` is the pure twin.

`lading.sha16` emits the compression function; here are the kernels over many rows. Hashes are rows of (n, 32) u8.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from lading.sha16 import (
    BLOCK_BYTES,
    DIGEST_BYTES,
    IV,
    LANES,
    STATE_WORDS,
    compress_rows,
    copy_bytes,
    hash_nodes,
    store_digests,
)
from lading.tree import EMPTY_ROOT

Rows = npt.NDArray[np.uint8]
Starts = npt.NDArray[np.int64]

_LEAF_PREFIX = b"\x00"
_LENGTH_BYTES = 8
_START = np.array(IV, np.uint32)


def as_rows(hashes: Sequence[bytes]) -> Rows:
    """Hashes of 32 bytes each as rows that a kernel may write."""
    return np.frombuffer(bytearray().join(hashes), np.uint8).reshape(-1, DIGEST_BYTES)


def leaf_hashes(leaves: Rows) -> Rows:
    """H(00 ‖ leaf) of each row of (n, k) u8."""
    return _hash(leaves, _LEAF_PREFIX)


def digests(messages: Rows) -> Rows:
    """SHA-256 of each row of (n, k) u8."""
    return _hash(messages, b"")


def tree_root(hashes: Rows) -> bytes:
    """Root over n leaf hashes; `EMPTY_ROOT` over none."""
    above = _join_level(hashes)
    return bytes(reduce_segments(above.reshape(-1), np.array([0, len(above)]))[0])


def segment_roots(hashes: Rows, starts: Starts) -> Rows:
    """The root of each of m trees: tree i is over the hashes starts[i] .. starts[i + 1] − 1. starts is (m + 1,)."""
    assert 0 <= starts[0] <= starts[-1] <= len(hashes)
    assert bool((starts[1:] >= starts[:-1]).all())
    return reduce_segments(np.array(hashes, np.uint8, order="C").reshape(-1), np.asarray(starts, np.int64))


def reduce_segments(hashes: Rows, starts: Starts) -> Rows:
    """`segment_roots` that uses up its hashes (n·32,): level by level over all trees at once, in place.

    A lane batch reads its children before it writes, and a parent never lies past its children, so nothing that is
    still to be read is overwritten.
    """
    counts = np.diff(starts)
    sources, targets = _offsets(int(counts.sum()) // 2)
    while pairs := _plan_level(starts, counts, sources, targets):
        _join(hashes, sources, hashes, targets, pairs)
        _promote(hashes, starts, counts)
    roots = np.empty((len(counts), DIGEST_BYTES), np.uint8)
    roots[counts > 0] = hashes.reshape(-1, DIGEST_BYTES)[starts[:-1][counts > 0]]
    roots[counts == 0] = np.frombuffer(EMPTY_ROOT, np.uint8)
    return roots


def tree_levels(hashes: Rows) -> list[Rows]:
    """All levels, leaves first, root last; at least one leaf."""
    found = [np.ascontiguousarray(hashes)]
    while len(found[-1]) > 1:
        found.append(_join_level(found[-1]))
    return found


def _join_level(below: Rows) -> Rows:
    """One level up; an odd last node is promoted."""
    pairs = len(below) // 2
    above = np.empty((len(below) - pairs, DIGEST_BYTES), np.uint8)
    at = np.minimum(np.arange(_padded(pairs)), pairs - 1) * DIGEST_BYTES
    _join(_flat(below), 2 * at, above.reshape(-1), at, pairs)
    above[pairs:] = below[2 * pairs :]
    return above


def _padded(pairs: int) -> int:
    """Room for offsets of whole lane batches."""
    return -(-pairs // LANES) * LANES


def _offsets(pairs: int) -> tuple[Starts, Starts]:
    return np.empty(_padded(pairs), np.int64), np.empty(_padded(pairs), np.int64)


def proof(levels: Sequence[Rows], index: int) -> list[bytes]:
    """Inclusion proof of leaf `index` from `tree_levels`: siblings from the leaf upward."""
    found = []
    for level in levels[:-1]:
        if index ^ 1 < len(level):
            found.append(level[index ^ 1].tobytes())
        index >>= 1
    return found


def proofs(levels: Sequence[Rows]) -> list[list[bytes]]:
    """Inclusion proofs of all leaves; each sibling becomes one bytes object, shared by the proofs that hold it."""
    below = [[row.tobytes() for row in level] for level in levels[:-1]]
    return [
        [level[at] for depth, level in enumerate(below) if (at := index >> depth ^ 1) < len(level)]
        for index in range(len(levels[0]))
    ]


def _hash(rows: Rows, prefix: bytes) -> Rows:
    count, length = rows.shape
    message = len(prefix) + length
    blocks = (message + 1 + _LENGTH_BYTES + BLOCK_BYTES - 1) // BLOCK_BYTES
    padded = bytearray(blocks * BLOCK_BYTES)
    padded[: len(prefix)] = prefix
    padded[message] = 0x80
    padded[-_LENGTH_BYTES:] = (8 * message).to_bytes(_LENGTH_BYTES, "big")
    out = np.empty((count, DIGEST_BYTES), np.uint8)
    scratch = np.frombuffer(padded * LANES, np.uint8)
    _hash_rows(_flat(rows), count, length, len(prefix), blocks, scratch, out.reshape(-1))
    return out


def _flat(rows: Rows) -> Rows:
    """Row-major bytes that the kernels take: contiguous and writable, copied only where they are not."""
    contiguous = np.ascontiguousarray(rows, np.uint8)
    return (contiguous if contiguous.flags.writeable else contiguous.copy()).reshape(-1)


@njit(cache=True)
def _hash_rows(rows: Rows, n: int, k: int, skip: int, blocks: int, scratch: Rows, out: Rows) -> None:
    """SHA-256 of rows (n·k,) u8 into out (n·32,) u8, each behind `skip` bytes that scratch already holds.

    scratch (16·blocks·64,) u8: one message a lane with prefix, end mark and length in place.
    """
    state = np.empty(STATE_WORDS * LANES, np.uint32)
    sources = np.empty(LANES, np.int64)
    targets = np.empty(LANES, np.int64)
    for first in range(0, n, LANES):
        for lane in range(LANES):
            row = min(first + lane, n - 1)
            copy_bytes(scratch, lane * blocks * BLOCK_BYTES + skip, rows, row * k, k)
            targets[lane] = row * DIGEST_BYTES
        for word in range(STATE_WORDS):
            state[word * LANES : (word + 1) * LANES] = _START[word]
        for block in range(blocks):
            for lane in range(LANES):
                sources[lane] = (lane * blocks + block) * BLOCK_BYTES
            compress_rows(state, scratch, sources)
        store_digests(state, out, targets)


@njit(cache=True)
def _join(source: Rows, sources: Starts, target: Rows, targets: Starts, pairs: int) -> None:
    """Node hashes of the pairs of (·32,) u8 at sources to targets (byte offsets, padded to a multiple of 16)."""
    for first in range(0, pairs, LANES):
        hash_nodes(source, sources, target, targets, first)


@njit(cache=True)
def _plan_level(starts: Starts, counts: Starts, sources: Starts, targets: Starts) -> int:
    """Offsets of every tree's pairs and of their parents, in place: parent j of a tree replaces its row j.

    starts, counts (m,): where each tree's level lies, in hashes. Gives the number of pairs.
    """
    pairs = 0
    for i in range(len(counts)):
        for pair in range(counts[i] // 2):
            sources[pairs] = (starts[i] + 2 * pair) * DIGEST_BYTES
            targets[pairs] = (starts[i] + pair) * DIGEST_BYTES
            pairs += 1
    for spare in range(pairs, -(-pairs // LANES) * LANES):  # spare lanes repeat the last pair
        sources[spare] = sources[pairs - 1]
        targets[spare] = targets[pairs - 1]
    return pairs


@njit(cache=True)
def _promote(hashes: Rows, starts: Starts, counts: Starts) -> None:
    """Moves odd last nodes to the end of the next level, and sets its counts."""
    for i in range(len(counts)):
        half = counts[i] // 2
        if half and counts[i] % 2:
            last = starts[i] + counts[i] - 1
            copy_bytes(hashes, (starts[i] + half) * DIGEST_BYTES, hashes, last * DIGEST_BYTES, DIGEST_BYTES)
        counts[i] -= half
