"""The chain drill: anchoring and settlement on a chain that reorganises, forgets, lies and gets dear.

`python -m tests.simulation.chain_drill --reorgs 120 --seed 7` runs it; the seed decides everything. On anvil; both
stages run in this process, at a clock of their own, behind a proxy that serves badly, and die at random places.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lading.chain import HttpRpc
from lading.errors import LadingError
from lading.sending import Fees
from tests.dying import Died, Fuse
from tests.services.anvil import Anvil
from tests.settling import ANCHORER, HOUR_MS, SETTLER, START_MS, World
from tests.simulation.chain_chaos import Chaos
from tests.simulation.chain_outcome import Found, check
from tests.simulation.chain_stories import WAVE_H, Stories
from tests.simulation.faulty_rpc import FaultyRpc
from tests.simulation.parts import DrillError

REORGS_A_WAVE = 24
PER_REORG = {"drop": 0.5, "spike": 0.3, "stuck": 0.3, "race": 0.3, "kill": 0.4}  # other disturbances
EPOCH_SLOTS = 4  # anvil finalizes what is twice as many blocks back
FINAL_BLOCKS = 2 * EPOCH_SLOTS + 1
STEP_MS = 2 * 60_000
FAULT_RATE = 0.02
TOUCHES_MAX = 80
CALM_STEPS_MAX = 400
BUDGET_WEI = 3 * 10**16
RPC_TIMEOUT_S = 10

Show = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What was done to the chain and its clients, and what came of it."""

    seed: int
    done: dict[str, int]
    depths: dict[int, int]
    served: dict[str, int]
    failed_steps: dict[str, int]
    agreements: int
    found: Found
    seconds: float


class ChainDrill:
    """One run over a world of its own."""

    def __init__(self, folder: Path, anvil: Anvil, seed: int, reorgs: int, show: Show) -> None:
        self._seed, self._show = seed, show
        self._rng = random.Random(f"drill {seed}")
        self._proxy = FaultyRpc(anvil.port, f"rpc {seed}", 0.0)
        direct = HttpRpc(anvil.url)
        stages = HttpRpc(self._proxy.url, RPC_TIMEOUT_S)
        self._world = World(folder, direct, stages, Fees(budget_wei=BUDGET_WEI, resend_ms=2 * STEP_MS))
        self._world.stop()
        self._restart()
        self._chaos = Chaos(self._world.chain, f"chaos {seed}", (ANCHORER, SETTLER))
        self._stories = Stories(self._world)
        self._waves = max(1, round(reorgs / REORGS_A_WAVE))
        self._plan = {"reorg": reorgs} | {name: round(reorgs * share) for name, share in PER_REORG.items()}
        self._begun: Counter[str] = Counter()
        self._armed: list[tuple[int, str]] = []  # requests until it happens, what
        self._failed: Counter[str] = Counter()
        self.kills = 0

    def run(self) -> Report:
        """All waves, then calm until everything is paid; DrillError when a promise is broken."""
        begun_s = time.monotonic()
        for wave in range(self._waves):
            self._wave(wave)
        self._calm()
        world = self._world
        world.stop()
        outboxes = {world.folder / f"{name}.sqlite": BUDGET_WEI for name in ("anchor", "settle")}
        found = check(world.log, world.chain, world.deployment, self._stories.wanted, outboxes)
        return Report(
            self._seed,
            dict(self._chaos.done) | {"kill": self.kills},
            dict(sorted(self._chaos.depths.items())),
            dict(self._proxy.served.most_common()),
            dict(self._failed.most_common()),
            len(self._stories.wanted),
            found,
            time.monotonic() - begun_s,
        )

    def close(self) -> None:
        """End the proxy."""
        self._proxy.close()

    def _wave(self, wave: int) -> None:
        """New agreements in peace; then all that is due to this wave, spread over its hours."""
        world = self._world
        self._peace()
        self._stories.begin(wave, world.now_ms)
        world.chain.rpc.request("evm_setAutomine", [False])
        for _ in range(FINAL_BLOCKS):
            self._mine(1000)
        self._proxy.rate = FAULT_RATE
        self._proxy.before = self._disturb
        steps = WAVE_H * HOUR_MS // STEP_MS
        for step in range(steps):
            share = (wave + (step + 1) / steps) / self._waves
            self._arm(share)
            self._step()
            if step % 100 == 0:
                self._show(f"wave {wave}, step {step}: {dict(self._chaos.done)}")

    def _peace(self) -> None:
        """People sign and pay in while nothing happens: every transaction is mined at once."""
        self._proxy.calm()
        self._proxy.before = lambda: None
        self._world.chain.rpc.request("evm_setAutomine", [True])

    def _calm(self) -> None:
        """Until every agreement is paid, the log knows it, and no transaction is open."""
        self._run_armed()
        self._proxy.calm()
        self._chaos.calm()
        for _ in range(CALM_STEPS_MAX):
            if self._is_over():
                return
            self._step()
        world = self._world
        raise DrillError(
            f"not over after {CALM_STEPS_MAX} calm steps: waits {list(world.settling.waits.values())},"
            f" intervals {world.anchoring.index.unfinished()},"
            f" open {[one.key for s in (world.anchor_sender, world.settle_sender) for one in s.open_intents()]}"
        )

    def _is_over(self) -> bool:
        world = self._world
        return (
            self._stories.is_told
            and len(world.settling.ledger.settlements()) >= len(self._stories.wanted)
            and not world.anchoring.index.unfinished()
            and not world.anchor_sender.open_intents()
            and not world.settle_sender.open_intents()
        )

    def _step(self) -> None:
        """Time passes, a block is mined, news comes, each stage steps once, whatever becomes of it."""
        self._mine(STEP_MS)
        self._stories.tell(self._world.now_ms)
        for stage in ("anchoring", "settling"):
            try:
                getattr(self._world, stage).step(self._world.now_ms)
            except LadingError as exc:
                self._failed[f"{stage} {exc.code}"] += 1
            except Died:
                self.kills += 1
                self._world.stop()
                self._restart()
        self._run_armed()

    def _mine(self, passed_ms: int) -> None:
        self._world.now_ms += passed_ms
        self._chaos.mine(self._world.now_ms // 1000)

    def _restart(self) -> None:
        """Both stages anew. What fails while they open is tried again, as whoever supervises them does."""
        self._fuse = Fuse()
        self._world.start(self._fuse)

    # Disturbances

    def _arm(self, share: float) -> None:
        """Choose what happens in this step: so much is left that it comes to its number at the end."""
        for name, total in self._plan.items():
            while self._begun[name] < round(total * share):
                self._armed.append((self._rng.randint(1, TOUCHES_MAX), name))
                self._begun[name] += 1

    def _disturb(self) -> None:
        """Before each request: what has come to its time happens."""
        due = [name for left, name in self._armed if left <= 1]
        self._armed = [(left - 1, name) for left, name in self._armed if left > 1]
        for name in due:
            self._happen(name)

    def _run_armed(self) -> None:
        """What was to come between requests that were not made comes now."""
        armed, self._armed = self._armed, []
        for _, name in armed:
            self._happen(name)

    def _happen(self, name: str) -> None:
        if name == "kill":
            self._fuse.left = self._rng.randint(1, TOUCHES_MAX)
            return
        self._chaos.act(name)
        if name == "reorg":
            self._proxy.remember(self._chaos.dead)


def drill(folder: Path, seed: int, reorgs: int, show: Show = print) -> Report:
    """A run on a chain of its own; DrillError when a promise is broken."""
    anvil = Anvil("--timestamp", str(START_MS // 1000), "--slots-in-an-epoch", str(EPOCH_SLOTS))
    anvil.start()
    try:
        one = ChainDrill(folder, anvil, seed, reorgs, show)
        try:
            return one.run()
        finally:
            one.close()
    finally:
        anvil.stop()


def main() -> int:
    """The command line: exit 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.chain_drill", description=__doc__)
    parser.add_argument("--reorgs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="an empty folder for all files; otherwise they are removed")
    options = parser.parse_args()

    def show(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="drill") as scratch:
        try:
            report = drill(options.keep or Path(scratch), options.seed, options.reorgs, show)
        except AssertionError as exc:
            print(f"seed {options.seed}: {exc}", file=sys.stderr)
            return 1
    document: dict[str, Any] = asdict(report)
    print(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
