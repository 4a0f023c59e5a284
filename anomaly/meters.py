"""The stage's figures: what it took and said."""

from collections.abc import Iterable

from lading import metrics
from lading.log import wall_ms
from lading.verdict import VerdictRecord


def count_verdicts(records: Iterable[bytes]) -> None:
    """Count verdicts that are in the log now. A final one waited for its anchor: its delay says nothing of us."""
    now_ms = wall_ms()
    for record in records:
        verdict = VerdictRecord.decode(record).verdict
        metrics.ANOMALY_VERDICTS.add(1, verdict.result, "yes" if verdict.final else "no")
        if not verdict.final:
            metrics.ANOMALY_DELAY.observe((now_ms - verdict.horizon.last_ms) / 1000)
