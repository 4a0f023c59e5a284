"""Promise: a backup taken while every stage works, put back elsewhere, ends in the same verdicts and payments."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.queries import Queries
from lading import topics
from lading.backup.create import create
from lading.backup.restore import restore
from lading.log import SqliteLog
from tests.services.mqtt_client import Client
from tests.simulation.drill import PHASE_LIMIT_S, SPEED, Drill, Finals
from tests.simulation.installation import Installation
from tests.simulation.kills import Progress
from tests.simulation.operator import Operator
from tests.simulation.outcome import (
    Outcome,
    _check_frames,
    _credits,
    _final_verdicts,
    _payments,
    _readings,
    differences,
)
from tests.simulation.services import Embedded, Process

SEED = 3
RESTORED = ("ingest", "anomaly", "anchoring", "settle")


class Backup:
    """A backup, once, when the log is as far. As a disturbance of a drill."""

    def __init__(self, site: Installation, when: Callable[[SqliteLog], bool]) -> None:
        self.folder = site.folder / "backup"
        self._site = site
        self._when = when
        self.done = 0
        self._log: SqliteLog | None = None

    @property
    def left(self) -> int:
        """Nothing that a run would have to wait for."""
        return 0

    def step(self, progress: Progress) -> None:
        """Back up, if it is time."""
        self._log = self._log or SqliteLog(self._site.data / "log.sqlite")
        if not self.done and self._when(self._log):
            create(self._site.config, self.folder, with_keys=True, note=lambda line: None)
            self.done = 1

    def calm(self) -> None:
        """Nothing is away."""


class BackedUp(Drill):
    """A run that is backed up once, in its middle, and of which every message is kept."""

    def __init__(self, folder: Path, when: Callable[[SqliteLog], bool]) -> None:
        self.site = Installation(folder, SEED, SPEED, is_real=False)
        backup = Backup(self.site, when)
        super().__init__(self.site, backup, 1, lambda line: None)
        self.backup = backup.folder
        self.messages: list[tuple[str, bytes]] = []
        self.operator: Operator | None = None
        self._listener: Client | None = None

    def _leg(self, operator: Operator, leg: int) -> None:
        self.operator = operator
        filters = ("lading/v1/+/+/frames", "lading/v1/+/+/assignment")
        self._listener = Client(self.site.services.mqtt_port, "listener", *filters)
        super()._leg(operator, leg)

    def _finish(self, operator: Operator) -> None:
        super()._finish(operator)
        assert self._listener is not None
        self.messages = [(message.topic, message.payload) for message in self._listener.got]
        self._listener.close()


class Elsewhere(Installation):
    """The same settings, another folder, and no gateway."""

    def __init__(self, old: Installation, folder: Path) -> None:
        assert isinstance(old.services, Embedded)
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "lading.toml"
        self.services = Embedded(folder, self.config, old.services.ports)
        self.stages = {name: self._stage(name, Process(name)) for name in RESTORED}
        self.parts = {**self.services.parts, **self.stages}
        self.resting = set()
        self.operator, self.signers, self._seed = old.operator, old.signers, old._seed


def go_on(site: Elsewhere, run: BackedUp) -> Outcome:
    """Every message once more, those that the backup has among them; until all is final and paid."""
    operator = run.operator
    assert operator is not None
    try:
        site.start()
        sender = Client(site.services.mqtt_port, "again")
        for topic, payload in run.messages:
            sender.send(topic, payload, wait=False)
        log = SqliteLog(site.data / "log.sqlite")
        queries, count = Queries(site.data / "archive"), len(operator.begun)
        made, finals = run._made(), Finals(log)
        site.until("final verdicts", lambda: finals.count() >= count, PHASE_LIMIT_S)
        site.until("settlements", lambda: sum(log.end(topics.SETTLEMENTS).values()) >= count, PHASE_LIMIT_S)
        site.until("archive", lambda: queries.readings_count() >= made, PHASE_LIMIT_S)
        log.close()
        sender.close()
        shutil.copytree(run.site.data / "edge", site.data / "edge")  # to count what was made
        return restored_outcome(site, operator)
    finally:
        site.stop()


def restored_outcome(site: Installation, operator: Operator) -> Outcome:
    """As `read_outcome`, but intervals may have been passed over: those of the old log that the chain has."""
    log = SqliteLog(site.data / "log.sqlite")
    try:
        frames = _check_frames(site, log)
        verdicts = _final_verdicts(log, operator.begun)
        payments = _payments(site, log, operator.terms, verdicts)
    finally:
        log.close()
    encoded = {reference: verdict.encoded for reference, verdict in verdicts.items()}
    credits_ = _credits(site, operator.terms, payments)
    return Outcome(_readings(site), encoded, payments, credits_, frames, 0)


def frames_in(log: SqliteLog) -> int:
    return sum(log.end(topics.FRAMES).values())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("frames come in", lambda log: frames_in(log) >= 40),
        ("anchors are made", lambda log: sum(log.end(topics.ANCHORS).values()) >= 2),
    ],
)
def test_a_backup_under_load_goes_on_elsewhere(
    tmp_path: Path, name: str, when: Callable[[SqliteLog], bool]
) -> None:
    """The operator's chain has gone on meanwhile or not; no number, verdict, reading or payment is there twice."""
    run = BackedUp(tmp_path / "old", when)
    wanted = run.run()
    assert run.backup.exists(), f"no backup while {name}"
    restore(run.backup, tmp_path / "new", None, lambda line: None)
    found = go_on(Elsewhere(run.site, tmp_path / "new"), run)
    assert not differences(found, wanted)
