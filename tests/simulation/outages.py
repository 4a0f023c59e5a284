"""Services that are away for a while: how long it takes until all is well again, and what memory it costs meanwhile."""

import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from edge.outbox import read_summary
from ingest.queries import Queries
from lading import topics
from lading.batch import AnchorRecord, BatchRecord
from lading.errors import ServiceError
from tests.simulation.installation import MEMBERS, Installation
from tests.simulation.kills import Progress
from tests.simulation.outcome import records

SAMPLE_EVERY_S = 1.0
LOOK_EVERY_S = 0.5
POLL_S = 0.05
STEADY_S = 2.0
MIB = 2**20


class Outage(NamedTuple):
    """A part that is killed, and started again after a while; or that hangs meanwhile (SIGSTOP)."""

    name: str
    how: Literal["away", "hangs"]
    seconds: float


@dataclass
class Passed:
    """What became of an outage. `recovered_s`: from its end until all that was made before it ended is anchored.

    Memory in MiB by process: before, and the most until then.
    """

    outage: Outage
    recovered_s: float = 0.0
    memory_before: dict[str, float] = field(default_factory=dict)
    memory_most: dict[str, float] = field(default_factory=dict)

    @property
    def growth(self) -> dict[str, float]:
        """MiB more, by process that has lived since before."""
        return {name: self.memory_most.get(name, 0.0) - mib for name, mib in self.memory_before.items()}


class Outages:
    """One outage while each leg is sampled. As a disturbance of a drill."""

    def __init__(self, site: Installation, outages: Sequence[Outage]) -> None:
        self._site = site
        self._to_come = list(outages)
        self._now: Passed | None = None
        self._ends_s = 0.0
        self._sampled_s = self._looked_s = 0.0
        self._marks: dict[bytes, int] | None = None  # frames of each gateway when the outage ended
        self._interval: int | None = None  # the newest one, once those frames were archived
        self.passed: list[Passed] = []

    @property
    def done(self) -> int:
        """Outages that all has recovered from."""
        return len(self.passed)

    @property
    def left(self) -> int:
        """The others."""
        return len(self._to_come) + (self._now is not None)

    def step(self, progress: Progress) -> None:
        """Begin, end and watch."""
        if self._now is not None:
            self._watch(self._now)
        elif progress.is_sampling and progress.leg == self.done and self._to_come and self._is_steady():
            self._begin(self._to_come.pop(0))

    def calm(self) -> None:
        """Wait for the end of one that is on."""
        while self._now is not None and self._marks is None:
            self._watch(self._now)
            time.sleep(POLL_S)

    def _is_steady(self) -> bool:
        """Whether every part has started: what one takes for itself while it does so is no growth."""
        now_s = time.monotonic()
        parts = self._site.parts.values()
        return all(part.is_ready() and now_s - (part.ready_s or now_s) > STEADY_S for part in parts)

    def _begin(self, outage: Outage) -> None:
        self._now = Passed(outage, memory_before=self._memory())
        self._ends_s = time.monotonic() + outage.seconds
        part = self._site.parts[outage.name]
        if outage.how == "hangs":
            part.send_signal(signal.SIGSTOP)
        else:
            part.kill()
            self._site.resting.add(outage.name)

    def _watch(self, now: Passed) -> None:
        if time.monotonic() - self._sampled_s > SAMPLE_EVERY_S:
            self._sampled_s = time.monotonic()
            for name, mib in self._memory().items():
                now.memory_most[name] = max(mib, now.memory_most.get(name, 0.0))
        if self._marks is None and time.monotonic() >= self._ends_s:
            self._end(now.outage)
        elif self._marks is not None and time.monotonic() - self._looked_s > LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            if self._is_well(self._marks):
                now.recovered_s = time.monotonic() - self._ends_s
                self.passed.append(now)
                self._now = self._marks = self._interval = None

    def _end(self, outage: Outage) -> None:
        part = self._site.parts[outage.name]
        if outage.how == "hangs":
            part.send_signal(signal.SIGCONT)
        else:
            self._site.resting.remove(outage.name)
            part.start()
        self._marks = {self._site.gateway_id(one.name): self._frames(one.name) for one in MEMBERS}

    def _frames(self, name: str) -> int:
        made = read_summary(self._site.data / "edge" / name / "outbox.sqlite")["frame_seq_next"]
        assert isinstance(made, int)
        return made

    def _is_well(self, marks: dict[bytes, int]) -> bool:
        """Whether the frames made by then are archived, and an interval that was cut after the outage is final."""
        try:
            return self._is_archived(marks) and self._is_anchored()
        except ServiceError:
            return False

    def _is_archived(self, marks: dict[bytes, int]) -> bool:
        _, rows = Queries(self._site.data / "archive").sql(
            "SELECT gateway, max(frame_seq) FROM readings GROUP BY ALL"
        )
        archived = {bytes.fromhex(str(row[0])): int(str(row[1])) for row in rows}
        return all(archived.get(gateway, -1) >= count - 1 for gateway, count in marks.items())

    def _is_anchored(self) -> bool:
        with closing(self._site.open_log()) as log:
            if self._interval is None:
                batches = [BatchRecord.decode(one.value) for one in records(log, topics.BATCHES)]
                self._interval = max(one.interval for one in batches)
            anchors = [AnchorRecord.decode(one.value) for one in records(log, topics.ANCHORS)]
        return any(one.state == "finalized" and one.interval >= self._interval for one in anchors)

    def _memory(self) -> dict[str, float]:
        return {
            name: rss_mib(part.pid)
            for name, part in self._site.parts.items()
            if part.started_s and name not in self._site.resting
        }


def rss_mib(pid: int) -> float:
    """Resident memory of a process; 0 for one that has ended."""
    found: dict[str, str] = defaultdict(lambda: "0 kB")
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    found.update(line.split(":", 1) for line in lines if ":" in line)
    return int(found["VmRSS"].split()[0]) * 1024 / MIB
