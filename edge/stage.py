"""The stage's driver: each gateway's source, outbox and link, stepped together by event time."""

import random
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from edge.gateway import Gateway
from edge.publisher import Publisher
from edge.sources import Batch, Listener, Source, by_code
from lading.errors import LadingError, ServiceError
from lading.frame import SALT_BYTES
from lading.tree import sha256

BATCHES_MAX = 64  # batches of one gateway in a step, so that others and signals have their turn
FRAMES_AHEAD_MAX = 64  # at full speed: frames that may wait for the broker before sampling goes on
BACKOFF_S = 1.0
OPEN_AGAIN_S = 10.0  # between attempts at outboxes that did not open at the start
FAILURES_MAX = 60  # steps of one gateway in a row whose file failed for another reason than a full disk

Note = Callable[[str, str, LadingError], None]  # event, gateway's name, error


class EventClock:
    """Event time: begin + speed · elapsed. At speed 0 it goes wherever the next reading is.

    It runs steadily, whatever is done to the machine's clock. `wall_ms` is that clock, where event time is now.
    """

    def __init__(
        self,
        begin_ms: int,
        speed: float,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] | None = None,
    ) -> None:
        self._begin_ms = begin_ms
        self._speed = speed
        self._monotonic_s = monotonic_s
        self._start_s = monotonic_s()
        self._wall_ms = wall_ms

    @property
    def is_free(self) -> bool:
        """True at speed 0."""
        return self._speed == 0

    def now_ms(self) -> int:
        """Event time now."""
        return self._begin_ms + int((self._monotonic_s() - self._start_s) * 1000 * self._speed)

    def shown_ms(self) -> int:
        """What the machine's clock shows, set right or wrong since the start; event time where that is not now."""
        return self.now_ms() if self._wall_ms is None else self._wall_ms()

    def wait_s(self, time_ms: int) -> float:
        """Seconds until then."""
        return 0.0 if self.is_free else max(0.0, (time_ms - self.now_ms()) / 1000 / self._speed)


class SeededSalts:
    """Salts that follow from seed, frame number and channel: two runs of a drill then make the same frames."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self.gateway: Gateway | None = None

    def __call__(self, channel: int) -> bytes:
        assert self.gateway is not None
        at = b"%d:%d" % (self.gateway.frame_seq, channel)
        return random.Random(sha256(self._seed + at)).randbytes(SALT_BYTES)


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


class Edge:
    """All gateways of one process. `step` does what is due and says how much that was."""

    def __init__(
        self, runners: list[Runner], clock: EventClock, note: Note, unopened: Iterable[Unopened] = ()
    ) -> None:
        self.runners = runners
        self.unopened = list(unopened)
        self._open_due_s = time.monotonic() + OPEN_AGAIN_S
        self._clock = clock
        self._note = note

    def start(self) -> None:
        """Connect all gateways."""
        for runner in self.runners:
            runner.start()

    def stop(self) -> None:
        """Disconnect all and close their outboxes. ServiceError, after all, when one of them failed."""
        with ExitStack() as stopping:
            for runner in reversed(self.runners):
                stopping.callback(runner.stop)

    def step(self) -> int:
        """Readings taken and frames acknowledged; 0 when there was nothing to do.

        ServiceError when no gateway's outbox works any more, though opened anew: the process is to be started again.
        """
        if self.unopened and time.monotonic() >= self._open_due_s:
            self._open_late()
        return sum(self._step(runner) for runner in self.runners)

    def _open_late(self) -> None:
        self._open_due_s = time.monotonic() + OPEN_AGAIN_S
        for one in list(self.unopened):
            try:
                runner = one.begin()
            except LadingError as exc:
                one.failing = str(exc)
                self._note("outbox_failed" if exc.code == "outbox" else "gateway_failed", one.name, exc)
                continue
            self.unopened.remove(one)
            self.runners.append(runner)

    def finish(self, limit_s: float) -> bool:
        """Cut and publish what is left; True when the broker has everything."""
        for runner in self.runners:
            runner.gateway.cut(max(runner.clock_ms, 0))
        return all(runner.publisher.wait_acked(limit_s, runner.clock_ms) for runner in self.runners)

    def is_done(self) -> bool:
        """True when no source has anything left."""
        return all(runner.is_done() for runner in self.runners)

    def wait(self, limit_s: float) -> None:
        """Until the next reading is due or a rest is over, but no longer than the limit."""
        rests = [runner.rest_s for runner in self.runners if runner.rest_s]
        working = [runner for runner in self.runners if not runner.rest_s]
        if rests and self._clock.is_free:  # at full speed the others may wait for who rests
            working = []
        due = [ms for runner in working if (ms := runner.next_ms()) is not None]
        wait_s = min([limit_s, *rests, *(self._clock.wait_s(ms) for ms in due)])
        if wait_s > 0:
            self.runners[0].publisher.wait(wait_s)

    def _step(self, runner: Runner) -> int:
        if runner.rest_s:
            return 0
        count = 0
        failure: ServiceError | None = None
        for work in (
            self._feed,
            self._publish,
        ):  # frames that are taken make room, so a full disk stops neither
            try:
                count += work(runner)
            except ServiceError as exc:
                failure = exc
                self._note("outbox_failed", runner.name, exc)
        self._judge(runner, failure)
        return count

    def _judge(self, runner: Runner, failure: ServiceError | None) -> None:
        """Let it rest after a failure. A full disk may last; a file that fails otherwise may do better opened anew."""
        runner.failing = "" if failure is None else str(failure)
        if failure is None:
            runner.failures = 0
            return
        runner.failures += failure.code != "disk_full"
        if failure.code != "disk_full" and runner.failures > FAILURES_MAX:
            self._open_anew(runner, failure)
        runner.rest_until_s = time.monotonic() + BACKOFF_S

    def _open_anew(self, runner: Runner, failure: ServiceError) -> None:
        """One gateway's file, after each of its steps that fails from now on; the others go on meanwhile."""
        if all(one.is_done() or one.failures > FAILURES_MAX for one in self.runners):
            raise failure
        try:
            runner.gateway.reopen()
        except ServiceError as exc:
            runner.failing = str(exc)

    @staticmethod
    def _publish(runner: Runner) -> int:
        return runner.publisher.step(runner.clock_ms) if runner.is_linked else 0

    def _feed(self, runner: Runner) -> int:
        if runner.source is None:
            return self._listen(runner)
        count = 0
        for _ in range(BATCHES_MAX):
            due_ms = runner.next_ms()
            if due_ms is None or self._must_wait(runner, due_ms):
                break
            runner.follow_story(due_ms)
            count += runner.take(due_ms, self._note)
        return count

    def _must_wait(self, runner: Runner, due_ms: int) -> bool:
        """Until then; and at full speed, until the broker has taken what was made and the others are as far."""
        if runner.is_patient and runner.gateway.is_full():
            return True
        if not self._clock.is_free:
            return due_ms > self._clock.now_ms()
        working = [other for other in self.runners if other.failures <= FAILURES_MAX]
        behind = [ms for other in working if (ms := other.next_ms()) is not None]
        if due_ms > min(behind, default=due_ms) + runner.flush_ms:
            return True
        return runner.source is not None and runner.source.is_online(due_ms) and self._is_ahead(runner)

    @staticmethod
    def _is_ahead(runner: Runner) -> bool:
        return runner.is_linked and runner.gateway.outbox.waiting.count > FRAMES_AHEAD_MAX

    def _listen(self, runner: Runner) -> int:
        now_ms = self._clock.now_ms()
        runner.clock_ms = self._clock.shown_ms()
        count = runner.listener.step(now_ms, runner.clock_ms) if runner.listener else 0
        runner.flush(now_ms)
        if runner.listener is not None and runner.listener.failure is not None:
            raise runner.listener.failure
        return count
