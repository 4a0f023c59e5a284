"""The ends of topics for one who reads on at them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from lading.ends import ASK_S, Ends
from lading.errors import ServiceError
from lading.log import SqliteLog

TOPIC = "a.v1"


class Failing(SqliteLog):
    """A log that refuses the first questions."""

    refusals = 2

    def ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        if self.refusals:
            self.refusals -= 1
            raise ServiceError("log_topic", "refused")
        return super().ends(topics)


def test_a_question_that_failed_was_not_asked(tmp_path: Path) -> None:
    """Whoever reads on is told of each failure, and goes on by what is known only after an answer."""
    log = Failing(tmp_path / "log.sqlite")
    log.append(TOPIC, [(b"k", b"1")])
    ends = Ends(log, (TOPIC,), lambda: 1_000.0)
    for _ in range(2):
        with pytest.raises(ServiceError, match="refused"):
            ends.now()
    assert ends.now() == {TOPIC: {0: 1}}


def test_the_log_is_asked_now_and_then(tmp_path: Path) -> None:
    """Between two questions what is known counts; `ASK_S` later the log is asked again."""
    log, asked = SqliteLog(tmp_path / "log.sqlite"), []
    now_s = 1_000.0

    class Counting(Failing):
        refusals = 0

        def ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
            asked.append(now_s)
            return super().ends(topics)

        def known_ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
            return {TOPIC: {0: 0}}

    ends = Ends(Counting(tmp_path / "log.sqlite"), (TOPIC,), lambda: now_s)
    log.append(TOPIC, [(b"k", b"1")])
    assert ends.now() == {TOPIC: {0: 1}}
    log.append(TOPIC, [(b"k", b"2")])
    assert ends.now() == {TOPIC: {0: 0}}
    now_s += ASK_S
    assert ends.now() == {TOPIC: {0: 2}}
    assert len(asked) == 2
