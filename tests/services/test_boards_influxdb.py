"""Every question of the boards, asked of a real InfluxDB."""

import json
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dashboards.boards import documents
from dashboards.boards.asked import Question, Span, board_span, filled, of_board
from dashboards.boards.checking import Outcome, check, check_all
from dashboards.boards.influx import InfluxQL, Series
from dashboards.cli import app
from dashboards.timeseries.setting_up import Wanted, set_up
from lading.errors import ServiceError
from tests.boards import DAY_MS, HOUR_MS, MINUTE_MS, Day, forecast, point, risk, sample
from tests.ports import free_port
from tests.services.influxd import Influxd, influxd

NOW_MS = time.time_ns() // 1_000_000
AIR = {"tenant": "t", "gateway": "g", "leg": "a", "channel": "1", "part": "air", "quantity": "temperature"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """A server with a day of a small fleet."""
    with influxd(tmp_path_factory.mktemp("influxd")) as started:
        lines = list(Day(NOW_MS).lines())
        for at in range(0, len(lines), 5000):
            started.write("\n".join(lines[at : at + 5000]))
        yield started


def store(server: Influxd) -> InfluxQL:
    """Its InfluxQL side."""
    return InfluxQL(server.url, server.bucket, server.token)


def outcome(server: Influxd, query: str, *wants: str) -> Outcome:
    """One question over the day."""
    question = Question("here", "table", query, wants)
    return check(store(server), question, Span(NOW_MS - DAY_MS, NOW_MS), {})


def panel(server: Influxd, uid: str, number: int, now_ms: int) -> list[Series]:
    """What a panel shows then, over its own range or the board's."""
    board = next(one.document() for one in documents.boards() if one.uid == uid)
    question = next(one for one in of_board(board) if f"panel {number} A" in one.place)
    return store(server).ask(filled(question, question.span(board_span(board, now_ms), now_ms), {}))


def test_every_question_has_an_answer(server: Influxd) -> None:
    """No panel, variable, annotation or alert asks what the server refuses, lacks a column, or stays empty."""
    found = list(check_all(store(server), NOW_MS, None))
    assert len(found) > 100
    assert [(one.question.place, one.state, one.text) for one in found if one.state != "ok"] == []


def test_a_choice_of_odd_values_asks_for_exactly_these(server: Influxd) -> None:
    """Legs whose names have slashes, dots, blanks or begin with a digit are found, and no others."""
    board = next(one.document() for one in documents.boards() if one.uid == "lading-shipment")
    question = next(one for one in of_board(board) if "panel 53" in one.place)
    span = Span(NOW_MS - DAY_MS, NOW_MS)
    for chosen in (["PO 77/a.1"], ["2026-18"], ["PO 77/a.1", "stay"]):
        (series,) = store(server).ask(filled(question, span, {"leg": chosen}))
        at = series.columns.index("leg")
        assert {row[at] for row in series.rows} == set(chosen)
    assert store(server).ask(filled(question, span, {"leg": ["PO 77/aX1"]})) == []


def test_no_choice_is_all(server: Influxd) -> None:
    """All finds points without the tag too: readings of an idle gateway have no leg."""
    question = Question(
        "here",
        "series",
        'SELECT count("frame_seq") FROM "gateway" WHERE "leg" =~ /^${leg:regex}$/ AND $timeFilter',
    )
    (series,) = store(server).ask(filled(question, Span(NOW_MS - DAY_MS, NOW_MS), {}))
    assert series.rows[0][1] > 100


def test_a_chain_that_is_final_at_once_has_its_lag_shown(server: Influxd) -> None:
    """Some chains finalize in the block: then no anchor is ever seen as mined."""
    board = next(one.document() for one in documents.boards() if one.uid == "lading-evidence")
    for question in of_board(board):
        assert "'mined'" not in question.query, question.place


def test_what_is_spent_is_what_balances_lost(server: Influxd) -> None:
    """Two falls of a quarter and half an ether, and a top-up of ten between them: three quarters were spent."""
    at = NOW_MS - 40 * DAY_MS
    lines = [
        sample("lading_anchoring_balance_wei", ether * 1e18, at + step * 600_000, "anchoring", {})
        for step, ether in enumerate((2.0, 1.75, 11.75, 11.25, 11.25))
    ]
    server.write("\n".join(lines))
    board = next(one.document() for one in documents.boards() if one.uid == "lading-evidence")
    spent = {
        number: store(server).ask(filled(question, Span(at - 1, at + 3_600_000), {}))
        for question in of_board(board)
        for number in (15, 24)
        if f"panel {number} A" in question.place
    }
    assert spent[15][0].rows[0][1] == pytest.approx(0.75)
    assert sum(row[1] for row in spent[24][0].rows) == pytest.approx(0.75)
    assert spent[24][0].tags == {"stage": "anchoring"}


def test_a_room_shows_what_holds_now(server: Influxd) -> None:
    """Time above and unknown are of each leg's newest verdict: what a later one took back is not shown."""
    at = NOW_MS - 50 * DAY_MS
    said = (("a", 0, 9.0, 7.0), ("b", 1, 1.0, 0.5), ("a", 2, 3.0, 2.0))
    lines = [
        point(
            "verdict",
            {"tenant": "t", "gateway": "g", "leg": leg},
            at + step,
            above_s=above,
            unknown_s=unknown,
        )
        for leg, step, above, unknown in said
    ]
    server.write("\n".join(lines))
    board = next(one.document() for one in documents.boards() if one.uid == "lading-room")
    shown = {
        number: store(server).ask(filled(question, Span(at - 1, at + 1000), {}))[0].rows[0][1]
        for question in of_board(board)
        for number in (12, 13)
        if f"panel {number} A" in question.place
    }
    assert shown == {12: 3.0, 13: 2.0}


def test_forecasts_are_shown_ahead_of_now(server: Influxd) -> None:
    """The fan's own range, the next three hours, has the newest forecast's times and no others; the shipment opens with
    a range that reaches as far; and what was said three hours ahead stands at the readings' own times."""
    board = next(one.document() for one in documents.boards() if one.uid == "lading-shipment")
    shown = {panel["id"]: panel for panel in board["panels"]}
    asked = {
        question.place.split()[2:4][0]: question
        for question in of_board(board)
        if "panel 6" in question.place
    }
    assert (shown[63]["timeFrom"], board["time"]["to"]) == ("+3h", "now+3h")
    ahead = Span(NOW_MS, NOW_MS + 3 * HOUR_MS)
    chosen = {"leg": ["stay"], "channel": ["1"]}
    (fan,) = store(server).ask(filled(asked["63"], ahead, chosen))
    made_ms = NOW_MS - HOUR_MS // 2
    step_ms = 36_000  # the range in 300 steps
    assert [row[0] // step_ms for row in fan.rows] == [(made_ms + n * HOUR_MS) // step_ms for n in (1, 2, 3)]
    highest = fan.columns.index("highest")
    assert [row[highest] for row in fan.rows] == [8.0, 9.0, 10.0]
    assert board_span(board, NOW_MS) == Span(NOW_MS - 7 * DAY_MS, NOW_MS + 3 * HOUR_MS)


def test_the_fleet_shows_what_is_feared_now(server: Influxd) -> None:
    """Of each channel and limit the newest forecast alone, of whatever release, with its time; not one of no
    probability, as of a leg that is over; nor one that counts from too long ago, though the board's range has it."""
    at = NOW_MS - 60 * DAY_MS
    upper, lower = (AIR | {"release": "ab" * 8, "side": side} for side in ("upper", "lower"))
    retrained, over, silent = (
        upper | {"release": "cd" * 8},
        upper | {"leg": "over"},
        upper | {"leg": "silent"},
    )
    said = (
        (upper, 60, 0.9),
        (retrained, 5, 0.3),
        (lower, 5, 0.003),
        (over, 60, 0.9),
        (over, 7, 0.0),
        (silent, 91, 0.9),
    )
    server.write("\n".join(risk(tags, at - minutes * MINUTE_MS, soon) for tags, minutes, soon in said))
    (shown,) = panel(server, "lading-fleet", 54, at)
    from_ms = at - 5 * MINUTE_MS
    assert [list(row) for row in shown.rows] == [[from_ms, 0.3, pytest.approx(0.9), from_ms + 5_000_000]]
    assert (shown.tags["tenant"], shown.tags["leg"], shown.tags["side"]) == ("t", "a", "upper")


@pytest.mark.parametrize(("uid", "number"), [("lading-shipment", 62), ("lading-room", 51)])
def test_after_a_change_of_release_the_new_ones_word_holds(server: Influxd, uid: str, number: int) -> None:
    """In mid-leg, a row a channel and limit, which says whose word it is; what was feared too long ago is none."""
    at = NOW_MS - (70 + number) * DAY_MS
    old, new = (AIR | {"side": "upper", "release": release * 8} for release in ("ab", "cd"))
    said = ((old, 45, 0.9), (new, 10, 0.1), (old | {"channel": "2"}, 120, 0.9))
    server.write("\n".join(risk(tags, at - minutes * MINUTE_MS, soon) for tags, minutes, soon in said))
    (shown,) = panel(server, uid, number, at)
    found = dict(zip(shown.columns, shown.rows[0], strict=True))
    assert (len(shown.rows), found["soon"], found["release"]) == (1, 0.1, "cd" * 8)
    if uid == "lading-shipment":
        ((_, greatest),) = panel(server, uid, 61, at)[0].rows
        assert greatest == pytest.approx(0.3)


def test_a_room_shows_the_fans_of_two_legs_apart(server: Influxd) -> None:
    """After a hand-over both say something of the same hours."""
    at = NOW_MS - 160 * DAY_MS
    legs = ("before", "after")
    server.write("\n".join(line for leg in legs for line in forecast(AIR | {"leg": leg}, at, 0.1)))
    assert {shown.tags["leg"] for shown in panel(server, "lading-room", 52, at + 3 * HOUR_MS)} == set(legs)


def test_what_is_wrong_with_a_question_is_said(server: Influxd) -> None:
    """A refused statement, a column that is missing, an empty answer and one of nulls are told apart."""
    assert outcome(server, "SELECT nothing").state == "failed"
    missing = outcome(server, 'SELECT last("frame_seq") AS "n" FROM "gateway" WHERE $timeFilter', "frames")
    assert (missing.state, missing.text) == ("columns", "no frames")
    assert outcome(server, 'SELECT last("no") FROM "gateway" WHERE $timeFilter').state == "empty"
    nulls = 'SELECT last("no") AS "a", "never" FROM "gateway" WHERE $timeFilter GROUP BY time(1h) fill(null)'
    assert outcome(server, nulls).state == "empty"


def test_the_command_says_it_all(server: Influxd, tmp_path: Path) -> None:
    """Exit 0 with answers to everything; 1, strictly, where a range has nothing; JSON has each question."""
    (tmp_path / "reader").write_text(f"{server.token}\n")
    settings = tmp_path / "lading.toml"
    settings.write_text(
        f'[lading]\ndata = "."\n[dashboards]\nurl = "{server.url}"\nreader_token_file = "reader"\n'
    )
    given = ["check", "--config", str(settings)]
    good = CliRunner().invoke(app, [*given, "--strict"])
    assert good.exit_code == 0, good.output
    listed = CliRunner().invoke(app, [*given, "--json"])
    assert {one["state"] for one in json.loads(listed.output)["questions"]} == {"ok"}
    moment = ["--since-h", "0.0001"]
    assert CliRunner().invoke(app, [*given, *moment]).exit_code == 0
    empty = CliRunner().invoke(app, [*given, *moment, "--strict"])
    assert empty.exit_code == 1
    assert "empty    lading-fleet panel 22 A (Last heard)" in empty.output


def test_a_server_that_is_away_or_refuses_is_an_error(server: Influxd) -> None:
    """No answer and a wrong token are told as what they are, not as empty boards."""
    with pytest.raises(ServiceError, match="influxdb"):
        InfluxQL(f"http://127.0.0.1:{free_port()}", "lading", "x").ask("SHOW MEASUREMENTS")
    with pytest.raises(ServiceError, match="401"):
        InfluxQL(server.url, "lading", "wrong").ask("SHOW MEASUREMENTS")


def test_the_boards_token_asks_everything_and_writes_nothing(server: Influxd, tmp_path: Path) -> None:
    """The token that `lading dashboards init` makes for Grafana is enough, and no more than that."""
    admin, boards = tmp_path / "admin", tmp_path / "boards"
    admin.write_text(server.token)
    set_up(Wanted(server.url, server.org, server.bucket, admin, tmp_path / "writer", boards))
    reader = boards.read_text("utf-8").strip()
    found = list(check_all(InfluxQL(server.url, server.bucket, reader), NOW_MS, None))
    assert {one.state for one in found} == {"ok"}
    span = {"start": "1970-01-01T00:00:00Z", "stop": "1970-01-02T00:00:00Z"}
    with pytest.raises(urllib.error.HTTPError, match=r"40[134]"):
        server.request("POST", f"/api/v2/delete?org={server.org}&bucket={server.bucket}", span, token=reader)
    server.token, kept = reader, server.token
    try:
        with pytest.raises(urllib.error.HTTPError, match=r"40[134]"):
            server.write("gateway,tenant=demo frame_seq=1i 1")
    finally:
        server.token = kept
