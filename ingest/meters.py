"""The stage's figures: outcomes as they are known, levels when its loop is asked."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ingest.state import State
from ingest.turn import Outcome
from lading import metrics, topics
from lading.log import Log, wall_ms

if TYPE_CHECKING:  # what reads figures starts without pyarrow and paho
    from ingest.archive import Archived
    from ingest.receiver import Receiver


def count_outcomes(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Count a batch; how many there were of each outcome, as `action_code`."""
    now_ms = wall_ms()
    metrics.INGEST_BATCH.observe(len(outcomes))
    kinds = Counter((outcome.action, outcome.code) for outcome in outcomes)
    for (action, code), count in kinds.items():
        metrics.INGEST_MESSAGES.add(count, action, code)
    for outcome in outcomes:
        if outcome.sent_ms is not None:
            metrics.INGEST_DELAY.observe((now_ms - outcome.sent_ms) / 1000)
    return Counter({f"{action}_{code}".rstrip("_"): count for (action, code), count in kinds.items()})


def count_archived(written: "Archived") -> None:
    """Count a batch that is in the archive."""
    metrics.ARCHIVE_BATCHES.add()
    metrics.ARCHIVE_FRAMES.add(written.frames)
    metrics.ARCHIVE_READINGS.add(written.readings)


def measure_intake(receiver: "Receiver", states: Sequence[State]) -> None:
    """What waits, and whether the broker answers."""
    metrics.INGEST_BROKER_UP.set(receiver.is_up)
    metrics.INGEST_QUEUED.set(receiver.queued)
    metrics.INGEST_WAITING.set(sum(state.waiting_count() for state in states))
    metrics.INGEST_FRAMES.reach(sum(state.counts().get("taken", 0) for state in states))


def measure_archive(log: Log) -> None:
    """How far the archive is behind."""
    metrics.ARCHIVE_BEHIND.set(batches_behind(log))


def batches_behind(log: Log) -> int:
    """Batches in the log that the archive has not."""
    committed = log.committed("archive", topics.BATCHES)
    return sum(end - committed.get(partition, 0) for partition, end in log.end(topics.BATCHES).items())
