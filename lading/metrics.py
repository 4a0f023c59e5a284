"""Every metric, declared once: `lading_<stage>_<what>_<unit>`, with labels whose values are few.

Nothing here needs prometheus_client until `make` is called by a stage's process. Before that, and for metrics of
other stages, counting does nothing: so code counts where it knows the outcome, and never asks whether anyone looks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["counter", "gauge", "histogram", "system"]
# "system": what prometheus_client itself reads of the process.

DELAY_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1_800, 7_200, 86_400)
STEP_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)

_made: dict[str, Any] = {}
_reached: dict[tuple[str, tuple[str, ...]], float] = {}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Values of `labels` are given in their order."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def stage(self) -> str:
        """The second word of the name."""
        return self.name.split("_")[1]

    def add(self, amount: float = 1, *labels: str) -> None:
        """Count on."""
        if (child := self._child(labels)) is not None:
            child.inc(amount)

    def reach(self, total: float, *labels: str) -> None:
        """Count on to a total that is counted elsewhere, perhaps since before this process."""
        before = _reached.get((self.name, labels), 0.0)
        if total > before and (child := self._child(labels)) is not None:
            child.inc(total - before)
            _reached[(self.name, labels)] = total

    def set(self, value: float, *labels: str) -> None:
        """What it is now."""
        if (child := self._child(labels)) is not None:
            child.set(value)

    def follow(self, value: Callable[[], float], *labels: str) -> None:
        """Ask whenever someone looks: `value` must be quick, safe in any thread, and not raise."""
        if (child := self._child(labels)) is not None:
            child.set_function(value)

    def observe(self, value: float, *labels: str) -> None:
        """One more of a distribution; what clocks make negative counts as 0."""
        if (child := self._child(labels)) is not None:
            child.observe(max(value, 0.0))

    def _child(self, labels: tuple[str, ...]) -> Any:
        assert len(labels) == len(self.labels), f"{self.name}: labels {labels}, wanted {self.labels}"
        made = _made.get(self.name)
        return made.labels(*labels) if made is not None and labels else made


METRICS: dict[str, Metric] = {}
"""By full name. A histogram shows as …_bucket, …_sum and …_count."""


def _declare(
    name: str, kind: Kind, text: str, labels: tuple[str, ...] = (), buckets: tuple[float, ...] = ()
) -> Metric:
    metric = Metric(f"lading_{name}", kind, text, labels, buckets)
    assert metric.name not in METRICS, name
    METRICS[metric.name] = metric
    return metric


def _counter(name: str, text: str, *labels: str) -> Metric:
    return _declare(name, "counter", text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return _declare(name, "gauge", text, labels)


def _histogram(name: str, text: str, buckets: tuple[float, ...]) -> Metric:
    return _declare(name, "histogram", text, (), buckets)


# Every process

PROCESS_INFO = _gauge("process_info", "1; the labels say which stage and version runs.", "stage", "version")
PROCESS_READY = _gauge("process_ready_ratio", "1 while the stage and all it needs work, else 0.")
PROCESS_STEPS = _counter("process_steps_total", "Steps of the stage's loop that succeeded.")
PROCESS_STEP_FAILURES = _counter("process_step_failures_total", "Steps that failed, by code.", "code")
PROCESS_STEP_AGE = _gauge("process_step_age_seconds", "Since the stage's loop last turned.")
PROCESS_DISK_FREE = _gauge("process_disk_free_bytes", "Free on the disk of the data folder.")
PROCESS_LOG = _gauge("process_log_bytes", "The embedded log's file and its WAL; 0 with another log.")
for _name, _text in (
    ("start_time_seconds", "When the process began, Unix time."),
    ("cpu_seconds_total", "CPU time used."),
    ("resident_memory_bytes", "Memory held."),
    ("virtual_memory_bytes", "Address space."),
    ("open_fds", "Open files and connections."),
    ("max_fds", "Most of them that may be open."),
):
    _declare(f"process_{_name}", "system", _text)

# 1 edge

EDGE_GATEWAYS = _gauge("edge_gateways_count", "Gateways that the process runs.")
EDGE_LINKS_UP = _gauge("edge_links_up_count", "Gateways whose broker answers.")
EDGE_READINGS = _counter("edge_readings_total", "Readings taken into an outbox.")
EDGE_READINGS_REFUSED = _counter("edge_readings_refused_total", "Readings not taken.")
EDGE_READINGS_PENDING = _gauge("edge_pending_readings", "Readings that no frame has yet.")
EDGE_FRAMES_SIGNED = _counter("edge_frames_signed_total", "Frames signed.")
EDGE_FRAMES_SENT = _counter("edge_frames_sent_total", "Frames handed to the broker, repeats included.")
EDGE_FRAMES_ACKED = _counter(
    "edge_frames_acked_total",
    "Frames gone from the outbox: ingest, or by setting the broker alone, has them.",
)
EDGE_OUTBOX_FRAMES = _gauge("edge_outbox_frames", "Frames in outboxes: nobody else is known to have them.")
EDGE_OUTBOX_BYTES = _gauge("edge_outbox_bytes", "Bytes of those frames.")
EDGE_OUTBOX_FULL = _gauge("edge_outbox_full_ratio", "The fullest outbox against its bound, 0 to 1.")
EDGE_TROUBLES = _counter(
    "edge_troubles_total",
    "Warnings by event (link_down, frame_not_taken, reading_refused, order_refused, …) and code.",
    "event",
    "code",
)

# 2 ingest and archive

INGEST_BROKER_UP = _gauge("ingest_broker_up_ratio", "1 while the broker answers, else 0.")
INGEST_QUEUED = _gauge("ingest_queued_messages", "Messages that came and are not taken yet.")
INGEST_MESSAGES = _counter(
    "ingest_messages_total", "Messages by outcome and code (docs/ingest.md).", "outcome", "code"
)
INGEST_FRAMES = _counter("ingest_frames_total", "Frames written to the log, over the state file's life.")
INGEST_BATCH = _histogram("ingest_batch_messages", "Messages taken at once.", BATCH)
INGEST_TAKE = _histogram("ingest_take_seconds", "From a batch in hand to all it caused on disk.", STEP_S)
INGEST_DELAY = _histogram(
    "ingest_delay_seconds", "From a frame's signing, by its gateway's clock, to the log.", DELAY_S
)
INGEST_WAITING = _gauge("ingest_waiting_frames", "Frames that wait for one before them or for an order.")
ARCHIVE_BATCHES = _counter("archive_batches_total", "Batches written.")
ARCHIVE_FRAMES = _counter("archive_frames_total", "Frames written.")
ARCHIVE_READINGS = _counter("archive_readings_total", "Readings written.")
ARCHIVE_BEHIND = _gauge("archive_behind_batches", "Batches in the log that the archive has not.")

# 3 anomaly

ANOMALY_RECORDS = _counter("anomaly_records_total", "Records of the log taken.")
ANOMALY_VERDICTS = _counter(
    "anomaly_verdicts_total", "Verdicts written; final: yes or no.", "result", "final"
)
ANOMALY_STEP = _histogram("anomaly_step_seconds", "Steps that took something.", STEP_S)
ANOMALY_LAG = _gauge("anomaly_behind_frames", "Frames in the log that the stage has not taken.")
ANOMALY_DELAY = _histogram(
    "anomaly_delay_seconds",
    "From the newest reading a provisional verdict saw to its place in the log.",
    DELAY_S,
)

ANOMALY_SCORED = _counter("anomaly_scored_readings_total", "Readings that the detectors scored.")
ANOMALY_UNSCORED = _counter(
    "anomaly_passed_over_frames_total", "Frames passed over: withheld, late or closed.", "code"
)
ANOMALY_EPISODES = _counter("anomaly_episodes_total", "Episodes begun and ended.", "detector", "state")
ANOMALY_FORECASTS = _counter("anomaly_forecasts_total", "Forecasts of channels with limits.")
ANOMALY_SCORES_LAG = _gauge("anomaly_unscored_frames", "Frames in the log that are not scored yet.")

# 4 anchoring

ANCHORING_WAITING = _gauge("anchoring_waiting_frames", "Frames in no interval yet.")
ANCHORING_INTERVALS = _gauge("anchoring_intervals_count", "Intervals by the state of their anchor.", "state")
ANCHORING_RECORDS = _counter("anchoring_anchors_total", "Anchor records written, by state.", "state")
ANCHORING_GAS = _counter("anchoring_gas_used_total", "Gas of anchors that were finalized.")
ANCHORING_FINALIZED = _gauge("anchoring_finalized_interval_number", "The newest finalized interval.")
ANCHORING_FINALIZED_TIME = _gauge(
    "anchoring_finalized_time_seconds", "Unix time of the block that the newest finalized anchor is in."
)
ANCHORING_CHAIN_HEIGHT = _gauge("anchoring_chain_height_blocks", "The chain's newest block.")
ANCHORING_OUTBOX = _gauge("anchoring_outbox_transactions", "Transactions that are not final.")
ANCHORING_BALANCE = _gauge("anchoring_balance_wei", "What the anchoring account may still spend on gas.")

# 5 settle

SETTLE_AGREEMENTS = _gauge("settle_open_agreements", "Agreements that are not settled.")
SETTLE_WAITING = _gauge("settle_waiting_agreements", "Agreements whose next step the chain refuses for now.")
SETTLE_SETTLEMENTS = _counter("settle_settlements_total", "Settlements written, by kind.", "kind")
SETTLE_GAS = _counter("settle_gas_used_total", "Gas of those settlements.")
SETTLE_OUTBOX = _gauge("settle_outbox_transactions", "Transactions that are not final.")
SETTLE_BALANCE = _gauge("settle_balance_wei", "What the settling account may still spend on gas.")

# The time series

SERIES_POINTS = _counter("series_points_total", "Points that the time series took.")
SERIES_REFUSED = _counter("series_refused_points_total", "Points that it refused, by code.", "code")
SERIES_WRITE = _histogram("series_write_seconds", "One request to the time series.", STEP_S)
SERIES_BEHIND = _gauge("series_behind_records", "Records of the log not written yet, by topic.", "topic")
SERIES_UP = _gauge("series_store_up_ratio", "1 while the time series answers, else 0.")
SERIES_SCRAPES_FAILED = _counter(
    "series_scrapes_failed_total", "Stages' metrics that could not be read.", "stage"
)


def shown_names() -> set[str]:
    """Every name that a scrape may give."""
    parts = ("_bucket", "_sum", "_count")
    return {
        metric.name + part
        for metric in METRICS.values()
        for part in (parts if metric.kind == "histogram" else ("",))
    }


def make(stages: Iterable[str]) -> Any:
    """Begin to count what these stages declare, and what every process does; the registry to show."""
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
    from prometheus_client.process_collector import ProcessCollector

    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    _made.clear()
    _reached.clear()
    ProcessCollector(namespace="lading", registry=registry)
    kinds = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}
    wanted = {"process", *stages}
    for metric in METRICS.values():
        if metric.stage in wanted and metric.kind != "system":
            more: dict[str, Any] = {"buckets": metric.buckets} if metric.buckets else {}
            made: Any = kinds[metric.kind](metric.name, metric.text, metric.labels, registry=registry, **more)
            _made[metric.name] = made
    return registry
