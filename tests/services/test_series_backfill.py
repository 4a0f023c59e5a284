"""`lading dashboards backfill`: the archive gives the points that the log gives, and again changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dashboards.cli import app
from dashboards.timeseries import backfill
from lading import topics
from lading.log import SqliteLog
from lading.rules import judge
from tests.series import T0_MS, Installation, a_leg, archive, write_all
from tests.services.influxd import Influxd, influxd

CHANNELS = '[lading.channels.truck-1]\n1 = "air"\n4 = "door"\n'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Influxd]:
    with influxd(tmp_path / "influxd") as found:
        yield found


@pytest.fixture
def place(tmp_path: Path, server: Influxd) -> Installation:
    """A leg in the archive, in two row groups' worth of blocks, and settings."""
    found = Installation(tmp_path, server)
    leg = a_leg()
    found.add_order(leg)
    found.add_frames(leg.frames)
    archive(found, tmp_path / "archive")
    text = f'[lading]\ntenant = "demo"\ndata = "."\n[dashboards]\nurl = "{server.url}"\n'
    (tmp_path / "lading.toml").write_text(text + CHANNELS, "utf-8")
    return found


def fill(place: Installation, *more: str) -> dict[str, Any]:
    result = CliRunner().invoke(
        app, ["backfill", "--config", str(place.folder / "lading.toml"), "--json", *more]
    )
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def points(place: Installation) -> list[list[dict[str, Any]]]:
    return [place.rows("reading"), place.rows("position")]


@pytest.mark.parametrize("rows_a_block", [7, 100_000])
def test_the_archive_gives_the_points_of_the_log(
    place: Installation, monkeypatch: pytest.MonkeyPatch, rows_a_block: int
) -> None:
    """Filled from the archive, then again, then written from the log: each time the same points."""
    monkeypatch.setattr(backfill, "ROWS_A_BLOCK", rows_a_block)
    assert fill(place)["readings"] == 240
    filled = points(place)
    assert [len(one) for one in filled] == [240, 30]
    fill(place)
    assert points(place) == filled
    write_all(place.open_series())
    assert points(place) == filled


def test_only_what_is_asked_for(place: Installation) -> None:
    """--from and --to bound the readings' times, both ends in it; --leg takes a reference or an id."""
    begin, end = "2026-09-21T14:23:20", "2026-09-21T14:33:20"
    assert T0_MS == 1_790_000_000_000  # 2026-09-21 14:13:20 UTC
    found = fill(place, "--from", begin, "--to", end)
    assert found["readings"] == 11 + 10 + 11 + 11  # air; door, a millisecond late; north; east
    times = [row["time"] // 1_000_000 for row in place.rows("reading")]
    assert (min(times), max(times)) == (T0_MS + 600_000, T0_MS + 1_200_000)
    assert fill(place, "--leg", "leg 1, cold")["readings"] == 240
    other = CliRunner().invoke(
        app, ["backfill", "--config", str(place.folder / "lading.toml"), "--leg", "leg 2"]
    )
    assert "0 legs are named 'leg 2'" in str(other.exception)


def test_influxdb_down_is_told_and_filled_later(place: Installation, server: Influxd) -> None:
    """A bounded number of tries, then the reason; the next run fills everything."""
    server.stop()
    config = str(place.folder / "lading.toml")
    result = CliRunner().invoke(app, ["backfill", "--config", config, "--retries", "1"])
    assert "series_unreachable" in str(result.exception)
    server.start()
    assert fill(place)["readings"] == 240


def test_a_leg_that_the_log_does_not_name(place: Installation, tmp_path: Path) -> None:
    """Without its order a leg goes by the first digits of its id, as with the writer."""
    (tmp_path / "log.sqlite").unlink()
    SqliteLog(tmp_path / "log.sqlite").append(topics.DEAD, [])
    fill(place)
    assert {row["leg"] for row in place.rows("reading")} == {a_leg().begin.leg_id.hex()[:16]}


def test_readings_are_erased(place: Installation) -> None:
    """Of a leg, or before a time: they go, what was judged stays, and the writer's token is enough."""
    nasty = a_leg(reference='PO "7", x=1')
    place.add_order(nasty)
    place.add_frames(nasty.frames)
    place.add_verdict(judge(nasty.begin, nasty.frames, [], final=True))
    write_all(place.open_series())
    settings = ["--config", str(place.folder / "lading.toml")]
    admin = place.token_file.rename(place.folder / "admin")
    init = [*settings, "--admin-token-file", str(admin), "--boards-token-file", str(place.folder / "boards")]
    assert CliRunner().invoke(app, ["init", *init]).exit_code == 0
    assert len(place.rows("reading")) == 480
    done = CliRunner().invoke(app, ["erase", *settings, "--leg", 'PO "7", x=1'])
    assert done.exit_code == 0, done.output
    assert {row["leg"] for row in place.rows("reading")} == {"leg 1, cold"}
    assert {row["leg"] for row in place.rows("position")} == {"leg 1, cold"}
    assert len(place.rows("verdict")) == 1
    done = CliRunner().invoke(app, ["erase", *settings, "--before", "2026-09-21T14:43:20"])
    assert done.exit_code == 0, done.output
    assert len(place.rows("reading")) == 120
