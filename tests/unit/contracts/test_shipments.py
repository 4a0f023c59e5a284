"""Shipments of several legs, late evidence, finality, and agreements of the escrow before."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.agreements import Agreement
from contracts.escrows import State, escrows_of
from contracts.legs import leg_terms
from contracts.parties import credit_of, deposit, mint, withdraw
from contracts.proofs import Evidence
from contracts.typed_data import Domain
from lading import abi, topics
from lading.chain import FINALIZED, Rpc
from lading.chaincheck import ChainCheck
from lading.checks import Expected, Status
from lading.decoding import decode_frame
from lading.errors import ServiceError
from lading.export import export_leg
from lading.frame import Frame
from lading.sending import TRIES_MAX
from lading.settlement import Settlement
from lading.terms import Terms
from lading.terms_v1 import TermsV1
from lading.tiers import Metric, Tier
from lading.totals import Reading
from lading.verify import verify
from lading.wallet import Wallet
from tests.dying import Fuse
from tests.legs import GATEWAY, OPERATOR, Leg, make_leg, make_order
from tests.settling import (
    ABOVE_MS,
    BOND,
    CARRIER,
    DEPLOYER,
    HOUR_MS,
    LIMITS,
    MINUTE_MS,
    SHIPPER,
    SILENCE_MS,
    START_MS,
    World,
    make_terms,
    warm_leg,
)
from tests.unit.lading.test_chaincheck import OneGateway

TIERS = (Tier(0, SILENCE_MS, HOUR_MS, 400_000), Tier(1, ABOVE_MS, 30 * MINUTE_MS, 200_000))
DEADLINE_S, WINDOW_S = (START_MS + 6 * HOUR_MS) // 1000, 3600


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def one_leg(number: int, warm_ms: int, *, closed: bool = True) -> Leg:
    """Leg `number` of the shipment, of two hours, one after the other."""
    begin_ms = START_MS + 2 * number * HOUR_MS
    readings = [
        Reading(i, begin_ms + i * MINUTE_MS, 9000 if i * MINUTE_MS < warm_ms else 5000) for i in range(120)
    ]
    order = replace(make_order(LIMITS, reference=f"PO 77/{number}"), begin_ms=begin_ms)
    cuts = [begin_ms + HOUR_MS]
    end_ms = begin_ms + 2 * HOUR_MS
    return make_leg(order, {1: readings}, cuts, end_ms, closed=closed, first_frame_seq=2 * number)


def shipment_terms(world: World, legs: Sequence[Leg], tiers: Sequence[Tier] = TIERS, **changed: int) -> Terms:
    amounts = {"uncertainty_max_milli": 0, "bond": BOND, "leg_cap": BOND, "salt": 7} | changed
    agreed = sorted((leg_terms(leg.begin, DEADLINE_S) for leg in legs), key=lambda leg: leg.leg_id)
    return Terms(
        CARRIER.address,
        SHIPPER.address,
        world.deployment.token,
        legs[0].begin.tenant,
        WINDOW_S,
        *amounts.values(),
        tuple(agreed),
        tuple(tiers),
    )


def arrive(world: World, frames: Sequence[Frame], *, final: bool = True) -> None:
    world.take(frames)
    world.judge(frames, final=final)


def written(world: World) -> list[Settlement]:
    return [Settlement.decode(record.value) for record in world.log.read(topics.SETTLEMENTS, {}, 100)]


def credits_of(world: World) -> list[int]:
    return [credit_of(world.chain, world.deployment, one.address) for one in (CARRIER, SHIPPER)]


def checked(world: World, leg: Leg) -> Status:
    """What `lading verify --rpc` says of the settlement in the leg's exported evidence."""
    data = export_leg(world.log, OneGateway(), OPERATOR.public, leg.begin.leg_id, world.now_ms)
    expected = Expected(GATEWAY.public.gateway_id, OPERATOR.public.encode())
    chain = ChainCheck(world.chain, world.deployment.anchors)
    (found,) = [one for one in verify(data, expected, chain).results if one.name == "settlement"]
    return found.status


def test_each_leg_pays_when_it_ends_and_the_last_releases_the_rest(world: World) -> None:
    """Three legs, the second warm: its penalty is paid while the third is on its way; the record names each leg."""
    legs = [one_leg(0, 0), one_leg(1, 40 * MINUTE_MS), one_leg(2, 0)]
    terms = shipment_terms(world, legs)
    key = world.agree(terms)
    world.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, leg.order) for leg in legs])
    for leg in legs[:2]:
        arrive(world, leg.frames)
    world.until(lambda: len(written(world)) == 2, MINUTE_MS)
    assert (world.settling.state(key), credits_of(world)) == ("open", [0, 200_000])
    arrive(world, legs[2].frames)
    world.until(lambda: len(written(world)) == 3, MINUTE_MS)
    assert (world.settling.state(key), credits_of(world)) == ("settled", [BOND - 200_000, 200_000])
    by_leg = {one.leg_id: (one.kind, one.amount, one.rest, one.reached) for one in written(world)}
    assert by_leg == {
        legs[0].begin.leg_id: ("release", 0, 0, 0),
        legs[1].begin.leg_id: ("penalty", 200_000, 0, 0b10),
        legs[2].begin.leg_id: ("release", BOND - 200_000, BOND - 200_000, 0),
    }
    assert all(terms.legs[one.leg_index].leg_id == one.leg_id for one in written(world))
    assert {checked(world, leg) for leg in legs} == {Status.PASS}


def test_the_bond_bounds_all_legs_and_the_cap_each(world: World) -> None:
    """250 000 are left of the bond when the second leg would cost 200 000 twice; evidence of the cut leg passes."""
    legs = [one_leg(0, 40 * MINUTE_MS), one_leg(1, 40 * MINUTE_MS)]
    world.agree(shipment_terms(world, legs, bond=250_000, leg_cap=180_000))
    world.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, leg.order) for leg in legs])
    for leg in legs:
        arrive(world, leg.frames)
        world.until(lambda: len(written(world)) > legs.index(leg), MINUTE_MS)  # noqa: B023 (called here)
    assert [(one.penalty, one.rest) for one in written(world)] == [(180_000, 0), (70_000, 0)]
    assert credits_of(world) == [0, 250_000]
    assert {checked(world, leg) for leg in legs} == {Status.PASS}
    cut = written(world)[1]
    lie = replace(cut, amount=60_000)
    world.log.append(topics.SETTLEMENTS, [(cut.agreement, lie.encode())])
    assert checked(world, legs[1]) is Status.FAIL


def test_a_penalty_past_the_vaults_limit_is_owed_and_paid_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leg concludes; what the outflow limit holds back is in the record as owed, and paid when it recovers."""
    monkeypatch.setattr("anchoring.deploy.OUTFLOW_MAX", 250_000)
    monkeypatch.setattr("anchoring.deploy.OUTFLOW_PERIOD_S", 7_200)
    world = World(tmp_path)
    leg = one_leg(0, 40 * MINUTE_MS)
    for salt in (1, 2):
        world.agree(shipment_terms(world, [leg], bond=250_000, leg_cap=250_000, salt=salt))
    arrive(world, leg.frames)
    world.until(lambda: len(written(world)) == 2, MINUTE_MS)
    assert sorted((one.penalty, one.owed) for one in written(world)) == [(200_000, 0), (200_000, 200_000)]
    world.until(lambda: credits_of(world)[1] == 400_000, 10 * MINUTE_MS)
    assert len(written(world)) == 2


def test_a_debt_of_the_same_size_again_is_a_payment_of_its_own(world: World) -> None:
    """Another leg's penalty, as large: the payment before it, final as it is, does not stand for it."""
    _, planner = world.agree(shipment_terms(world, [one_leg(0, 0)])), world.settling._planner
    (agreement,) = world.agreements.values()
    first, second = (State("open", (True, False), penalty, 100) for penalty in (100, 200))
    assert planner.pay(agreement, first) == planner.pay(agreement, replace(first, concluded=(True, True)))
    assert planner.pay(agreement, first).name != planner.pay(agreement, second).name


def test_what_is_owed_is_paid_one_at_a_time_and_never_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three debts on one limit: no payment takes another's room in the same block, nor is any refused for good."""
    monkeypatch.setattr("anchoring.deploy.OUTFLOW_MAX", 250_000)
    monkeypatch.setattr("anchoring.deploy.OUTFLOW_PERIOD_S", 7_200)
    world = World(tmp_path)
    leg = one_leg(0, 40 * MINUTE_MS)
    keys = [
        world.agree(shipment_terms(world, [leg], bond=250_000, leg_cap=250_000, salt=salt))
        for salt in (1, 2, 3)
    ]
    for key in keys:
        for tries in range(TRIES_MAX):
            purpose = f"pay 200000 200000 {key.hex()}/{tries}"
            world.settle_sender.queue(purpose, world.deployment.escrow, b"", gas=100_000)
    arrive(world, leg.frames)
    world.until(lambda: len(written(world)) == 3, MINUTE_MS)
    world.until(lambda: credits_of(world)[1] == 600_000, 10 * MINUTE_MS)
    states = world.settle_sender._intents.db.execute("SELECT count(*) FROM intents WHERE state = 'reverted'")
    assert states.fetchone() == (3 * TRIES_MAX,)


@pytest.mark.parametrize("closed", [False, True])
def test_a_frame_that_the_chain_refuses_for_good_does_not_hide_older_ones(world: World, closed: bool) -> None:
    """The gateway's clock ran an hour fast for its last frame: the frame before it is shown, and its warmth counts."""
    leg = warm_leg(40 * MINUTE_MS, closed=closed)
    world.agree(make_terms(world, leg, TIERS))
    arrive(world, leg.frames[:1], final=False)
    world.log.append(topics.FRAMES, [(leg.frames[1].header.gateway_id, leg.frames[1].encode())])
    world.judge(leg.frames)
    world.until(lambda: bool(written(world)), 10 * MINUTE_MS, steps_max=60)
    assert shown_frames(world) == [0]
    assert written(world)[0].penalty == 600_000


def test_a_frame_that_cannot_be_read_stops_its_own_leg_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a leg's evidence is in the log, the other agreement is paid."""
    legs = [one_leg(0, 0), one_leg(1, 40 * MINUTE_MS)]
    bad, good = (world.agree(shipment_terms(world, [leg])) for leg in legs)
    proof_of = Evidence.frame_proof

    def damaged(self: Evidence, terms: Terms, *rest: Any) -> Any:
        if terms.legs[0].leg_id == legs[0].begin.leg_id:
            decode_frame(b"\x00")
        return proof_of(self, terms, *rest)

    monkeypatch.setattr(Evidence, "frame_proof", damaged)
    for leg in legs:
        arrive(world, leg.frames)
    world.until(lambda: bool(written(world)), MINUTE_MS)
    assert [one.agreement for one in written(world)] == [good]
    assert world.settling.waits.keys() == {bad}


def shown_frames(world: World) -> list[int]:
    escrow = abi.at(world.chain, "PenaltyEscrow", world.deployment.escrow)
    return [fields["frameSeq"] for _, fields in escrow.events("FrameShown")]


def test_a_later_frame_takes_the_place_of_the_one_shown(world: World) -> None:
    """A gateway was cut off: its first hour is shown after the deadline, its second within the window, and counts."""
    leg = warm_leg(40 * MINUTE_MS, closed=False, hours=3)
    world.agree(make_terms(world, leg, TIERS))
    arrive(world, leg.frames[:1], final=False)
    world.until(lambda: shown_frames(world) == [0], 10 * MINUTE_MS, steps_max=60)
    assert world.now_ms // 1000 < DEADLINE_S + WINDOW_S // 2
    arrive(world, leg.frames[1:2], final=False)
    world.until(lambda: shown_frames(world) == [0, 1], 5 * MINUTE_MS)
    assert world.now_ms // 1000 < DEADLINE_S + WINDOW_S
    world.until(lambda: bool(written(world)), 10 * MINUTE_MS)
    (settlement,) = written(world)
    assert settlement.penalty == 600_000
    assert shown_frames(world) == [0, 1]


def test_a_closing_frame_in_the_window_takes_the_place_of_the_one_shown(world: World) -> None:
    """What was shown says nothing any more, nor does the silence: the leg had closed in time."""
    leg = warm_leg(40 * MINUTE_MS)
    world.agree(make_terms(world, leg, TIERS))
    arrive(world, leg.frames[:1], final=False)
    world.until(lambda: shown_frames(world) == [0], 10 * MINUTE_MS, steps_max=60)
    arrive(world, leg.frames[1:])
    world.judge(leg.frames)
    world.until(lambda: bool(written(world)), 5 * MINUTE_MS)
    assert (written(world)[0].penalty, written(world)[0].reached) == (200_000, 0b10)
    assert world.now_ms // 1000 < DEADLINE_S + WINDOW_S


def test_a_leg_that_goes_on_is_shown_by_its_newest_final_frame(world: World) -> None:
    """Frames that keep coming are never all final: the newest that is is shown, the newest in time replaces it."""
    leg = warm_leg(0, closed=False, hours=9)
    world.agree(make_terms(world, leg, TIERS))
    for number, frame in enumerate(leg.frames):
        world.now_ms = frame.header.sent_ms
        world.take([frame])
        world.judge(leg.frames[: number + 1], final=False)
        for _ in range(6):
            world.step(10 * MINUTE_MS - 1000)
    assert shown_frames(world)[0] < 6
    world.until(lambda: bool(written(world)), 10 * MINUTE_MS)
    assert written(world)[0].penalty == 0
    assert len(shown_frames(world)) <= 2


def test_only_what_the_finalized_block_holds_for_final_is_acted_on(tmp_path: Path) -> None:
    """A contest that is over in a block that a reorganisation can still take back keeps the leg waiting."""
    world = World(tmp_path, finalized_depth=3)
    node = world.node
    leg = warm_leg(40 * MINUTE_MS)
    key = world.agree(make_terms(world, leg, TIERS))
    for _ in range(4):
        node.mine()
    world.step(1000)
    arrive(world, leg.frames)
    registry = abi.at(world.chain, "AnchorRegistry", world.deployment.anchors)
    world.until(lambda: bool(registry.events("Anchored")), 1000)
    ((_, fields),) = registry.events("Anchored")
    anchored = (fields["superRoot"], fields["batchCount"], world.chain.head().time_s)
    guardian = Wallet(world.chain, DEPLOYER)
    world.step(50_000)
    guardian.transact(registry, "contest", 1, anchored, "looks wrong")
    world.step(15_000)
    for _ in range(4):
        node.mine()
    world.step(1000)
    guardian.transact(registry, "endContest", 1, anchored, False)
    assert registry.call("isFinal", 1, anchored)
    world.step(1000)
    assert world.settling.state(key) == "open"
    assert not [one for one in world.settle_sender.open_intents() if one.key.startswith("settle")]
    for _ in range(3):
        node.mine()
    world.until(lambda: bool(node.mine()) and bool(written(world)), 1000)
    assert written(world)[0].penalty == 200_000


class FullNode:
    """A node that keeps no state of older blocks, as full nodes of rollups do."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def request(self, method: str, params: list[Any]) -> Any:
        if method == "eth_call" and params[1] == FINALIZED:
            raise ServiceError("chain_rpc", "eth_call: missing trie node")
        return self._rpc.request(method, params)


def test_a_node_without_older_state_is_asked_by_the_finalized_blocks_time(world: World) -> None:
    """The interval's window must have ended at the finalized block; until a block says so the leg waits."""
    leg = warm_leg(40 * MINUTE_MS)
    key = world.agree(make_terms(world, leg, TIERS))
    world.stop()
    world._stages_rpc = FullNode(world.node)
    world.start(Fuse())
    arrive(world, leg.frames)
    for _ in range(5):
        world.step(2 * MINUTE_MS)
    assert world.settling.state(key) == "open"
    world.until(lambda: bool(world.node.mine()) and bool(written(world)), MINUTE_MS)
    assert written(world)[0].penalty == 200_000


# --- the escrow before ---


def of_first_version(world: World, leg: Leg) -> tuple[bytes, Agreement]:
    """The first escrow, as it was deployed, with an agreement and its bond."""
    deployment = world.deployment
    wallet = Wallet(world.chain, DEPLOYER)
    first = wallet.create(
        "v1/PenaltyEscrow", deployment.gateways, deployment.anchors, deployment.vault
    ).address
    vault = abi.at(world.chain, "CreditVault", deployment.vault)
    wallet.transact(vault, "admit", first, deployment.token, 10**15, 86_400)
    mint(world.chain, deployment, CARRIER, BOND)
    deposit(world.chain, replace(deployment, escrow=first), CARRIER, BOND)
    agreed = leg_terms(leg.begin, DEADLINE_S)
    terms = TermsV1(
        CARRIER.address, SHIPPER.address, deployment.token, leg.begin.tenant, agreed.gateway_id, agreed.leg_id,
        agreed.limits_hash, agreed.begin_ms, agreed.due_ms, agreed.deadline_s, WINDOW_S, BOND, 7, TIERS,
    )  # fmt: skip
    agreement = Agreement.sign(terms, Domain(world.chain.chain_id, first), CARRIER, SHIPPER)
    world.agreements[agreement.id] = agreement
    return first, agreement


@pytest.mark.parametrize("upgraded", [False, True])
def test_agreements_of_the_first_escrow_settle_under_todays_stage(world: World, upgraded: bool) -> None:
    """With the new escrow beside it, or before anybody has deployed that: opened, settled and checked as they were."""
    old, new = one_leg(0, 40 * MINUTE_MS), one_leg(1, 0)
    first, agreement = of_first_version(world, old)
    changed = {"escrows_before": (first,)} if upgraded else {"escrow": first}
    world.deployment = replace(world.deployment, **changed)  # type: ignore[arg-type]
    world.stop()
    world.start(Fuse())
    assert [one.version for one in escrows_of(world.chain, world.deployment)] == ([2, 1] if upgraded else [1])
    if upgraded:
        world.agree(shipment_terms(world, [new]))
    world.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, leg.order) for leg in (old, new)])
    for leg in (old, new):
        arrive(world, leg.frames)
    world.until(lambda: len(written(world)) == 1 + upgraded, MINUTE_MS)
    (paid,) = [one for one in written(world) if one.version == 1]
    assert (paid.agreement, paid.kind, paid.amount) == (agreement.id, "penalty", 200_000)
    assert checked(world, old) is Status.PASS
    assert credits_of(world) == [BOND - 200_000 + upgraded * BOND, 200_000]
    assert withdraw(world.chain, world.deployment, CARRIER) == BOND - 200_000 + upgraded * BOND


def test_a_silent_leg_of_the_first_escrow_is_shown_and_finished(world: World) -> None:
    """Its own steps, without an index: show, and finish after the window."""
    leg = warm_leg(40 * MINUTE_MS, closed=False)
    first, agreement = of_first_version(world, leg)
    world.deployment = replace(world.deployment, escrows_before=(first,))
    world.stop()
    world.start(Fuse())
    arrive(world, leg.frames)
    world.until(lambda: bool(written(world)))
    assert (written(world)[0].agreement, written(world)[0].amount) == (agreement.id, 600_000)
    assert Metric(TIERS[0].metric) is Metric.SILENCE_MS
