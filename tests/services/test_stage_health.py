"""Promises: a stage's process shows what it lacks while it lacks it, shows that it hangs, and recovers by itself."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lading import __version__
from tests.ports import free_port, free_ports
from tests.waiting import until

STAGES = ("edge", "ingest", "anomaly", "anchoring", "settle")
LIMIT_S = 120.0


class Installation:
    """A folder that `lading init` has filled, and the processes started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mqtt_port = free_port()
        self.first_port = free_ports(len(STAGES))
        self.processes: list[subprocess.Popen[bytes]] = []
        ports = ["--mqtt-port", str(self.mqtt_port), "--metrics-port", str(self.first_port)]
        subprocess.run([*self._command("init"), *ports], cwd=folder, check=True, capture_output=True)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{'-'.join(arguments)}.log").open("ab") as log:
            process = subprocess.Popen(
                self._command(*arguments),
                cwd=self.folder,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def look(self, stage: str, page: str) -> tuple[int, str]:
        """Status and body; (0, "") while nothing listens."""
        port = self.first_port + STAGES.index(stage)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode()
        except OSError:
            return 0, ""

    def not_ready(self, stage: str) -> dict[str, str] | None:
        """What the stage lacks; None while nothing answers."""
        status, body = self.look(stage, "readyz")
        found: dict[str, str] | None = json.loads(body)["not_ready"] if status else None
        assert status in (0, 200 if not found else 503)
        return found

    def figure(self, stage: str, name: str, **labels: str) -> float:
        """A metric's value now, over all labels that are not given."""
        families = text_string_to_metric_families(self.look(stage, "metrics")[1])
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def log_file(self) -> Path:
        return self.folder / "lading-data" / "log.sqlite"

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "lading.cli", *arguments]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    one = Installation(tmp_path)
    yield one
    for process in reversed(one.processes):
        process.send_signal(signal.SIGCONT)
        process.terminate()
    for process in one.processes:
        process.wait(LIMIT_S)


def within_limit(condition: Callable[[], Any]) -> None:
    until(condition, LIMIT_S)


def test_a_lost_broker_is_named_and_found_again(installation: Installation) -> None:
    """Edge and ingest are ready; the broker is killed: both name it, and live; it is back: both are ready again."""
    broker = installation.start("ingest", "broker")
    installation.start("ingest", "run")
    installation.start("edge", "run", LADING_EDGE_FLUSH_S="1")
    within_limit(lambda: installation.not_ready("ingest") == {} == installation.not_ready("edge"))
    within_limit(lambda: installation.figure("ingest", "lading_ingest_frames_total") > 3)
    assert installation.figure("ingest", "lading_ingest_messages_total", outcome="taken") > 3
    assert installation.figure("ingest", "lading_ingest_delay_seconds_count") > 3
    within_limit(lambda: installation.figure("edge", "lading_edge_links_up_count") == 3)
    within_limit(lambda: installation.figure("edge", "lading_edge_frames_acked_total") > 3)
    broker.kill()
    within_limit(lambda: "broker" in (installation.not_ready("ingest") or {}))
    within_limit(lambda: "broker" in (installation.not_ready("edge") or {}))
    assert installation.look("ingest", "healthz")[0] == 200
    within_limit(lambda: installation.figure("edge", "lading_edge_outbox_frames") > 3)
    frames = installation.figure("ingest", "lading_ingest_frames_total")
    installation.start("ingest", "broker")
    within_limit(lambda: installation.not_ready("ingest") == {} == installation.not_ready("edge"))
    within_limit(lambda: installation.figure("ingest", "lading_ingest_frames_total") > frames)
    within_limit(lambda: installation.figure("edge", "lading_edge_outbox_frames") < 3)


def test_a_loop_that_hangs_is_not_healthy(installation: Installation) -> None:
    """Another process holds the log's lock: the loop waits in SQLite, /healthz says 503 and answers at once.

    When the lock is gone the stage is healthy and ready again, and has counted the failure by its code.
    """
    installation.start("ingest", "run", LADING_INGEST_STEP_LIMIT_S="2")
    within_limit(lambda: installation.not_ready("ingest") is not None and installation.log_file().exists())
    within_limit(lambda: set(installation.not_ready("ingest") or {}) == {"broker"})
    holder = sqlite3.connect(installation.folder / "lading-data" / "ingest.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    within_limit(lambda: installation.look("ingest", "healthz")[0] == 503)
    assert "loop" in (installation.not_ready("ingest") or {})
    within_limit(lambda: "upkeep" in (installation.not_ready("ingest") or {}))
    holder.execute("ROLLBACK")
    within_limit(lambda: installation.look("ingest", "healthz")[0] == 200)
    within_limit(lambda: set(installation.not_ready("ingest") or {}) == {"broker"})
    assert installation.figure("ingest", "lading_process_step_failures_total", code="state_failed") >= 1


def test_an_archive_that_fails_does_not_hold_up_ingest(installation: Installation) -> None:
    """Where the archive should be there is a file: `archive` names it; frames are taken all the same."""
    (installation.folder / "lading-data" / "archive").write_bytes(b"")
    installation.start("ingest", "broker")
    installation.start("ingest", "run")
    installation.start("edge", "run", LADING_EDGE_FLUSH_S="1")
    within_limit(lambda: "archive" in (installation.not_ready("ingest") or {}))
    frames = installation.figure("ingest", "lading_ingest_frames_total")
    within_limit(lambda: installation.figure("ingest", "lading_ingest_frames_total") > frames + 3)
    assert installation.look("ingest", "healthz")[0] == 200


def test_anomaly_shows_its_lag_and_its_steps(installation: Installation) -> None:
    """Ready over an empty log, stepping, nothing behind; SIGTERM ends it in order."""
    anomaly = installation.start("anomaly", "run")
    within_limit(lambda: installation.not_ready("anomaly") == {})
    steps = installation.figure("anomaly", "lading_process_steps_total")
    within_limit(lambda: installation.figure("anomaly", "lading_process_steps_total") > steps)
    assert installation.figure("anomaly", "lading_anomaly_behind_frames") == 0
    assert installation.figure("anomaly", "lading_process_info", version=__version__) == 1
    anomaly.terminate()
    assert anomaly.wait(LIMIT_S) == 0
