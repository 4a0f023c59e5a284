"""The ends of topics for one who reads on at them: as far as is known, and asked now and then."""

import time
from collections.abc import Callable, Sequence

from lading.log import WatchedLog

ASK_S = 1.0
"""How often the log is asked, whatever waiting at its ends has told."""


class Ends:
    """What lies past these ends is seen ASK_S late at most, and at once by who waits for it."""

    def __init__(
        self, log: WatchedLog, topics: Sequence[str], monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._topics = topics
        self._monotonic_s = monotonic_s
        self._ask_due_s = 0.0

    def now(self) -> dict[str, dict[int, int]]:
        """Next offsets by topic and partition."""
        if self._monotonic_s() < self._ask_due_s:
            return self._log.known_ends(self._topics)
        found = self._log.ends(self._topics)
        self._ask_due_s = self._monotonic_s() + ASK_S
        return found
