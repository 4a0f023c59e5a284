"""The two stages of the chain drill: in this process, at the drill's clock; or as processes of their own."""

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from contracts.agreements import save
from lading.errors import LadingError
from lading.gateways import GatewayEntry, save_gateways
from lading.supervise import lading_command
from tests.dying import Died, Fuse
from tests.legs import GATEWAY, TENANT
from tests.settling import ANCHORER, HOUR_MS, SETTLER, World
from tests.simulation.outages import rss_mib
from tests.simulation.parts import CommandPart, DrillError
from tests.waiting import until

TOUCHES_MAX = 80
STARTS_MAX = 20
BUDGET_WEI = 3 * 10**16
STEPS_AN_HOUR = 30
OUTSIDE_HOUR_MS = 30_000
_SETTINGS = """
[lading]
tenant = "{tenant}"
data = "{data}"
[chain]
rpc = "{url}"
[anchoring]
outbox = "anchor.sqlite"
interval_s = 2
announce = false
{sending}
[settle]
outbox = "settle.sqlite"
{sending}
"""
_SENDING = "poll_s = 0.1\nresend_s = 1\nbudget_wei = {budget_wei}"


class Stages(Protocol):
    """Both stages. `hour_ms`: how long an hour of the stories takes; `failed`: steps that failed, by why."""

    hour_ms: int
    kills: int
    failed: Counter[str]
    memory_mib: dict[str, float]

    def agree(self) -> None:
        """Hand them the agreements that the world has."""

    def pass_time(self) -> int:
        """Until the next block is due; the time now, ms."""

    def step(self, now_ms: int) -> None:
        """Let them work."""

    def kill(self) -> None:
        """One of them dies, perhaps a little later."""

    def stop(self) -> None:
        """End both."""


class Inside:
    """In this process: a step each a block. They die at a touch of log or chain, and start again."""

    hour_ms = HOUR_MS

    def __init__(self, world: World, rng: random.Random) -> None:
        self.kills = 0
        self.failed: Counter[str] = Counter()
        self.memory_mib: dict[str, float] = {}
        self._world, self._rng = world, rng
        self._fuse: Fuse | None = None
        world.stop()
        self._start()

    def agree(self) -> None:
        """They share the world's."""

    def pass_time(self) -> int:
        """See `Stages.pass_time`."""
        self._world.now_ms += self.hour_ms // STEPS_AN_HOUR
        return self._world.now_ms

    def step(self, now_ms: int) -> None:
        """See `Stages.step`."""
        for stage in ("anchoring", "settling"):
            try:
                getattr(self._world, stage).step(now_ms)
            except LadingError as exc:
                self.failed[f"{stage} {exc.code}"] += 1
            except Died:
                self.kills += 1
                self._world.stop()
                self._start()

    def kill(self) -> None:
        """See `Stages.kill`."""
        assert self._fuse is not None
        self._fuse.left = self._rng.randint(1, TOUCHES_MAX)

    def stop(self) -> None:
        """See `Stages.stop`."""
        if self._fuse is not None:
            self._world.stop()
            self._fuse = None

    def _start(self) -> None:
        """As whoever supervises them does: again, when one of our errors ended it."""
        self._fuse = Fuse()
        for _ in range(STARTS_MAX):
            try:
                self._world.start(self._fuse)
            except LadingError as exc:
                self.failed[f"start {exc.code}"] += 1
                self._world.stop()
            else:
                return
        raise DrillError(f"the stages did not start in {STARTS_MAX} times")


class Outside:
    """As `lading anchoring run` and `lading settle run`, killed with SIGKILL; blocks come in real time."""

    hour_ms = OUTSIDE_HOUR_MS

    def __init__(self, world: World, rng: random.Random, url: str) -> None:
        self.kills = 0
        self.failed: Counter[str] = Counter()
        self.memory_mib: dict[str, float] = {}
        self._world, self._rng = world, rng
        self._next_s = time.monotonic()
        world.stop()
        self._data = world.folder
        for name, account in (("anchor", ANCHORER), ("settle", SETTLER)):
            account.save(self._data / f"{name}.key")
            for path in self._data.glob(f"{name}.sqlite*"):
                path.unlink()
        world.deployment.save(self._data / "deployment.json")
        save_gateways(self._data / "gateways.json", [GatewayEntry(GATEWAY.public, TENANT, name="truck")])
        config = self._data / "lading.toml"
        sending = _SENDING.format(budget_wei=BUDGET_WEI)
        config.write_text(_SETTINGS.format(tenant=TENANT, data=self._data, url=url, sending=sending))
        self._parts = {
            stage: CommandPart(
                [*lading_command(stage, "run"), "--config", str(config)],
                self._data / f"{stage}.log",
                f"{stage}_started".encode(),
            )
            for stage in ("anchoring", "settle")
        }
        for part in self._parts.values():
            part.start()
        until(lambda: all(part.is_ready() for part in self._parts.values()))

    def agree(self) -> None:
        """See `Stages.agree`."""
        for agreement in self._world.agreements.values():
            save(self._data / "agreements", agreement)

    def pass_time(self) -> int:
        """See `Stages.pass_time`."""
        self._next_s = max(self._next_s + self.hour_ms / STEPS_AN_HOUR / 1000, time.monotonic())
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        self._world.now_ms = time.time_ns() // 10**6
        return self._world.now_ms

    def step(self, now_ms: int) -> None:
        """They work by themselves."""
        _ = now_ms
        for name, part in self._parts.items():
            part.tend()
            self.failed[f"{name} ended by an error"] = part.restarts
            if part.is_ready():
                self.memory_mib[name] = max(self.memory_mib.get(name, 0.0), rss_mib(part.pid))

    def kill(self) -> None:
        """See `Stages.kill`."""
        part = self._rng.choice(list(self._parts.values()))
        part.kill()
        part.start()
        self.kills += 1

    def stop(self) -> None:
        """See `Stages.stop`."""
        for part in self._parts.values():
            part.stop()


Make = Callable[[World, random.Random, str], Stages]


def make_inside(world: World, rng: random.Random, _url: str) -> Stages:
    """In this process."""
    return Inside(world, rng)


def make_outside(world: World, rng: random.Random, url: str) -> Stages:
    """Processes, which reach the chain at `url`."""
    return Outside(world, rng, url)


def begin_ms(world: World) -> int:
    """A whole second from which a wave's times count."""
    return world.now_ms - world.now_ms % 1000


def outboxes(world: World) -> dict[Path, int]:
    """Both, with their budgets."""
    return {world.folder / f"{name}.sqlite": BUDGET_WEI for name in ("anchor", "settle")}
