"""Building the tree of many leaves: lanes against a hashlib loop and pymerkle."""

from hashlib import sha256

import numpy as np
from pymerkle import InmemoryTree

from benchmarks.measure import Result, Work, compare
from lading import lanes

LEAF_BYTES = 96
LEAVES, LEAVES_QUICK = 1 << 20, 1 << 17
PEER_LEAVES = 100_000
PYMERKLE_LEAVES = 10_000


def hashlib_root(leaves: list[bytes]) -> bytes:
    """The peer: the shortest loop over hashlib that gives the same root."""
    level = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        above = [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def pymerkle_root(leaves: list[bytes]) -> bytes:
    """The other peer: a tree that can be appended to and proves, as its users build it."""
    tree = InmemoryTree(algorithm="sha256")
    for leaf in leaves:
        tree.append_entry(leaf)
    return bytes(tree.get_state())


def run(*, quick: bool) -> list[Result]:
    """Leaves to root, leaves of 96 bytes."""
    count = LEAVES_QUICK if quick else LEAVES
    rows = np.random.default_rng(1).integers(0, 256, (count, LEAF_BYTES), dtype=np.uint8)
    some = [row.tobytes() for row in rows[:PEER_LEAVES]]
    few = some[:PYMERKLE_LEAVES]
    assert lanes.tree_root(lanes.leaf_hashes(rows[:PEER_LEAVES])) == hashlib_root(some)
    assert pymerkle_root(few) == hashlib_root(few)
    works = {
        "lading.lanes": Work(lambda: lanes.tree_root(lanes.leaf_hashes(rows)), count),
        "hashlib loop": Work(lambda: hashlib_root(some), len(some)),
        "pymerkle": Work(lambda: pymerkle_root(few), len(few)),
    }
    data = f"{count} leaves of {LEAF_BYTES} bytes; hashlib {len(some)}, pymerkle {len(few)}; one thread"
    return [compare("tree building", "leaves/s", data, works, quick=quick)]
