"""A partition's work: first the rules, which may cost money, then the scores, which may be late."""

import time
from collections.abc import Callable, Mapping
from threading import Lock

import structlog

from anomaly.scoring.stage import Scores
from anomaly.stage import Anomaly
from lading.errors import ServiceError

RETRY_S = 10.0

_log = structlog.get_logger()


class Worker:
    """The rules of one partition and, unless they are off, its scores, over one state file.

    Scores that fail, for want of their topic or of rights to it, are tried again every RETRY_S, and keep nobody.
    One thread judges and closes, another may score meanwhile.
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
        self._scoring = Lock()
        self._is_closed = self._is_judged = False
        self.is_scored = False
        """Whether the scores had nothing left to do after the last step of the rules that had."""

    def judge(self, ends: Mapping[str, Mapping[int, int]] | None = None) -> int:
        """A step of the rules: how many records. `ends` as in `Anomaly.step`."""
        try:
            handled = self._rules.step(ends)
        except ServiceError:
            self.is_scored = False  # it may have judged before it failed
            raise
        self._is_judged = True
        if handled:
            self.is_scored = False
        return handled

    def positions(self) -> dict[str, dict[int, int]]:
        """How far the rules have read."""
        return self._rules.positions()

    def score(self) -> int:
        """A step of the scores, if there may be something to do: how many frames. After the rules' first, which
        knows the orders."""
        with self._scoring:
            if self.is_scored or self._is_closed or not self._is_judged or self._now_s() < self._retry_s:
                return 0
            self.is_scored = True  # unless there is more, or the rules find more meanwhile
            return self._step() if self._open_scores else 0

    def _step(self) -> int:
        assert self._open_scores is not None, "scores are off"
        try:
            self._scores = self._scores or self._open_scores()
            count = self._scores.step()
            if count or not self._scores.is_at_rest:
                self.is_scored = False
            return count
        except ServiceError as exc:
            _log.warning("scoring_failed", code=exc.code, reason=exc.text)
            self._retry_s = self._now_s() + RETRY_S
            self.is_scored = False
            return 0

    def close(self) -> None:
        """Keep the scores' state, if the log lets us, and close the file. What is not kept is scored again."""
        with self._scoring:
            self._is_closed = True
            self._close()

    def _close(self) -> None:
        try:
            if self._scores:
                self._scores.close()
        except ServiceError as exc:
            _log.warning("scores_not_kept", code=exc.code, reason=exc.text)
        finally:
            self._rules.close()
