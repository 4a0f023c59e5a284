"""One gateway as the stage runs it: what feeds it, what empties it, and how it fares."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.gateway import Gateway
from edge.publisher import Publisher
from edge.sources import Batch, Listener, Source, by_code
from lading.errors import LadingError

Note = Callable[[str, str, LadingError], None]  # event, gateway's name, error


@dataclass
class Runner:
    """One gateway with what feeds and empties it. A patient source waits while the outbox is full.

    `failing`: why its last step failed; "" when it did not. `failures`: how many did in a row, but for a full disk.
    It rests after one, until `rest_until_s` of the monotonic clock.
    """

    name: str
    gateway: Gateway
    publisher: Publisher
    source: Source | None
    listener: Listener | None
    flush_ms: int
    is_patient: bool
    is_linked: bool = False
    clock_ms: int = 0
    due_ms: int | None = None
    failing: str = ""
    failures: int = 0
    rest_until_s: float = 0.0
    _left: Batch | None = None

    def __post_init__(self) -> None:
        self.clock_ms = max(0, self.gateway.newest_ms)
        if self.gateway.pending_count:
            taken_ms = self.source.taken_ms() if self.source else None
            true_ms = self.clock_ms if taken_ms is None else taken_ms
            self.due_ms = (true_ms // self.flush_ms + 1) * self.flush_ms

    @property
    def rest_s(self) -> float:
        """Seconds until it goes on after a step that failed; 0 when it may."""
        return max(0.0, self.rest_until_s - time.monotonic())

    def start(self) -> None:
        """Connect."""
        self.publisher.start()
        self.is_linked = True
        if self.listener is not None:
            self.listener.start()

    def stop(self) -> None:
        """Say goodbye; all that is not yet at the broker stays in the outbox."""
        if self.listener is not None:
            self.listener.stop()
        try:
            if self.is_linked:
                self.publisher.stop(self.clock_ms)
        finally:
            self.gateway.outbox.close()

    def is_done(self) -> bool:
        """True when a recording or a bounded simulation has ended."""
        return self.source is not None and self.next_ms() is None

    def follow_story(self, true_ms: int) -> None:
        """Be linked or not, as the story says."""
        if self.source is None or self.source.is_online(true_ms) == self.is_linked:
            return
        if self.is_linked:
            self.publisher.stop()
        else:
            self.publisher.start()
        self.is_linked = not self.is_linked

    def take(self, due_ms: int, note: Note) -> int:
        """Take the next batch, which is of `due_ms`: how many readings. What is due before it is cut first.

        ServiceError when the outbox fails: what is not durable is the next batch again.
        """
        assert self.source is not None, "there is no source"
        self.flush(due_ms)
        batch = self._left or self.source.take()
        self.clock_ms = batch.clock_ms
        tried = self.gateway.try_all(batch.readings)
        self._left = batch._replace(readings=tried.left) if tried.left else None
        for error in by_code(tried.refused):
            note("reading_refused", self.name, error)
        if tried.failure is not None:
            raise tried.failure
        return len(batch.readings)

    def next_ms(self) -> int | None:
        """When the next batch is due; None: there is none."""
        if self._left is not None:
            return self._left.true_ms
        return None if self.source is None else self.source.next_ms()

    def flush(self, true_ms: int) -> None:
        """Cut when `true_ms` lies past the flush time: multiples of flush_ms, so that a restart cuts as before."""
        if self.due_ms is not None and true_ms >= self.due_ms:
            self.gateway.cut(max(self.clock_ms, 0))
        if self.due_ms is None or true_ms >= self.due_ms:
            self.due_ms = (true_ms // self.flush_ms + 1) * self.flush_ms


@dataclass
class Unopened:
    """A gateway whose outbox did not open at the start, why, and how to try again: its runner, or LadingError."""

    name: str
    failing: str
    open: Callable[[], Runner]

    def begin(self) -> Runner:
        """Open and connect it. LadingError where that fails: then it is closed, to be opened again."""
        runner = self.open()
        try:
            runner.start()
        except BaseException:
            runner.stop()
            raise
        return runner
