"""What a cover paid is in the log once, in the leg's evidence, and checked against the chain as a penalty is."""

from dataclasses import replace
from pathlib import Path

import pytest

from lading import abi, topics
from lading.chaincheck import ChainCheck
from lading.checks import CheckResult, Expected, Status
from lading.evidence import Evidence
from lading.export import export_leg
from lading.inspect import inspect
from lading.paid import leg_of
from lading.payout import Payout, decode_settled
from lading.policy import Policy
from lading.tiers import Tier
from lading.verify import EXIT_GOOD, verify
from lading.wallet import Wallet
from tests.dying import Fuse
from tests.insuring import DEDUCTIBLE, Insured, later_leg
from tests.legs import GATEWAY, OPERATOR, Leg
from tests.settling import ABOVE_MS, DEPLOYER, HOUR_MS, MINUTE_MS, SILENCE_MS, START_MS, World
from tests.unit.lading.test_chaincheck import OneGateway

TIERS = (Tier(0, SILENCE_MS, HOUR_MS, 400_000), Tier(1, ABOVE_MS, 30 * MINUTE_MS, 300_000))


@pytest.fixture
def insured(tmp_path: Path) -> Insured:
    return Insured(World(tmp_path))


def arrive(insured: Insured, leg: Leg) -> None:
    world = insured.world
    world.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, leg.order)])
    world.take(leg.frames)
    world.judge(leg.frames)


def written(insured: Insured) -> list[Payout]:
    found = insured.world.log.read(topics.SETTLEMENTS, {}, 100)
    return [one for one in (decode_settled(record.value) for record in found) if isinstance(one, Payout)]


def until_written(insured: Insured, passed_ms: int = 30 * MINUTE_MS, steps_max: int = 40) -> Payout:
    for _ in range(steps_max):
        insured.covering.step(insured.world.now_ms)
        if written(insured):
            (payout,) = written(insured)
            return payout
        insured.world.step(passed_ms)
    raise AssertionError(f"it was not written: {insured.covering.waits}")


def exported(insured: Insured, leg: Leg) -> Evidence:
    world = insured.world
    return Evidence.decode(
        export_leg(world.log, OneGateway(), OPERATOR.public, leg.begin.leg_id, world.now_ms)
    )


def settlement_check(insured: Insured, evidence: Evidence, *, with_chain: bool = True) -> CheckResult:
    """What `lading verify` says of the settlement, with `--rpc` or without."""
    chain = ChainCheck(insured.world.chain, insured.world.deployment.anchors) if with_chain else None
    expected = Expected(GATEWAY.public.gateway_id, OPERATOR.public.encode())
    (found,) = [one for one in verify(evidence.encode(), expected, chain).results if one.name == "settlement"]
    return found


def test_a_payout_is_evidence(insured: Insured) -> None:
    """300 000 less the deductible, and which tier: by the policy and the totals offline, and by the chain with one."""
    leg = later_leg(40 * MINUTE_MS)
    cover = insured.bought(leg, TIERS)
    arrive(insured, leg)
    payout = until_written(insured)
    assert (payout.cover, payout.kind, payout.amount) == (cover.id, "payout", 300_000 - DEDUCTIBLE)
    assert (payout.owed, payout.reached, payout.uncertainties) == (0, 0b10, None)
    assert leg_of(payout).leg_id == leg.begin.leg_id
    evidence = exported(insured, leg)
    assert evidence.settlements == (payout,)
    assert verify(evidence.encode(), Expected(GATEWAY.public.gateway_id)).exit_code(strict=False) == EXIT_GOOD
    assert settlement_check(insured, evidence, with_chain=False).status is Status.LEFT
    found = settlement_check(insured, evidence)
    assert found.status is Status.PASS
    assert f"payout of {300_000 - DEDUCTIBLE} follows from the policy and the closing totals" in found.found
    shown = inspect(payout.encode())
    assert (shown.kind, shown.problem) == ("payout", None)
    text = "\n".join(line for node in shown.fields for line in node.lines())
    assert f"{300_000 - DEDUCTIBLE} of the token's units" in text
    assert f"above_ms > {30 * MINUTE_MS} on channel 1: 300000" in text
    assert f"paid by 0x{insured.insurance.address.hex()}" in found.found


LIES = {
    "another amount": {"amount": 250_001},
    "a lapse": {"amount": 0, "reached": 0},
    "another tier": {"reached": 0b01},
    "certificates that nobody asked for": {"uncertainties": ((1, 1),)},
    "another leg": {"leg_id": bytes(32)},
    "another cover": {"cover": bytes(32)},
    "still owed": {"owed": 1},
    "another contract": {"contract": bytes(20)},
    "another transaction": {"tx_hash": bytes(32)},
    "another block": {"block_hash": bytes(32)},
}
LIES_SEEN_OFFLINE = {
    "another amount",
    "a lapse",
    "another tier",
    "another leg",
    "certificates that nobody asked for",
}


def test_a_false_payout_fails(insured: Insured) -> None:
    """Each field that is another than the chain's; the amount and what it follows from without a chain too."""
    leg = later_leg(40 * MINUTE_MS)
    insured.bought(leg, TIERS)
    arrive(insured, leg)
    payout = until_written(insured)
    evidence = exported(insured, leg)
    policy = Policy.decode(payout.policy)
    unsold = replace(policy, deductible=DEDUCTIBLE + 1)
    lies: dict[str, Payout] = {name: replace(payout, **fields) for name, fields in LIES.items()}  # type: ignore[arg-type]
    lies["a policy that was not sold"] = replace(payout, policy=unsold.encode(), amount=payout.amount - 1)
    for name, lie in lies.items():
        forged = replace(evidence, settlements=(lie,))
        status = settlement_check(insured, forged).status
        assert (name, status) == (name, Status.FAIL)
        offline = settlement_check(insured, forged, with_chain=False).status
        assert (name, offline is Status.FAIL) == (name, name in LIES_SEEN_OFFLINE)


def test_a_restart_writes_nothing_twice(insured: Insured) -> None:
    """After the record, however the process ends and whether its cache is left, there is one record."""
    leg = later_leg(0)
    insured.bought(leg, TIERS)
    arrive(insured, leg)
    lapse = until_written(insured)
    assert (lapse.kind, lapse.amount) == ("lapse", 0)
    for is_cache_left in (True, False):
        insured.world.stop()
        if not is_cache_left:
            (insured.world.folder / "ledger.sqlite").unlink()
        insured.world.start(Fuse())
        insured.start()
        for _ in range(3):
            insured.covering.step(insured.world.now_ms)
            insured.world.step()
        assert written(insured) == [lapse]
    assert settlement_check(insured, exported(insured, leg)).status is Status.PASS


def test_what_was_read_before_the_start_is_not_covered_by_the_record(insured: Insured) -> None:
    """A leg that was read earlier than its cover starts pays nothing, and verify says the same."""
    leg = later_leg(40 * MINUTE_MS)
    policy = insured.policy(leg, TIERS)
    late = replace(
        policy, start_s=policy.start_s + 600, leg=replace(policy.leg, begin_ms=policy.leg.begin_ms + 600_000)
    )
    cover = insured.bought_of(late)
    arrive(insured, leg)
    payout = until_written(insured)
    assert (payout.cover, payout.amount, payout.reached) == (cover.id, 0, 0)
    assert settlement_check(insured, exported(insured, leg)).status is Status.PASS


def test_certificates_count_as_they_were_when_the_frame_was_shown(insured: Insured) -> None:
    """The contract looks at them when a frame is shown: one that comes before the cover is finished changes nothing."""
    registry = abi.at(insured.world.chain, "GatewayRegistry", insured.world.deployment.gateways)

    def calibrate(from_ms: int, uncertainty_milli: int) -> None:
        certificate = (GATEWAY.public.gateway_id, 1, bytes(32), from_ms, 2**64 - 1, uncertainty_milli)
        Wallet(insured.world.chain, DEPLOYER).transact(registry, "calibrate", *certificate)

    calibrate(0, 300)
    leg = later_leg(40 * MINUTE_MS, closed=False)
    cover = insured.bought_of(replace(insured.policy(leg, TIERS), uncertainty_max_milli=300))
    arrive(insured, leg)
    while insured.insurance.state(cover.id).shown is None:
        assert insured.world.now_ms < START_MS + 9 * HOUR_MS
        insured.covering.step(insured.world.now_ms)
        insured.world.step(10 * MINUTE_MS)
    calibrate(1, 400)
    payout = until_written(insured)
    assert (payout.amount, payout.uncertainties) == (700_000 - DEDUCTIBLE, ((1, 300),))
    evidence = exported(insured, leg)
    assert settlement_check(insured, evidence).status is Status.PASS
    lie = replace(payout, uncertainties=((1, 299),))
    assert settlement_check(insured, replace(evidence, settlements=(lie,))).status is Status.FAIL
