"""Terms that ask for calibration certificates: what counts, and what the record says where the node forgets."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lading import abi, topics
from lading.chain import Rpc
from lading.checks import Status
from lading.errors import ServiceError
from lading.wallet import Wallet
from tests.dying import Fuse
from tests.legs import GATEWAY
from tests.settling import DEPLOYER, MINUTE_MS, World
from tests.unit.contracts.test_shipments import arrive, checked, one_leg, shipment_terms, written


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def calibrate(world: World, uncertainty_milli: int, from_ms: int = 0) -> None:
    """A certificate for channel 1, from a time later than the last one's on."""
    registry = abi.at(world.chain, "GatewayRegistry", world.deployment.gateways)
    certificate = (GATEWAY.public.gateway_id, 1, bytes(32), from_ms, 2**64 - 1, uncertainty_milli)
    Wallet(world.chain, DEPLOYER).transact(registry, "calibrate", *certificate)


class Forgetful:
    """A node that does not know what certificates an old block had. `meanwhile` happens as it is asked."""

    def __init__(self, rpc: Rpc, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.is_on = True
        self._rpc = rpc
        self._meanwhile = meanwhile

    def request(self, method: str, params: list[Any]) -> Any:
        if self.is_on and method == "eth_call" and params[1].startswith("0x"):
            self._meanwhile()
            raise ServiceError("chain_rpc", "eth_call: missing trie node")
        return self._rpc.request(method, params)


def test_a_record_that_cannot_be_written_yet_holds_up_no_other(world: World) -> None:
    """One asks for certificates, which the node does not have and others were added to: it waits by name."""
    leg, times_ms = one_leg(0, 0), itertools.count()
    waiting = world.agree(shipment_terms(world, [leg], uncertainty_max_milli=300))
    other = world.agree(shipment_terms(world, [leg], salt=8))
    world.stop()
    world._stages_rpc = forgetful = Forgetful(world.node, lambda: calibrate(world, 400, next(times_ms)))
    world.start(Fuse())
    arrive(world, leg.frames)
    world.until(lambda: bool(written(world)), MINUTE_MS)
    world.step(MINUTE_MS)
    assert [one.agreement for one in written(world)] == [other]
    assert "missing trie node" in world.settling.waits[waiting]
    forgetful.is_on = False
    world.until(lambda: len(written(world)) == 2, MINUTE_MS)


def test_a_node_without_older_state_says_what_certificates_there_are(world: World) -> None:
    """None was added since the block that counts: those of now are those of then."""
    leg = one_leg(0, 40 * MINUTE_MS)
    calibrate(world, 300)
    world.agree(shipment_terms(world, [leg], uncertainty_max_milli=300))
    world.stop()
    world._stages_rpc = Forgetful(world.node)
    world.start(Fuse())
    arrive(world, leg.frames)
    world.until(lambda: bool(written(world)), MINUTE_MS)
    assert written(world)[0].uncertainties == ((1, 300),)


@pytest.mark.parametrize(
    ("uncertainty_milli", "penalty", "counted"), [(None, 0, ()), (400, 0, ()), (300, 200_000, ((1, 300),))]
)
def test_channels_count_by_their_certificates(
    world: World, uncertainty_milli: int | None, penalty: int, counted: tuple[tuple[int, int], ...]
) -> None:
    """Without a certificate of 0.3 °C or better the warm hours do not count; what counted is in the record."""
    leg = one_leg(0, 40 * MINUTE_MS)
    if uncertainty_milli is not None:
        calibrate(world, uncertainty_milli)
    world.agree(shipment_terms(world, [leg], uncertainty_max_milli=300))
    world.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, leg.order)])
    arrive(world, leg.frames)
    world.until(lambda: bool(written(world)), MINUTE_MS)
    (settlement,) = written(world)
    assert (settlement.penalty, settlement.uncertainties) == (penalty, counted)
    assert checked(world, leg) is Status.PASS
    lie = replace(settlement, uncertainties=((1, 299),))
    world.log.append(topics.SETTLEMENTS, [(settlement.agreement, lie.encode())])
    assert checked(world, leg) is Status.FAIL
