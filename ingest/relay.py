"""From the broker into the raw topic, and from there through the checks: receiving and admission apart.

Any process may receive any gateway's messages, for the broker shares them out as it likes; what becomes of them is
decided where the gateway's past is, by the worker of its partition.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from ingest.raw import RawMessage, key_of
from ingest.stage import Ingest
from ingest.turn import Outcome
from lading import topics
from lading.errors import MalformedError
from lading.log import Log, Record, require_reached, wall_ms

GROUP = "ingest"
MARKS_MAX = 10_000


class Relay:
    """Takes messages as `Ingest` does: they are in the raw topic on return."""

    def __init__(self, log: Log, now_ms: Callable[[], int] = wall_ms) -> None:
        self._log = log
        self._now_ms = now_ms

    def take(self, messages: Sequence[tuple[str, bytes]]) -> list[Outcome]:
        """ServiceError: nothing is promised of these messages, and they may be given again."""
        now_ms = self._now_ms()
        raw = [
            (key_of(*message), RawMessage(message[0], now_ms, message[1]).encode()) for message in messages
        ]
        self._log.append(topics.RAW, raw)
        return [Outcome("relayed")] * len(raw)


class Admission:
    """The worker of one partition: raw messages through the checks. `log` is the partition's own view.

    The state says how far it has read. What is committed to the log, at most every `commit_s`, lags behind where
    frames wait: a new state, begun on another machine from the log alone, reads from there on, and so meets every
    frame that waited once more.
    """

    def __init__(
        self,
        log: Log,
        partition: int,
        ingest: Ingest,
        now_ms: Callable[[], int] = wall_ms,
        *,
        commit_s: float = 0.0,
    ) -> None:
        self.ingest = ingest
        self._log = log
        self._partition = partition
        self._now_ms = now_ms
        at = ingest.state.positions(topics.RAW) or log.committed(GROUP, topics.RAW)
        require_reached(log, topics.RAW, at)
        self.position = at.get(partition, 0)
        # A clock that was set back must not hide what waits: no mark is older than a message before it.
        self._latest_ms = ingest.state.waiting_newest_ms() or 0
        self._done = self._committed = -1
        self._commit_s, self._commit_due_s = commit_s, time.monotonic()
        self._marks: deque[tuple[int, int]] = deque(maxlen=MARKS_MAX)

    def close(self) -> None:
        """Close the state."""
        self.ingest.close()

    def take(self, records: Sequence[Record]) -> list[Outcome]:
        """Check the partition's next records of the raw topic; what became of each, once that is durable."""
        assert records[0].offset == self.position, f"{records[0].offset}, wanted {self.position}"
        next_offset = records[-1].offset + 1
        read = {topics.RAW: {self._partition: next_offset}}
        outcomes = self.ingest.take([_message(record) for record in records], read=read)
        self.position = next_offset
        self._advance()
        return outcomes

    def tend(self) -> int:
        """Release frames that have waited long enough, and commit. How many were released."""
        self._marks.append((self._advance(), self.position))
        released = self.ingest.step()
        since_ms = self.ingest.state.waiting_since()
        while self._marks and (since_ms is None or self._marks[0][0] < since_ms):
            self._done = self._marks.popleft()[1]
        if self._done != self._committed and time.monotonic() >= self._commit_due_s:
            self._log.commit(GROUP, topics.RAW, {self._partition: self._done})
            self._committed, self._commit_due_s = self._done, time.monotonic() + self._commit_s
        return released

    def _advance(self) -> int:
        """The clock's time, or the latest that was seen."""
        self._latest_ms = max(self._latest_ms, self._now_ms())
        return self._latest_ms


def _message(record: Record) -> tuple[str, bytes]:
    """Topic and payload. What nobody's relay wrote there, or under another key, is refused whole, as from no topic."""
    try:
        message = RawMessage.decode(record.value)
    except MalformedError:
        return _place(record), record.value
    if key_of(message.origin, message.data) != record.key:
        return _place(record), record.value
    return message.origin, message.data


def _place(record: Record) -> str:
    return f"{topics.RAW}:{record.partition}:{record.offset}"
