"""What the settlement stage leaves be: the dead, what is on its way, and shows that change little."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.agreements import Agreement
from contracts.parties import credit_of
from contracts.proofs import Evidence
from contracts.steps import LAST_CALL_PART
from lading import abi
from lading.intents import SENT
from tests.settling import CARRIER, HOUR_MS, MINUTE_MS, SHIPPER, START_MS, World, make_terms, warm_leg
from tests.unit.contracts.test_shipments import TIERS, arrive, one_leg, shipment_terms, written


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def calls_of_a_step(world: World, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a step of the stage asks a contract."""
    asked: list[str] = []
    request = world.node.request

    def counted(method: str, params: list[Any]) -> Any:
        asked.append(method)
        return request(method, params)

    monkeypatch.setattr(world.node, "request", counted)
    world.settling.step(world.now_ms)
    monkeypatch.undo()
    return asked.count("eth_call")


def test_what_can_never_be_opened_is_asked_for_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody put up the bond before the deadline: once a finalized block is past it, the chain is left alone."""
    terms = make_terms(world, warm_leg(0), TIERS)
    agreement = Agreement.sign(terms, world.domain, CARRIER, SHIPPER)
    world.agreements[agreement.id] = agreement
    world.settling.step(world.now_ms)
    assert world.settling.waits.keys() == {agreement.id}
    assert calls_of_a_step(world, monkeypatch) > 0
    world.now_ms = START_MS + 6 * HOUR_MS
    world.settling.step(world.now_ms)  # the clock is past it, no block is yet
    assert not world.settling.is_over(agreement)
    world.node.mine()
    world.settling.step(world.now_ms)
    assert world.settling.is_over(agreement)
    assert calls_of_a_step(world, monkeypatch) == 0
    assert world.settling.waits == {}


def test_a_proof_is_built_once_for_a_transaction(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads a whole batch: not again at each step that its transaction waits to be mined."""
    built: list[bytes] = []
    proof_of = Evidence.frame_proof

    def counted(self: Evidence, terms: Any, frame_hash: bytes, *rest: Any) -> Any:
        built.append(frame_hash)
        monkeypatch.setattr(world.node, "auto_mine", False)
        return proof_of(self, terms, frame_hash, *rest)

    monkeypatch.setattr(Evidence, "frame_proof", counted)
    leg = one_leg(0, 40 * MINUTE_MS)
    world.agree(shipment_terms(world, [leg]))
    arrive(world, leg.frames)
    world.until(lambda: bool(built), MINUTE_MS)
    for _ in range(3):
        world.settling.step(world.now_ms)
    assert [one.state for one in world.settle_sender.open_intents()] == [SENT]
    assert len(built) == 1
    monkeypatch.setattr(world.node, "auto_mine", True)
    world.node.mine()
    world.until(lambda: bool(written(world)), MINUTE_MS)
    assert len(built) == 1


def test_late_frames_are_shown_a_handful_of_times(world: World) -> None:
    """A frame a second in the last eighth of 8 000 s: at 1 000 s left, at 500, at 250, … by halving, and no more."""
    planner, window_s = world.settling._planner, 8_000
    shown = []
    for left_s in range(1_100, 0, -1):
        found: Any = type("Found", (), {"seq": 10_000 - left_s})()
        if planner._is_last_call((b"agreement", 0), found, left_s, window_s):
            shown.append(left_s)
    assert shown == [window_s // LAST_CALL_PART, 500, 250, 125, 62, 31, 15, 7, 3, 1]


def test_the_oldest_debt_is_paid_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever order the agreements are found in: who has waited longest gets what the vault lets out."""
    monkeypatch.setattr("anchoring.deploy.OUTFLOW_MAX", 250_000)
    monkeypatch.setattr("anchoring.deploy.OUTFLOW_PERIOD_S", 7_200)
    world = World(tmp_path)
    leg = one_leg(0, 40 * MINUTE_MS)
    for salt in (1, 2, 3):
        world.agree(shipment_terms(world, [leg], bond=250_000, leg_cap=250_000, salt=salt))
    arrive(world, leg.frames)
    world.until(lambda: len(written(world)) == 3, MINUTE_MS)
    escrow = abi.at(world.chain, "PenaltyEscrow", world.deployment.escrow)
    concluded = ids(escrow.events("Concluded"))
    world.agreements = {key: world.agreements[key] for key in reversed(concluded)}
    world.until(lambda: credit_of(world.chain, world.deployment, SHIPPER.address) == 600_000, 10 * MINUTE_MS)
    first_paid = list(dict.fromkeys(ids(escrow.events("Paid"))))
    assert first_paid == [key for key in concluded if key in first_paid]
    assert len(first_paid) == 2


def ids(events: Sequence[tuple[Any, dict[str, Any]]]) -> list[bytes]:
    return [fields["agreement"] for _, fields in events]
