"""Batches: every frame once, in log order, chained by tenant, the same wherever they are computed."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anchoring import trees
from anchoring.batches import BatchedFrame, Head, batched_frame, roll, super_root
from lading import tree
from lading.batch import BatchRecord
from lading.frame import IDLE, NO_ANCHOR, LegRef, make_run, seal
from lading.names import tenant_id
from lading.totals import EMPTY, Reading
from lading.tree import check_inclusion, leaf_hash, sha256
from tests.legs import GATEWAY

TENANTS = ("demo", "north", "a-b")


def frame(number: int, tenant: str = "demo") -> BatchedFrame:
    """A made-up frame."""
    return BatchedFrame(tenant, bytes(32), number, sha256(b"%d" % number), 1000 + number, 2000 + number)


@given(st.lists(st.sampled_from(TENANTS), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_an_interval_holds_every_frame_once(tenants: list[str]) -> None:
    """Each tenant's leaf is the tree over its frames in log order; the super-root is over the leaves by tenant id."""
    frames = [frame(number, tenant) for number, tenant in enumerate(tenants)]
    records = roll(1, ((0, 0, len(frames) - 1),), frames, {})
    assert [record.leaf.tenant for record in records] == sorted(tenant_id(name) for name in set(tenants))
    root = super_root(records)
    assert root == tree.root([leaf_hash(record.leaf.encoded) for record in records])
    for record in records:
        own = [one for one in frames if one.tenant_name == record.tenant_name]
        assert record.leaf.frames_root == tree.root([one.hash for one in own])
        assert record.leaf.frame_count == len(own)
        assert record.leaf.first_event_ms == min(one.first_ms for one in own)
        assert record.leaf.last_event_ms == max(one.last_ms for one in own)
        check_inclusion(record.leaf.hash, record.batch_index, record.batch_count, record.siblings, root)
        assert BatchRecord.decode(record.encode()) == record


def test_batches_of_a_tenant_chain() -> None:
    """The next batch counts on by one and names the leaf before; another tenant begins at 1 with zero."""
    (first,) = roll(1, ((0, 0, 0),), [frame(0)], {})
    assert (first.leaf.batch_seq, first.leaf.previous) == (1, bytes(32))
    later = roll(2, ((0, 1, 2),), [frame(1), frame(2, "north")], {"demo": Head(1, first.leaf.hash)})
    by_name = {record.tenant_name: record.leaf for record in later}
    assert (by_name["demo"].batch_seq, by_name["demo"].previous) == (2, first.leaf.hash)
    assert (by_name["north"].batch_seq, by_name["north"].previous) == (1, bytes(32))
    assert by_name["demo"].location_hash == sha256(b"demo/00000002.parquet")


def test_order_of_tenants_in_the_log_does_not_matter() -> None:
    """Frames of different tenants interleaved differently, each tenant's in the same order: the same root."""
    ours, theirs = [frame(n) for n in range(3)], [frame(n, "north") for n in range(10, 13)]
    mixed = [ours[0], theirs[0], theirs[1], ours[1], theirs[2], ours[2]]
    positions = ((0, 0, 5),)
    assert super_root(roll(1, positions, ours + theirs, {})) == super_root(roll(1, positions, mixed, {}))
    swapped = [replace(ours[0], hash=ours[1].hash), replace(ours[1], hash=ours[0].hash), ours[2]]
    assert super_root(roll(1, positions, swapped + theirs, {})) != super_root(roll(1, positions, mixed, {}))


def test_event_times_are_of_readings_else_of_the_signature() -> None:
    """Least first and greatest last time over runs with readings; a frame without readings counts as it was signed."""
    leg = LegRef(IDLE, bytes(32), bytes(32))
    runs = [
        make_run(1, 1, 0, bytes(16), [Reading(0, 5000, 1), Reading(1, 9000, 2)], EMPTY),
        make_run(2, 1, 0, bytes(16), [Reading(0, 4000, 1)], EMPTY),
        make_run(3, 1, 0, bytes(16), [], EMPTY),
    ]
    full = seal(GATEWAY, leg, 0, bytes(32), 20_000, NO_ANCHOR, runs)
    empty = seal(GATEWAY, leg, 0, bytes(32), 20_000, NO_ANCHOR, [])
    found = batched_frame("demo", full.encode())
    assert (found.first_ms, found.last_ms, found.hash) == (4000, 9000, full.header.hash)
    assert (
        batched_frame("demo", empty.encode()).first_ms,
        batched_frame("demo", empty.encode()).last_ms,
    ) == (
        20_000,
        20_000,
    )


@pytest.mark.parametrize("count", [1, 2, 3, 511, 512, 513, 1000])
def test_lanes_and_hashlib_build_the_same_tree(count: int) -> None:
    """The choice between Numba and hashlib changes nothing but time."""
    hashes = [sha256(b"%d" % number) for number in range(count)]
    assert trees.tree_root(hashes) == tree.root(hashes)
    assert [list(path) for path in trees.tree_proofs(hashes)] == tree.proofs(hashes)
    assert list(trees.tree_proof(hashes, count // 2)) == tree.proof(hashes, count // 2)
