"""What InfluxDB refuses: bad lines alone are given up, anything else waits, and good points are never lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards.timeseries.lines import Chunk
from dashboards.timeseries.sink import CONFLICT, REFUSED_OF_CHUNK_MAX, TOO_OLD, UNPARSABLE, Sink
from lading.errors import ServiceError
from lading.log import wall_ms
from tests.ports import free_port
from tests.services.influxd import Influxd, influxd

GOOD = 4_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    with influxd(tmp_path_factory.mktemp("influxd")) as found:
        yield found


@pytest.fixture
def token_file(tmp_path: Path, server: Influxd) -> Path:
    path = tmp_path / "token"
    path.write_text(server.token, "utf-8")
    return path


@pytest.fixture
def sink(server: Influxd, token_file: Path) -> Iterator[Sink]:
    found = Sink(server.url, server.org, server.bucket, token_file)
    yield found
    found.close()


def lines(name: str, count: int = GOOD, ago_ms: int = 0) -> list[bytes]:
    now_ms = wall_ms() - ago_ms
    return [b"%s,a=b v=%d %d\n" % (name.encode(), i, (now_ms - i) * 1_000_000) for i in range(count)]


def chunk(given: list[bytes]) -> Chunk:
    return Chunk(b"".join(given), len(given))


def test_a_line_that_does_not_parse_stands_alone(server: Influxd, sink: Sink) -> None:
    """Three bad lines of 4,003, which InfluxDB refuses as a whole: the others are written, the bad ones named."""
    given = lines("parsed")
    bad = [b"parsed,a=b v=\n", b"no line at all\n", b"parsed,a=b v=1e 5\n"]
    for at, line in zip((0, 1_111, len(given)), bad, strict=True):
        given.insert(at, line)
    points, refused = sink.write([chunk(given)], in_order=False)
    assert points == GOOD == server.count("parsed", "v")
    assert sorted(one.line for one in refused) == sorted(bad)
    assert {one.code for one in refused} == {UNPARSABLE}


def test_a_field_of_another_type_stands_alone(server: Influxd, sink: Sink) -> None:
    """A conflict of types, too, costs its own line alone."""
    given = lines("typed")
    server.write(given[0].decode())
    bad = given[7].replace(b"v=7", b"v=7i").replace(b"a=b", b"a=c")
    given.append(bad)
    points, refused = sink.write([chunk(given)], in_order=False)
    assert points == GOOD == server.count("typed", "v")
    assert [(one.code, one.line) for one in refused] == [(CONFLICT, bad)]


def test_nothing_is_given_up_where_everything_is_refused(server: Influxd, sink: Sink) -> None:
    """A bucket whose field has another type is no accident of data: the writer waits instead of dropping all."""
    server.write(f"wrong,a=b v=true {wall_ms() * 1_000_000}")
    with pytest.raises(ServiceError, match=f"series_refuses: more than {REFUSED_OF_CHUNK_MAX} of {GOOD}"):
        sink.write([chunk(lines("wrong"))], in_order=False)


def test_points_older_than_the_bucket_keeps(server: Influxd, token_file: Path) -> None:
    """They are counted, once, and the newer ones of the same request are written."""
    org = server.request("GET", f"/api/v2/orgs?org={server.org}")["orgs"][0]["id"]
    week = {"type": "expire", "everySeconds": 7 * 86_400}
    server.request("POST", "/api/v2/buckets", {"orgID": org, "name": "week", "retentionRules": [week]})
    sink = Sink(server.url, server.org, "week", token_file)
    given = lines("kept", 100) + lines("kept", 30, ago_ms=30 * 86_400_000)
    points, refused = sink.write([chunk(given)], in_order=False)
    sink.close()
    assert points == 100
    assert [(one.code, one.points) for one in refused] == [(TOO_OLD, 30)]


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("token", "series_token"),
        ("bucket", "series_missing"),
        ("org", "series_missing"),
        ("port", "series_unreachable"),
    ],
)
def test_what_is_not_about_the_lines_waits(server: Influxd, token_file: Path, what: str, code: str) -> None:
    """A wrong token, bucket, organisation or address is told by its code, and no line is given up."""
    url = f"http://127.0.0.1:{free_port()}" if what == "port" else server.url
    org = "nobody" if what == "org" else server.org
    bucket = "nowhere" if what == "bucket" else server.bucket
    if what == "token":
        token_file.write_text("wrong", "utf-8")
    sink = Sink(url, org, bucket, token_file)
    with pytest.raises(ServiceError) as caught:
        sink.write([chunk(lines("waits"))], in_order=False)
    sink.close()
    assert caught.value.code == code


def test_a_new_token_is_read_without_a_restart(server: Influxd, token_file: Path) -> None:
    """After a refused token the file is read again."""
    token_file.write_text("wrong", "utf-8")
    sink = Sink(server.url, server.org, server.bucket, token_file)
    with pytest.raises(ServiceError, match="series_token"):
        sink.write([chunk(lines("renewed"))], in_order=False)
    token_file.write_text(server.token, "utf-8")
    assert sink.write([chunk(lines("renewed"))], in_order=False) == (GOOD, [])
    sink.close()
