"""The lanes give hashlib's digests and `lading.tree`'s trees, for every shape."""

import hashlib
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading import lanes, tree


def random_rows(count: int, length: int, seed: int = 1) -> lanes.Rows:
    return np.random.default_rng(seed).integers(0, 256, (count, length), dtype=np.uint8)


@pytest.mark.parametrize("length", [0, 1, 41, 54, 55, 56, 62, 63, 64, 65, 118, 119, 120, 158, 207, 241, 1000])
def test_digests_equal_hashlib(length: int) -> None:
    """Each row's digest is hashlib's, with and without the leaf prefix, at every edge of the padding."""
    for count in (1, 15, 16, 17, 40):
        rows = random_rows(count, length, seed=count)
        plain = [hashlib.sha256(row.tobytes()).digest() for row in rows]
        assert [row.tobytes() for row in lanes.digests(rows)] == plain
        assert [row.tobytes() for row in lanes.leaf_hashes(rows)] == [
            tree.leaf_hash(row.tobytes()) for row in rows
        ]


def test_no_rows_give_no_digests() -> None:
    """Nothing in, nothing out."""
    assert lanes.leaf_hashes(random_rows(0, 41)).shape == (0, 32)


def test_standard_messages() -> None:
    """The examples of FIPS 180-4 ("abc" and the two-block message)."""
    for message, digest in (
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ):
        assert lanes.digests(np.frombuffer(message, np.uint8)[None])[0].tobytes().hex() == digest


def test_roots_equal_the_twin_for_every_count() -> None:
    """The root over n hashes is `lading.tree`'s for every n in 0..600."""
    rows = random_rows(600, 32)
    hashes = [row.tobytes() for row in rows]
    for count in range(601):
        assert lanes.tree_root(rows[:count]) == tree.root(hashes[:count]), count


def test_levels_and_proofs_equal_the_twin() -> None:
    """Kept levels and all inclusion proofs are `lading.tree`'s; each proof leads to the root."""
    for count in [*range(1, 70), 255, 256, 257]:
        rows = random_rows(count, 32, seed=count)
        hashes = [row.tobytes() for row in rows]
        levels = lanes.tree_levels(rows)
        assert [[row.tobytes() for row in level] for level in levels] == tree.levels(hashes)
        found = lanes.proofs(levels)
        assert found == tree.proofs(hashes)
        assert lanes.proof(levels, count // 2) == found[count // 2]
        tree.check_inclusion(hashes[-1], count - 1, count, found[-1], levels[-1][0].tobytes())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 300), max_size=40), st.integers(0, 2**32))
def test_segments_equal_single_trees(counts: list[int], seed: int) -> None:
    """Many trees at once are the trees one by one, empty ones included; the hashes given stay as they were."""
    starts = np.cumsum([0, *counts])
    rows = random_rows(sum(counts), 32, seed)
    before = rows.copy()
    roots = lanes.segment_roots(rows, starts)
    assert (rows == before).all()
    hashes = [row.tobytes() for row in rows]
    bounds = pairwise(starts)
    assert [root.tobytes() for root in roots] == [tree.root(hashes[first:last]) for first, last in bounds]


def test_rows_from_bytes() -> None:
    """`as_rows` keeps order and bytes."""
    hashes = [random.Random(i).randbytes(32) for i in range(5)]
    assert [row.tobytes() for row in lanes.as_rows(hashes)] == hashes
