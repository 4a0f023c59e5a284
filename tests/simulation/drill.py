"""The crash drill: stage processes killed with SIGKILL again and again, while legs go their way from sensor to payment.

`python -m tests.simulation.drill --kills 1000 --seed 7` runs it for as long as it takes; the seed says which process
is killed when. An undisturbed run comes first: it says what the disturbed one must end in, and leaves kernels compiled.
"""

import argparse
import json
import math
import random
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edge.outbox import read_summary
from ingest.queries import Queries
from lading import topics
from lading.errors import ServiceError
from lading.log import SqliteLog
from lading.verdict import VerdictRecord
from tests.simulation.installation import (
    LEG_MS,
    MEMBERS,
    SAMPLE_MS,
    STAGES,
    Installation,
    Member,
    leg_begin_ms,
)
from tests.simulation.operator import Operator
from tests.simulation.outcome import Outcome, differences, made, read_outcome, records

SPEED = 1_200.0  # event time of the disturbed run: a leg's three hours are 9 s of the edge's life
LIFE_S_MEAN = 1.5
EARLY_S_MAX = 2.0
EARLY_SHARE = 0.15
KILLS_A_LEG = 17
BEGIN_PART, SAMPLE_PART, END_PART, FINISH_PART = 1, 4, 2, 4  # how the kills are shared out
PHASE_LIMIT_S = 300.0

Show = Callable[[str], None]


class Kill(NamedTuple):
    """Kill a stage once it has worked for `after_s`; or, early, so long after it was spawned."""

    after_s: float
    is_early: bool


def plan_kills(seed: int, count: int) -> dict[str, deque[Kill]]:
    """What the seed decides: the ends of each stage's lives, about the same number for each stage."""
    plan: dict[str, deque[Kill]] = {}
    for place, stage in enumerate(STAGES):
        rng = random.Random(f"kills {seed} {stage}")
        plan[stage] = deque()
        for _ in range(count // len(STAGES) + (place < count % len(STAGES))):
            is_early = rng.random() < EARLY_SHARE
            after_s = rng.uniform(0, EARLY_S_MAX) if is_early else rng.expovariate(1 / LIFE_S_MEAN)
            plan[stage].append(Kill(after_s, is_early))
    return plan


class Drill:
    """One run: legs over one installation, with kills or without."""

    def __init__(self, folder: Path, seed: int, kills: int, legs: int, speed: float, show: Show) -> None:
        self.killed: Counter[str] = Counter()
        self._site = Installation(folder, seed, speed)
        self._plan = plan_kills(seed, kills)
        self._legs = legs
        self._parts = legs * (BEGIN_PART + SAMPLE_PART + END_PART) + FINISH_PART
        self._parts_begun = 0
        self._show = show
        self._said_s = 0.0

    def run(self) -> Outcome:
        """Everything to its end. DrillError when a promise is broken."""
        try:
            self._site.start_services()
            operator = Operator(self._site)
            for stage in STAGES:
                self._site.start(stage)
            for leg in range(self._legs):
                self._leg(operator, leg)
            self._finish(operator)
            operator.close()
            return read_outcome(self._site, operator.begun, operator.terms)
        finally:
            self._site.stop()

    def _leg(self, operator: Operator, leg: int) -> None:
        """Order every gateway's leg, let it sample, order the end. The next leg begins while this one is judged."""
        self._parts_begun += BEGIN_PART
        for member in MEMBERS:
            operator.begin(member, leg)
        self._until(f"leg {leg} begins", lambda: self._has_obeyed(2 * leg + 1))
        self._site.write_settings(leg + 1, leg_begin_ms(leg + 1))
        self._restart_edge()
        self._parts_begun += SAMPLE_PART
        self._until(f"leg {leg} is sampled", lambda: self._has_sampled(leg + 1))
        self._parts_begun += END_PART
        for member in MEMBERS:
            operator.end(member, leg)
        self._until(f"leg {leg} ends", lambda: self._has_obeyed(2 * leg + 2))

    def _finish(self, operator: Operator) -> None:
        """Until every leg has its final verdict and its payment, and the archive all readings."""
        log = SqliteLog(self._site.data / "log.sqlite")
        queries = Queries(self._site.data / "archive")
        count = len(operator.begun)
        self._parts_begun += FINISH_PART
        try:
            self._until("final verdicts", lambda: _final_count(log) >= count)
            self._until("settlements", lambda: sum(log.end(topics.SETTLEMENTS).values()) >= count)
            self._until("archive", lambda: queries.readings_count() >= self._made())
            self._until("kills", lambda: not self._left)
        finally:
            log.close()

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            self._kill()
            if time.monotonic() - self._said_s > 5:
                self._said_s = time.monotonic()
                self._show(f"{self.killed.total()} kills, {self._left} to come; waiting: {what}")
            return condition()

        self._site.until(what, holds, PHASE_LIMIT_S)

    def _kill(self) -> None:
        """Kill whose time has come; it starts again at once. Each part of the way has its share of a stage's kills."""
        for stage, kills in self._plan.items():
            done = self.killed[stage]
            share = (done + len(kills)) * self._parts_begun / self._parts
            if kills and done < share and self._is_due(stage, kills[0]):
                kills.popleft()
                self._site.kill(stage)
                self._site.start(stage)
                self.killed[stage] += 1

    def _is_due(self, stage: str, kill: Kill) -> bool:
        running = self._site.running[stage]
        since_s = running.started_s
        if not kill.is_early:
            if not self._site.is_ready(stage):
                return False
            assert running.ready_s is not None
            since_s = running.ready_s
        return time.monotonic() >= since_s + kill.after_s

    @property
    def _left(self) -> int:
        return sum(map(len, self._plan.values()))

    def _restart_edge(self) -> None:
        """Once it can hear SIGTERM: it reads new settings when it starts."""
        self._site.until("edge is up", lambda: self._site.is_ready("edge"), PHASE_LIMIT_S)
        self._site.terminate("edge")
        self._site.start("edge")

    def _has_obeyed(self, order_seq: int) -> bool:
        found = [self._summary(member) for member in MEMBERS]
        return all(one is not None and one["order_seq"] == order_seq for one in found)

    def _has_sampled(self, legs: int) -> bool:
        """Whether each gateway has taken all samples of so many legs, framed or not."""
        samples = legs * LEG_MS // SAMPLE_MS + 1
        return all(self._taken(member) == samples * len(member.channels) for member in MEMBERS)

    def _taken(self, member: Member) -> int:
        """Framed first: a frame that is cut in between makes it too few for once, never too many."""
        framed = sum(made(self._outbox(member)).values())
        summary = self._summary(member)
        pending = summary["readings_pending"] if summary else 0
        assert isinstance(pending, int)
        return framed + pending

    def _made(self) -> int:
        return sum(sum(made(self._outbox(member)).values()) for member in MEMBERS)

    def _summary(self, member: Member) -> dict[str, int | str | None] | None:
        path = self._outbox(member)
        try:
            return read_summary(path) if path.exists() else None
        except ServiceError:
            return None  # its first tables are being made

    def _outbox(self, member: Member) -> Path:
        return self._site.data / "edge" / member.name / "outbox.sqlite"


def _final_count(log: SqliteLog) -> int:
    found = [VerdictRecord.decode(record.value).verdict for record in records(log, topics.VERDICTS)]
    return len({verdict.leg_id for verdict in found if verdict.final})


@dataclass(frozen=True)
class Report:
    """A disturbed run beside an undisturbed one."""

    seed: int
    killed: dict[str, int]
    legs: int
    undisturbed_s: float
    disturbed_s: float
    differences: list[str]
    outcome: Outcome


def drill(folder: Path, seed: int, kills: int, show: Show = print) -> Report:
    """Run without kills, then with them; DrillError when a promise is broken in one of them."""
    begun_s = time.monotonic()
    legs = max(1, math.ceil(kills / KILLS_A_LEG))
    calm = Drill(folder / "undisturbed", seed, 0, legs, 0, show).run()
    middle_s = time.monotonic()
    show(f"{legs} legs of each gateway in {middle_s - begun_s:.0f} s; now with {kills} kills")
    wild = Drill(folder / "disturbed", seed, kills, legs, SPEED, show)
    found = wild.run()
    return Report(
        seed,
        dict(wild.killed),
        legs * len(MEMBERS),
        middle_s - begun_s,
        time.monotonic() - middle_s,
        differences(found, calm),
        found,
    )


def main() -> int:
    """The command line: exit 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.drill", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--keep", type=Path, help="a new folder for all files; otherwise they are removed at the end"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()

    def show(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="drill") as scratch:
        folder = options.keep or Path(scratch)
        try:
            report = drill(folder, options.seed, options.kills, show)
        except AssertionError as exc:
            print(f"seed {options.seed}: {exc}", file=sys.stderr)
            return 1
    outcome = report.outcome
    document = {
        "seed": report.seed,
        "kills": report.killed,
        "legs": report.legs,
        "readings": outcome.readings_count,
        "frames": outcome.frames,
        "intervals": outcome.intervals,
        "payments": {name: [one.kind, one.amount] for name, one in outcome.payments.items()},
        "undisturbed_s": round(report.undisturbed_s, 1),
        "disturbed_s": round(report.disturbed_s, 1),
        "differences": report.differences,
    }
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        for key, value in document.items():
            print(f"{key}: {value}")
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
