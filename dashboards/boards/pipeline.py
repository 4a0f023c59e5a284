"""Board "Pipeline": does everything run, how fast, how far behind, and where it fails."""

from dashboards.boards.board import Board, Row, tag_values, variable
from dashboards.boards.influxql import chosen, newest, of_newest, series, where
from dashboards.boards.panels import (
    ORANGE,
    RED,
    Query,
    figure,
    graph,
    states,
    steps,
)
from lading import metrics
from lading.metrics import Metric

INSTANCE = chosen("instance")
STEP = "1m"  # scrapes come every few seconds; rates need several of them
READY = {"0": ("not ready", RED), "1": ("ready", "green")}


def named(metric: Metric, part: str = "") -> str:
    """Condition: the samples of one metric; a histogram has parts `_sum`, `_count`, `_bucket`."""
    return f"\"name\" = '{metric.name}{part}'"


def rate(metric: Metric, *tags: str, part: str = "") -> str:
    """A counter's growth a second. A restart, where it begins at 0 again, is left out."""
    each = ", ".join(f'"{tag}"' for tag in (*tags, "instance", *metric.labels))
    by = ", ".join(["time($__interval)", *(f'"{tag}"' for tag in tags)])
    inner = (
        f'SELECT non_negative_derivative(last("value"), 1s) AS "rate" FROM "metric" '
        f"{where(named(metric, part), INSTANCE)} GROUP BY time($__interval), {each} fill(none)"
    )
    return f'SELECT sum("rate") FROM ({inner}) {where()} GROUP BY {by} fill(none)'


def quantiles(metric: Metric) -> tuple[Query, Query]:
    """p50 and p99 of a histogram, as the series writer works them out; of several processes the slowest."""

    def asked(quantile: str, name: str) -> Query:
        condition = f"{named(metric)} AND \"quantile\" = '{quantile}' AND {INSTANCE}"
        return Query(series('max("value")', "metric", condition), name)

    return asked("0.5", "p50"), asked("0.99", "p99")


def within(metric: Metric, bound: float) -> str:
    """The share of what a histogram counted that was at most `bound`, one of its buckets."""
    assert bound in metric.buckets, f"{metric.name} has no bucket {bound}"
    return _ratio(f"{named(metric, '_bucket')} AND \"le\" = '{float(bound)}'", named(metric, "_count"))


def _ratio(above: str, below: str) -> str:
    def growth(condition: str, name: str) -> str:
        return (
            f'(SELECT non_negative_difference(last("value")) AS "{name}" FROM "metric" {where(condition, INSTANCE)} '
            f'GROUP BY time($__interval), "instance" fill(none))'
        )

    sources = f"{growth(above, 'above')}, {growth(below, 'below')}"
    return (
        f'SELECT sum("above") / sum("below") FROM {sources} {where()} GROUP BY time($__interval) fill(none)'
    )


def _gauge(metric: Metric, select: str = "last", *tags: str) -> str:
    return series(
        f'{select}("value")', "metric", f"{named(metric)} AND {INSTANCE}", "stage", "instance", *tags
    )


def _running() -> Row:
    ready = ("value", "r", "metric", f"{named(metrics.PROCESS_READY)} AND {INSTANCE}", "stage", "instance")
    return Row(
        10,
        "Running",
        (
            figure(
                11,
                "Processes",
                "Processes that [dashboards.scrape] names, whether they answer or not.",
                "none",
                Query(of_newest('count("r")', *ready)),
                defaults={"noValue": "0"},
            ),
            figure(
                12,
                "Not ready",
                "Stages that say that something they need does not work.",
                "none",
                Query(of_newest('count("r") - sum("r")', *ready)),
                defaults={"noValue": "0", "thresholds": steps((1, RED))},
            ),
            figure(
                13,
                "Furthest behind",
                "Records that the slowest reader of the log has not committed.",
                "none",
                Query(of_newest('max("n")', "records", "n", "lag", "", "group", "topic")),
                defaults={"noValue": "0", "thresholds": steps((1000, ORANGE), (10000, RED))},
            ),
            figure(
                14,
                "Disk free",
                "The least free space of the stages' data folders.",
                "bytes",
                Query(
                    of_newest(
                        'min("b")',
                        "value",
                        "b",
                        "metric",
                        f"{named(metrics.PROCESS_DISK_FREE)} AND {INSTANCE}",
                        "instance",
                    )
                ),
                defaults={"thresholds": steps((2 * 2**30, ORANGE), (10 * 2**30, "green"), base=RED)},
            ),
            figure(
                15,
                "Sensor to log, p50",
                "Half of the range's frames were in the log this long after signing.",
                "s",
                Query(newest('percentile("delay_s", 50)', "gateway", "")),
            ),
            figure(
                16,
                "Sensor to log, p99",
                "99 of 100 frames were in the log this long after signing.",
                "s",
                Query(newest('percentile("delay_s", 99)', "gateway", "")),
            ),
            states(
                17,
                "Ready",
                "What each process says of itself.",
                Query(_gauge(metrics.PROCESS_READY), "$tag_stage $tag_instance"),
                values=READY,
                height=6,
            ),
        ),
    )


def _rates() -> Row:
    return Row(
        20,
        "Rates and lag",
        (
            graph(
                21,
                "Readings taken by ingest's archive",
                "Readings a second that reached the archive.",
                "suffix: /s",
                Query(rate(metrics.ARCHIVE_READINGS), "readings"),
                interval=STEP,
                width=8,
            ),
            graph(
                22,
                "Records by topic",
                "Records a second that were written to each topic of the log.",
                "suffix: /s",
                Query(series('mean("rate")', "topic", "", "topic"), "$tag_topic"),
                width=8,
            ),
            graph(
                23,
                "Messages by outcome",
                "What ingest did with the messages that came.",
                "suffix: /s",
                Query(rate(metrics.INGEST_MESSAGES, "outcome"), "$tag_outcome"),
                interval=STEP,
                width=8,
            ),
            graph(
                24,
                "Lag by reader",
                "Records of the log that each reader has not committed.",
                "none",
                Query(series('max("records")', "lag", "", "group", "topic"), "$tag_group $tag_topic"),
            ),
            graph(
                25,
                "Frames behind, anomaly",
                "Frames in the log that have no verdict yet.",
                "none",
                Query(_gauge(metrics.ANOMALY_LAG, "max"), "$tag_instance"),
                width=6,
            ),
            graph(
                26,
                "Frames waiting, ingest",
                "Frames that wait for the one before them, or for an order.",
                "none",
                Query(_gauge(metrics.INGEST_WAITING, "max"), "$tag_instance"),
                width=6,
            ),
        ),
    )


def _latency() -> Row:
    by = 'percentile("delay_s", 50) AS "p50", percentile("delay_s", 99) AS "p99"'
    return Row(
        30,
        "Latency",
        (
            graph(
                31,
                "Sensor to log",
                "From a frame's signing to the log, of every frame.",
                "s",
                Query(series(by, "gateway", ""), "$col"),
                width=8,
            ),
            graph(
                32,
                "Sensor to verdict",
                "From the newest reading a provisional verdict saw to its place in the log.",
                "s",
                *quantiles(metrics.ANOMALY_DELAY),
                interval=STEP,
                width=8,
            ),
            graph(
                33,
                "Sensor to verdict, within",
                "Share of provisional verdicts that were there within the time.",
                "percentunit",
                *(Query(within(metrics.ANOMALY_DELAY, bound), f"{bound:g} s") for bound in (0.1, 1, 10, 60)),
                interval=STEP,
                defaults={"min": 0, "max": 1},
                width=8,
            ),
            graph(
                34,
                "Ingest, a batch",
                "From a batch of messages in hand to all that it caused on disk.",
                "s",
                *quantiles(metrics.INGEST_TAKE),
                interval=STEP,
                width=8,
            ),
            graph(
                35,
                "Anomaly, a step",
                "A step of the rules that took something.",
                "s",
                *quantiles(metrics.ANOMALY_STEP),
                interval=STEP,
                width=8,
            ),
            graph(
                36,
                "Time series, a request",
                "One write to the time series.",
                "s",
                *quantiles(metrics.SERIES_WRITE),
                interval=STEP,
                width=8,
            ),
        ),
    )


def _errors() -> Row:
    refused = f"{rate(metrics.INGEST_MESSAGES, 'code')}"
    return Row(
        40,
        "Errors",
        (
            graph(
                41,
                "Steps that failed, by stage and code",
                "A stage tries again, more and more slowly; readiness falls meanwhile.",
                "suffix: /s",
                Query(rate(metrics.PROCESS_STEP_FAILURES, "stage", "code"), "$tag_stage $tag_code"),
                interval=STEP,
                width=8,
            ),
            graph(
                42,
                "Messages by code, ingest",
                "Codes of messages that were not simply taken.",
                "suffix: /s",
                Query(refused, "$tag_code"),
                interval=STEP,
                width=8,
            ),
            graph(
                43,
                "Trouble at the edge, by event",
                "Links lost, frames not taken, orders refused.",
                "suffix: /s",
                Query(rate(metrics.EDGE_TROUBLES, "event"), "$tag_event"),
                interval=STEP,
                width=8,
            ),
            graph(
                44,
                "Time series, points",
                "Points that the time series took, and those that it refused.",
                "suffix: /s",
                Query(rate(metrics.SERIES_POINTS), "taken"),
                Query(rate(metrics.SERIES_REFUSED), "refused"),
                interval=STEP,
                width=8,
            ),
            graph(
                45,
                "Memory",
                "Memory that each process holds.",
                "bytes",
                Query(
                    _gauge(metrics.METRICS["lading_process_resident_memory_bytes"]),
                    "$tag_stage $tag_instance",
                ),
                width=8,
            ),
            graph(
                46,
                "Embedded log",
                "Size of the embedded log's files.",
                "bytes",
                Query(_gauge(metrics.PROCESS_LOG, "max"), "$tag_instance"),
                width=8,
            ),
        ),
    )


def board() -> Board:
    """The board."""
    return Board(
        "lading-pipeline",
        "Lading: Pipeline",
        "The stages: running, fast enough, how far behind, and where they fail.",
        "now-6h",
        "30s",
        (variable("instance", "Process", tag_values("metric", "instance")),),
        (),
        (_running(), _rates(), _latency(), _errors()),
    )
