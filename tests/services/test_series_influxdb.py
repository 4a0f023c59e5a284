"""The time series on the real InfluxDB: exactly the log's readings, corrected when verdicts are, whatever dies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lading.quantities import INVALID
from lading.rules import judge
from tests.legs import Leg
from tests.series import T0_MS, Installation, a_leg, write_all
from tests.services.influxd import Influxd, influxd

NS = 1_000_000
PARTS = {1: "air", 4: "door"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    with influxd(tmp_path_factory.mktemp("influxd")) as found:
        yield found


@pytest.fixture
def place(tmp_path: Path, server: Influxd) -> Installation:
    """An installation with an empty bucket."""
    body = {"start": "1970-01-01T00:00:00Z", "stop": "2262-01-01T00:00:00Z"}
    server.request("POST", f"/api/v2/delete?org={server.org}&bucket={server.bucket}", body)
    return Installation(tmp_path, server)


def expected_readings(leg: Leg) -> set[tuple[Any, ...]]:
    """(channel, part, time in ns, value in units as text, flags) of each reading, from the frames as they decode."""
    return {
        (
            str(run.record.channel),
            PARTS.get(run.record.channel),
            reading.time_ms * NS,
            None if reading.flags & INVALID else reading.value / 1000,
            reading.flags or None,
        )
        for frame in leg.frames
        for run in frame.runs
        for reading in run.readings
    }


def found_readings(place: Installation) -> set[tuple[Any, ...]]:
    rows = place.server.rows('SELECT * FROM "reading"')
    assert {(row["tenant"], row["gateway"], row["leg"]) for row in rows} <= {
        ("demo", "truck-1", "leg 1, cold")
    }
    return {
        (row["channel"], row.get("part") or None, row["time"], row.get("value"), row.get("flags"))
        for row in rows
    }


def test_the_points_are_the_readings(place: Installation) -> None:
    """Every reading is a point with its exact value; of a fault or an unset clock there are flags and no value."""
    leg = a_leg()
    place.add_order(leg)
    place.add_frames(leg.frames)
    write_all(place.open_series())
    assert found_readings(place) == expected_readings(leg)
    assert place.server.count("reading", "value") == 4 * 60 - 3
    assert not place.rows("reading", "WHERE channel = '1' AND value < -50")


def test_positions_and_frames(place: Installation) -> None:
    """A latitude and a longitude of one time are a position, in degrees; each frame says how late it came."""
    leg = a_leg()
    place.add_order(leg)
    place.add_frames(leg.frames)
    write_all(place.open_series())
    positions = place.rows("position")
    assert len(positions) == 30  # every other longitude is a millisecond off
    assert positions[0] == {
        "time": T0_MS * NS,
        "tenant": "demo",
        "gateway": "truck-1",
        "leg": "leg 1, cold",
        "latitude": 52.370216,
        "longitude": -4.895168,
    }
    frames = place.rows("gateway")
    assert [row["frame_seq"] for row in frames] == [0, 1, 2, 3]
    assert [row["leg_state"] for row in frames] == [1, 1, 1, 2]
    assert sum(row["readings"] for row in frames) == 240
    assert frames[-1]["delay_s"] == (place.clock_ms - (T0_MS + 60 * 60_000)) / 1000
    assert frames[1]["time"] == leg.frames[1].header.sent_ms * NS + 1


def test_verdicts_correct_what_was_written(place: Installation) -> None:
    """A late frame's verdict supersedes: the earlier one says so, a finding that is gone is no longer active."""
    leg = a_leg()
    early = judge(leg.begin, leg.frames[:1], [], final=False)
    gap = judge(leg.begin, leg.frames[:2], [], final=False)
    final = judge(leg.begin, leg.frames, [], final=True)
    place.add_order(leg)
    series = place.open_series()
    for verdict, before in ((early, None), (gap, early), (final, gap)):
        place.clock_ms += 1
        place.add_verdict(verdict, before)
        write_all(series)
    verdicts = place.rows("verdict")
    assert [row["superseded"] for row in verdicts] == [1, 1, 0]
    assert [row["final"] for row in verdicts] == [0, 0, 1]
    assert verdicts[-1]["result"] == "breach"
    assert verdicts[-1]["supersedes"] == gap.id.hex()
    active = {(row["rule"], row["channel"]) for row in place.rows("finding", "WHERE active = 1")}
    assert active == {(finding.rule, str(finding.channel)) for finding in final.findings}
    totals = {
        row["channel"]: row for row in place.rows("totals", f"WHERE time = {final.horizon.last_ms * NS}")
    }
    assert totals["1"]["above_s"] == 240
    assert totals["1"]["budget_used"] == 1
    assert totals["1"]["count"] == 60
