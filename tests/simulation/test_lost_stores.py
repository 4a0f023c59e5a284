"""Promise: every store that docs/operations.md says comes back by itself does, while legs go their way."""

import shutil
from pathlib import Path

import pytest

from lading import topics
from lading.log import SqliteLog
from tests.simulation.drill import SPEED, Drill
from tests.simulation.installation import Installation
from tests.simulation.kills import Progress

SEED = 5
LOST = {
    "ingest": ("ingest.sqlite",),
    "anomaly": ("anomaly.sqlite",),
    "anchoring": ("anchor-index.sqlite", "anchor-outbox.sqlite"),
    "settle": ("settle-ledger.sqlite", "settle-outbox.sqlite"),
}


class Losing:
    """Each stage loses its files twice: while frames come in, and after verdicts were said. A drill's disturbance."""

    left = 0  # nothing that a run would have to wait for

    def __init__(self, site: Installation) -> None:
        self._site = site
        self._log: SqliteLog | None = None
        self.lost: list[str] = []

    @property
    def done(self) -> int:
        """How often files were lost."""
        return len(self.lost)

    def step(self, progress: Progress) -> None:
        """Lose what is due."""
        self._log = self._log or SqliteLog(self._site.data / "log.sqlite")
        frames, verdicts = (sum(self._log.end(t).values()) for t in (topics.FRAMES, topics.VERDICTS))
        for stage in LOST:
            due = (frames >= 20) + (frames >= 20 and verdicts >= 2)
            if self.lost.count(stage) < due and self._site.parts[stage].is_ready():
                self._lose(stage)

    def calm(self) -> None:
        """Nothing is away."""

    def _lose(self, stage: str) -> None:
        """The stage ends, its files go, it starts again; with ingest the archive goes too, and is rebuilt."""
        self._site.parts[stage].kill()
        for name in LOST[stage]:
            for path in self._site.data.glob(f"{name}*"):
                path.unlink()
        if stage == "ingest":
            shutil.rmtree(self._site.data / "archive", ignore_errors=True)
            self._site.command("archive", "rebuild")
        self._site.parts[stage].start()
        self.lost.append(stage)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_lost_stores_come_back(tmp_path: Path) -> None:
    """Each reading once in the archive, each verdict said once, each payment once and as the terms make it due."""
    site = Installation(tmp_path, SEED, SPEED, is_real=False)
    losing = Losing(site)
    outcome = Drill(site, losing, 1, lambda line: None).run()
    assert sorted(losing.lost) == sorted([*LOST, *LOST])
    assert len(outcome.verdicts) == len(outcome.payments) == 3
