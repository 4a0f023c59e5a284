"""One round after another over the partitions of this process: the rules at once; beside them the scores."""

import threading
import time
from collections.abc import Callable

from anomaly.stage import READ_TOPICS
from anomaly.worker import Worker
from lading import metrics
from lading.ends import Ends
from lading.errors import ServiceError
from lading.log import WatchedLog
from lading.partitions import Workers, partition_count, seen_by, watched

SCORE_S = 0.25
"""From one round of scoring to the next: many frames at once cost less."""
WAIT_S_MAX = 0.5
"""So long a signal to stop may go unheard."""


class Rounds:
    """The rules' rounds: `step` and, when that had nothing to do, `rest`. It rests `poll_s` at most."""

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
        self._ends = Ends(log, READ_TOPICS, monotonic_s)
        self._count = partition_count(log)

    def step(self) -> int:
        """Judge what is new: how many records."""
        began_s = time.monotonic()
        workers = self._workers.now()
        ends = self._ends.now() if workers else {}
        handled = sum(one.judge(seen_by(partition, ends)) for partition, one in workers.items())
        if handled:
            metrics.ANOMALY_RECORDS.add(handled)
            metrics.ANOMALY_STEP.observe(time.monotonic() - began_s)
        return handled

    def rest(self, stop: threading.Event) -> None:
        """Wait until the log has more."""
        workers = self._workers.open
        if not workers:
            stop.wait(self._poll_s)
            return
        try:
            at = {partition: one.positions() for partition, one in workers.items()}
        except ServiceError:
            stop.wait(self._poll_s)  # the next step says so
            return
        self._log.wait(watched(at, self._count), self._poll_s)


def score_round(workers: Workers[Worker]) -> int:
    """A round of scores, from a thread beside the rules': how many frames."""
    return sum(worker.score() for worker in list(workers.open.values()))
