"""Every alert over recorded cases that must and must not fire: its query on a real InfluxDB, then its reduction and
threshold as Grafana documents them."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dashboards.boards.alerts import Alert
from dashboards.boards.asked import Span
from dashboards.boards.influx import InfluxQL
from dashboards.boards.rulebook import ALERTS
from lading import metrics
from tests.boards import DAY_MS, HOUR_MS, MINUTE_MS, dead, finding, point, risk, sample, settlement
from tests.services.influxd import Influxd, influxd

NOW_MS = time.time_ns() // 1_000_000
TRUCK = {"tenant": "demo", "gateway": "truck-1"}
LEG = TRUCK | {"leg": "PO 77"}
UPPER = LEG | {"channel": "1", "part": "air", "quantity": "temperature", "release": "ab" * 8, "side": "upper"}
LOWER, RETRAINED = UPPER | {"side": "lower"}, UPPER | {"release": "cd" * 8}
BY_UID = {alert.uid: alert for alert in ALERTS}
REDUCERS: dict[str, Callable[[list[float]], float]] = {
    "last": lambda values: values[-1],
    "max": max,
    "min": min,
    "sum": sum,
}


@dataclass(frozen=True)
class Case:
    """Points, and whether the alert fires over them."""

    uid: str
    name: str
    fires: bool
    lines: tuple[str, ...]


def firing(alert: Alert, store: InfluxQL, now_ms: int) -> list[dict[str, str]]:
    """The series over which the rule fires, by their labels: one number a series, no series is `no_data`.

    grafana.com/docs/grafana/v11.6/alerting/fundamentals/alert-rules/queries-conditions: "Reduce" with mode "drop
    non-numeric values", "Threshold" IS ABOVE and IS BELOW.
    """
    document = alert.document()
    asked, reduced, compared = (part["model"] for part in document["data"])
    span = Span(now_ms - document["data"][0]["relativeTimeRange"]["from"] * 1000, now_ms)
    found = store.ask(asked["query"].replace("$timeFilter", span.filter))
    if not found:
        return [{}] if document["noDataState"] == "Alerting" else []
    evaluator = compared["conditions"][0]["evaluator"]
    (limit,) = evaluator["params"]
    fires = []
    for series in found:
        values = [row[1] for row in series.rows if row[1] is not None]
        number = REDUCERS[reduced["reducer"]](values) if values else float("nan")
        if number > limit if evaluator["type"] == "gt" else number < limit:
            fires.append(series.tags)
    return fires


def ago(time_ms: int) -> int:
    """A time before now."""
    return NOW_MS - time_ms


def frame(minutes: float, **fields: float) -> str:
    """A frame so many minutes ago."""
    whole = {"frame_seq": 7, "leg_state": 1, "readings": 60, "delay_s": 0.2} | fields
    return point("gateway", TRUCK, ago(round(minutes * MINUTE_MS)), **whole)


def verdict(at_ms: int, final: int, breach: int, superseded: int = 0) -> str:
    """A verdict."""
    return point(
        "verdict", LEG, at_ms, state="closed", result="breach" if breach else "clean", final=final, breach=breach,
        findings=breach, verdict_id="ab" * 32, superseded=superseded, leg_id="cd" * 32, readings=9, gap_count=0,
        above_s=0.0, below_s=0.0, unknown_s=0.0,
    )  # fmt: skip


def status(minutes: float, **fields: int) -> str:
    """What a gateway said so many minutes ago."""
    return point("status", TRUCK, ago(round(minutes * MINUTE_MS)), online=1, **fields)


def anchor(interval: int, state: str, at_ms: int, **fields: float) -> str:
    """An anchor's state."""
    return point(
        "anchor",
        {"state": state},
        at_ms,
        interval=interval,
        gas_used=1,
        block_number=1,
        tx="aa" * 32,
        **fields,
    )


def lag(group: str, *records: int) -> tuple[str, ...]:
    """A reader's lag, a value a minute up to now."""
    tags = {"group": group, "topic": "lading.frames.v1"}
    return tuple(
        point("lag", tags, ago((len(records) - at) * MINUTE_MS - MINUTE_MS // 2), records=number)
        for at, number in enumerate(records)
    )


def gauge(metric: metrics.Metric, *values: float) -> tuple[str, ...]:
    """A stage's gauge, a value each half minute up to now."""
    return tuple(
        sample(metric.name, value, ago((len(values) - at) * MINUTE_MS // 2), metric.stage, {})
        for at, value in enumerate(values)
    )


def said(tags: dict[str, str], minutes: int, soon: float) -> str:
    """What a forecast of so many minutes ago finds."""
    return risk(tags, ago(minutes * MINUTE_MS), soon)


OF_LEG_OPEN = finding(LEG, "excursion_above", "breach", ago(30 * HOUR_MS))
CASES = [
    Case("lading-excursion", "an excursion of yesterday, still provisional", True, (OF_LEG_OPEN,)),
    Case("lading-excursion", "withdrawn by late data", False, (finding(LEG, "gap", "breach", ago(HOUR_MS), active=0),)),
    Case("lading-excursion", "final", False, (finding(LEG, "gap", "breach", ago(HOUR_MS), final=1),)),
    Case("lading-excursion", "a notice only", False, (finding(LEG, "stuck", "notice", ago(HOUR_MS)),)),
    Case("lading-breach-final", "final breach an hour ago", True, (verdict(ago(HOUR_MS), 1, 1),)),
    Case("lading-breach-final", "provisional breach", False, (verdict(ago(HOUR_MS), 0, 1),)),
    Case("lading-breach-final", "final and clean", False, (verdict(ago(HOUR_MS), 1, 0),)),
    Case("lading-breach-final", "superseded since", False, (verdict(ago(HOUR_MS), 1, 1, 1), verdict(ago(9), 1, 0))),
    Case("lading-foreseen", "a breach is probable", True, (said(UPPER, 60, 0.21), said(LOWER, 60, 0.0))),
    Case("lading-foreseen", "below the lower limit", True, (said(UPPER, 60, 0.0), said(LOWER, 60, 0.9))),
    Case("lading-foreseen", "less than that", False, (said(UPPER, 1, 0.19),)),
    Case("lading-foreseen", "a newer one says less", False, (said(UPPER, 80, 0.9), said(UPPER, 20, 0.1))),
    Case("lading-foreseen", "a newer release says less", False, (said(UPPER, 80, 0.9), said(RETRAINED, 20, 0.1))),
    Case("lading-foreseen", "the leg is over", False, (said(UPPER, 40, 0.9), said(UPPER, 2, 0.0))),
    Case("lading-foreseen", "an offline truck brings its past", False, (said(UPPER, 300, 0.9),)),
    Case("lading-sensor", "a sensor that stuck", True, (finding(LEG, "stuck", "notice", ago(HOUR_MS)),)),
    Case("lading-sensor", "an excursion only", False, (OF_LEG_OPEN,)),
    Case("lading-settlement", "paid just now", True, (settlement("PO 77", ago(MINUTE_MS)),)),
    Case("lading-settlement", "paid yesterday", False, (settlement("PO 77", ago(DAY_MS)),)),
    Case("lading-silent", "last frame an hour ago", True, (frame(60),)),
    Case("lading-silent", "last frame 31 minutes ago", True, (frame(31), frame(40))),
    Case("lading-silent", "last frame 14 minutes ago", False, (frame(14), frame(40))),
    Case("lading-silent", "a frame each ten minutes", False, tuple(frame(minutes) for minutes in range(2, 300, 10))),
    Case("lading-silent", "last heard three days ago", False, (frame(3 * 1440),)),
    Case("lading-outbox", "filling", True, (status(5, outbox_frames=100), status(1, outbox_frames=501))),
    Case("lading-outbox", "emptied since", False, (status(5, outbox_frames=900), status(1, outbox_frames=3))),
    Case("lading-outbox-full", "full", True, (status(1, outbox_full=1),)),
    Case("lading-outbox-full", "room again", False, (status(9, outbox_full=1), status(1, outbox_full=0))),
    Case("lading-battery", "low", True, (frame(9, battery=3.9), frame(1, battery=3.4))),
    Case("lading-battery", "charged since", False, (frame(9, battery=3.4), frame(1, battery=3.9))),
    Case("lading-battery", "a gateway without one", False, (frame(1),)),
    Case("lading-clone", "two frames with one number", True, (dead("equivocation", ago(HOUR_MS)),)),
    Case("lading-clone", "another code", False, (dead("signature", ago(HOUR_MS)),)),
    Case("lading-anchor-lag", "late", True, (anchor(1, "mined", ago(HOUR_MS), lag_s=1801.0),)),
    Case("lading-anchor-lag", "late, final at once", True, (anchor(1, "finalized", ago(HOUR_MS), lag_s=1801.0),)),
    Case(
        "lading-anchor-lag", "in time again", False,
        (anchor(1, "mined", ago(HOUR_MS), lag_s=1801.0), anchor(2, "mined", ago(MINUTE_MS), lag_s=40.0)),
    ),
    Case(
        "lading-not-final", "31 intervals are open", True,
        (anchor(5, "finalized", ago(2 * HOUR_MS)), anchor(36, "pending", ago(MINUTE_MS))),
    ),
    Case(
        "lading-not-final", "30 intervals are open", False,
        (anchor(5, "finalized", ago(2 * HOUR_MS)), anchor(35, "pending", ago(MINUTE_MS))),
    ),
    Case("lading-not-final", "nothing was ever final", True, (anchor(40, "mined", ago(MINUTE_MS)),)),
    Case("lading-not-final", "nothing was anchored", False, ()),
    Case("lading-balance", "nearly nothing", True, gauge(metrics.SETTLE_BALANCE, 2e18, 9e15)),
    Case("lading-balance", "enough", False, gauge(metrics.ANCHORING_BALANCE, 9e15, 2e18)),
    Case("lading-dead-letters", "eleven of a code", True, tuple(dead("chain", ago(n * MINUTE_MS)) for n in range(11))),
    Case(
        "lading-dead-letters", "ten each of two codes", False,
        tuple(dead(code, ago(n * MINUTE_MS)) for n in range(10) for code in ("chain", "signature")),
    ),
    Case("lading-archive", "behind for half an hour", True, gauge(metrics.ARCHIVE_BEHIND, *[11.0] * 30)),
    Case("lading-archive", "caught up once", False, gauge(metrics.ARCHIVE_BEHIND, *[11.0] * 9, 0.0, *[11.0] * 9)),
    Case("lading-stage-down", "ready", False, gauge(metrics.PROCESS_READY, *[1.0] * 40)),
    Case("lading-stage-down", "not ready for minutes", True, gauge(metrics.PROCESS_READY, *[1.0] * 40, *[0.0] * 12)),
    Case("lading-stage-down", "ready again", False, gauge(metrics.PROCESS_READY, *[0.0] * 20, *[1.0] * 12)),
    Case("lading-stage-down", "not ready once", False, gauge(metrics.PROCESS_READY, *[1.0] * 40, 0.0, 1.0, 1.0)),
    Case("lading-stage-down", "now and then no answer", False, gauge(metrics.PROCESS_READY, *[1.0, 1.0, 0.0] * 14)),
    Case(
        "lading-stage-down", "gone for ten minutes", True,
        tuple(sample(metrics.PROCESS_READY.name, 1.0, ago(n * MINUTE_MS), "ingest", {}) for n in range(10, 60)),
    ),
    Case("lading-lag", "far behind for ten minutes", True, lag("anomaly", *[1500] * 15)),
    Case("lading-lag", "caught up in between", False, lag("anomaly", *[1500] * 5, 0, *[1500] * 4)),
    Case("lading-lag", "only the time series", False, lag("series", *[1500] * 15)),
    Case("lading-series-behind", "in time", False, lag("series", *[3] * 15)),
    Case("lading-series-behind", "behind", True, lag("series", *[20_000] * 15)),
    Case("lading-series-behind", "nothing is written", True, ()),
    Case("lading-disk", "filling", True, gauge(metrics.PROCESS_DISK_FREE, 9e9, 2e9)),
    Case("lading-disk", "room", False, gauge(metrics.PROCESS_DISK_FREE, 2e9, 9e9)),
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """A server."""
    with influxd(tmp_path_factory.mktemp("influxd")) as started:
        yield started


@pytest.fixture
def bucket(server: Influxd) -> Iterator[str]:
    """A bucket of its own, and its InfluxQL name."""
    name = f"case-{time.time_ns()}"
    org = server.request("GET", "/api/v2/orgs")["orgs"][0]["id"]
    made = server.request("POST", "/api/v2/buckets", {"orgID": org, "name": name, "retentionRules": []})
    whole = {
        "database": name,
        "retention_policy": "autogen",
        "default": True,
        "orgID": org,
        "bucketID": made["id"],
    }
    mapping = server.request("POST", "/api/v2/dbrps", whole)
    yield name
    server.request("DELETE", f"/api/v2/dbrps/{mapping['id']}?orgID={org}")
    server.request("DELETE", f"/api/v2/buckets/{made['id']}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.uid}-{case.name.replace(' ', '-')}")
def test_an_alert_fires_when_it_must_and_only_then(case: Case, server: Influxd, bucket: str) -> None:
    """The rule over the case's points."""
    server.bucket = bucket
    if case.lines:
        server.write("\n".join(case.lines))
    fires = firing(BY_UID[case.uid], InfluxQL(server.url, bucket, server.token), NOW_MS)
    assert bool(fires) == case.fires, fires
    for labels in fires if case.lines else []:
        named = set(re.findall(r"\$labels\.(\w+)", BY_UID[case.uid].summary))
        assert named <= set(labels)
        assert all(labels[name] for name in named - {"instance"})


@pytest.mark.parametrize("uid", BY_UID)
def test_every_alert_has_cases_of_both_kinds(uid: str) -> None:
    """None that never fires, and none that always does."""
    assert {case.fires for case in CASES if case.uid == uid} == {True, False}


def test_evaluated_at_another_minute_silence_is_the_same(server: Influxd, bucket: str) -> None:
    """Steps of `lading-silent` begin on the clock's quarters: 31 minutes of silence fire and 14 do not, whenever."""
    store = InfluxQL(server.url, bucket, server.token)
    server.bucket = bucket
    server.write(point("gateway", TRUCK, NOW_MS, frame_seq=1, leg_state=1, readings=1, delay_s=0.0))
    for minute in range(0, 90, 4):
        fires = firing(BY_UID["lading-silent"], store, NOW_MS + minute * MINUTE_MS)
        if minute <= 14:
            assert not fires, minute
        if minute >= 31:
            assert fires, minute


def test_the_runbook_names_the_steps() -> None:
    """What the runbook says of silence is what the rule has."""
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
    assert "for 15 to 30 minutes" in text
    assert "time(15m)" in BY_UID["lading-silent"].query
