"""A leg's evidence moves its bond: once, whoever dies, and by what the terms say."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.agreements import Agreement
from contracts.bill import Biller, LegBill
from contracts.escrows import escrows_of
from contracts.ledger import Ledger
from contracts.parties import balance_of, credit_of, deposit, mint, withdraw
from contracts.proofs import Evidence
from contracts.steps import Planner
from contracts.typed_data import agreement_id
from lading import abi, topics
from lading.errors import ServiceError
from lading.log import SqliteLog
from lading.sending import TRIES_MAX, Fees
from lading.settlement import Settlement
from lading.tiers import Tier
from lading.verdict import Horizon, VerdictRecord
from tests.dying import Died, Fuse, places_to_die
from tests.settling import (
    ABOVE_MS,
    BOND,
    CARRIER,
    HOUR_MS,
    LATE_MS,
    MINUTE_MS,
    SHIPPER,
    SILENCE_MS,
    World,
    make_terms,
    tenant_of,
    warm_leg,
)

TIERS = (
    Tier(0, LATE_MS, 0, 50_000),
    Tier(0, SILENCE_MS, HOUR_MS, 400_000),
    Tier(1, ABOVE_MS, 10 * MINUTE_MS, 100_000),
    Tier(1, ABOVE_MS, 30 * MINUTE_MS, 200_000),
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def written(world: World) -> list[Settlement]:
    """What the log says was settled."""
    return [Settlement.decode(record.value) for record in world.log.read(topics.SETTLEMENTS, {}, 100)]


def credits_of(world: World) -> tuple[int, int]:
    """(carrier's, shipper's)."""
    return tuple(credit_of(world.chain, world.deployment, one.address) for one in (CARRIER, SHIPPER))  # type: ignore[return-value]


def test_breach_pays_the_penalty(world: World) -> None:
    """40 warm minutes reach both tiers: the shipper gets 300 000, the carrier the rest, and both can take it out."""
    leg = warm_leg(40 * MINUTE_MS)
    key = world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    world.until(lambda: bool(written(world)))
    (settlement,) = written(world)
    assert (settlement.agreement, settlement.kind, settlement.amount) == (key, "penalty", 300_000)
    assert credits_of(world) == (BOND - 300_000, 300_000)
    assert withdraw(world.chain, world.deployment, SHIPPER) == 300_000
    assert balance_of(world.chain, world.deployment, SHIPPER.address) == 300_000
    receipt = world.chain.receipt(settlement.tx_hash)
    assert receipt is not None
    assert (receipt.gas_used, receipt.block_hash) == (settlement.gas_used, settlement.block_hash)


def test_clean_leg_releases_the_bond(world: World) -> None:
    """No tier reached: the whole bond goes back."""
    leg = warm_leg(10 * MINUTE_MS)
    world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    world.until(lambda: bool(written(world)))
    (settlement,) = written(world)
    assert (settlement.kind, settlement.amount) == ("release", BOND)
    assert credits_of(world) == (BOND, 0)


def test_nothing_is_paid_before_the_verdict_is_final(world: World) -> None:
    """A provisional verdict moves no money, however long, until the deadline."""
    leg = warm_leg(40 * MINUTE_MS)
    world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames, final=False)
    for _ in range(7):
        world.step()
    assert credits_of(world) == (0, 0)
    world.judge(leg.frames)
    world.step(MINUTE_MS)
    assert credits_of(world) == (BOND - 300_000, 300_000)


def test_silence_is_settled_after_the_window(world: World) -> None:
    """A leg that never closes: its newest frame is shown after the deadline, and the silence since counts too."""
    leg = warm_leg(40 * MINUTE_MS, closed=False)
    world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    world.until(lambda: bool(written(world)))
    (settlement,) = written(world)
    assert (settlement.kind, settlement.amount) == ("penalty", 50_000 + 400_000 + 300_000)


def test_forked_leg_waits_for_the_deadline(world: World) -> None:
    """A final verdict that ends at a clone, before the closing frame, settles nothing early and asks nothing."""
    leg = warm_leg(40 * MINUTE_MS)
    world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames[:1], forked=True)
    for _ in range(5):
        world.step(1000)
    assert (credits_of(world), world.settling.waits) == ((0, 0), {})
    world.until(lambda: bool(written(world)))
    assert written(world)[0].amount == 50_000 + 400_000 + 300_000


def test_no_frame_at_all(world: World) -> None:
    """Nothing was ever shown: lateness and silence alone are due."""
    leg = warm_leg(0, closed=False)
    world.agree(make_terms(world, leg, TIERS))
    world.until(lambda: bool(written(world)))
    assert written(world)[0].amount == 50_000 + 400_000


def billed(world: World, key: bytes) -> LegBill:
    """What `lading agreement show` says of the one leg."""
    ledger = world.settling.ledger
    ledger.catch_up()
    evidence = Evidence(world.log, ledger, tenant_of)
    planner = Planner(world.chain, world.deployment.anchors, ledger, evidence)
    biller = Biller(world.chain, world.deployment.gateways, ledger, evidence, planner)
    (escrow,) = escrows_of(world.chain, world.deployment)
    (leg,) = biller.bill(world.agreements[key], escrow, world.now_ms // 1000).legs
    return leg


def test_the_bill_is_by_the_frame_that_counts(world: World) -> None:
    """While a leg is open its newest frame, beyond what the verdict names; once it has ended, what it was paid by:
    the frame that was shown, whatever came after the window."""
    leg = warm_leg(40 * MINUTE_MS, hours=3)
    key = world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames[:2])
    world.judge(leg.frames[:1])
    assert billed(world, key).basis.startswith("frame 1 of ")
    world.until(lambda: bool(written(world)))
    assert world.now_ms // 1000 >= world.agreements[key].terms.legs[0].deadline_s + 3600
    world.take(leg.frames[2:])
    world.judge(leg.frames)
    late = billed(world, key)
    assert late.basis == "frame 1, the newest shown"
    assert late.paid is not None
    assert late.due == late.paid.amount


def test_the_bill_of_a_leg_that_closed_stays_by_its_closing_frame(world: World) -> None:
    """After the window's end too."""
    leg = warm_leg(40 * MINUTE_MS)
    key = world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    world.until(lambda: bool(written(world)))
    world.now_ms += 24 * HOUR_MS
    bill = billed(world, key)
    assert (bill.basis, bill.due) == ("its closing frame", 300_000)


def test_missing_deposit_waits(world: World) -> None:
    """An agreement without its bond is not opened; the stage says by which refusal, and opens it when it is there."""
    leg = warm_leg(0)
    funded = world.agree(make_terms(world, leg, TIERS))
    terms = make_terms(world, leg, TIERS, salt=8)
    key = agreement_id(terms, world.domain)
    world.agreements[key] = Agreement.sign(terms, world.domain, CARRIER, SHIPPER)
    for _ in range(2):
        world.step(MINUTE_MS)
    assert list(world.settling.waits) == [key]
    assert "DepositTooSmall" in world.settling.waits[key]
    mint(world.chain, world.deployment, CARRIER, BOND)
    deposit(world.chain, world.deployment, CARRIER, BOND)
    world.step(MINUTE_MS)
    assert world.settling.waits == {}
    assert [world.settling.state(one) for one in (funded, key)] == ["open", "open"]


def test_another_gateways_verdict_of_the_same_leg_id_changes_nothing(world: World) -> None:
    """A leg id is no secret, and a leg may go from one gateway to the next: only the agreed gateway's, under the
    agreed limits, counts."""
    leg = warm_leg(40 * MINUTE_MS)
    world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    (record,) = world.log.read(topics.VERDICTS, {}, 10)
    verdict = VerdictRecord.decode(record.value).verdict
    for strange in (replace(verdict, gateway_id=bytes(32)), replace(verdict, limits_hash=bytes(32))):
        other = replace(strange, final=False, state="open", horizon=Horizon(0, 0, bytes(32), 0))
        world.log.append(topics.VERDICTS, [(verdict.leg_id, VerdictRecord(other, None).encode())])
    world.until(lambda: bool(written(world)))
    assert written(world)[0].amount == 300_000


def test_one_agreement_that_is_always_refused_does_not_stop_the_others(world: World) -> None:
    """A party can make a call fail whenever it is mined, as often as it likes: only its own agreement waits."""
    leg = warm_leg(40 * MINUTE_MS)
    bad = world.agree(make_terms(world, leg, TIERS, salt=1))
    for tries in range(TRIES_MAX):
        world.settle_sender.queue(f"open {bad.hex()}/{tries}", world.deployment.escrow, b"", gas=100_000)
    for _ in range(3):
        world.step(MINUTE_MS)
    assert world.settling.waits.keys() == {bad}
    good = world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    world.until(lambda: bool(written(world)))
    assert [one.agreement for one in written(world)] == [good]


def test_restart_anywhere_pays_once(world: World) -> None:
    """The stages stopped and started between any two steps: one payment, one record."""
    leg = warm_leg(40 * MINUTE_MS)
    world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    for _ in range(8):
        world.step()
        world.stop()
        world.start(Fuse())
    assert len(written(world)) == 1
    assert credits_of(world) == (BOND - 300_000, 300_000)


def test_lost_outbox_and_caches_change_nothing(world: World) -> None:
    """With the stages' own files gone, chain and log tell what was done: nothing is anchored or paid again."""
    leg = warm_leg(40 * MINUTE_MS)
    world.agree(make_terms(world, leg, TIERS))
    world.take(leg.frames)
    world.judge(leg.frames)
    for _ in range(8):
        world.step()
        world.stop()
        for name in ("anchor", "settle", "index", "ledger"):
            for path in world.folder.glob(f"{name}.sqlite*"):
                path.unlink()
        world.start(Fuse())
    world.step()
    assert len(written(world)) == 1
    assert credits_of(world) == (BOND - 300_000, 300_000)
    assert world.anchoring.index.interval_last() == 1


def test_a_ledger_of_another_log_is_refused(world: World) -> None:
    """With a ledger that has read further than the log goes, new verdicts would be passed over in silence."""
    leg = warm_leg(0)
    world.take(leg.frames)
    world.judge(leg.frames)
    world.step()
    with pytest.raises(ServiceError, match="log_lost"):
        Ledger(SqliteLog(world.folder / "new.sqlite"), world.folder / "ledger.sqlite")


@pytest.mark.slow
def test_death_at_every_write(tmp_path: Path) -> None:
    """Either stage killed before or after any write or request: one payment, of the same amount, written once."""
    calm, fuse = World(_folder(tmp_path, "calm")), Fuse()
    calm.stop()
    calm.start(fuse)
    _story(calm)
    assert credits_of(calm) == (BOND - 300_000, 300_000)
    for die_at in places_to_die(fuse):
        world = World(_folder(tmp_path, str(die_at)))
        world.stop()
        try:
            world.start(Fuse(die_at))
        except Died:
            world.stop()
            world.start(Fuse())
        _story(world)
        assert credits_of(world) == (BOND - 300_000, 300_000), die_at
        assert [one.amount for one in written(world)] == [300_000], die_at
        escrow = abi.at(world.chain, "PenaltyEscrow", world.deployment.escrow)
        assert len(escrow.events("Opened")) == len(escrow.events("Concluded")) == 1, die_at
        world.stop()


def _story(world: World) -> None:
    leg = warm_leg(40 * MINUTE_MS)
    world.agree(make_terms(world, leg, TIERS))
    steps = [
        lambda: world.step(1000),
        lambda: (world.take(leg.frames), world.judge(leg.frames)),
        *[lambda: world.step(2 * MINUTE_MS)] * 5,
    ]
    for step in steps:
        try:
            step()
        except Died:
            world.stop()
            world.start(Fuse())
            step()


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def test_transaction_beyond_the_budget_waits_by_name(tmp_path: Path) -> None:
    """Blocks that ask for more than the stage may pay: the agreement waits, and the stage says why."""
    world = World(tmp_path, fees=Fees(budget_wei=10**13))
    key = world.agree(make_terms(world, warm_leg(0), TIERS))
    for _ in range(3):
        world.step(MINUTE_MS)
    assert world.settling.state(key) == "none"
    assert world.settling.waits[key].startswith("open: budget: dearer would be")
