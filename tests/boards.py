"""Points for the boards' tests: line protocol of declared measurements, and a small fleet's day."""

from collections.abc import Iterator

from dashboards.timeseries.schema import MEASUREMENTS
from lading import metrics

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def point(measurement: str, tags: dict[str, str], time_ms: int, **fields: float | int | str) -> str:
    """One line, at ms. AssertionError where a tag or field is not declared, or of another kind."""
    declared = MEASUREMENTS[measurement]
    assert set(tags) <= set(declared.tags) or measurement == "metric", f"{measurement}: tags {sorted(tags)}"
    shown = ",".join(f"{name}={_value(measurement, name, value)}" for name, value in fields.items())
    marks = "".join(f",{name}={_escaped(value)}" for name, value in tags.items())
    return f"{measurement}{marks} {shown} {time_ms}000000"


def _value(measurement: str, name: str, value: float | int | str) -> str:
    kind = MEASUREMENTS[measurement].field(name).kind
    if kind == "text":
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{int(value)}i" if kind == "integer" else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace(" ", "\\ ").replace(",", "\\,").replace("=", "\\=")


class Day:
    """Two gateways and a room over the 24 hours before `now_ms`: readings, a breach, an anchor a quarter of an hour."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def lines(self) -> Iterator[str]:
        """Every measurement."""
        for number, (gateway, leg) in enumerate(
            [("truck-1", "PO 77/a.1"), ("truck-2", "2026-18"), ("room", "stay")]
        ):
            yield from self._gateway(gateway)
            yield from self._leg({"tenant": "demo", "gateway": gateway, "leg": leg}, number)
        yield from self._chain()
        yield from self._services()

    def _times(self, every_ms: int) -> range:
        return range(self.now_ms - DAY_MS + every_ms, self.now_ms, every_ms)

    def _gateway(self, gateway: str) -> Iterator[str]:
        tags = {"tenant": "demo", "gateway": gateway}
        for number, at in enumerate(self._times(10 * MINUTE_MS)):
            yield point(
                "gateway", tags, at, frame_seq=number, leg_state=1, readings=60, delay_s=0.2 + number % 7, battery=4.0
            )  # fmt: skip
            yield point(
                "status", tags, at, online=0 if number == 60 else 1, outbox_frames=number % 5, outbox_bytes=900,
                readings_pending=3, readings_refused=0, outbox_full=0, frame_seq_next=number, clock_behind_s=0.1,
            )  # fmt: skip

    def _leg(self, tags: dict[str, str], number: int) -> Iterator[str]:
        parts = [("1", "air", "temperature"), ("2", "cargo", "temperature"), ("3", "humidity", "humidity"),
                 ("4", "door", "door"), ("5", "light", "light"), ("6", "shock", "shock")]  # fmt: skip
        for channel, part, quantity in parts:
            whole = tags | {"channel": channel, "part": part, "quantity": quantity}
            for step, at in enumerate(self._times(20 * MINUTE_MS)):
                yield point(
                    "reading", whole, at, value=4.0 + step % 3, **({"flags": 4} if step % 9 == 0 else {})
                )
            for at in self._times(HOUR_MS):
                yield point(
                    "limit", whole, at, upper=8.0, lower=2.0, upper_cumulative_s=3600.0, hold_s=1200.0
                )
                yield point(
                    "totals", whole, at, count=72, min=2.0, max=9.5, above_s=600.0, below_s=0.0, longest_above_s=600.0,
                    longest_below_s=0.0, unknown_s=0.0, longest_gap_s=1200.0, known_s=86_000.0, mkt_celsius=5.1,
                    budget_used=0.17,
                )  # fmt: skip
        for at in self._times(HOUR_MS):
            yield point("position", tags, at, latitude=52.5 + number, longitude=13.4)
            yield point(
                "verdict", tags, at, state="open", result="breach", final=0, breach=1, findings=2, verdict_id="ab" * 32,
                superseded=1, leg_id="cd" * 32, readings=400, gap_count=1, above_s=600.0, below_s=0.0, unknown_s=0.0,
            )  # fmt: skip
        yield point(
            "verdict", tags, self.now_ms - 1, state="closed", result="breach", final=1, breach=1, findings=2,
            verdict_id="ef" * 32, superseded=0, leg_id="cd" * 32, readings=432, gap_count=1, above_s=600.0, below_s=0.0,
            unknown_s=0.0,
        )  # fmt: skip
        for rule, severity in (("excursion_above", "breach"), ("gap", "breach"), ("stuck", "notice")):
            yield finding(tags, rule, severity, self.now_ms - 3 * HOUR_MS, final=1)
        yield from self._episodes(tags)
        yield from self._forecasts(tags | {"channel": "1", "part": "air", "quantity": "temperature"})

    def _forecasts(self, channel: dict[str, str]) -> Iterator[str]:
        """Every hour, the newest half an hour ago."""
        for at in range(self.now_ms - DAY_MS + HOUR_MS // 2, self.now_ms, HOUR_MS):
            yield from forecast(channel, at, 0.04)

    def _episodes(self, tags: dict[str, str]) -> Iterator[str]:
        at = self.now_ms - 2 * HOUR_MS
        for channel, up in (("1", 0), ("2", 1)):
            whole = tags | {"channel": channel, "part": "air", "quantity": "temperature"}
            yield point(
                "episode", whole, at + up, peak_ms=at + 5,
                last_ms=at + HOUR_MS, score=0.73, detector="spike", text="temperature far from its level", up=up,
                release="0123456789abcdef", first_seq=7, last_seq=66,
            )  # fmt: skip

    def _chain(self) -> Iterator[str]:
        for interval, at in enumerate(self._times(15 * MINUTE_MS), 1):
            yield point(
                "batch",
                {"tenant": "demo"},
                at,
                interval=interval,
                batch_seq=interval,
                frames=5,
                last_event_ms=at,
            )
            for late, state in enumerate(("pending", "mined", "safe", "finalized")):
                mined = {} if state == "pending" else {"lag_s": 42.0}
                yield point(
                    "anchor", {"state": state}, at + late * MINUTE_MS, interval=interval, gas_used=60_000,
                    block_number=interval, tx="aa" * 32, **mined,
                )  # fmt: skip
        for at in self._times(6 * HOUR_MS):
            yield dead("signature", at)
            yield settlement("PO 77/a.1", at)

    def _services(self) -> Iterator[str]:
        for number, at in enumerate(self._times(MINUTE_MS)):
            yield point("topic", {"topic": "lading.frames.v1"}, at, end=number * 60, rate=1.0)
            yield point("lag", {"group": "anomaly", "topic": "lading.frames.v1"}, at, records=number % 4)
            yield point("lag", {"group": "series", "topic": "lading.frames.v1"}, at, records=2)
            if number > 22 * 60:
                yield from self._metrics(number, at)

    def _metrics(self, number: int, at: int) -> Iterator[str]:
        for metric in metrics.METRICS.values():
            labels = dict.fromkeys(metric.labels, "x")
            for name, more, value in samples(metric, number):
                yield sample(name, value, at, metric.stage, labels | more)


def samples(metric: metrics.Metric, number: int) -> Iterator[tuple[str, dict[str, str], float]]:
    """What a scrape gives of a metric that grows by one a minute."""
    if metric.kind == "histogram":
        yield f"{metric.name}_sum", {}, number * 0.3
        for quantile in ("0.5", "0.99"):
            yield metric.name, {"quantile": quantile}, 0.3
        yield f"{metric.name}_count", {}, float(number)
        for bound in metric.buckets:
            yield f"{metric.name}_bucket", {"le": str(float(bound))}, float(number)
    elif metric is metrics.PROCESS_READY:
        yield metric.name, {}, 0.0 if number % 50 == 0 else 1.0
    elif metric.name.endswith("_wei"):
        yield metric.name, {}, 1e18 - number * 1e14
    else:
        yield metric.name, {}, float(number)


def sample(name: str, value: float, at_ms: int, stage: str, labels: dict[str, str]) -> str:
    """One scraped sample."""
    tags = {"name": name, "stage": stage, "instance": f"{stage}-1"}
    return point("metric", labels | tags, at_ms, value=value)


def finding(tags: dict[str, str], rule: str, severity: str, at_ms: int, **fields: int) -> str:
    """A finding of two hours."""
    whole = {"first_ms": at_ms, "last_ms": at_ms + 2 * HOUR_MS, "active": 1, "final": 0} | fields
    marks = tags | {"channel": "1", "part": "air", "rule": rule, "severity": severity}
    return point(
        "finding", marks, at_ms, measured=7200_000.0, limit=3600_000.0, text=f"{rule}, 2 h", verdict_id="ef" * 32,
        **whole,
    )  # fmt: skip


def forecast(channel: dict[str, str], at_ms: int, soon: float, release: str = "ab" * 8) -> Iterator[str]:
    """A forecast of one, two and three hours from `at_ms` on."""
    tags = channel | {"release": release}
    for hours in (1, 2, 3):
        early = {"early_low": 3.0, "early_median": 4.5, "early_high": 6.0, "early_s": 10_800.0}
        yield point(
            "forecast", tags, at_ms + hours * HOUR_MS, lowest=2.0, low=3.0, median=4.5, high=6.0, highest=7.0 + hours,
            lowest_level=0.02, highest_level=0.99, upper=8.0, lower=2.0, upper_probability=soon, lower_probability=0.0,
            from_ms=at_ms, **(early if hours == 3 else {}),
        )  # fmt: skip
    for side, share in (("upper", soon), ("lower", 0.0)):
        yield risk(tags | {"side": side}, at_ms, share)


def risk(tags: dict[str, str], at_ms: int, soon: float) -> str:
    """How probable a forecast finds a breach."""
    begin_ms = at_ms + 5_000_000
    return point(
        "risk", tags, at_ms, limit=8.0, probability=min(3 * soon, 1.0), soon=soon, begin_ms=begin_ms, within_s=10_800.0
    )  # fmt: skip


def dead(code: str, at_ms: int) -> str:
    """A dead letter."""
    return point(
        "dead", {"tenant": "demo", "code": code}, at_ms, count=1, bytes=300, reason="wrong", number="0:1"
    )


def settlement(leg: str, at_ms: int) -> str:
    """A payment."""
    return point(
        "settlement", {"tenant": "demo", "leg": leg, "kind": "penalty"}, at_ms, amount=5000.0, gas_used=90_000,
        agreement="aa" * 32, tx="bb" * 32, block_number=7,
    )  # fmt: skip
