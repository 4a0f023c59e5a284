"""Promises of `lading demo`: reading in, payout out, the same every time, and checkable by anyone."""

import csv
import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.cli import MARKER
from demo.run import TICK_MS
from demo.story import BEGIN_MS, FLEET

ROOT = Path(__file__).parents[2]
LIMIT_S = 600
HEX_256 = 64


def lading(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lading.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT, check=False)


def demo(out: Path, *arguments: str | Path) -> dict[str, Any]:
    done = lading("demo", "--json", "--out", out, *arguments)
    assert done.returncode == 0, done.stderr[-4000:]
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def story(out: Path) -> dict[str, Any]:
    return demo(out, "--seed", "1")


def leg(document: dict[str, Any], word: str) -> dict[str, Any]:
    found = [one for one in document["legs"] if word in one["reference"]]
    assert len(found) == 1
    return found[0]  # type: ignore[no-any-return]


@pytest.mark.timeout(LIMIT_S)
def test_the_story_ends_as_it_should(story: dict[str, Any]) -> None:
    """Offline for 50 hours stays clean; a compressor failure, a failed sensor and a cloned key are breaches."""
    rules = {one["reference"][:8]: {b["rule"] for b in one["breaches"]} for one in story["legs"]}
    assert rules["SHP-1001"] == set()
    assert {"excursion_above", "cumulative_above"} <= rules["SHP-1006"]
    assert rules["SHP-1007"] == {"clone"}
    assert {"gap", "unknown_total"} <= rules["SHP-1008"]
    assert not any(rule.startswith("excursion") for rule in rules["SHP-1008"])
    assert all(one["final"] for one in story["legs"])
    assert story["dead_letters"] == [{"code": "equivocation", "count": 1}]


@pytest.mark.timeout(LIMIT_S)
def test_the_breach_pays_and_the_clean_legs_release(story: dict[str, Any]) -> None:
    """By hand from the tiers: above 8 °C for 26 h or more in one stretch is 250 + 300 + 500 of 2,000 coins."""
    by_leg = {one["leg"]: one for one in story["settlements"]}
    penalty = by_leg[leg(story, "SHP-1006")["leg"]]
    assert (penalty["kind"], penalty["amount"]) == ("penalty", 1_050_000_000)
    released = [by_leg[leg(story, f"SHP-100{n}")["leg"]] for n in (1, 2, 3, 4)]
    assert {(one["kind"], one["amount"]) for one in released} == {("release", 2_000_000_000)}
    assert len(story["settlements"]) == 5
    (cover,) = story["covers"]
    assert (cover["leg"], cover["payout"]) == (penalty["leg"], 950_000_000)  # less the deductible of 100
    assert cover["tx"] not in {one["tx"] for one in story["settlements"]}
    (evidence,) = [one for one in story["evidence"] if one["leg"] == cover["leg"]]
    assert (
        evidence["checks"]["settlement"] == "PASS"
    )  # of the penalty and the payout, asked of the demo's chain
    assert all(len(one["tx"].removeprefix("0x")) == HEX_256 for one in story["settlements"])


@pytest.mark.timeout(LIMIT_S)
def test_a_late_frame_corrects_what_was_shown(story: dict[str, Any]) -> None:
    """At its deadline the store's week is half told, and silence would cost; the closing frame comes in the window."""
    (shown,) = story["shown"]
    late = leg(story, "SHP-1004")
    assert (shown["leg"], shown["penalty"]) == (late["leg"], 0)
    silence_ms = BEGIN_MS + 5 * 86_400_000 - shown["sent_ms"]
    assert silence_ms > 24 * 3_600_000  # of the tier that is 2,000 coins
    (paid,) = [one for one in story["settlements"] if one["leg"] == late["leg"]]
    assert paid["kind"] == "release"


@pytest.mark.timeout(LIMIT_S)
def test_every_reading_is_anchored_once(story: dict[str, Any]) -> None:
    """Three trucks with nine channels and a room with six, a sample every five minutes for fourteen days."""
    samples = 14 * 24 * 12
    assert sum(one["readings"] for one in story["anchors"]) == samples * (3 * 9 + 6)
    assert {one["state"] for one in story["anchors"]} == {"finalized"}
    assert all(one["gas_used"] <= 60_000 for one in story["anchors"])


@pytest.mark.timeout(LIMIT_S)
def test_anyone_can_verify_the_evidence(story: dict[str, Any], out: Path) -> None:
    """`lading verify` passes each file offline, and fails it with one reading's value changed."""
    for one in story["legs"]:
        done = lading("verify", out / one["evidence"], "--json")
        assert done.returncode == 0, done.stdout
    data = bytearray((out / leg(story, "SHP-1006")["evidence"]).read_bytes())
    data[len(data) // 2] ^= 1
    (out / "forged.evidence").write_bytes(data)
    assert lading("verify", out / "forged.evidence").returncode in (1, 2)


@pytest.mark.timeout(LIMIT_S)
def test_the_readme_shows_what_verify_says(story: dict[str, Any], out: Path) -> None:
    """Each line of the README's example is one of the command's, but for what an ellipsis leaves out."""
    readme = (ROOT / "README.md").read_text("utf-8")
    found = re.search(
        r"```console\n\$ \.venv/bin/lading (verify) demo-out/(\S+)\n(.*?)```", readme, re.DOTALL
    )
    assert found
    done = lading(found[1], out / found[2])
    for line in found[3].splitlines():
        pattern = ".*".join(re.escape(part) for part in line.split("…"))
        assert re.search(f"^{pattern}$", done.stdout, re.MULTILINE), f"{line}\n{done.stdout}"


@pytest.mark.timeout(LIMIT_S)
def test_the_report_opens_offline(story: dict[str, Any], out: Path) -> None:
    """One file, nothing fetched from anywhere, every leg in it."""
    html = (out / "report.html").read_text("utf-8")
    assert all(one["reference"] in html for one in story["legs"])
    assert all(one["tx"].removeprefix("0x") in html for one in story["covers"])
    assert 'src="http' not in html
    assert 'href="http' not in html


@pytest.mark.timeout(LIMIT_S)
def test_one_seed_gives_the_same_document(story: dict[str, Any], tmp_path: Path) -> None:
    """Verdicts, totals, roots, even transactions are the same the second time."""
    assert demo(tmp_path / "again", "--seed", "1") == story


def recordings() -> list[Path]:
    folder = Path(os.environ.get("LADING_BENCH", ROOT.parent / "shared" / "bench")) / "coldroom" / "raw"
    found = sorted(folder.glob("sensor_data_log_*.csv.gz"))
    if not found:
        pytest.skip(f"the cold-room recordings are not in {folder}")
    return found


@pytest.mark.timeout(LIMIT_S)
def test_recorded_cold_rooms_go_the_same_way(tmp_path: Path) -> None:
    """Every line is a reading or is named with its place and reason; error codes are faults, never temperatures."""
    files = recordings()
    document = demo(tmp_path / "out", "--replay", *files, "--map", "docs/examples/coldroom.toml")
    lines = faults = 0
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
            for row in csv.reader(line.replace("\0", "") for line in file):
                lines += 1
                faults += len(row) == 3 and row[1] in ("-127.0", "327.67", "-127", "-127.00")
    replay = document["replay"]
    assert replay["lines"] == lines
    assert replay["readings"] + len(replay["not_taken"]) == lines - len(files)
    assert len(replay["not_taken"]) == 4
    assert all("NUL" in one["why"] and ".csv.gz:" in one["where"] for one in replay["not_taken"])
    assert abs(replay["faults"] - faults) <= 4
    for one in document["legs"]:
        assert one["final"]
        for totals in one["totals"].values():
            if totals["unit"] == "°C" and totals["valid_count"]:
                assert -40_000 < totals["min_value"] <= totals["max_value"] < 60_000


def test_the_storys_times_are_ticks() -> None:
    """Legs, silences and the clone happen at ticks: between them nothing would notice."""
    times = [time for plan in FLEET for leg in plan.legs for time in (leg.begin_ms, leg.end_ms)]
    times += [time for plan in FLEET for gap in plan.offline for time in (gap.begin_ms, gap.end_ms)]
    times += [plan.cloned_ms for plan in FLEET if plan.cloned_ms is not None]
    assert not [time for time in times if (time - BEGIN_MS) % TICK_MS]


def test_a_mistyped_recording_costs_no_earlier_run(tmp_path: Path) -> None:
    """What an earlier demo left is thrown away only once the recordings and their mapping were read."""
    (tmp_path / MARKER).touch()
    (tmp_path / "report.html").write_text("kept")
    (tmp_path / "map.toml").write_text("[csv]\nlayout = 3\n")
    (tmp_path / "a.csv").write_text("timestamp,value\n2026-01-01T00:00:00,1\n")
    for wrong in (["nope.csv"], [tmp_path / "a.csv", "--map", tmp_path / "map.toml"]):
        done = lading("demo", "--out", tmp_path, "--replay", *wrong)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert (tmp_path / "report.html").exists()
