"""A partition's work: first the rules, which may cost money, then the scores, which may be late."""

import time
from collections.abc import Callable

import structlog

from anomaly.scoring.stage import Scores
from anomaly.stage import Anomaly
from lading.errors import ServiceError

RETRY_S = 10.0

_log = structlog.get_logger()


class Worker:
    """The rules of one partition and, unless they are off, its scores, over one state file.

    Scores that fail, for want of their topic or of rights to it, are tried again every RETRY_S, and keep nobody.
    """

    def __init__(
        self,
        rules: Anomaly,
        open_scores: Callable[[], Scores] | None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._open_scores = open_scores
        self._scores: Scores | None = None
        self._now_s = now_s
        self._retry_s = now_s()

    def judge(self) -> int:
        """A step of the rules: how many records."""
        return self._rules.step()

    def score(self) -> int:
        """A step of the scores: how many frames."""
        if self._open_scores is None or self._now_s() < self._retry_s:
            return 0
        try:
            self._scores = self._scores or self._open_scores()
            return self._scores.step()
        except ServiceError as exc:
            _log.warning("scoring_failed", code=exc.code, reason=exc.text)
            self._retry_s = self._now_s() + RETRY_S
            return 0

    def close(self) -> None:
        """Keep the scores' state, if the log lets us, and close the file. What is not kept is scored again."""
        try:
            if self._scores:
                self._scores.close()
        except ServiceError as exc:
            _log.warning("scores_not_kept", code=exc.code, reason=exc.text)
        finally:
            self._rules.close()
