"""Promise: one tree, RFC 9162's, and no proof of anything else is accepted."""

import hashlib
import random

import pytest

from lading import tree
from lading.errors import ProofError


def recursive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1 word for word: split at the largest power of two smaller than n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + recursive_root(leaves[:k]) + recursive_root(leaves[k:])).digest()


def recursive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 9162 section 2.1.3.1 word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*recursive_path(m, leaves[:k]), recursive_root(leaves[k:])]
    return [*recursive_path(m - k, leaves[k:]), recursive_root(leaves[:k])]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 100])
def test_root_is_the_rfcs_recursive_root(count: int) -> None:
    """Building level by level with promotion gives the RFC's recursive definition."""
    leaves = [bytes([i]) * (i % 5) for i in range(count)]
    assert tree.root([tree.leaf_hash(leaf) for leaf in leaves]) == recursive_root(leaves)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 8, 13, 64, 65])
def test_every_leaf_has_the_rfcs_path_and_it_verifies(count: int) -> None:
    """Proofs are the RFC's PATH, and the RFC's verification accepts them."""
    leaves = [bytes([i, 7]) for i in range(count)]
    hashes = [tree.leaf_hash(leaf) for leaf in leaves]
    for index, path in enumerate(tree.proofs(hashes)):
        assert path == recursive_path(index, leaves) == tree.proof(hashes, index)
        tree.check_inclusion(hashes[index], index, count, path, tree.root(hashes))


def test_a_proof_holds_for_one_index_count_and_path_only() -> None:
    """Any other index, count, leaf, or a sibling changed, dropped, added or swapped is refused."""
    randomness = random.Random(7)
    for count in (2, 3, 5, 8, 11):
        hashes = [randomness.randbytes(32) for _ in range(count)]
        root = tree.root(hashes)
        for index, path in enumerate(tree.proofs(hashes)):
            attempts = [
                (hashes[index], other, total, path)
                for total in range(count + 4)
                for other in range(count + 4)
                if (other, total) != (index, count)
            ]
            attempts += [
                (hashes[index], index, count, path[:-1]),
                (hashes[index], index, count, [*path, path[-1]]),
                (hashes[index], index, count, [*path[:-1], bytes(32)]),
                (hashes[index ^ 1] if index ^ 1 < count else bytes(32), index, count, path),
            ]
            for leaf, at, total, siblings in attempts:
                if path_is_equivalent(index, count, at, total):
                    continue
                with pytest.raises(ProofError):
                    tree.check_inclusion(leaf, at, total, siblings, root)


def path_is_equivalent(index: int, count: int, other: int, total: int) -> bool:
    """True where the same siblings are the proof of the same shape: RFC 9162 binds the root to its count elsewhere.

    The same leaf with the same left/right turns verifies under another count; the count is signed or anchored.
    """
    return other < total and turns(index, count) == turns(other, total)


def turns(index: int, count: int) -> list[bool]:
    """Left or right at each step of the path."""
    found = []
    last = count - 1
    while last:
        if index & 1:
            found.append(True)
        elif index < last:
            found.append(False)
        index, last = index >> 1, last >> 1
    return found


@pytest.mark.parametrize(
    ("index", "count", "path", "code"),
    [
        (0, 0, [], "proof_index"),
        (3, 3, [], "proof_index"),
        (-1, 3, [], "proof_index"),
        (0, 2**32 + 1, [], "proof_index"),
        (0, 1, [bytes(32)], "proof_long"),
        (0, 4, [bytes(32)] * 33, "proof_long"),
        (0, 4, [bytes(32)], "proof_short"),
        (0, 2, [bytes(32)], "proof_root"),
    ],
)
def test_refusals_have_their_names(index: int, count: int, path: list[bytes], code: str) -> None:
    """Each refusal carries the code of docs/spec/tree.md."""
    with pytest.raises(ProofError) as caught:
        tree.check_inclusion(bytes(32), index, count, path, bytes(32))
    assert caught.value.code == code
