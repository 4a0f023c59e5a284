"""With a chain, an evidence file is good only where the chain says the same of its anchors and its payment."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from anchoring.server import make_server
from contracts.typed_data import terms_argument
from lading import abi, topics
from lading.calibration import CALIBRATION_AT, CALIBRATION_UNKNOWN
from lading.chain import Chain
from lading.chaincheck import ANCHORED, KEY_AT, STATE_OF, ChainCheck, PlainRpc
from lading.chainpaid import (
    AGREEMENT_ID,
    AGREEMENT_OF,
    CONCLUDED,
    COVER_ID,
    FRAME_SHOWN,
    GATEWAYS,
    OWED,
    SETTLED,
)
from lading.checks import Expected, Status
from lading.cose import PublicKey
from lading.errors import ServiceError
from lading.evidence import Evidence
from lading.export import export_leg
from lading.gateways import GatewayEntry
from lading.terms import Terms
from lading.tiers import Tier
from lading.verify import EXIT_FAILED, EXIT_GOOD, EXIT_WARNED, verify
from tests.legs import GATEWAY, OPERATOR, TENANT
from tests.settling import ABOVE_MS, LATE_MS, MINUTE_MS, World, make_terms, warm_leg

EXPECTED = Expected(GATEWAY.public.gateway_id, OPERATOR.public.encode())
TIERS = (Tier(0, LATE_MS, 0, 50_000), Tier(1, ABOVE_MS, 30 * MINUTE_MS, 200_000))


class OneGateway:
    """Knows the one gateway."""

    def find(self, gateway_id: bytes) -> GatewayEntry | None:
        public: PublicKey = GATEWAY.public
        return GatewayEntry(public, TENANT) if gateway_id == public.gateway_id else None


@dataclass
class Settled:
    """A world in which a leg was anchored, settled and exported."""

    world: World
    evidence: Evidence
    other_chain: Chain


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Settled:
    world = World(tmp_path_factory.mktemp("world"))
    leg = warm_leg(40 * MINUTE_MS)
    world.agree(make_terms(world, leg, TIERS))
    world.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, leg.order)])
    world.take(leg.frames)
    world.judge(leg.frames)
    world.until(lambda: bool(world.log.read(topics.SETTLEMENTS, {}, 1)))
    data = export_leg(world.log, OneGateway(), OPERATOR.public, leg.begin.leg_id, world.now_ms)
    return Settled(world, Evidence.decode(data), World(tmp_path_factory.mktemp("other")).chain)


def statuses(evidence: Evidence, check: ChainCheck) -> dict[str, Status]:
    return {result.name: result.status for result in verify(evidence.encode(), EXPECTED, check).results}


def trusting(settled: Settled) -> ChainCheck:
    return ChainCheck(settled.world.chain, settled.world.deployment.anchors)


def test_constants_are_the_contracts_own() -> None:
    registry, escrow = abi.interface("AnchorRegistry"), abi.interface("PenaltyEscrow")
    gateways, first = abi.interface("GatewayRegistry"), abi.interface("v1/PenaltyEscrow")
    assert gateways.encode_call("keyAt", bytes(32), 1)[:4] == KEY_AT
    assert gateways.encode_call("calibrationAt", bytes(32), 1, 1)[:4] == CALIBRATION_AT
    assert gateways.errors[CALIBRATION_UNKNOWN][0] == "CalibrationUnknown"
    anchored = (bytes(32), 1, 1)
    terms = (*[bytes(20)] * 3, bytes(32), 1, 1, 1, 1, 1, [], [])
    terms_v1 = (*[bytes(20)] * 3, *[bytes(32)] * 4, 1, 1, 1, 1, 1, 1, [])
    assert registry.encode_call("stateOf", 1, anchored)[:4] == STATE_OF
    assert escrow.encode_call("agreementId", terms)[:4] == AGREEMENT_ID[2]
    assert first.encode_call("agreementId", terms_v1)[:4] == AGREEMENT_ID[1]
    assert escrow.encode_call("agreementOf", bytes(32))[:4] == AGREEMENT_OF
    assert escrow.encode_call("gateways") == GATEWAYS
    assert (registry.event_topic("Anchored"), first.event_topic("Settled")) == (ANCHORED, SETTLED)
    cover = abi.interface("ParametricCover")
    policy = (bytes(32), bytes(20), bytes(32), *[1] * 8, (*[bytes(32)] * 3, 1, 1, 1), [])
    assert cover.encode_call("coverId", policy)[:4] == COVER_ID
    assert cover.encode_call("gateways") == GATEWAYS
    for contract in (escrow, cover):
        topics = [contract.event_topic(name) for name in ("Concluded", "Owed", "FrameShown")]
        assert topics == [CONCLUDED, OWED, FRAME_SHOWN]


def test_terms_are_encoded_as_the_contract_takes_them(settled: Settled) -> None:
    terms = Terms.decode(settled.evidence.settlements[0].terms)
    escrow = abi.interface("PenaltyEscrow")
    assert escrow.encode_call("agreementId", terms_argument(terms)) == AGREEMENT_ID[2] + terms.encode()


def test_every_check_passes(settled: Settled) -> None:
    report = verify(settled.evidence.encode(), EXPECTED, trusting(settled))
    assert {result.status for result in report.results} == {Status.PASS}
    assert report.exit_code(strict=True) == EXIT_GOOD


def test_a_registry_that_only_the_file_names_is_a_warning(settled: Settled) -> None:
    report = verify(settled.evidence.encode(), EXPECTED, ChainCheck(settled.world.chain))
    assert [result.name for result in report.results if result.status != Status.PASS] == ["anchor"]
    assert report.exit_code(strict=True) == EXIT_WARNED


@pytest.mark.parametrize(
    "changes",
    [
        {"interval": 2},
        {"registry": bytes(20)},
        {"chain_id": 1},
        {"tx_hash": bytes(31) + b"\1"},
        {"block_number": 1},
        {"block_number": 10**6},
        {"block_hash": bytes(31) + b"\1"},
        {"block_time_ms": 1_800_000_000_000},
    ],
    ids=str,
)
def test_an_anchor_that_the_chain_does_not_know_fails(settled: Settled, changes: dict[str, Any]) -> None:
    anchors = (replace(settled.evidence.anchors[0], **changes), *settled.evidence.anchors[1:])
    assert statuses(replace(settled.evidence, anchors=anchors), trusting(settled))["anchor"] == Status.FAIL


@pytest.mark.parametrize(
    "changes",
    [
        {"agreement": bytes(31) + b"\1"},
        {"escrow": bytes(19) + b"\1"},
        {"chain_id": 1},
        {"tx_hash": bytes(31) + b"\1"},
        {"block_number": 1},
        {"block_hash": bytes(31) + b"\1"},
        {"amount": 50_000},
        {"owed": 1},
        {"kind": "release", "amount": 1_000_000, "rest": 1_000_000, "reached": 0},
    ],
    ids=str,
)
def test_a_payment_that_the_chain_does_not_know_fails(settled: Settled, changes: dict[str, Any]) -> None:
    settlements = (replace(settled.evidence.settlements[0], **changes),)
    found = statuses(replace(settled.evidence, settlements=settlements), trusting(settled))
    assert found["settlement"] == Status.FAIL
    assert found["anchor"] == Status.PASS


@pytest.mark.parametrize("changes", [{"salt": 9}, {"carrier": bytes(19) + b"\1"}, {"bond": 10**7}], ids=str)
def test_terms_that_the_parties_did_not_sign_fail(settled: Settled, changes: dict[str, Any]) -> None:
    one = settled.evidence.settlements[0]
    terms = replace(Terms.decode(one.terms), **changes)
    changed = replace(settled.evidence, settlements=(replace(one, terms=terms.encode()),))
    assert statuses(changed, trusting(settled))["settlement"] == Status.FAIL


def test_the_payment_of_another_transaction_fails(settled: Settled) -> None:
    """The anchor's transaction succeeded too, but paid nothing."""
    one, anchor = settled.evidence.settlements[0], settled.evidence.anchors[0]
    moved = replace(
        one, tx_hash=anchor.tx_hash, block_number=anchor.block_number, block_hash=anchor.block_hash
    )
    assert (
        statuses(replace(settled.evidence, settlements=(moved,)), trusting(settled))["settlement"]
        == Status.FAIL
    )


def test_another_chain_fails(settled: Settled) -> None:
    found = statuses(settled.evidence, ChainCheck(settled.other_chain, settled.world.deployment.anchors))
    assert (found["anchor"], found["finality"], found["settlement"]) == (Status.FAIL,) * 3


def test_the_gateway_registry_knows_the_key(settled: Settled) -> None:
    """Then nobody has to know the gateway by another way; of another tenant or unregistered, it fails."""
    deployment = settled.world.deployment
    check = ChainCheck(settled.world.chain, deployment.anchors, deployment.gateways)
    expected = Expected(operator=OPERATOR.public.encode())
    report = verify(settled.evidence.encode(), expected, check)
    assert {result.status for result in report.results} == {Status.PASS}
    assert f"registered at 0x{deployment.gateways.hex()}" in report.results[1].found
    stranger = replace(settled.evidence, gateway=OPERATOR.public)
    for evidence in (stranger, replace(settled.evidence, tenant_name="north")):
        assert statuses(evidence, check)["keys"] == Status.FAIL
    elsewhere = ChainCheck(settled.world.chain, deployment.anchors, deployment.anchors)
    assert statuses(settled.evidence, elsewhere)["keys"] == Status.FAIL


# --- over HTTP, with the standard library alone ---


@pytest.fixture
def url(settled: Settled) -> Iterator[str]:
    server = make_server(settled.world.node, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_over_http(settled: Settled, url: str) -> None:
    check = ChainCheck(Chain(PlainRpc(url)), settled.world.deployment.anchors)
    assert verify(settled.evidence.encode(), EXPECTED, check).exit_code(strict=True) == EXIT_GOOD
    assert set(statuses(replace(settled.evidence, settlements=()), check).values()) == {
        Status.PASS,
        Status.LEFT,
    }


def test_a_chain_that_does_not_answer_fails_its_checks(settled: Settled) -> None:
    check = ChainCheck(Chain(PlainRpc("http://127.0.0.1:1")), settled.world.deployment.anchors)
    report = verify(settled.evidence.encode(), EXPECTED, check)
    failed = {result.name for result in report.results if result.status == Status.FAIL}
    assert failed == {"anchor", "finality", "settlement"}
    assert report.exit_code(strict=False) == EXIT_FAILED


class Babble:
    """A node that answers every question alike."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def request(self, method: str, params: list[Any]) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "answer", [None, 1, "", "0x", "0xzz", [], {}, {"number": {}}, "0x" + "00" * 32], ids=str
)
def test_a_node_that_babbles_fails_its_checks(settled: Settled, answer: Any) -> None:
    """Whatever a node answers there is no traceback, and nothing passes."""
    found = statuses(settled.evidence, ChainCheck(Chain(Babble(answer)), settled.world.deployment.anchors))
    assert (found["anchor"], found["finality"], found["settlement"]) == (Status.FAIL,) * 3


def test_only_http_is_asked() -> None:
    with pytest.raises(ServiceError, match="chain_url"):
        PlainRpc("file:///etc/passwd")
