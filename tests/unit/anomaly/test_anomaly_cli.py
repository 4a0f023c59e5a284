"""`lading anomaly`: what people and programs see of verdicts, status and profiles."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anomaly.cli import app
from lading import topics
from lading.errors import ServiceError
from lading.log import SqliteLog
from tests.legs import OPERATOR, TENANT
from tests.unit.anomaly.harness import Bench, run
from tests.unit.anomaly.test_anomaly_stage import warm_leg

STOP_S_MAX = 30


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file beside a log with a warm leg, judged and final, and a clean one that is open."""
    path = tmp_path / "lading.toml"
    key = OPERATOR.public.encode().hex()
    path.write_text(
        f'[lading]\ntenant = "{TENANT}"\ndata = "."\n[log]\npath = "log.sqlite"\n'
        f'[anomaly]\nstate = "state.sqlite"\npoll_s = 0.05\noperators = {{ {TENANT} = "{key}" }}\n'
    )
    bench = Bench(tmp_path)
    warm, clean = warm_leg("truck-1"), warm_leg("truck-2", warm=False)
    bench.order(warm)
    bench.order(clean)
    bench.frames([*warm.frames, *clean.frames[:2]])
    bench.finalize()
    return path


def judged(config: Path) -> Path:
    """The same with the stage run over it."""
    stage = Bench(config.parent).stage()
    run(stage)
    stage.close()
    return config


def call(*arguments: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_verdicts_for_people(config: Path) -> None:
    """A line a leg; a leg with its findings in words."""
    path = str(judged(config))
    listed = call("verdicts", "list", "--config", path).splitlines()
    assert listed[0].startswith("truck-1")
    assert "closed breach final" in listed[0]
    assert listed[1].startswith("truck-2")
    assert "open clean provisional" in listed[1]
    shown = call("verdicts", "show", "truck-1", "--config", path)
    assert (
        "breach    temperature (channel 1) above 8.000 °C for 10 min in one stretch, allowed 5 min" in shown
    )
    assert "2023-11-14 22:33:20 UTC to 2023-11-14 22:43:20 UTC" in shown
    assert "channel 1 temperature: 5.000 °C to 9.000 °C" in shown


def test_verdicts_for_programs(config: Path) -> None:
    """The same as JSON, found by the beginning of the leg id too."""
    path = str(judged(config))
    first, second = json.loads(call("verdicts", "list", "--json", "--config", path))
    assert (first["leg"], first["verdict"], first["final"]) == ("truck-1", "breach", True)
    assert (second["leg"], second["verdict"], second["final"]) == ("truck-2", "clean", False)
    again = json.loads(call("verdicts", "show", first["leg_id"][:8], "--json", "--config", path))
    assert again == first
    assert [finding["measured"] for finding in again["findings"]] == [600_000]
    with pytest.raises(ServiceError, match="0 legs"):
        call("verdicts", "show", "truck-9", "--config", path)


def test_status(config: Path) -> None:
    """How far behind, before and after."""
    before = json.loads(call("status", "--json", "--config", str(config)))
    after = json.loads(call("status", "--json", "--config", str(judged(config))))
    assert before == {"lag_frames": 14, "unscored_frames": 14, "legs": {}}
    assert after == {
        "lag_frames": 0,
        "unscored_frames": 14,  # the rules alone ran
        "legs": {"closed breach final": 1, "open clean provisional": 1},
    }


def test_profiles() -> None:
    """Every profile is listed; one is shown with the sources of its limits."""
    assert "vaccine-2-8" in call("profiles", "list")
    assert "WHO PQS E006/TR06" in call("profiles", "show", "vaccine-2-8")
    shown = json.loads(call("profiles", "show", "frozen", "--json"))
    assert shown["roles"]["air"]["limits"]["upper"]["value"] == -15_000


def test_run_judges_and_stops_on_sigterm(config: Path) -> None:
    """The process works off the log, and ends cleanly when asked to."""
    command = [sys.executable, "-m", "lading.cli", "anomaly", "run", "--config", str(config)]
    log = SqliteLog(config.parent / "log.sqlite")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        lines = [child.stderr.readline() for _ in range(3)]
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=STOP_S_MAX)
    assert [json.loads(line)["event"] for line in lines] == [
        "anomaly_started",
        "partition_taken",
        "step",
    ]
    assert child.returncode == 0
    assert len(log.read(topics.VERDICTS, {}, 10)) == 2
