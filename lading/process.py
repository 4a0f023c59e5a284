"""A stage as a process: told to stop by a signal, and tried again while what it works with fails."""

import atexit
import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

import structlog

from lading.errors import LadingError
from lading.heart import Heart

RETRIES_MAX = 30
RETRY_S_MAX = 30.0
SWITCH_S = 0.0005
"""A tenth of Python's own: how long a thread keeps the interpreter while others want it."""

T = TypeVar("T")


def stop_on_signals() -> threading.Event:
    """Set by SIGTERM or an interrupt. To be called in the main thread."""
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    return stop


def settle_in() -> None:
    """Make a process that has started ready to work.

    Threads that have waited for a server get on sooner: each wait ends with a wait for the interpreter. What the
    collector need not look at is kept from it.
    """
    sys.setswitchinterval(SWITCH_S)
    keep_garbage_young()


def keep_garbage_young() -> None:
    """Leave all that a started process has made out of the collector's work; it is there to stay.

    Full collections come once what is new makes a quarter of what is old: beside a compiler's hundred thousands of
    objects hardly ever. Until then the Kafka client's timeouts, with tracebacks in cycles, keep alive what was read.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # libraries count what is still there at the end


class Tries:
    """Failures in a row of one step: how long to rest after each, and when to give up.

    The pause doubles each time, from twice `pause_s` to RETRY_S_MAX; after `retries_max` failures the next is raised,
    so that whoever started the process starts it again, with everything opened anew.
    """

    def __init__(self, pause_s: float, heart: Heart | None = None, retries_max: int = RETRIES_MAX) -> None:
        self._pause_s = pause_s
        self._heart = heart
        self._retries_max = retries_max
        self._failures = 0

    def failed(self, exc: LadingError) -> float:
        """Seconds to rest before the next try; or the error itself."""
        self._failures += 1
        structlog.get_logger().warning("step_failed", code=exc.code, reason=exc.text, failures=self._failures)
        if self._heart is not None:
            self._heart.failed(exc)
        if self._failures > self._retries_max:
            raise exc
        return min(self._pause_s * float(2**self._failures), RETRY_S_MAX)

    def succeeded(self) -> None:
        """Begin anew."""
        self._failures = 0
        if self._heart is not None:
            self._heart.stepped()


def results(
    step: Callable[[], T],
    stop: threading.Event,
    pause_s: float,
    *,
    heart: Heart | None = None,
    retries_max: int = RETRIES_MAX,
    errors: type[LadingError] = LadingError,
) -> Iterator[T]:
    """What each `step` gives, until `stop`. The caller rests between them.

    A step that raises one of `errors` is tried again as `Tries` says. `heart` learns how each step went.
    """
    tries = Tries(pause_s, heart, retries_max)
    has_started = False  # counting what is frozen would walk through all of it
    while not stop.is_set():
        try:
            result = step()
        except errors as exc:
            stop.wait(tries.failed(exc))
            continue
        tries.succeeded()
        if not has_started:
            settle_in()
            has_started = True
        yield result
