"""The crash drill: processes killed with SIGKILL again and again, while legs go their way from sensor to payment.

`python -m tests.simulation.drill --kills 1000 --seed 7` runs it for as long as it takes; the seed says which process
is killed when. With `--real` it runs on Mosquitto, Kafka, InfluxDB and anvil, without on the embedded parts; what it
runs on is killed too. An undisturbed run on embedded parts comes first: it says what the disturbed one must end in, and
leaves kernels compiled.
"""

import argparse
import json
import math
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge.outbox import read_summary
from ingest.queries import Queries
from lading import topics
from lading.errors import ServiceError
from lading.log import Log
from lading.verdict import VerdictRecord
from tests.simulation.installation import LEG_MS, MEMBERS, SAMPLE_MS, Installation, Member, leg_begin_ms
from tests.simulation.kills import Disturbance, Killer, Progress, plan_kills
from tests.simulation.operator import Operator
from tests.simulation.outcome import Outcome, differences, made, read_outcome

SPEED = 1_200.0  # event time of the disturbed run: a leg's three hours are 9 s of the edge's life
KILLS_A_LEG, REAL_KILLS_A_LEG = 17, 26  # real servers are more to kill
BEGIN_PART, SAMPLE_PART, END_PART, FINISH_PART = 1, 4, 2, 4  # how the kills are shared out
PHASE_LIMIT_S = 600.0
LOOK_S = 0.25
READ_RECORDS = 1_000

Show = Callable[[str], None]


class Drill:
    """One run: legs over one installation, with kills or without."""

    def __init__(self, site: Installation, disturbance: Disturbance, legs: int, show: Show) -> None:
        self._site = site
        self._disturbance = disturbance
        self._legs = legs
        self._parts = legs * (BEGIN_PART + SAMPLE_PART + END_PART) + FINISH_PART
        self._parts_begun = 0
        self._show = show
        self._said_s = 0.0
        self._leg_now, self._is_sampling = 0, False
        self.late = 0

    def run(self) -> Outcome:
        """Everything to its end. DrillError when a promise is broken."""
        try:
            self._site.start()
            operator = Operator(self._site)
            for leg in range(self._legs):
                self._leg(operator, leg)
            self._finish(operator)
            operator.close()
            return read_outcome(self._site, operator.begun, operator.terms)
        finally:
            self._disturbance.calm()
            self._site.stop()

    def _leg(self, operator: Operator, leg: int) -> None:
        """Order every gateway's leg, let it sample, order the end. The next leg begins while this one is judged."""
        self._parts_begun += BEGIN_PART
        self._leg_now = leg
        self._until_served()
        for member in MEMBERS:
            operator.begin(member, leg)
        self._until(f"leg {leg} begins", lambda: self._has_obeyed(operator, 2 * leg + 1))
        self._site.write_settings(leg + 1, leg_begin_ms(leg + 1))
        self._restart_edge()
        self._parts_begun += SAMPLE_PART
        self._is_sampling = True
        self._until(f"leg {leg} is sampled", lambda: self._has_sampled(leg + 1))
        self._is_sampling = False
        self._parts_begun += END_PART
        self._until_served()
        for member in MEMBERS:
            operator.end(member, leg)
        self._until(f"leg {leg} ends", lambda: self._has_obeyed(operator, 2 * leg + 2))

    def _finish(self, operator: Operator) -> None:
        """Until every leg has its final verdict and its payment, and the archive all readings."""
        queries = Queries(self._site.data / "archive")
        count = len(operator.begun)
        self._parts_begun += FINISH_PART
        with closing(self._site.open_log()) as log:
            finals = Finals(log)
            self._until("final verdicts", lambda: finals.count() >= count)
            self._until("settlements", lambda: sum(log.end(topics.SETTLEMENTS).values()) >= count)
            self._until("archive", lambda: queries.readings_count() >= self._made())
            self._until("time series", self._are_shown)
        self.late = self._disturbance.left
        self._until("disturbances", lambda: not self._disturbance.left)
        self._until_served()

    def _are_shown(self) -> bool:
        shown = self._site.services.shown_readings()
        return shown is None or shown >= self._made()

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        """The kills go on meanwhile; the condition itself is asked less often."""
        asked_s = 0.0

        def holds() -> bool:
            nonlocal asked_s
            self._disturbance.step(
                Progress(self._parts_begun / self._parts, self._leg_now, self._is_sampling)
            )
            now_s = time.monotonic()
            if now_s - self._said_s > 5:
                self._said_s = now_s
                self._show(
                    f"{self._disturbance.done} done, {self._disturbance.left} to come; waiting: {what}"
                )
            if now_s - asked_s < LOOK_S:
                return False
            asked_s = now_s
            return condition()

        self._site.until(what, holds, PHASE_LIMIT_S)

    def _until_served(self) -> None:
        """Until every service works: what people do, they do then."""
        self._disturbance.calm()
        self._site.until_ready(self._site.services.parts)

    def _restart_edge(self) -> None:
        """Once it can hear SIGTERM: it reads new settings when it starts."""
        self._site.until_ready(["edge"])
        edge = self._site.stages["edge"]
        edge.terminate()
        edge.start()

    def _has_obeyed(self, operator: Operator, order_seq: int) -> bool:
        found = [self._summary(member) for member in MEMBERS]
        return operator.is_heard() and all(one is not None and one["order_seq"] == order_seq for one in found)

    def _has_sampled(self, legs: int) -> bool:
        """Whether each gateway has taken all samples of so many legs, framed or not."""
        samples = legs * LEG_MS // self._site.sample_ms + 1
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


class Finals:
    """Counts legs with a final verdict, as the log goes on."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._positions: dict[int, int] = {}
        self._legs: set[bytes] = set()

    def count(self) -> int:
        """How many there are by now."""
        while found := self._log.read(topics.VERDICTS, self._positions, READ_RECORDS):
            for record in found:
                self._positions[record.partition] = record.offset + 1
                verdict = VerdictRecord.decode(record.value).verdict
                if verdict.final:
                    self._legs.add(verdict.leg_id)
        return len(self._legs)


@dataclass(frozen=True)
class Report:
    """A disturbed run beside an undisturbed one. `late_kills` came after the work was done."""

    seed: int
    killed: dict[str, int]
    restarts: dict[str, int]
    late_kills: int
    legs: int
    undisturbed_s: float
    disturbed_s: float
    differences: list[str]
    outcome: Outcome


def undisturbed(folder: Path, seed: int, legs: int, show: Show, sample_ms: int = SAMPLE_MS) -> Outcome:
    """What a run must end in, found on embedded parts at full speed."""
    site = Installation(folder, seed, 0, is_real=False, sample_ms=sample_ms)
    return Drill(site, Killer(site.parts, {}), legs, show).run()


def drill(folder: Path, seed: int, kills: int, is_real: bool = False, show: Show = print) -> Report:
    """Run without kills, then with them; DrillError when a promise is broken in one of them."""
    begun_s = time.monotonic()
    legs = max(1, math.ceil(kills / (REAL_KILLS_A_LEG if is_real else KILLS_A_LEG)))
    calm = undisturbed(folder / "undisturbed", seed, legs, show)
    middle_s = time.monotonic()
    show(f"{legs} legs of each gateway in {middle_s - begun_s:.0f} s; now with {kills} kills")
    site = Installation(folder / "disturbed", seed, SPEED, is_real)
    killer = Killer(site.parts, plan_kills(seed, kills, list(site.parts), site.services.forgetful))
    wild = Drill(site, killer, legs, show)
    found = wild.run()
    return Report(
        seed,
        dict(killer.killed),
        {name: stage.restarts for name, stage in site.stages.items() if stage.restarts},
        wild.late,
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
    parser.add_argument("--real", action="store_true", help="on real servers, which are killed too")
    parser.add_argument(
        "--keep", type=Path, help="a new folder for all files; otherwise they are removed at the end"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # and stop everything first

    def show(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="drill") as scratch:
        folder = options.keep or Path(scratch)
        try:
            report = drill(folder, options.seed, options.kills, options.real, show)
        except AssertionError as exc:
            print(f"seed {options.seed}: {exc}", file=sys.stderr)
            return 1
    outcome = report.outcome
    document = {
        "seed": report.seed,
        "kills": report.killed,
        "kills_after_work": report.late_kills,
        "ended_by_errors_and_started_again": report.restarts,
        "legs": report.legs,
        "readings": outcome.readings_count,
        "frames": outcome.frames,
        "intervals": outcome.intervals,
        "payments": {name: [one.penalty, one.rest] for name, one in outcome.payments.items()},
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
