"""A partition's work: first the rules, which may cost money, then the scores, which may be late."""

from collections.abc import Callable

import structlog

from anomaly.scoring.stage import Scores
from anomaly.stage import Anomaly
from lading.errors import ServiceError

_log = structlog.get_logger()


class Worker:
    """The rules of one partition and, unless they are off, its scores, over one state file."""

    def __init__(self, rules: Anomaly, open_scores: Callable[[], Scores] | None) -> None:
        self._rules = rules
        try:
            self._scores = open_scores() if open_scores else None
        except BaseException:
            rules.close()
            raise

    def judge(self) -> int:
        """A step of the rules: how many records."""
        return self._rules.step()

    def score(self) -> int:
        """A step of the scores: how many frames."""
        return self._scores.step() if self._scores else 0

    def close(self) -> None:
        """Keep the scores' state, if the log lets us, and close the file. What is not kept is scored again."""
        try:
            if self._scores:
                self._scores.close()
        except ServiceError as exc:
            _log.warning("scores_not_kept", code=exc.code, reason=exc.text)
        finally:
            self._rules.close()
