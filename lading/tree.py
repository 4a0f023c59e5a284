"""The Merkle tree of RFC 9162 section 2.1 over SHA-256 (docs/spec/tree.md).

Pure hashlib: the twin of `lading.lanes`, and its fallback.
"""

from collections.abc import Sequence
from hashlib import sha256 as _sha256

from lading.errors import ProofError

TREE_LEAVES_MAX = 2**32
PROOF_HASHES_MAX = 32
HASH_BYTES = 32
ZERO_HASH = bytes(HASH_BYTES)


def sha256(data: bytes) -> bytes:
    """SHA-256 of `data`, 32 bytes."""
    return _sha256(data).digest()


EMPTY_ROOT = sha256(b"")


def leaf_hash(leaf: bytes) -> bytes:
    """H(00 ‖ leaf)."""
    return _sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """H(01 ‖ left ‖ right)."""
    return _sha256(b"\x01" + left + right).digest()


def parents(level: Sequence[bytes]) -> list[bytes]:
    """The next level up: neighbours joined, an odd last node promoted unchanged."""
    joined = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        joined.append(level[-1])
    return joined


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Root over leaf hashes; `EMPTY_ROOT` over none."""
    if not leaf_hashes:
        return EMPTY_ROOT
    level: Sequence[bytes] = leaf_hashes
    while len(level) > 1:
        level = parents(level)
    return level[0]


def levels(leaf_hashes: Sequence[bytes]) -> list[list[bytes]]:
    """All levels, leaves first, root last; at least one leaf."""
    assert leaf_hashes
    found = [list(leaf_hashes)]
    while len(found[-1]) > 1:
        found.append(parents(found[-1]))
    return found


def siblings(tree_levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """Inclusion proof of leaf `index` from kept levels: siblings from the leaf upward."""
    found = []
    for level in tree_levels[:-1]:
        other = index ^ 1
        if other < len(level):
            found.append(level[other])
        index >>= 1
    return found


def proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Inclusion proof of one leaf."""
    assert 0 <= index < len(leaf_hashes)
    return siblings(levels(leaf_hashes), index)


def proofs(leaf_hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Inclusion proofs of all leaves; the tree is built once."""
    tree_levels = levels(leaf_hashes)
    return [siblings(tree_levels, index) for index in range(len(leaf_hashes))]


def check_inclusion(leaf: bytes, index: int, count: int, path: Sequence[bytes], expected_root: bytes) -> None:
    """RFC 9162 section 2.1.3.2, bound to (index, count); `leaf` is the leaf's hash.

    Raises ProofError with code proof_index, proof_short, proof_long or proof_root.
    """
    if not 0 <= index < count <= TREE_LEAVES_MAX:
        raise ProofError("proof_index", f"leaf {index} of {count}, wanted an index below a count of 1..2^32")
    if len(path) > PROOF_HASHES_MAX:
        raise ProofError("proof_long", f"{len(path)} siblings, wanted at most {PROOF_HASHES_MAX}")
    fn, sn, computed = index, count - 1, leaf
    for step, sibling in enumerate(path):
        if sn == 0:
            raise ProofError("proof_long", f"{len(path)} siblings, the root was reached after {step}")
        if fn & 1 or fn == sn:
            computed = node_hash(sibling, computed)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            computed = node_hash(computed, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ProofError("proof_short", f"{len(path)} siblings do not reach the root of {count} leaves")
    if computed != expected_root:
        raise ProofError("proof_root", f"root {computed.hex()}, wanted {expected_root.hex()}")
