"""A stage as a process: told to stop by a signal, and tried again while what it works with fails."""

import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

import structlog

from lading.errors import LadingError

RETRIES_MAX = 30
RETRY_S_MAX = 30.0

T = TypeVar("T")


def stop_on_signals() -> threading.Event:
    """Set by SIGTERM or an interrupt. To be called in the main thread."""
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    return stop


def results(
    step: Callable[[], T],
    stop: threading.Event,
    pause_s: float,
    *,
    retries_max: int = RETRIES_MAX,
    errors: type[LadingError] = LadingError,
) -> Iterator[T]:
    """What each `step` gives, until `stop`. The caller rests between them.

    A step that raises one of `errors` is tried again after a pause that doubles each time, from twice `pause_s` to
    RETRY_S_MAX; after `retries_max` failures in a row the next one is raised.
    """
    failures = 0
    while not stop.is_set():
        try:
            result = step()
        except errors as exc:
            failures += 1
            structlog.get_logger().warning("step_failed", code=exc.code, reason=exc.text, failures=failures)
            if failures > retries_max:
                raise
            stop.wait(min(pause_s * 2**failures, RETRY_S_MAX))
            continue
        failures = 0
        yield result
