"""Anchoring and settling on a real node: the same stages, a P-256 precompile, true reorganisations."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.chain import HttpRpc
from lading.settlement import Settlement
from lading.tiers import Tier
from tests.amounts import settle_many
from tests.services.anvil import anvil
from tests.settling import ABOVE_MS, BOND, HOUR_MS, MINUTE_MS, START_MS, World, make_terms, warm_leg

ANCHOR_GAS_MAX = 60_000
SETTLE_GAS_MAX = 180_000
TIERS = (Tier(1, ABOVE_MS, 10 * MINUTE_MS, 100_000), Tier(1, ABOVE_MS, 30 * MINUTE_MS, 200_000))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with anvil("--timestamp", str(START_MS // 1000), "--slots-in-an-epoch", "1") as url:
        yield World(tmp_path, HttpRpc(url))


def written(world: World) -> list[Settlement]:
    """What the log says was settled."""
    return world.settling.ledger.settlements()


def test_breach_pays_within_the_gas_promised(world: World) -> None:
    """One transaction anchors an interval for at most 60 k gas, one settles a leg for at most 180 k."""
    leg = warm_leg(40 * MINUTE_MS)
    world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    world.until(lambda: bool(written(world)), MINUTE_MS)
    (settlement,) = written(world)
    anchor = world.anchoring.index.anchor(1)
    assert anchor is not None
    assert (settlement.kind, settlement.amount) == ("penalty", 300_000)
    assert anchor.gas_used <= ANCHOR_GAS_MAX
    assert settlement.gas_used <= SETTLE_GAS_MAX


def test_reorganised_anchor_comes_back(world: World) -> None:
    """An anchor that a reorganisation takes away is sent again and mined in another block, with the same root."""
    leg = warm_leg(0)
    world.take(leg.frames)
    index = world.anchoring.index

    def state() -> str:
        record = index.anchor(1)
        return "" if record is None else record.state

    world.until(lambda: state() == "mined", 1000)
    before = index.anchor(1)
    assert before is not None
    world.chain.rpc.request("anvil_reorg", [world.chain.head().number - before.block_number + 1, []])
    assert world.chain.receipt(before.tx_hash) is None
    world.anchoring.step(world.now_ms)
    again = index.anchor(1)
    assert again is not None
    assert again.block_hash != before.block_hash
    world.until(lambda: state() == "finalized", 1000)
    after = index.anchor(1)
    assert after is not None
    assert (after.super_root, after.tx_hash) == (before.super_root, before.tx_hash)
    assert after.block_hash != before.block_hash


def test_reorganised_payment_is_not_written_and_comes_back(world: World) -> None:
    """A payment that is mined and lost again is sent again; the log hears of it once, when it is final."""
    leg = warm_leg(40 * MINUTE_MS)
    key = world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    world.until(lambda: world.settling.state(key) == "settled", MINUTE_MS)
    assert written(world) == []
    (sent,) = [one for one in world.settle_sender.open_intents() if one.key.startswith("settle")]
    receipt = world.chain.receipt(sent.tx_hash)
    assert receipt is not None
    world.chain.rpc.request("anvil_reorg", [world.chain.head().number - receipt.block_number + 1, []])
    assert world.settling.state(key) == "open"
    world.until(lambda: bool(written(world)), MINUTE_MS)
    (settlement,) = written(world)
    assert (settlement.amount, settlement.tx_hash) == (300_000, sent.tx_hash)
    for _ in range(3):
        world.step(MINUTE_MS)
    assert len(written(world)) == 1


def test_chain_pays_what_is_due(world: World) -> None:
    """Many legs with made-up totals and terms: the chain pays what Python says is due."""
    found = settle_many(world, seed=2, legs=24)
    assert [paid for _, _, paid in found] == [due for _, due, _ in found]
    assert {due == 0 for _, due, _ in found} == {True, False}
    assert any(due not in (0, BOND) for _, due, _ in found)


def test_finish_waits_until_what_was_shown_is_final(world: World) -> None:
    """On another branch, without the frame, `finish` would pay too little: it is not sent before that is final."""
    leg = warm_leg(40 * MINUTE_MS, closed=False)
    world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    end_ms = START_MS + 7 * HOUR_MS
    world.until(lambda: any(one.key.startswith("show") for one in world.settle_sender.open_intents()))
    world.step(end_ms - world.now_ms)
    assert [one.key for one in world.settle_sender.open_intents() if one.key.startswith("finish")] == []
    world.until(lambda: bool(written(world)), MINUTE_MS)
    assert written(world)[0].amount == 300_000
