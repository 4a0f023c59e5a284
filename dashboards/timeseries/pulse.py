"""Points of the moment: how long the log is, who is behind, what the stages' metrics say."""

import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping

import structlog

from dashboards.timeseries import schema
from dashboards.timeseries.lines import NS_A_MS, line
from dashboards.timeseries.quantiles import Quantiles
from dashboards.timeseries.stage import GROUP, TOPICS, behind
from lading import metrics, topics
from lading.log import Log

READERS = {
    "ingest": (topics.RAW,),
    "archive": (topics.BATCHES,),
    "anomaly": (topics.FRAMES,),
    GROUP: TOPICS,
}
"""Groups that commit how far they have read, and of which topics."""

SCRAPE_S_MAX = 2.0
SCRAPE_BYTES_MAX = 4 * 1024 * 1024
SAMPLES_MAX = 20_000
WAITING_MAX = 50_000
"""Points of the moment that may wait for InfluxDB; the oldest go first."""


class Moments:
    """Lines of the moment, from any thread; those that nobody takes in time are lost."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=WAITING_MAX)

    def add(self, lines: Iterator[bytes]) -> None:
        """Lines to write."""
        self._lines.extend(lines)

    def take(self) -> list[bytes]:
        """Everything that waits."""
        found: list[bytes] = []
        while self._lines and len(found) < WAITING_MAX:
            found.append(self._lines.popleft())
        return found


class LogPulse:
    """Ends, rates and lags of the log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._before: dict[str, tuple[int, int]] = {}

    def lines(self, now_ms: int) -> Iterator[bytes]:
        """A point a topic, and one a reader and topic that it has begun."""
        for topic in topics.LOG_TOPICS:
            ends = self._log.end(topic)
            end = sum(ends.values())
            before = self._before.get(topic)
            rate = (end - before[1]) * 1000 / (now_ms - before[0]) if before and now_ms > before[0] else None
            self._before[topic] = now_ms, end
            yield line(schema.TOPIC, {"topic": topic}, {"end": end, "rate": rate}, now_ms * NS_A_MS)
            for group, read in READERS.items():
                committed = self._log.committed(group, topic) if topic in read else {}
                if committed:
                    records = behind(ends, committed)
                    tags = {"group": group, "topic": topic}
                    yield line(schema.LAG, tags, {"records": records}, now_ms * NS_A_MS)


class Scraper:
    """Reads the stages' /metrics in a thread of its own: one that hangs holds nothing up."""

    def __init__(self, instances: Mapping[str, str], interval_s: float, moments: Moments) -> None:
        self._instances = instances
        self._interval_s = interval_s
        self._moments = moments
        self._quantiles = Quantiles()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scrape", daemon=True)

    def start(self) -> None:
        """Begin, if there is anything to read."""
        if self._instances:
            self._thread.start()

    def stop(self) -> None:
        """End, with the request that is under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join((len(self._instances) + 1) * SCRAPE_S_MAX)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            for instance, url in self._instances.items():
                try:
                    text = read_metrics(url)
                    self._moments.add(
                        iter(list(metric_lines(instance, text, time.time_ns(), self._quantiles)))
                    )
                except (OSError, ValueError) as exc:
                    metrics.SERIES_SCRAPES_FAILED.add(1, stage_of(instance))
                    self._moments.add(iter([not_ready_line(instance, time.time_ns())]))
                    structlog.get_logger().warning("scrape_failed", instance=instance, reason=str(exc)[:200])


def read_metrics(url: str) -> str:
    """A page of metrics; OSError or ValueError when it cannot be had."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r}, wanted http:// or https://")
    with urllib.request.urlopen(url, timeout=SCRAPE_S_MAX) as answer:
        data: bytes = answer.read(SCRAPE_BYTES_MAX + 1)
    if len(data) > SCRAPE_BYTES_MAX:
        raise ValueError(f"more than {SCRAPE_BYTES_MAX} bytes of metrics")
    return data.decode("utf-8", "replace")


def metric_lines(instance: str, text: str, time_ns: int, quantiles: Quantiles) -> Iterator[bytes]:
    """The samples of a page in Prometheus' text format, with quantiles; ValueError when it is none."""
    found = list(_samples(text))
    tags = {"stage": stage_of(instance), "instance": instance}
    for name, labels, value in [*found, *quantiles.of(instance, found, time_ns / 1e9)]:
        own = {_label(key): text for key, text in labels.items()}
        yield line(schema.METRIC, tags | {"name": name}, {"value": value}, time_ns, own)


def not_ready_line(instance: str, time_ns: int) -> bytes:
    """What a process says that is not ready, of one that says nothing: also one that never did is seen to be down."""
    tags = {"stage": stage_of(instance), "instance": instance, "name": metrics.PROCESS_READY.name}
    return line(schema.METRIC, tags, {"value": 0.0}, time_ns)


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    from prometheus_client.parser import text_string_to_metric_families

    count = 0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            count += 1
            if count > SAMPLES_MAX:
                raise ValueError(f"more than {SAMPLES_MAX} samples")
            if not sample.name.endswith("_created"):
                yield sample.name, sample.labels, sample.value


def stage_of(instance: str) -> str:
    """`ingest` of `ingest-2`."""
    return instance.split("-", 1)[0]


def _label(name: str) -> str:
    """A label that would clash with a tag, a field or InfluxDB's own names is given another name."""
    return f"exported_{name}" if name in (*schema.METRIC.tags, "value", "time") else name
