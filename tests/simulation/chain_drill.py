"""The chain drill: anchoring and settlement on a chain that reorganises, forgets, lies and gets dear.

`python -m tests.simulation.chain_drill --reorgs 120 --seed 7` runs it on anvil; the seed decides everything. Both
stages are in this process, at a clock of their own, behind a proxy that serves badly, and die at random places. With
`--processes` they are processes, killed with SIGKILL, in real time: then a seed decides what happens, not when.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from lading import topics
from lading.batch import AnchorRecord, BatchRecord
from lading.chain import HttpRpc
from lading.deployment import Deployment
from lading.log import wall_ms
from lading.sending import Fees
from tests.services.anvil import Anvil
from tests.settling import ANCHORER, HOUR_MS, SETTLER, START_MS, World
from tests.simulation.chain_chaos import Chaos
from tests.simulation.chain_outcome import Found, check, open_count
from tests.simulation.chain_stages import (
    BUDGET_WEI,
    STEPS_AN_HOUR,
    TOUCHES_MAX,
    Make,
    begin_ms,
    make_inside,
    make_outside,
    outboxes,
)
from tests.simulation.chain_stories import WAVE_H, Stories
from tests.simulation.faulty_rpc import FaultyRpc
from tests.simulation.outcome import records
from tests.simulation.parts import DrillError, require

REORGS_A_WAVE = 24
PER_REORG = {"drop": 0.5, "spike": 0.3, "stuck": 0.3, "race": 0.3, "kill": 0.4}  # other disturbances
EPOCH_SLOTS = 4  # anvil finalizes what is twice as many blocks back
FINAL_BLOCKS = 2 * EPOCH_SLOTS + 1
FAULT_RATE = 0.02
WINDOW_S = 2  # from an anchor to its finality in the registry
REST_STEPS = 3  # between two reorganisations
REORGS_LATE_MAX = 6  # that wait for the chain to be busy
MEMORY_MIB_MAX = 300
CALM_STEPS_MAX = 400
RESEND_MS = HOUR_MS // 15
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
    memory_mib: dict[str, float]
    seconds: float


class _World(World):
    def deploy(self, window_s: int = WINDOW_S) -> Deployment:
        """With a window that real time has, too."""
        return super().deploy(window_s)


class ChainDrill:
    """One run over a world of its own."""

    def __init__(self, folder: Path, anvil: Anvil, seed: int, reorgs: int, make: Make, show: Show) -> None:
        self._seed, self._show = seed, show
        self._rng = random.Random(f"drill {seed}")
        self._proxy = FaultyRpc(anvil.port, f"rpc {seed}", 0.0)
        direct, stages = HttpRpc(anvil.url), HttpRpc(self._proxy.url, RPC_TIMEOUT_S)
        self._world = _World(folder, direct, stages, Fees(budget_wei=BUDGET_WEI, resend_ms=RESEND_MS))
        self._stages = make(self._world, self._rng, self._proxy.url)
        self._chaos = Chaos(self._world.chain, f"chaos {seed}", (ANCHORER, SETTLER))
        self._stories = Stories(self._world, self._stages.hour_ms)
        self._waves = max(1, round(reorgs / REORGS_A_WAVE))
        self._plan = {"reorg": reorgs} | {name: round(reorgs * share) for name, share in PER_REORG.items()}
        self._begun: Counter[str] = Counter()
        self._rested = 0  # steps since a reorganisation
        self._armed: list[tuple[int, str]] = []  # requests until it happens, what

    def run(self) -> Report:
        """All waves, then calm until everything is paid; DrillError when a promise is broken."""
        begun_s = time.monotonic()
        for wave in range(self._waves):
            self._wave(wave)
        self._calm()
        self._stages.stop()
        memory = self._stages.memory_mib
        require(max(memory.values(), default=0) <= MEMORY_MIB_MAX, f"resident memory, MiB: {memory}")
        world = self._world
        found = check(world.log, world.chain, world.deployment, self._stories.wanted, outboxes(world))
        return Report(
            self._seed,
            dict(self._chaos.done) | {"kill": self._stages.kills},
            dict(sorted(self._chaos.depths.items())),
            dict(self._proxy.served.most_common()),
            dict(self._stages.failed.most_common()),
            len(self._stories.wanted),
            found,
            memory,
            time.monotonic() - begun_s,
        )

    def close(self) -> None:
        """End the stages and the proxy."""
        self._stages.stop()
        self._proxy.close()

    def _wave(self, wave: int) -> None:
        """New agreements in peace; then all that is due to this wave, spread over its hours."""
        world = self._world
        self._peace()
        self._stages.pass_time()
        self._stories.begin(wave, begin_ms(world))
        self._stages.agree()
        with self._proxy.lock:
            world.chain.rpc.request("evm_setAutomine", [False])
            for _ in range(FINAL_BLOCKS):
                self._chaos.mine(0)
        self._proxy.rate = FAULT_RATE
        self._proxy.before = self._disturb
        steps = WAVE_H * STEPS_AN_HOUR
        for step in range(steps):
            self._arm((wave + (step + 1) / steps) / self._waves)
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
        while self._begun["reorg"] < self._plan["reorg"]:
            self._arm(1.0)
            self._step()
        self._proxy.calm()
        self._chaos.calm()
        for _ in range(CALM_STEPS_MAX):
            if self._is_over():
                return
            self._step()
        raise DrillError(f"not over after {CALM_STEPS_MAX} calm steps: {self._left()}")

    def _is_over(self) -> bool:
        return self._stories.is_told and not any(self._left().values())

    def _left(self) -> dict[str, int]:
        """What is to come still."""
        log = self._world.log
        anchors = [AnchorRecord.decode(record.value) for record in records(log, topics.ANCHORS)]
        intervals = {BatchRecord.decode(record.value).interval for record in records(log, topics.BATCHES)}
        final = {anchor.interval for anchor in anchors if anchor.state == "finalized"}
        return {
            "agreements": len(self._stories.wanted) - sum(log.end(topics.SETTLEMENTS).values()),
            "intervals": len(intervals - final),
            **{path.name: open_count(path) for path in outboxes(self._world)},
        }

    def _step(self) -> None:
        """Time passes, a block is mined, news comes, the stages work, whatever becomes of it."""
        now_ms = self._stages.pass_time()
        with self._proxy.lock:
            self._chaos.mine(now_ms // 1000)
        self._stories.tell(now_ms)
        self._stages.step(self._world.now_ms)
        self._run_armed()

    # Disturbances

    def _arm(self, share: float) -> None:
        """Choose what happens in this step: each its number of times by the end, reorganisations while much is open."""
        self._rested += 1
        is_busy = any(open_count(path) for path in outboxes(self._world))
        for name, total in self._plan.items():
            due = round(total * share) - self._begun[name]
            if name == "reorg" and due < REORGS_LATE_MAX and not (is_busy and self._rested >= REST_STEPS):
                continue
            for _ in range(min(due, 1 if name == "reorg" else due)):
                self._armed.append((self._rng.randint(1, TOUCHES_MAX), name))
                self._begun[name] += 1
                self._rested = 0 if name == "reorg" else self._rested

    def _disturb(self) -> None:
        """Before each request: what has come to its time happens."""
        due = [name for left, name in self._armed if left <= 1]
        self._armed = [(left - 1, name) for left, name in self._armed if left > 1]
        for name in due:
            self._happen(name)

    def _run_armed(self) -> None:
        """What was to come between requests that were not made comes now."""
        with self._proxy.lock:
            armed, self._armed = self._armed, []
            for _, name in armed:
                self._happen(name)

    def _happen(self, name: str) -> None:
        if name == "kill":
            self._stages.kill()
            return
        self._chaos.act(name)
        if name == "reorg":
            self._proxy.remember(self._chaos.dead)


def drill(folder: Path, seed: int, reorgs: int, make: Make = make_inside, show: Show = print) -> Report:
    """A run on a chain of its own; DrillError when a promise is broken."""
    begin_s = (START_MS if make is make_inside else wall_ms()) // 1000
    anvil = Anvil("--timestamp", str(begin_s), "--slots-in-an-epoch", str(EPOCH_SLOTS))
    anvil.start()
    try:
        one = ChainDrill(folder, anvil, seed, reorgs, make, show)
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
    parser.add_argument(
        "--processes", action="store_true", help="the stages as processes, killed with SIGKILL, in real time"
    )
    parser.add_argument("--keep", type=Path, help="an empty folder for all files; otherwise they are removed")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # and stop everything first
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

    def show(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="drill") as scratch:
        try:
            make = make_outside if options.processes else make_inside
            report = drill(options.keep or Path(scratch), options.seed, options.reorgs, make, show)
        except AssertionError as exc:
            print(f"seed {options.seed}: {exc}", file=sys.stderr)
            return 1
    document: dict[str, Any] = asdict(report)
    print(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
