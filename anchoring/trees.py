"""The one choice of how trees are built: many lanes in Numba where it is installed and pays, else hashlib."""

from collections.abc import Sequence

from lading import tree

LANES_LEAVES_MIN = 512  # below, hashlib is done before the rows are laid out

try:
    from lading import lanes
except ImportError:  # Numba is an extra
    lanes = None  # type: ignore[assignment]


def tree_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Root over leaf hashes."""
    if lanes is None or len(leaf_hashes) < LANES_LEAVES_MIN:
        return tree.root(leaf_hashes)
    return lanes.tree_root(lanes.as_rows(leaf_hashes))


def tree_proof(leaf_hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Siblings of one leaf."""
    if lanes is None or len(leaf_hashes) < LANES_LEAVES_MIN:
        return tuple(tree.proof(leaf_hashes, index))
    return tuple(lanes.proof(lanes.tree_levels(lanes.as_rows(leaf_hashes)), index))


def tree_proofs(leaf_hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Siblings of every leaf."""
    if lanes is None or len(leaf_hashes) < LANES_LEAVES_MIN:
        return tree.proofs(leaf_hashes)
    return lanes.proofs(lanes.tree_levels(lanes.as_rows(leaf_hashes)))
