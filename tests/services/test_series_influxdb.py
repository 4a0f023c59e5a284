"""The time series on the real InfluxDB: exactly the log's readings, corrected when verdicts are, whatever dies."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboards.timeseries.stage import Series
from dashboards.timeseries.state import SeriesState
from lading import topics
from lading.batch import AnchorRecord, BatchRecord
from lading.deadletter import DeadLetter
from lading.episode import Episode, Moment, ScoredLeg, Scores
from lading.errors import ServiceError
from lading.forecast import Forecast, Risk
from lading.quantities import INVALID
from lading.rules import judge
from lading.settlement import Settlement
from lading.sqlite import BUSY_TIMEOUT_S
from lading.terms import Leg as LegTerms
from lading.terms import Terms
from tests.legs import GATEWAY, Leg, fork_of
from tests.series import T0_MS, Installation, a_leg, archive, write_all
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


def test_an_episode_is_one_point(place: Installation) -> None:
    """It is there once it begins, and is the same point when it has ended; score sheets have none."""
    leg = a_leg()
    place.add_order(leg)
    scored = ScoredLeg(
        "0123456789abcdef", leg.begin.leg_id, leg.begin.gateway, leg.frames[0].header.limits_hash, 0
    )
    begin, last = Moment(T0_MS + 60_000, 1, bytes(32)), Moment(T0_MS + 180_000, 3, bytes(32))
    begun = Episode(
        scored, 1, 1, "begun", "spike", 734_211, "temperature far from its level", begin, begin, begin
    )
    ended = replace(begun, state="ended", detector="shift", score=801_000, peak=last, last=last)
    sheet = Scores(scored, 0, False, ((0, 3),), ())
    series = place.open_series()
    for one in (begun, sheet, ended):
        place.log.append(topics.ANOMALIES, [(leg.begin.gateway, one.encode())])
        write_all(series)
        (row,) = place.rows("episode")
        assert (row["time"], row["leg"], row["channel"]) == (begin.time_ms * NS, "leg 1, cold", "1")
        assert row["up"] == (one is not ended)
    assert (row["score"], row["detector"], row["last_ms"], row["last_seq"]) == (
        0.801,
        "shift",
        last.time_ms,
        3,
    )
    assert series.behind()[topics.ANOMALIES] == 0


FORESEEN_MS = T0_MS + 100_000
"""On the clock's five minutes."""


def a_forecast(leg: Leg, late_ms: int, median: int) -> Forecast:
    """Of 30 and 40 minutes, made so long after the leg began."""
    rows = tuple((median - spread, median, median + spread) for spread in (500, 1_000))
    from_ms = FORESEEN_MS + late_ms
    risk = Risk(8_000, (100_000, 200_000), from_ms + 2_000_000)
    whose = leg.begin.leg_id, leg.begin.gateway, leg.frames[0].header.limits_hash, 1, 1
    spans, levels = (1_800_000, 2_400_000), (100_000, 500_000, 900_000)
    return Forecast(bytes([3]) * 32, *whose, from_ms, spans, levels, rows, risk, None)


def test_a_forecast_lies_ahead_and_the_newest_holds(place: Installation) -> None:
    """Of one time the newest forecast is shown, beside what was first said of it; verdicts, sheets and records that
    decode to nothing stand beside it; written again from the start, the points are the same."""
    leg = a_leg()
    place.add_order(leg)
    place.add_verdict(judge(leg.begin, leg.frames[:2], [], final=False))
    made = [a_forecast(leg, number * 600_000, 5_000 + 1_000 * number) for number in range(2)]
    other = replace(made[1], release=bytes([4]) * 32)
    hostile = [b"\x8dqlading/forecast/1", replace(made[0], from_ms=2**47).encode()]
    for value in (made[0].encode(), *hostile, made[1].encode(), other.encode()):
        place.log.append(topics.ANOMALIES, [(leg.begin.gateway, value)])
    write_all(place.open_series(batch_lines=3))
    release = f"WHERE release = '{'03' * 8}'"
    rows = place.rows("forecast", release)
    shown = [
        (row["time"] // NS - FORESEEN_MS, row["median"], row["from_ms"], row.get("early_median"))
        for row in rows
    ]
    first, second = (one.from_ms for one in made)
    assert shown == [
        (1_800_000, 5, first, None),
        (2_100_000, 5, first, None),
        (2_400_000, 6, second, 5),
        (2_700_000, 6, second, None),
        (3_000_000, 6, second, 6),
    ]
    assert {(row["leg"], row["channel"], row["part"]) for row in rows} == {("leg 1, cold", "1", "air")}
    risks = place.rows("risk", release)
    assert [(row["time"] // NS, row["side"], row["probability"], row["soon"]) for row in risks] == [
        (first, "upper", 0.2, 0.2),
        (second, "upper", 0.2, 0.2),
    ]
    counts = place.state.counts()
    assert (counts["undecodable"], counts["out_of_range"]) == (1, 3 + 4)  # and limits of 1970
    before = {name: place.rows(name) for name in ("forecast", "risk", "verdict")}
    (place.folder / "series.sqlite").unlink()
    write_all(place.open_series())
    assert {name: place.rows(name) for name in before} == before


@pytest.mark.parametrize("is_late", [False, True], ids=["forecast first", "verdict first"])
def test_a_leg_that_is_over_has_nothing_to_fear(place: Installation, is_late: bool) -> None:
    """Once a verdict closes the leg its newest risk is 0, whichever was written first; while it is open it is not."""
    leg = a_leg()
    place.add_order(leg)
    series = place.open_series()
    made = a_forecast(leg, 0, 5_000)
    first, later, closed = (judge(leg.begin, leg.frames[:count], [], final=False) for count in (2, 3, 4))
    shown = []
    for said in (first, later, closed, made) if is_late else (first, made, later, closed):
        if isinstance(said, Forecast):
            place.log.append(topics.ANOMALIES, [(leg.begin.gateway, said.encode())])
        else:
            place.add_verdict(said)
        write_all(series)
        shown.append([row["soon"] for row in place.rows("risk")])
    assert shown == [[], *([[], []] if is_late else [[0.2], [0.2]]), [0.2, 0]]
    begun, over = place.rows("risk")
    assert (begun["time"], begun["soon"], begun["limit"]) == (made.from_ms * NS, 0.2, 8)
    assert (over["time"], over["soon"], over["probability"]) == (closed.horizon.last_ms * NS, 0, 0)
    assert {name: begun[name] for name in ("leg", "release", "side")} == {
        name: over[name] for name in ("leg", "release", "side")
    }


def test_a_forked_leg_has_nothing_to_fear(place: Installation) -> None:
    """Neither of what was said before the fork was known, nor of a forecast from frames that go on behind it."""
    leg = a_leg()
    place.add_order(leg)
    series = place.open_series()
    whole = judge(leg.begin, leg.frames[:3], [], final=False)
    forked = judge(leg.begin, leg.frames[:3], [fork_of(leg.frames[1])], final=False)
    assert forked.state == "forked"
    first, later = (a_forecast(leg, late_ms, 5_000) for late_ms in (0, 3_600_000))
    steps = (whole, first, forked, later)
    shown = []
    for said in steps:
        if isinstance(said, Forecast):
            place.log.append(topics.ANOMALIES, [(leg.begin.gateway, said.encode())])
        else:
            place.add_verdict(said, whole if said is forked else None)
        write_all(series)
        shown.append([row["soon"] for row in place.rows("risk")])
    assert shown == [[], [0.2], [0.2, 0], [0.2, 0, 0.2, 0]]


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
    active = [
        (row["rule"], row["channel"], row["last_ms"]) for row in place.rows("finding", "WHERE active = 1")
    ]
    assert sorted(active) == sorted((one.rule, str(one.channel), one.last_ms) for one in final.findings)
    doors = [row for row in place.rows("finding") if row["rule"] == "door"]
    assert len({row["first_ms"] for row in doors}) == 1  # the peak and the stretch begin together
    assert sorted(row["measured"] for row in doors) == [1, 180]
    totals = {
        row["channel"]: row for row in place.rows("totals", f"WHERE time = {final.horizon.last_ms * NS}")
    }
    assert totals["1"]["above_s"] == 240
    assert totals["1"]["budget_used"] == 1
    assert totals["1"]["count"] == 60


def test_a_fork_withdraws_what_came_after_it(place: Installation) -> None:
    """A cloned key shortens what is judged: later findings are no longer active, the newest totals are shorter."""
    leg = a_leg()
    whole = judge(leg.begin, leg.frames, [], final=False)
    forked = judge(leg.begin, leg.frames, [fork_of(leg.frames[1])], final=False)
    assert forked.horizon.last_ms < whole.horizon.last_ms
    place.add_order(leg)
    series = place.open_series(records_max=1)
    place.add_verdict(whole)
    write_all(series)
    place.clock_ms += 1
    place.add_verdict(forked, whole)
    write_all(series)
    rows = place.rows("finding")
    active = sorted((row["rule"], row.get("channel") or "") for row in rows if row["active"])
    assert active == sorted(
        (one.rule, "" if one.channel is None else str(one.channel)) for one in forked.findings
    )
    withdrawn = {row["rule"] for row in rows if not row["active"]}
    assert withdrawn == {one.rule for one in whole.findings} - {one.rule for one in forked.findings} != set()
    assert {row["verdict_id"] for row in rows} == {forked.id.hex()}
    (newest,) = place.rows("totals", "WHERE channel = '1'", 'last("count") AS n')
    assert newest["n"] == {channel: totals.count for channel, _, totals in forked.totals}[1]


def test_verdicts_of_one_step_are_written_in_their_order(place: Installation) -> None:
    """Many verdicts read at once, in requests of a few lines: the last one holds."""
    leg = a_leg(frames=12)
    verdicts = [judge(leg.begin, leg.frames[:n], [], final=False) for n in range(1, 13)]
    place.add_order(leg)
    for before, verdict in zip([None, *verdicts], verdicts, strict=False):
        place.add_verdict(verdict, before)
    write_all(place.open_series(batch_lines=3))
    assert [row["superseded"] for row in place.rows("verdict")] == [1] * 11 + [0]
    active = [
        (row["rule"], row["channel"], row["last_ms"]) for row in place.rows("finding", "WHERE active = 1")
    ]
    assert sorted(active) == sorted(
        (one.rule, str(one.channel), one.last_ms) for one in verdicts[-1].findings
    )


def test_anchors_payments_and_dead_letters(place: Installation) -> None:
    """An interval's lag is from its newest reading to its block; a dead letter has its number, and the tenant of
    the gateway that it is of, never one that a stranger made up."""
    leg = a_leg()
    place.add_order(leg)
    place.add_frames(leg.frames)
    archive(place, place.folder / "archive")
    batch = BatchRecord.decode(place.log.read(topics.BATCHES, {}, 1)[0].value)
    word = bytes([7]) * 32
    mined_ms = batch.leaf.last_event_ms + 90_000
    pending = AnchorRecord(1, word, 1, 31_337, bytes(20), word, 0, bytes(32), 0, 0, "pending")
    mined = replace(
        pending, block_number=12, block_hash=word, block_time_ms=mined_ms, gas_used=52_000, state="mined"
    )
    place.log.append(topics.ANCHORS, [(b"1", pending.encode()), (b"1", mined.encode())])
    known, stranger = GATEWAY.public.gateway_id.hex(), "ab" * 32
    letters = [
        DeadLetter(code, 'no "key"\nhere', origin, place.clock_ms - 1, b"abc")
        for code, origin in (
            ("signature", f"lading/v1/made-up/{known}/frames"),
            ("gateway_unknown", f"lading/v1/demo/{stranger}/frames"),
            ("topic", "lading/v1/demo/no hex/frames"),
            ("rate", "elsewhere"),
        )
    ]
    place.log.append(topics.DEAD, [(letter.code.encode(), letter.encode()) for letter in letters])
    place.log.append(topics.ANCHORS, [(b"1", b"no anchor")])
    write_all(place.open_series())
    anchors = {row["state"]: row for row in place.rows("anchor")}
    assert "lag_s" not in anchors["pending"]
    assert (anchors["mined"]["lag_s"], anchors["mined"]["gas_used"]) == (90, 52_000)
    (cut,) = place.rows("batch")
    assert (cut["frames"], cut["batch_seq"], cut["tenant"]) == (4, 1, "demo")
    dead = {row["code"]: row for row in place.rows("dead")}
    signature = dead["signature"]
    assert (signature["tenant"], signature["number"], signature["bytes"]) == ("demo", "0:0", 3)
    assert not [dead[code] for code in ("gateway_unknown", "topic", "rate") if dead[code].get("tenant")]
    assert place.state.counts()["undecodable"] == 1
    assert place.state.refused()[0][1].code == "undecodable"


def test_whatever_stands_in_a_name_is_written(place: Installation) -> None:
    """References of any signs: InfluxDB takes every line."""
    nasty = ["a\\", "b\n c", ",=", '"quoted" = \\"', "é💥\u2028", "\t", "x" * 127, "\\,\\ \\="]
    for reference in nasty:
        leg = a_leg(8, reference=reference, frames=1)
        place.add_order(leg)
        place.add_verdict(judge(leg.begin, leg.frames, [], final=False))
    write_all(place.open_series())
    counts = place.state.counts()
    assert counts.pop("out_of_range") == 4 * len(nasty)  # the limits of legs that begin in 1970
    assert [name for name, count in counts.items() if count] == ["points"]
    assert len({row["leg"] for row in place.rows("verdict")}) == len(nasty)


def test_a_payment_has_its_leg_and_tenant(place: Installation) -> None:
    """The amount in the token's units; tenant and leg are those of the gateway and leg in the agreement."""
    leg = a_leg()
    place.add_order(leg)
    order, word = leg.begin, bytes([9]) * 32
    assert order.limits is not None
    party, limits = bytes([1]) * 20, order.limits.hash
    agreed = LegTerms(order.gateway, order.leg_id, limits, T0_MS, T0_MS, 1)
    terms = Terms(party, party, party, order.tenant, 1, 0, 10**30, 10**30, 0, (agreed,), ())
    paid = Settlement(
        word,
        order.leg_id,
        party,
        31_337,
        terms.encode(),
        "penalty",
        10**24,
        word,
        77,
        word,
        180_000,
        version=2,
    )
    place.log.append(topics.SETTLEMENTS, [(paid.agreement, paid.encode())])
    write_all(place.open_series())
    (row,) = place.rows("settlement")
    assert (row["tenant"], row["leg"], row["kind"]) == ("demo", "leg 1, cold", "penalty")
    assert (row["amount"], row["gas_used"], row["block_number"]) == (1e24, 180_000, 77)


def test_a_full_state_file_holds_the_writer_and_loses_nothing(place: Installation) -> None:
    """No room for the positions: the step fails by its code, and once there is room everything is written, once."""
    leg = a_leg()
    place.add_order(leg)
    place.add_frames(leg.frames)
    series = place.open_series()
    _limit_pages(place, 1)
    with pytest.raises(ServiceError, match="disk_full: database or disk is full"):
        fill_up(place, series)
    _limit_pages(place, 10**6)
    write_all(series)
    assert found_readings(place) == expected_readings(leg)


def test_status_never_waits_for_a_write(place: Installation) -> None:
    """While the writer waits for InfluxDB inside its transaction, how it is doing can still be read, at once."""
    place.open_series()
    with place.state.transaction():
        place.state.set_health({"state": "writing"})
        begin_s = time.monotonic()
        beside = SeriesState(place.folder / "series.sqlite", is_beside=True)
        assert beside.health() is None
        assert time.monotonic() - begin_s < BUSY_TIMEOUT_S
    assert beside.health() == {"state": "writing"}


def fill_up(place: Installation, series: Series) -> None:
    """Orders that the state file has to remember, until it cannot."""
    for n in range(200):
        place.add_order(a_leg(2, reference=f"{n}" * 30, frames=1))
        write_all(series)


def _limit_pages(place: Installation, count: int) -> None:
    """SQLite's own bound stands for a full disk: below what there is, it means no more."""
    place.state._db.execute(f"PRAGMA max_page_count = {count}")
