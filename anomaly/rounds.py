"""One round after another over the partitions of this process: the rules at once, the scores now and then."""

import threading
import time
from collections.abc import Callable, Iterable

from anomaly.stage import READ_TOPICS
from anomaly.worker import Worker
from lading import metrics
from lading.log import WatchedLog
from lading.partitions import Workers, partition_count, seen_by, watched

SCORE_S = 0.25
"""From one round's scoring to the next: an alert of the rules must not wait for scores, and many at once cost less."""
WAIT_S_MAX = 0.5
"""So long a signal to stop may go unheard."""


class Rounds:
    """`step` and, when that had nothing to do, `rest`. It rests `poll_s` at most."""

    def __init__(
        self,
        workers: Workers[Worker],
        log: WatchedLog,
        poll_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._log = log
        self._poll_s = min(poll_s, WAIT_S_MAX)
        self._monotonic_s = monotonic_s
        self._count = partition_count(log)
        self._score_due_s = 0.0

    def step(self) -> int:
        """Judge what is new and, if it is time, score: how many records."""
        began_s = time.monotonic()
        workers = self._workers.now()
        ends = self._log.ends(READ_TOPICS) if workers else {}
        handled = sum(one.judge(seen_by(partition, ends)) for partition, one in workers.items())
        if handled:
            metrics.ANOMALY_RECORDS.add(handled)
            metrics.ANOMALY_STEP.observe(time.monotonic() - began_s)
        return handled + self._score(workers.values())

    def rest(self, stop: threading.Event) -> None:
        """Wait until the log has more, or until it is time to score."""
        workers = self._workers.open
        wait_s = self._poll_s
        if not all(one.is_scored for one in workers.values()):
            wait_s = min(wait_s, max(self._score_due_s - self._monotonic_s(), 0.0))
        if workers:
            at = {partition: one.positions() for partition, one in workers.items()}
            self._log.wait(watched(at, self._count), wait_s)
        else:
            stop.wait(wait_s)

    def _score(self, workers: Iterable[Worker]) -> int:
        if self._monotonic_s() < self._score_due_s:
            return 0
        count = sum(one.score() for one in workers if not one.is_scored)
        self._score_due_s = self._monotonic_s() + SCORE_S
        return count
