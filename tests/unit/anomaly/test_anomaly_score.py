"""`lading anomaly score`: whatever csv comes in, a row comes out for each, in the same layout."""

import csv
import gzip
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from anomaly.cli import app
from anomaly.tables import numbers, reading, times
from lading.errors import LadingError, MalformedError, ServiceError

ROWS = 600
BEGIN = datetime(2014, 7, 1, tzinfo=UTC)
T0_MS = 1_404_172_800_000


def stamps(count: int = ROWS, form: str = "%Y-%m-%d %H:%M:%S", step_s: int = 300) -> list[str]:
    """Times in order."""
    return [(BEGIN + timedelta(seconds=step_s * i)).strftime(form) for i in range(count)]


def series(count: int = ROWS, jump: int | None = 500) -> list[str]:
    """A noisy level that jumps at `jump`."""
    value = np.random.default_rng(3).normal(5, 0.3, count)
    if jump is not None:
        value[jump:] += 12
    return [f"{v:.3f}" for v in value]


def lines(*columns: list[str], header: str = "timestamp,value", delimiter: str = ",", end: str = "\n") -> str:
    """A csv file's text."""
    rows = [header] if header else []
    return end.join([*rows, *(delimiter.join(cells) for cells in zip(*columns, strict=True)), ""])


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, arguments)], catch_exceptions=False)


def scored(tmp_path: Path, text: str | bytes, *options: str, delimiter: str = ",") -> list[list[str]]:
    """What comes out of one file, header first."""
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = call(source, target, *options)
    assert result.exit_code == 0, result.output
    with target.open(newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def told(tmp_path: Path, text: str) -> dict[str, int]:
    """The oddities that the JSON names, with their number of rows."""
    (tmp_path / "in.csv").write_text(text)
    result = call(tmp_path / "in.csv", tmp_path / "out.csv", "--json")
    assert result.exit_code == 0, result.output
    return {one["what"]: one["rows"] for one in json.loads(result.stdout)["files"][0]["oddities"]}


def refusal(tmp_path: Path, text: str | bytes) -> str:
    """The error that a file is refused with; nothing is left behind."""
    source = tmp_path / "in.csv"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LadingError) as caught:
        call(source, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    return str(caught.value)


def values_of(rows: list[list[str]]) -> np.ndarray:
    return np.array([float(row[1]) for row in rows[1:]])


def test_a_jump_is_an_alarm(tmp_path: Path) -> None:
    """The time column as it was, a score in [0, 1] a row, silence before and an alarm at the jump."""
    rows = scored(tmp_path, lines(stamps(), series()))
    assert rows[0] == ["timestamp", "anomaly_score"]
    assert [row[0] for row in rows[1:]] == stamps()
    scores = values_of(rows)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[480:500].max() < 0.5
    assert scores[500:520].max() >= 0.5


def test_a_sensor_that_speaks_more_often_alarms_alike(tmp_path: Path) -> None:
    """Every ten seconds instead of every five minutes: the same alarm, within a row."""
    values = series()
    slow = scored(tmp_path, lines(stamps(), values))[1:]
    fast = scored(tmp_path, lines(stamps(30 * ROWS, step_s=10), [v for v in values for _ in range(30)]))[1:]
    begun = [
        [datetime.fromisoformat(cells[0]) for cells in found if float(cells[1]) >= 0.5]
        for found in (slow, fast)
    ]
    assert [len(times) for times in begun] == [1, 1]
    assert abs(begun[0][0] - begun[1][0]) <= timedelta(minutes=5)


def test_a_file_too_short_to_be_learned_is_told(tmp_path: Path) -> None:
    """Ten minutes of seconds are two rows: no score, and stderr says why; of one of days it says nothing."""
    (tmp_path / "in.csv").write_text(lines(stamps(600, step_s=1), series()))
    result = call(tmp_path / "in.csv", tmp_path / "out.csv")
    assert "too short to be learned: wanted more than 113 rows of five minutes or longer" in result.stderr
    document = json.loads(call(tmp_path / "in.csv", tmp_path / "out.csv", "--json").stdout)
    assert document["files"][0]["learned_rows"] == 2
    (tmp_path / "in.csv").write_text(lines(stamps(), series()))
    assert "too short" not in call(tmp_path / "in.csv", tmp_path / "out.csv").stderr


@pytest.mark.parametrize(("rows", "is_short"), [(63, True), (64, False)])
def test_a_slow_logger_is_learned_in_fewer_rows(tmp_path: Path, rows: int, is_short: bool) -> None:
    """Rows of half an hour: 63 are too short, not 113 as of five minutes; what is odd of the next one is an alarm."""
    at = stamps(rows, step_s=1_800)
    (tmp_path / "in.csv").write_text(lines(at, [*series()[: rows - 1], "1000"]))
    result = call(tmp_path / "in.csv", tmp_path / "out.csv")
    assert ("wanted more than 63 rows" in result.stderr) == is_short
    said = [float(line.split(",")[1]) for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert (said[-1] < 0.5) == is_short


def test_no_look_ahead(tmp_path: Path) -> None:
    """Rows that come later change nothing of what is said before them; how the file is cut in reading neither."""
    whole = scored(tmp_path, lines(stamps(), series()))
    assert scored(tmp_path, lines(stamps(510), series()[:510])) == whole[:511]


def test_chunks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file larger than what is read at once."""
    whole = scored(tmp_path, lines(stamps(), series()), "--hold", "40")
    monkeypatch.setattr(reading.Table.chunks, "__defaults__", (7,))
    assert scored(tmp_path, lines(stamps(), series()), "--hold", "40") == whole


def test_names_say_nothing(tmp_path: Path) -> None:
    """The same rows under other names get the same scores."""
    one = scored(tmp_path, lines(stamps(), series()))
    other = scored(tmp_path, lines(stamps(), series(), header="when,machine_temperature_system_failure"))
    assert values_of(one).tolist() == values_of(other).tolist()


def test_labels_are_not_looked_at(tmp_path: Path) -> None:
    """Columns of labels are left out, whatever they hold, and said to be."""
    label = ["1.0" if 100 <= i < 200 else "0.0" for i in range(ROWS)]
    plain = scored(tmp_path, lines(stamps(), series()))
    header = "timestamp,value,anomaly,ChangePoint"
    assert scored(tmp_path, lines(stamps(), series(), label, label, header=header)) == plain
    result = call(tmp_path / "in.csv", tmp_path / "out.csv")
    assert "column 'anomaly' left out: labels are not looked at" in result.stderr


def test_hold_is_the_alarms_length(tmp_path: Path) -> None:
    """Every alarm says its score for that many rows."""
    scores = values_of(scored(tmp_path, lines(stamps(), series()), "--hold", "5"))
    first = int(np.flatnonzero(scores >= 0.5)[0])
    assert (scores[first : first + 5] == scores[first]).all()
    assert scores[first + 5] < 0.5


def test_explain(tmp_path: Path) -> None:
    """Which detector and why, where there is an alarm; empty elsewhere."""
    rows = scored(
        tmp_path, lines(stamps(), series(jump=None), series(), header="at,calm,probe 2"), "--explain"
    )
    assert rows[0] == ["at", "anomaly_score", "detector", "reason"]
    said = [row for row in rows[1:] if float(row[1]) >= 0.5]
    assert any(row[2] == "level" and row[3].startswith("probe 2, at ") for row in said)
    assert all(row[2:] == ["", ""] for row in rows[1:] if 0 < float(row[1]) < 0.5)


def test_a_folder_is_mirrored(tmp_path: Path) -> None:
    """Folders, names, compression and delimiter as they were; other files are passed over; bytes repeat."""
    source, target = tmp_path / "in", tmp_path / "in" / "scores"
    (source / "a" / "b").mkdir(parents=True)
    (source / "one.csv").write_text(lines(stamps(), series()))
    text = lines(stamps(), series(), series(), header="datetime;x;y", delimiter=";", end="\r\n")
    (source / "a" / "b" / "two.CSV.gz").write_bytes(gzip.compress(text.encode()))
    (source / "a" / "notes.txt").write_text("not a table")
    (source / "a" / ".hidden.csv").write_text("not a table")
    results = []
    for _ in range(2):
        result = call(source, target)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("2 files, 1,200 rows, ")
        results.append({path.relative_to(target): path.read_bytes() for path in target.rglob("*.*")})
    assert results[0] == results[1]
    assert {str(path) for path in results[0]} == {"one.csv", "a/b/two.CSV.gz"}
    two = gzip.decompress(results[0][Path("a/b/two.CSV.gz")]).decode()
    assert two.startswith("datetime;anomaly_score\r\n2014-07-01 00:00:00;0.000000\r\n")
    assert two.count("\r\n") == two.count("\n") == ROWS + 1


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    """It is named with its line, the rest is scored, and the exit code says that something failed."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "bad.csv").write_text("timestamp,value\nyesterday,1\n")
    (source / "good.csv").write_text(lines(stamps(), series()))
    result = call(source, target)
    assert result.exit_code == 1
    assert (
        "bad.csv, line 2: found 'yesterday' in the first column, 'timestamp', wanted a time" in result.stderr
    )
    assert [path.name for path in target.iterdir()] == ["good.csv"]
    document = json.loads(call(source, target, "--json").stdout)
    assert document["rows"] == ROWS
    assert document["failed"][0]["code"] == "csv"


FORMS = [
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S+00:00",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S UTC",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y%m%d%H%M%S",
    "%Y%m%dT%H%M%S",
]


@pytest.mark.parametrize("form", FORMS)
def test_times_as_people_write_them(form: str) -> None:
    """However a time is written, it is the same moment; which of day and month is first, the rows tell."""
    cells = stamps(5_000, form)
    parse = times.parser_for(cells)
    assert parse is not None
    assert times.parse_all(parse, cells).tolist() == [T0_MS + 300_000 * i for i in range(5_000)]


@pytest.mark.parametrize(
    ("cell", "time_ms"),
    [
        ("1404172800", T0_MS),
        ("1404172800.5", T0_MS + 500),
        ("1404172800000", T0_MS),
        ("1404172800000000", T0_MS),
        ("1.4041728e9", T0_MS),
        ("20140701", T0_MS),
        ("2014-07-01", T0_MS),
        ("2014-07-01T02:00:00+02:00", T0_MS),
        ("0", 0),
        ("17", 17_000),
    ],
)
def test_times_as_machines_write_them(cell: str, time_ms: int) -> None:
    """Seconds, milli- and microseconds since 1970; dates; offsets from UTC."""
    parse = times.parser_for([cell])
    assert parse is not None
    assert times.parse_all(parse, [cell]).tolist() == [time_ms]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1.5", 1.5),
        (" 2 ", 2),
        ("1e3", 1000),
        ("-0", 0),
        ("TRUE", 1),
        ("3,5", 3.5),
        ("1_000", None),
        ("off", None),
    ],
)
def test_numbers(cell: str, value: float | None) -> None:
    """What is a number, with a decimal comma where cells are not parted by commas; the rest is text."""
    assert numbers.number(cell, decimal_comma=True) == value


@pytest.mark.parametrize("cell", ["", " ", "NaN", "null", "N/A", "-", "inf", "-Infinity", "1e999"])
def test_no_number(cell: str) -> None:
    """Empty cells, in all the words for it, and what no sensor measures."""
    found = numbers.number(cell)
    assert found is not None
    assert np.isnan(found)


EMPTY = "fewer cells than the header, taken as empty"
LATE = "a time before an earlier row's"
UNREAD = "a time that cannot be read: scored 0"
WIDE = "more cells than the header: scored 0"
TEXT = "text instead of a number in 'value', taken as empty"


@pytest.mark.parametrize(
    ("row", "oddities"),
    [
        ("2014-07-01 00:10:00,", {}),
        ("2014-07-01 00:10:00,NaN", {}),
        ("2014-07-01 00:10:00,error", {TEXT: 1}),
        ("2014-07-01 00:10:00", {EMPTY: 1}),
        ("2014-07-01 00:10:00,5,,", {}),
        ("2014-07-01 00:10:00,5,6", {WIDE: 1}),
        ("2014-07-01 00:05:00,5", {}),
        ("2014-07-01 00:00:00,5", {LATE: 1}),
        ("later,5", {UNREAD: 1}),
        (",5", {UNREAD: 1}),
    ],
)
def test_odd_rows_keep_their_place(tmp_path: Path, row: str, oddities: dict[str, int]) -> None:
    """A row comes out for each that went in, and what was taken otherwise than it stands is said, with its line."""
    text = lines(stamps(), series()).splitlines()
    text[3] = row
    assert told(tmp_path, "\n".join(text)) == oddities
    out = (tmp_path / "out.csv").read_text().splitlines()
    assert len(out) == ROWS + 1
    assert out[3] == f"{row.split(',')[0]},0.000000"


def test_a_clock_that_was_wrong_is_followed() -> None:
    """A time that goes back a little is taken as the one before; after a wrong one far ahead, what follows is right."""
    day = 86_400_000
    found = times.clock(np.array([5, 7, 6, times.NO_TIME, 100 * day, day, day - 1]), 4)
    assert found.tolist() == [5, 7, 7, 7, 100 * day, day, day]
    assert times.clock(np.array([times.NO_TIME, 3]), times.NO_TIME).tolist() == [times.NO_TIME, 3]


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    """Also at the end, also with spaces; the last line needs no end."""
    text = lines(stamps(), series()).rstrip("\n").split("\n")
    assert scored(tmp_path, "\n\n".join(text) + "\n \n\n") == scored(tmp_path, "\n".join(text))


def test_a_bom_crlf_and_quotes_change_nothing(tmp_path: Path) -> None:
    """As spreadsheets write csv."""
    plain = scored(tmp_path, lines(stamps(), series()))
    text = lines([f'"{cell}"' for cell in stamps()], series(), header='"timestamp","value"', end="\r\n")
    assert scored(tmp_path, b"\xef\xbb\xbf" + text.encode()) == plain
    assert scored(tmp_path, b"sep=,\r\n" + text.encode()) == plain
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(text.encode("utf-16"))
    assert call(source, target).exit_code == 0
    assert list(csv.reader(io.StringIO(target.read_text("utf-16")))) == plain


def test_a_decimal_comma_is_read(tmp_path: Path) -> None:
    """Where semicolons part the cells."""
    plain = values_of(scored(tmp_path, lines(stamps(), series())))
    text = lines(stamps(), [v.replace(".", ",") for v in series()], header="Zeit;Wert", delimiter=";")
    assert values_of(scored(tmp_path, text, delimiter=";")).tolist() == plain.tolist()


def test_bytes_that_are_not_utf8_are_carried_along(tmp_path: Path) -> None:
    """A degree sign in another encoding, and NUL bytes inside a line, stop nothing."""
    text = lines(stamps(), series(), header="Zeit °C,value").encode("latin-1").replace(b"5.", b"\x005.", 1)
    (tmp_path / "in.csv").write_bytes(text)
    assert call(tmp_path / "in.csv", tmp_path / "out.csv").exit_code == 0
    assert (tmp_path / "out.csv").read_bytes().startswith(b"Zeit \xb0C,anomaly_score\n")


def test_without_a_header(tmp_path: Path) -> None:
    """A first line of a time and numbers is a row; the scores have a header all the same."""
    rows = scored(tmp_path, lines(stamps(), series(), header=""))
    assert rows[0] == ["time", "anomaly_score"]
    assert rows[1:] == scored(tmp_path, lines(stamps(), series()))[1:]


def test_a_column_of_text_is_left_out(tmp_path: Path) -> None:
    """Names of sensors or states are no values."""
    plain = values_of(scored(tmp_path, lines(stamps(), series())))
    text = lines(stamps(), ["ok"] * ROWS, series(), header="timestamp,state,value")
    assert values_of(scored(tmp_path, text)).tolist() == plain.tolist()


def test_an_empty_table_has_no_scores(tmp_path: Path) -> None:
    """A header alone gives a header alone."""
    assert scored(tmp_path, "timestamp,value\n") == [["timestamp", "anomaly_score"]]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "in.csv, line 1: found nothing, wanted a header and rows"),
        ("\n\n", "line 1: found nothing, wanted a header"),
        (
            "timestamp\n2014-07-01\n",
            "line 1: found one column, 'timestamp', wanted the time and at least one value",
        ),
        ("timestamp,value\nsoon,1\n", "line 2: found 'soon' in the first column, 'timestamp', wanted a time"),
        (
            "timestamp,state\n2014-07-01,ok\n",
            r"line 2: found beside the time only 'state' \(text\), wanted a column",
        ),
        (
            "timestamp,label\n2014-07-01,1\n",
            r"found beside the time only 'label' \(labels are not looked at\)",
        ),
        (
            "timestamp,value\n2014-07-01,1,2\n2014-07-02,1,2\n",
            "line 2: found 3 cells, wanted 2, as the header has",
        ),
        (
            "timestamp,value\n2014-07-03,1\n2014-07-02,1\n2014-07-01,1\n",
            "line 3: found times that go back from row to row, wanted the oldest row first",
        ),
        (gzip.compress(lines(stamps(), series()).encode())[:900], "in.csv: its gzip is damaged or cut off"),
        ('timestamp,value\n2014-07-01,1\n"2014-07-02,1\n', "line 3: found unexpected end of data"),
        ("timestamp,value\n2014-07-01," + "9" * 1_000_001, "line 2: found a longer line"),
        ("timestamp,value\n2014-07-01,1\n2014-07-02," + "9" * 1_000_001, "line 3: found field larger than"),
    ],
)
def test_refusals_name_file_line_found_and_wanted(tmp_path: Path, text: str | bytes, wanted: str) -> None:
    """And leave nothing behind."""
    assert re.search(wanted, refusal(tmp_path, text))


def test_damage_late_in_a_file_leaves_the_old_scores(tmp_path: Path) -> None:
    """Scores are replaced whole or not at all."""
    source, target = tmp_path / "in.csv.gz", tmp_path / "out.csv"
    data = gzip.compress(lines(stamps(50_000), series(50_000)).encode())
    source.write_bytes(data[:-9])
    target.write_text("before")
    with pytest.raises(MalformedError, match="damaged or cut off"):
        call(source, target)
    assert target.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv.gz", "out.csv"]


def test_places_that_cannot_be_used(tmp_path: Path) -> None:
    """No input, no csv in a folder, the input as output, a file where a folder should be."""
    (tmp_path / "in").mkdir()
    (tmp_path / "one.csv").write_text(lines(stamps(), series()))
    for source, target, wanted in (
        ("none.csv", "out.csv", "found nothing, wanted a csv file or a folder"),
        ("in", "out", "found no .csv or .csv.gz file"),
        ("one.csv", "one.csv", "found the input as output"),
        ("in", "in", "found the input itself"),
        ("in", "one.csv", "found a file, wanted another folder"),
        ("one.csv", "one.csv/out.csv", "one.csv/out.csv: "),
    ):
        with pytest.raises(ServiceError, match=wanted):
            call(tmp_path / source, tmp_path / target)
