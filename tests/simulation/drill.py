"""The crash drill: stage processes killed with SIGKILL again and again, while legs go their way from sensor to payment.

`python -m tests.simulation.drill --kills 1000 --seed 7` runs it for as long as it takes; the seed says which process
is killed when. A run begins new legs until its kills are spent, and is then compared with an undisturbed one over
as many legs.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.outbox import read_summary
from ingest.queries import Queries
from lading import topics
from lading.errors import ServiceError
from lading.log import SqliteLog
from lading.verdict import VerdictRecord
from tests.simulation.installation import LEG_MS, MEMBERS, STAGES, Installation, Member, leg_begin_ms
from tests.simulation.operator import MINUTE_MS, Operator
from tests.simulation.outcome import Outcome, differences, made, read_outcome, records

SPEED = 1_200.0  # event time of the disturbed run: a leg's six hours are 18 s of the edge's life
PAUSE_S_MAX = 1.5
LIFE_S_MEAN = 1.0
EARLY_S_MAX = 2.0
EARLY_SHARE = 0.15
PHASE_LIMIT_S = 300.0

Show = Callable[[str], None]


@dataclass(frozen=True)
class Kill:
    """Kill a stage, `pause_s` after the kill before, once it has worked for `life_s`; or, early, while it starts."""

    stage: str
    pause_s: float
    life_s: float
    is_early: bool


def plan_kills(seed: int, count: int) -> list[Kill]:
    """What the seed decides."""
    rng = random.Random(f"kills {seed}")
    found: list[Kill] = []
    while len(found) < count:
        stage = rng.choice(STAGES)
        found.append(Kill(stage, rng.uniform(0, PAUSE_S_MAX), rng.expovariate(1 / LIFE_S_MEAN), False))
        if rng.random() < EARLY_SHARE:
            found.append(Kill(stage, rng.uniform(0, EARLY_S_MAX), 0.0, True))
    return found[:count]


class Drill:
    """One run: legs over one installation, with kills or without."""

    def __init__(
        self, folder: Path, seed: int, kills: int, legs_min: int = 1, speed: float = SPEED, show: Show = print
    ) -> None:
        self.legs = 0
        self.killed: Counter[str] = Counter()
        self._site = Installation(folder, seed, speed)
        self._plan = plan_kills(seed, kills)
        self._legs_min = legs_min
        self._show = show
        self._killed_s = 0.0
        self._said_s = 0.0

    def run(self) -> Outcome:
        """Everything to its end. DrillError when a promise is broken."""
        try:
            self._site.start_services()
            operator = Operator(self._site)
            for stage in STAGES:
                self._site.start(stage)
            while self.legs < self._legs_min or self._plan:
                self._leg(operator, self.legs)
                self.legs += 1
            self._finish(operator)
            operator.close()
            return read_outcome(self._site, operator.begun, operator.terms)
        finally:
            self._site.stop()

    def _leg(self, operator: Operator, leg: int) -> None:
        """Order every gateway's leg, let it sample, order the end. The next leg begins while this one is judged."""
        for member in MEMBERS:
            operator.begin(member, leg)
        self._until(f"leg {leg} begins", lambda: self._has_obeyed(2 * leg + 1))
        self._site.write_settings(leg + 1, leg_begin_ms(leg + 1))
        self._restart_edge()
        self._until(f"leg {leg} is sampled", lambda: self._has_sampled(leg + 1))
        for member in MEMBERS:
            operator.end(member, leg)
        self._until(f"leg {leg} ends", lambda: self._has_obeyed(2 * leg + 2))

    def _finish(self, operator: Operator) -> None:
        """Until every leg has its final verdict and its payment, and the archive all readings."""
        log = SqliteLog(self._site.data / "log.sqlite")
        queries = Queries(self._site.data / "archive")
        count = len(operator.begun)
        try:
            self._until("final verdicts", lambda: _final_count(log) >= count)
            self._until("settlements", lambda: sum(log.end(topics.SETTLEMENTS).values()) >= count)
            self._until("archive", lambda: queries.readings_count() >= self._made())
        finally:
            log.close()

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            self._kill()
            if time.monotonic() - self._said_s > 5:
                self._said_s = time.monotonic()
                self._show(f"{self.killed.total()} kills, {len(self._plan)} to come; waiting: {what}")
            return condition()

        self._site.until(what, holds, PHASE_LIMIT_S)

    def _kill(self) -> None:
        """Kill the next one, if it is time; it starts again at once."""
        now_s = time.monotonic()
        if not self._plan:
            return
        kill = self._plan[0]
        if now_s < self._killed_s + kill.pause_s:
            return
        if not kill.is_early:
            ready_s = self._site.running[kill.stage].ready_s
            if not self._site.is_ready(kill.stage) or ready_s is None or now_s < ready_s + kill.life_s:
                return
        self._plan.pop(0)
        self._site.kill(kill.stage)
        self._site.start(kill.stage)
        self.killed[kill.stage] += 1
        self._killed_s = time.monotonic()

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
        samples = legs * LEG_MS // MINUTE_MS + 1
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
    disturbed_s: float
    undisturbed_s: float
    differences: list[str]
    outcome: Outcome


def drill(folder: Path, seed: int, kills: int, legs_min: int = 1, show: Show = print) -> Report:
    """Run with kills, then without, over as many legs; DrillError when a promise is broken in one of them."""
    begun_s = time.monotonic()
    wild = Drill(folder / "disturbed", seed, kills, legs_min, show=show)
    found = wild.run()
    middle_s = time.monotonic()
    show(f"{wild.killed.total()} kills over {wild.legs} legs in {middle_s - begun_s:.0f} s; now undisturbed")
    calm = Drill(folder / "undisturbed", seed, 0, wild.legs, speed=0, show=show).run()
    return Report(
        seed,
        dict(wild.killed),
        wild.legs * len(MEMBERS),
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
    parser.add_argument("--legs", type=int, default=1, help="at least so many legs of each gateway")
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
            report = drill(folder, options.seed, options.kills, options.legs, show)
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
        "disturbed_s": round(report.disturbed_s, 1),
        "undisturbed_s": round(report.undisturbed_s, 1),
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
