"""Promises of `lading status`: it tells what it knows, and what does not answer, without waiting for it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lading.health import watched
from lading.heart import Heart
from lading.settings import LadingSettings, Shared, StageSettings
from tests.ports import free_port, free_ports

STAGES = ("edge", "ingest", "anomaly", "anchoring", "settle")


def lading(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lading.cli", *arguments]
    known = {key: value for key, value in os.environ.items() if key != "COLUMNS"}  # readline sets it here
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=known
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `lading init` makes, with nothing running and no port shown."""
    assert lading(tmp_path, "init", "--metrics-port", "0").returncode == 0
    return tmp_path


def test_an_installation_at_rest_can_be_asked(folder: Path) -> None:
    """Every stage's stores answer but settlement's, which needs the chain; every gateway is there; exit 1."""
    done = lading(folder, "status", "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 1
    assert set(found) == {*STAGES, "processes", "gateways"}
    assert [stage for stage in STAGES if "error" in found[stage]] == ["settle"]
    assert {process["state"] for process in found["processes"].values()} == {"not shown"}
    assert [one["name"] for one in found["gateways"]] == ["truck-1", "truck-2", "cold-room"]
    assert found["anchoring"]["chain_height"] is None
    text = lading(folder, "status").stdout
    assert "the chain does not answer" in text
    assert "truck-1" in text
    assert "never" in text
    assert found["settle"]["error"] in text  # whole: a file or a pipe has no width that would cut it
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_processes_are_seen_from_outside(folder: Path) -> None:
    """One is ready, one is not and says why, the others do not answer: each is shown so."""
    first = free_ports(len(STAGES))
    settings = folder / "lading.toml"
    lines = settings.read_text().splitlines()
    for at, stage in enumerate(STAGES):
        lines.insert(lines.index(f"[{stage}]") + 1, f"metrics_port = {first + at}")
    settings.write_text("\n".join(lines))
    shared = Shared(lading=LadingSettings(data=folder))
    with (
        watched("edge", shared, StageSettings(metrics_port=first)) as edge,
        watched(
            "ingest", shared, StageSettings(metrics_port=first + 1), {"broker": lambda: "gone"}
        ) as ingest,
    ):
        for heart in (edge, ingest):
            assert isinstance(heart, Heart)
            heart.stepped()
        found = json.loads(lading(folder, "status", "--json").stdout)["processes"]
        text = lading(folder, "status").stdout
    assert [found[stage]["state"] for stage in STAGES] == ["ready", "not ready", *3 * ["no answer"]]
    assert found["ingest"]["not_ready"] == {"broker": "gone"}
    assert "broker: gone" in text


def test_a_process_elsewhere_is_asked_where_it_is_scraped(folder: Path) -> None:
    """A stage that serves on every address, as in a container, answers under the name that its metrics have."""
    port, nobody = free_ports(2), free_port()
    settings = folder / "lading.toml"
    shown = f'metrics_host = "0.0.0.0"\nmetrics_port = {nobody}'
    text = (
        settings.read_text()
        .replace("[ingest]", f"[ingest]\n{shown}")
        .replace("[settle]", f"[settle]\n{shown}")
    )
    scrape = f'ingest-1 = "http://localhost:{port}/metrics"\nseries = "http://localhost:{port + 1}/metrics"'
    settings.write_text(f"{text}\n[dashboards]\n{shown}\n[dashboards.scrape]\n{scrape}\n")
    shared = Shared(lading=LadingSettings(data=folder))
    with (
        watched("ingest", shared, StageSettings(metrics_port=port)) as ingest,
        watched("dashboards", shared, StageSettings(metrics_port=port + 1)),
    ):
        ingest.stepped()
        found = json.loads(lading(folder, "status", "--json").stdout)["processes"]
    assert [found[stage]["state"] for stage in ("ingest", "dashboards", "settle")] == [
        "ready",
        "not ready",
        "no answer",
    ]
