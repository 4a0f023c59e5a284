"""`lading settle run` as a process on a real node: a bought cover pays once, wherever the process is killed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.parties import credit_of
from lading import topics
from lading.chain import HttpRpc
from lading.gateways import GatewayEntry, save_gateways
from lading.log import wall_ms
from lading.payout import Payout, decode_settled
from lading.supervise import lading_command
from lading.tiers import Tier
from tests.insuring import DEDUCTIBLE, HOLDER, Insured, later_leg
from tests.legs import GATEWAY, OPERATOR, TENANT
from tests.services.anvil import anvil
from tests.settling import ABOVE_MS, HOUR_MS, MINUTE_MS, SETTLER, World
from tests.waiting import until

TIERS = (Tier(1, ABOVE_MS, 30 * MINUTE_MS, 300_000),)
LIMIT_S = 60
SETTINGS = """
[lading]
tenant = "{tenant}"
data = "."
[chain]
rpc = "{url}"
[settle]
poll_s = 0.1
resend_s = 2
"""


class Stage:
    """The settlement stage's process over a world's folder."""

    def __init__(self, world: World, url: str) -> None:
        self._folder = world.folder
        self._config = world.folder / "lading.toml"
        self._config.write_text(SETTINGS.format(tenant=TENANT, url=url), "utf-8")
        world.deployment.save(world.folder / "deployment.json")
        save_gateways(world.folder / "gateways.json", [GatewayEntry(GATEWAY.public, TENANT, name="truck-1")])
        OPERATOR.save(world.folder / "operator.pem")
        SETTLER.save(world.folder / "settle.key")
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Start it, and wait until it takes its steps."""
        with (self._folder / "stage.log").open("ab") as out:
            command = lading_command("settle", "run", "--config", str(self._config))
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        self.starts += 1
        until(lambda: self.output().count("settle_started") == self.starts, LIMIT_S)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(LIMIT_S)

    def output(self) -> str:
        return (self._folder / "stage.log").read_text("utf-8")


@pytest.fixture
def insured(tmp_path: Path) -> Iterator[Insured]:
    """A pool on a chain whose clock is three hours behind, and then follows the wall's."""
    begin_s = wall_ms() // 1000 - 3 * 3_600
    with anvil("--timestamp", str(begin_s), "--slots-in-an-epoch", "1") as url:
        world = World(tmp_path, HttpRpc(url))
        world.now_ms = begin_s * 1000
        yield Insured(world)


def sent(world: World, tag: str) -> int:
    """Transactions of the stage's account."""
    asked = world.chain.rpc.request("eth_getTransactionCount", ["0x" + SETTLER.address.hex(), tag])
    return int(asked, 16)


def payouts(world: World) -> list[Payout]:
    found = [decode_settled(one.value) for one in world.log.read(topics.SETTLEMENTS, {}, 100)]
    return [one for one in found if isinstance(one, Payout)]


@pytest.mark.timeout(300)
def test_a_cover_pays_once_through_kills(insured: Insured) -> None:
    """Killed with its transaction unmined, and again with it mined and not final: one payout, record and credit."""
    world, rpc = insured.world, insured.world.chain.rpc
    begin_ms = world.now_ms + 5 * MINUTE_MS
    leg = later_leg(40 * MINUTE_MS, begin_ms=begin_ms)
    cover = insured.bought_of(insured.policy(leg, TIERS, begin_ms))
    world.take(leg.frames)
    world.judge(leg.frames)
    world.now_ms = wall_ms() - 10 * MINUTE_MS
    for _ in range(6):  # anchored, the anchor's window over, both in finalized blocks
        world.mine()
        world.anchoring.step(world.now_ms)
        world.now_ms += 90_000

    stage = Stage(world, rpc.url)  # type: ignore[attr-defined]
    rpc.request("evm_setAutomine", [False])
    try:
        stage.start()
        until(lambda: sent(world, "pending") == 1, LIMIT_S)
        stage.kill()
        stage.start()
        assert (sent(world, "latest"), sent(world, "pending")) == (0, 1)
        rpc.request("evm_mine", [])
        until(lambda: insured.insurance.state(cover.id).name == "settled", LIMIT_S)
        stage.kill()
        assert payouts(world) == []
        stage.start()

        def is_written() -> bool:
            rpc.request("evm_mine", [])
            return bool(payouts(world))

        until(is_written, LIMIT_S)
        assert stage.stop() == 0
    finally:
        stage.kill()
    (payout,) = payouts(world)
    assert (payout.cover, payout.amount) == (cover.id, 300_000 - DEDUCTIBLE)
    assert len(insured.insurance.contract.events("Concluded", cover.id)) == 1
    assert credit_of(world.chain, world.deployment, HOLDER.address) == payout.amount
    assert sent(world, "latest") == sent(world, "pending") == 1
    assert leg.frames[-1].header.sent_ms == begin_ms + 2 * HOUR_MS
