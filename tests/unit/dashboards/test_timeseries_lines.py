"""Line protocol: whatever stands in a tag or a text, a point is one line; and points of the moment."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.timeseries import schema
from dashboards.timeseries.lines import I64_MAX, Chunk, gathered, head, line, tag_value
from dashboards.timeseries.names import Names
from dashboards.timeseries.pulse import LogPulse, Moments, Scraper, metric_lines, stage_of
from dashboards.timeseries.quantiles import Quantiles
from dashboards.timeseries.statuses import status_lines
from lading import topics
from lading.log import SqliteLog
from tests.legs import GATEWAY
from tests.ports import free_port
from tests.unit.dashboards.test_timeseries_readings import names
from tests.waiting import until

GATEWAY_HEX = GATEWAY.public.gateway_id.hex()
STATUS_TOPIC = f"lading/v1/demo/{GATEWAY_HEX}/status"
TEXTS = st.text(max_size=300) | st.text(alphabet='\\",= \n\r\t\x00é💥', max_size=20)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_a_point_is_one_line(tag: str, text: str) -> None:
    """No text breaks a line, ends a tag or a string early, or leaves a backslash that would escape what follows."""
    found = line(schema.DEAD, {"code": tag}, {"count": 1, "reason": text}, 7).decode()
    assert found.endswith(" 7\n")
    assert found.count("\n") == 1
    assert "\\\\" not in tag_value(tag)
    assert not tag_value(tag).endswith("\\") or tag_value(tag).endswith(("\\,", "\\=", "\\ "))
    assert found.isprintable() or all(ord(sign) >= 32 for sign in found[:-1])


def test_what_has_no_value_is_left_out() -> None:
    """Tags that are empty, fields that are None or not finite; a point of none is no line."""
    assert head(schema.STATUS, {"tenant": "", "gateway": "g"}) == "status,gateway=g"
    assert line(schema.METRIC, {"name": "m"}, {"value": float("inf")}, 1) == b""
    assert line(schema.METRIC, {"name": "m"}, {"value": float("nan")}, 1) == b""
    values = {"frame_seq": 2**64 - 1, "battery": None, "delay_s": 0.25}
    assert line(schema.GATEWAY, {}, values, 1) == b"gateway frame_seq=%di,delay_s=0.25 1\n" % I64_MAX


def test_lines_are_gathered_as_requests_are_asked_for() -> None:
    """Never more than a request's lines at once, in their order, without the empty ones."""
    taken = []

    def lines() -> Iterator[bytes]:
        for one in (b"a\n", b"", b"b\n", b"c\n", b"", b"d\n", b"e\n", b""):
            taken.append(one)
            yield one

    found = gathered(lines(), 2)
    assert next(found) == Chunk(b"a\nb\n", 2)
    assert len(taken) == 3
    assert list(found) == [Chunk(b"c\nd\n", 2), Chunk(b"e\n", 1)]
    assert list(gathered([b""], 2)) == []


def status(names: Names, document: Any, *, is_retained: bool = False) -> str:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    (found,) = status_lines(names, STATUS_TOPIC, payload, 10_500, is_retained)
    return found.decode()


def test_a_status_is_a_point() -> None:
    """Its figures as fields; of a last will only that the gateway is gone; lies are left out."""
    document = {
        "state": "online",
        "time_ms": 10_000,
        "frames_waiting": 3,
        "frames_waiting_bytes": "many",
        "readings_pending": -1,
        "readings_refused": True,
        "frame_seq_next": 2**70,
        "outbox_full": False,
    }
    start = "status,tenant=demo,gateway=truck\\ 1 "
    assert status(names(), document) == (
        f"{start}online=1i,outbox_frames=3i,outbox_full=0i,clock_behind_s=0.5 10500000000\n"
    )
    assert "clock" not in status(names(), document, is_retained=True)
    assert status(names(), {"state": "offline", "gateway": "x"}) == f"{start}online=0i 10500000000\n"


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"7", b'{"state": "asleep"}', b"\xff", b"{" * 4_096, b"[" * 4_096, b" " * 5_000]
)
def test_a_status_that_is_none(payload: bytes) -> None:
    """Any bytes may come by MQTT: refused, never a crash."""
    with pytest.raises((ValueError, RecursionError)):
        status(names(), payload)


PAGE = """\
# HELP lading_ingest_messages_total Messages.
# TYPE lading_ingest_messages_total counter
lading_ingest_messages_total{outcome="taken",code="",name="x"} 12.0
lading_ingest_messages_created{outcome="taken"} 1.7e+09
# TYPE lading_ingest_take_seconds histogram
lading_ingest_take_seconds_bucket{le="+Inf"} 3.0
lading_ingest_take_seconds_sum NaN
"""


def test_metrics_are_points() -> None:
    """Labels become tags, beside the declared ones; what is not finite is left out."""
    found = [one.decode() for one in metric_lines("ingest-2", PAGE, 5, Quantiles()) if one]
    assert found == [
        "metric,name=lading_ingest_messages_total,stage=ingest,instance=ingest-2,"
        "exported_name=x,outcome=taken value=12.0 5\n",
        "metric,name=lading_ingest_take_seconds_bucket,stage=ingest,instance=ingest-2,le=+Inf value=3.0 5\n",
    ]
    assert stage_of("settle") == "settle"
    with pytest.raises(ValueError, match="more than"):
        list(metric_lines("x", "a 1\n" * 20_001, 5, Quantiles()))


def test_topics_and_lags(tmp_path: Path) -> None:
    """Ends and rates of every topic; the lag of a reader once it has committed."""
    log = SqliteLog(tmp_path / "log.sqlite")
    pulse = LogPulse(log)
    log.append(topics.FRAMES, [(b"a", b"1")] * 10)
    first = b"".join(pulse.lines(1_000)).decode()
    assert f"topic,topic={topics.FRAMES} end=10i 1000000000\n" in first
    assert "lag," not in first
    log.append(topics.FRAMES, [(b"a", b"1")] * 5)
    log.commit("anomaly", topics.FRAMES, {0: 12})
    second = b"".join(pulse.lines(3_000)).decode()
    assert f"topic,topic={topics.FRAMES} end=15i,rate=2.5 3000000000\n" in second
    assert f"lag,group=anomaly,topic={topics.FRAMES} records=3i 3000000000\n" in second


def test_moments_are_bounded() -> None:
    """While InfluxDB is away the oldest points of the moment go."""
    moments = Moments()
    moments.add(iter([b"%d\n" % i for i in range(60_000)]))
    found = moments.take()
    assert (len(found), found[-1], moments.take()) == (50_000, b"59999\n", [])


def test_a_process_that_does_not_answer_is_not_ready() -> None:
    """A silence is no point, and no alert would see a process that never ran, or has not for long."""
    moments = Moments()
    scraper = Scraper({"ingest-2": f"http://127.0.0.1:{free_port()}/metrics"}, 0.01, moments)
    found: list[bytes] = []
    scraper.start()

    def is_told() -> bool:
        found.extend(moments.take())
        return bool(found)

    until(is_told)
    scraper.stop()
    assert found[0].startswith(
        b"metric,name=lading_process_ready_ratio,stage=ingest,instance=ingest-2 value=0.0 "
    )
