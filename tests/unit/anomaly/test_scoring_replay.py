"""`lading anomaly replay` and `alerts`: recorded scores are what anyone computes of the frames, or not, and where."""

import json
import signal
import subprocess
import sys
from dataclasses import replace as changed
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anomaly.cli import app
from anomaly.scoring import release
from anomaly.scoring.stage import Scores, lag
from anomaly.state import State
from lading import topics
from lading.episode import Episode, read_anomaly
from lading.episode import Scores as Sheet
from lading.errors import ProofError, ServiceError
from lading.frame import Frame, withhold
from tests.legs import OPERATOR, TENANT, Leg
from tests.unit.anomaly.harness import Bench
from tests.unit.anomaly.scoring_twin import wild_leg
from tests.unit.anomaly.test_scoring import scored
from tests.unit.anomaly.test_scoring_stage import run
from tests.unit.lading.evidence_world import evidence_of, make_world
from tests.waiting import LIMIT_S, until


class Site:
    """A log whose frames were scored, and commands on it."""

    def __init__(self, folder: Path, frames: list[Frame], leg: Leg | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.bench = folder, Bench(folder)
        (folder / "lading.toml").write_text(
            f'[lading]\ntenant = "{TENANT}"\ndata = "."\n[log]\npath = "log.sqlite"\n'
        )
        if leg:
            self.bench.order(leg)
        self.bench.frames(frames)
        self.score()

    def score(self) -> None:
        """Score what is new, in a process that ends in order."""
        state = State(self.folder / "state.sqlite")
        run(Scores(self.bench.log, state))
        state.close()

    def call(self, *arguments: str) -> tuple[int, str]:
        """A command's exit code and output."""
        config = str(self.folder / "lading.toml")
        result = CliRunner().invoke(app, [*arguments, "--config", config], catch_exceptions=False)
        return result.exit_code, result.stdout

    def replay(self, leg: str = "leg-1") -> dict[str, object]:
        """What the replay says, with its exit code."""
        code, out = self.call("replay", leg, "--json")
        found: dict[str, object] = json.loads(out)
        return {**found, "exit": code}

    def records(self) -> list[tuple[int, Episode | Sheet]]:
        """What the log says, by offset."""
        found = self.bench.log.read(topics.ANOMALIES, {}, 1_000)
        return [(record.offset, read_anomaly(record.value)) for record in found]

    def put(self, offset: int, one: Episode | Sheet) -> None:
        """Change a record of the log."""
        self.bench.log.replace(topics.ANOMALIES, {(0, offset): one.encode()})


@pytest.mark.parametrize("closed", [True, False])
def test_an_honest_leg_is_identical(tmp_path: Path, closed: bool) -> None:
    """Every reading is computed and every record compared, also while the leg is open."""
    leg = wild_leg(1, closed=closed)
    site = Site(tmp_path, [*leg.frames], leg)
    said = site.replay()
    assert (said["result"], said["exit"], said["left"]) == ("identical", 0, [])
    assert said["readings"] == 2 * 1_500
    assert said["episodes"] + said["sheets"] == len(site.records()) > 4  # type: ignore[operator]
    code, out = site.call("replay", leg.begin.leg_id.hex()[:12])
    assert (code, out.splitlines()[-1]) == (0, "identical")


def test_a_changed_score_is_named(tmp_path: Path) -> None:
    """An episode whose peak was lowered, and one that was taken away: their readings are named."""
    leg = wild_leg(2)
    site = Site(tmp_path, [*leg.frames], leg)
    at, one = next(
        (at, one) for at, one in site.records() if isinstance(one, Episode) and one.state == "ended"
    )
    site.put(at, changed(one, score=one.score - 1))
    said = site.replay()
    assert (said["result"], said["exit"], said["difference_count"]) == ("differs", 1, 1)
    (difference,) = said["differences"]  # type: ignore[misc]
    assert (difference["channel"], difference["first_seq"], difference["last_seq"]) == (
        one.channel,
        one.begin.seq,
        one.last.seq,
    )
    assert f"{(one.score - 1) / 1e6:.6f} at reading {one.peak.seq}" in difference["text"]
    assert f"computed {one.detector} {one.score / 1e6:.6f} at reading {one.peak.seq}" in difference["text"]
    twice = next(found for _, found in site.records() if isinstance(found, Episode) and found != one)
    site.put(at, twice)
    code, out = site.call("replay", "leg-1")
    assert code == 1
    assert f"differs   channel {one.channel}, readings {one.begin.seq} to {one.last.seq}" in out
    assert "computed, and not in the log" in out


def test_a_changed_sheet_is_named(tmp_path: Path) -> None:
    """The greatest score at its reading; any other score by the readings of its part."""
    leg = wild_leg(3)
    site = Site(tmp_path, [*leg.frames], leg)
    at, sheet = next((at, one) for at, one in site.records() if isinstance(one, Sheet))
    own = sheet.channels[1]
    site.put(at, changed(sheet, channels=(sheet.channels[0], own._replace(score=own.score + 7))))
    (found,) = site.replay()["differences"]  # type: ignore[misc]
    assert f"recorded {(own.score + 7) / 1e6:.6f} at reading {own.seq}" in found["text"]
    site.put(at, changed(sheet, channels=(sheet.channels[0], own._replace(digest=bytes(8)))))
    (found,) = site.replay()["differences"]  # type: ignore[misc]
    last = own.first_seq + own.readings - 1
    assert (found["channel"], found["first_seq"], found["last_seq"]) == (own.channel, own.first_seq, last)
    site.put(at, changed(sheet, part=7))
    assert site.replay()["result"] == "differs"


def test_frames_that_came_late_or_not(tmp_path: Path) -> None:
    """What was scored behind a gap is computed as it was, though the late frame is there now."""
    leg = wild_leg(4)
    f = leg.frames
    site = Site(tmp_path, [*f[:6], *f[7:12], f[6], *f[12:]], leg)
    said = site.replay()
    assert (said["result"], said["frames"]) == ("identical", len(f) - 1)


def test_what_cannot_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another release's scores, and a leg that nothing is said of."""
    leg = wild_leg(5)
    site = Site(tmp_path, [*leg.frames], leg)
    monkeypatch.setattr("anomaly.scoring.replay.release", lambda: "0123456789abcdef")
    said = site.replay()
    assert (said["result"], said["exit"]) == ("incomplete", 3)
    (left,) = said["left"]  # type: ignore[misc]
    assert f"release {release.release()}, this is 0123456789abcdef" in left
    with pytest.raises(ServiceError, match="no leg that was scored"):
        site.call("replay", "leg-9")


def test_erased_readings(tmp_path: Path) -> None:
    """What came before them is compared; a scoring that is made anew passes them over, and can be replayed."""
    leg = wild_leg(8)
    site = Site(tmp_path, [*leg.frames], leg)
    erased = {(0, at): withhold(leg.frames[at]).encode() for at in (17, 18)}
    site.bench.log.replace(topics.FRAMES, erased)
    said = site.replay()
    assert (said["result"], said["exit"], said["frames"]) == ("incomplete", 3, 17)
    assert said["left"] == ["frame 17 is not there with its readings: what follows was not compared"]
    anew = Site(tmp_path / "anew", [])
    anew.bench.log.append(
        topics.FRAMES, [(record.key, record.value) for record in site.bench.log.read(topics.FRAMES, {}, 100)]
    )
    anew.score()
    assert anew.replay(leg.begin.leg_id.hex())["result"] == "identical"


def test_from_an_evidence_file(tmp_path: Path) -> None:
    """The file is checked first; its frames give the recorded scores."""
    world = make_world()
    site = Site(tmp_path, world.leg)
    path = tmp_path / "leg.evidence"
    path.write_bytes(evidence_of(world).encode())
    said = site.replay(str(path))
    assert (said["result"], said["exit"], said["sheets"]) == ("identical", 0, 1)
    path.write_bytes(evidence_of(world, tenant_name="another").encode())
    with pytest.raises(ProofError, match="does not prove its leg"):
        site.call("replay", str(path))


def test_alerts_for_people_and_programs(tmp_path: Path) -> None:
    """An episode is one line, by its leg's reference; between legs it has none; what goes on has no end."""
    leg = wild_leg(6)
    site = Site(tmp_path, [*leg.frames], leg)
    code, out = site.call("alerts")
    records = [one for _, one in site.records() if isinstance(one, Episode)]
    assert code == 0
    assert len(out.splitlines()) == sum(one.state == "begun" for one in records) > 2
    assert out.startswith("leg-1 ")
    found = json.loads(site.call("alerts", "leg-1", "--json")[1])
    first = found[0]
    ended = next(one for one in records if one.state == "ended" and one.begin.seq == first["begin"]["seq"])
    assert first["end"] == {
        "time_ms": ended.last.time_ms,
        "seq": ended.last.seq,
        "frame": ended.last.frame_hash.hex(),
    }
    assert (first["up"], first["gateway"], first["channel"]) == (
        False,
        leg.begin.gateway.hex(),
        ended.channel,
    )
    assert json.loads(site.call("alerts", "--up", "--json")[1]) == []
    for command in ("alerts", "forecasts"):
        with pytest.raises(ServiceError, match="'leg-9' means no leg that was begun"):
            site.call(command, "leg-9")


def test_the_process_scores(tmp_path: Path) -> None:
    """`lading anomaly run`, stopped in order: what it left in the log is identical, and nothing is left to do."""
    leg = wild_leg(9)
    site = Site(tmp_path, [])
    (tmp_path / "lading.toml").write_text(
        (tmp_path / "lading.toml").read_text()
        + f'[anomaly]\noperators = {{ {TENANT} = "{OPERATOR.public.encode().hex()}" }}\n'
    )
    site.bench.order(leg)
    site.bench.frames(leg.frames)
    command = [
        sys.executable,
        "-m",
        "lading.cli",
        "anomaly",
        "run",
        "--config",
        str(tmp_path / "lading.toml"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        until(lambda: lag(site.bench.log) == 0)
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=LIMIT_S)
    assert child.returncode == 0
    assert [one for _, one in site.records()] == scored(leg.frames)
    assert site.replay()["result"] == "identical"


def test_alerts_that_go_on(tmp_path: Path) -> None:
    """An episode is there from its first high score on, and has no end yet."""
    leg = wild_leg(7, count=1_440, closed=False)
    site = Site(tmp_path, [*leg.frames])
    found = json.loads(site.call("alerts", "--up", "--json")[1])
    assert {one["channel"] for one in found} == {1, 2}
    assert {(one["up"], one["end"], one["leg"]) for one in found} == {
        (True, None, leg.begin.leg_id.hex()[:16])
    }
    assert "goes on" in site.call("alerts", "--up")[1]
