"""The stage's driver: each gateway's source, outbox and link, stepped together by event time."""

import time
from collections.abc import Iterable
from contextlib import ExitStack

from edge.clock import EventClock
from edge.runner import Note, Runner, Unopened
from lading.errors import LadingError, ServiceError

BATCHES_MAX = 64  # batches of one gateway in a step, so that others and signals have their turn
FRAMES_AHEAD_MAX = 64  # at full speed: frames that may wait for the broker before sampling goes on
BACKOFF_S = 1.0
OPEN_AGAIN_S = 10.0  # between attempts at outboxes that did not open at the start
FAILURES_MAX = 60  # steps of one gateway in a row whose file failed for another reason than a full disk


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
