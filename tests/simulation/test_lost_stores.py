"""Promise: every store that docs/operations.md says comes back by itself does, while legs go their way."""

import shutil
from pathlib import Path

import pytest

from lading import topics
from lading.log import SqliteLog
from tests.simulation.drill import SPEED, Drill

SEED = 5
LOST = {
    "ingest": ("ingest.sqlite",),
    "anomaly": ("anomaly.sqlite",),
    "anchoring": ("anchor-index.sqlite", "anchor-outbox.sqlite"),
    "settle": ("settle.sqlite", "settle-outbox.sqlite"),
}


class Losing(Drill):
    """A run in which each stage loses its files twice: while frames come in, and after verdicts were said."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SEED, 0, 1, SPEED, lambda line: None)
        self.lost: list[str] = []
        self._log: SqliteLog | None = None

    def _kill(self) -> None:
        path = self._site.data / "log.sqlite"
        if self._log is None and not path.exists():
            return
        self._log = self._log or SqliteLog(path)
        frames, verdicts = (sum(self._log.end(t).values()) for t in (topics.FRAMES, topics.VERDICTS))
        for stage in LOST:
            due = (frames >= 20) + (frames >= 20 and verdicts >= 2)
            if self.lost.count(stage) < due and self._site.is_ready(stage):
                self._lose(stage)

    def _lose(self, stage: str) -> None:
        """The stage ends, its files go, it starts again; with ingest the archive goes too, and is rebuilt."""
        self._site.kill(stage)
        for name in LOST[stage]:
            for path in self._site.data.glob(f"{name}*"):
                path.unlink()
        if stage == "ingest":
            shutil.rmtree(self._site.data / "archive", ignore_errors=True)
            self._site.command("archive", "rebuild")
        self._site.start(stage)
        self.lost.append(stage)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_lost_stores_come_back(tmp_path: Path) -> None:
    """Each reading once in the archive, each verdict said once, each payment once and as the terms make it due."""
    run = Losing(tmp_path)
    outcome = run.run()
    assert sorted(run.lost) == sorted([*LOST, *LOST])
    assert len(outcome.verdicts) == len(outcome.payments) == 3
