"""Who is killed when: a plan that follows from a seed, and its execution while a drill goes on."""

import random
import signal
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

from tests.simulation.parts import Part

LIFE_S_MEAN = 1.5
EARLY_S_MAX = 2.0
EARLY_SHARE = 0.15
PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 5.0


class Progress(NamedTuple):
    """How far a drill is: `share` of its work was begun."""

    share: float
    leg: int
    is_sampling: bool


class Disturbance(Protocol):
    """What is done to an installation while it works."""

    @property
    def done(self) -> int:
        """How often by now."""

    @property
    def left(self) -> int:
        """How often it will be still."""

    def step(self, progress: Progress) -> None:
        """Do what is due."""

    def calm(self) -> None:
        """Bring back what is away: people want to do something."""


class Kill(NamedTuple):
    """Kill a part once it has worked for `after_s`; or, early, so long after it was started.

    With `pause_s` it is stopped for so long instead (SIGSTOP, SIGCONT).
    """

    after_s: float
    is_early: bool
    pause_s: float = 0.0


Plan = dict[str, deque[Kill]]


def plan_kills(
    seed: int, count: int, names: Collection[str], forgetful: Collection[str] = frozenset()
) -> Plan:
    """What the seed decides: the ends of each part's lives, about the same number for each part."""
    plan: Plan = {}
    for place, name in enumerate(names):
        rng = random.Random(f"kills {seed} {name}")
        plan[name] = deque()
        for _ in range(count // len(names) + (place < count % len(names))):
            is_early = rng.random() < EARLY_SHARE and name not in forgetful
            after_s = rng.uniform(0, EARLY_S_MAX) if is_early else rng.expovariate(1 / LIFE_S_MEAN)
            pause_s = rng.uniform(PAUSE_S_MIN, PAUSE_S_MAX) if name in forgetful else 0.0
            plan[name].append(Kill(after_s, is_early, pause_s))
    return plan


class Killer:
    """Carries a plan out, a step at a time."""

    def __init__(self, parts: Mapping[str, Part], plan: Plan) -> None:
        self._parts = parts
        self._plan = plan
        self._paused: dict[str, float] = {}  # until when
        self._free_s: dict[str, float] = {}  # since when a part that was paused works again
        self.killed: Counter[str] = Counter()

    @property
    def done(self) -> int:
        """Kills, and stops for a while."""
        return self.killed.total()

    @property
    def left(self) -> int:
        """Those to come, and parts that are stopped now."""
        return sum(map(len, self._plan.values())) + len(self._paused)

    def step(self, progress: Progress) -> None:
        """Kill whose time has come; it starts again at once. Each part gets the share of kills that work was begun."""
        self._resume()
        for name, kills in self._plan.items():
            done = self.killed[name]
            if kills and done < (done + len(kills)) * progress.share and self._is_due(name, kills[0]):
                self._carry_out(name, kills.popleft())
                self.killed[name] += 1

    def calm(self) -> None:
        """Let what is stopped go on now."""
        for name in self._paused:
            self._paused[name] = 0.0
        self._resume()

    def _carry_out(self, name: str, kill: Kill) -> None:
        if kill.pause_s:
            self._parts[name].send_signal(signal.SIGSTOP)
            self._paused[name] = time.monotonic() + kill.pause_s
        else:
            self._parts[name].kill()
            self._parts[name].start()

    def _resume(self) -> None:
        for name in [name for name, until_s in self._paused.items() if time.monotonic() >= until_s]:
            self._parts[name].send_signal(signal.SIGCONT)
            del self._paused[name]
            self._free_s[name] = time.monotonic()

    def _is_due(self, name: str, kill: Kill) -> bool:
        part = self._parts[name]
        since_s = part.started_s
        if name in self._paused:
            return False
        if not kill.is_early:
            if not part.is_ready():
                return False
            assert part.ready_s is not None
            since_s = max(part.ready_s, self._free_s.get(name, 0.0))
        return time.monotonic() >= since_s + kill.after_s
