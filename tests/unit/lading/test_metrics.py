"""Promises: a metric is declared once, named by rule, explained to operators; nothing names one that is not there."""

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lading import metrics
from lading.metrics import METRICS

ROOT = Path(__file__).parents[3]
NAMED = re.compile(r"\blading_(?:process|edge|ingest|archive|anomaly|anchoring|settle|series)_[a-z_]+\b")
UNITS = {"total", "seconds", "bytes", "ratio", "count", "number", "info", "wei", "fds"} | {
    "frames",
    "readings",
    "messages",
    "batches",
    "blocks",
    "records",
    "transactions",
    "agreements",
}
LABELS = {
    "stage",
    "version",
    "code",
    "event",
    "outcome",
    "result",
    "final",
    "state",
    "kind",
    "topic",
    "detector",
}


@pytest.mark.parametrize("name", METRICS)
def test_a_name_says_stage_and_unit(name: str) -> None:
    """`lading_<stage>_<what>_<unit>`; counters end in total; labels are of few values."""
    metric = METRICS[name]
    assert NAMED.fullmatch(name)
    assert name.rsplit("_", 1)[1] in UNITS
    assert (metric.kind == "counter") <= name.endswith("_total")
    assert set(metric.labels) <= LABELS
    assert metric.text.endswith(".")


def test_operators_find_every_metric_explained() -> None:
    """docs/operations.md lists each one, with its labels, and none that is not declared."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(lading_[a-z_]+)", page, re.MULTILINE)) == set(METRICS)
    missing = [
        metric.name
        for metric in METRICS.values()
        if metric.labels and f"| `{metric.name}{{{','.join(metric.labels)}}}`" not in page
    ]
    assert not missing


def test_boards_alerts_and_docs_name_declared_metrics() -> None:
    """Whatever looks like a metric's name in boards, alerts, services' files and pages is one."""
    shown = metrics.shown_names() | set(METRICS)
    files = [
        path
        for folder in ("dashboards", "deploy", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".json", ".yml", ".yaml", ".md", ".toml", ".conf")
    ]
    assert files
    named = {(path.name, name) for path in files for name in NAMED.findall(path.read_text("utf-8"))}
    assert not [(path, name) for path, name in sorted(named) if name not in shown and not name.endswith("_")]


def test_what_is_counted_is_shown() -> None:
    """Counters, levels, distributions and totals from elsewhere, as Prometheus reads them."""
    registry = metrics.make(["ingest", "archive"])
    metrics.INGEST_MESSAGES.add(3, "refused", "chain")
    metrics.INGEST_FRAMES.reach(7)
    metrics.INGEST_FRAMES.reach(9)
    metrics.INGEST_WAITING.set(4)
    metrics.INGEST_DELAY.observe(-1)
    metrics.INGEST_DELAY.observe(0.3)
    metrics.PROCESS_STEP_AGE.follow(lambda: 2.5)
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }
    assert found["lading_ingest_messages_total", ("code", "chain"), ("outcome", "refused")] == 3
    assert found["lading_ingest_frames_total",] == 9
    assert found["lading_ingest_waiting_frames",] == 4
    assert (
        found["lading_ingest_delay_seconds_bucket", ("le", "0.01")] == 1
    )  # a clock ahead of ours counts as 0
    assert found["lading_ingest_delay_seconds_bucket", ("le", "0.5")] == 2
    assert found["lading_process_step_age_seconds",] == 2.5
    assert {name for name, *_ in found} <= metrics.shown_names()


def test_another_stages_metrics_do_nothing() -> None:
    """A process counts what it declares; the rest costs nothing and shows nothing."""
    registry = metrics.make(["ingest"])
    metrics.SETTLE_GAS.add(5)
    assert b"lading_settle" not in generate_latest(registry)


def test_labels_are_given_in_full() -> None:
    """A forgotten label is our bug, said at once, whether anyone looks or not."""
    with pytest.raises(AssertionError, match="wanted"):
        metrics.INGEST_MESSAGES.add(1, "refused")
