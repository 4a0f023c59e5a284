"""Promise: a stage ends on a signal, and gives up on a service only after bounded tries with growing pauses."""

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from lading.errors import RejectedError, ServiceError
from lading.process import RETRIES_MAX, RETRY_S_MAX, results, stop_on_signals


class Pauses(threading.Event):
    """An event that notes how long it is waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "no pause without a limit"
        self.waited_s.append(timeout)
        return self.is_set()


@pytest.fixture
def handlers() -> Iterator[None]:
    """The handlers of this process are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def failing(times: int) -> Callable[[], str]:
    """A step that fails so often, then gives "done"."""
    left = [ServiceError("chain_down", f"failure {number}") for number in range(times)]

    def step() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return step


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops(number: signal.Signals) -> None:
    """SIGTERM and an interrupt set the event; the steps end after the one under way."""
    stop = stop_on_signals()
    steps = results(lambda: "done", stop, 1)
    assert next(steps) == "done"
    assert not stop.is_set()
    os.kill(os.getpid(), number)
    assert stop.wait(5)
    assert list(steps) == []


def test_a_failing_service_is_tried_again_with_growing_pauses() -> None:
    """Twice the pause first, then double it each time, never more than the bound; success begins anew."""
    stop = Pauses()
    assert next(results(failing(6), stop, 0.5)) == "done"
    assert stop.waited_s == [1, 2, 4, 8, 16, RETRY_S_MAX]


def test_tries_are_bounded() -> None:
    """After so many failures in a row the next one is raised."""
    stop = Pauses()
    assert next(results(failing(RETRIES_MAX), stop, 1)) == "done"
    with pytest.raises(ServiceError, match="failure 2"):
        next(results(failing(3), stop, 1, retries_max=2))


def test_failures_count_in_a_row() -> None:
    """A step that works makes the pauses short again, and the tries whole."""
    answers = iter([True, True, False, True, True, False])

    def step() -> str:
        if next(answers):
            raise ServiceError("log_failed", "busy")
        return "done"

    stop = Pauses()
    steps = results(step, stop, 1, retries_max=2)
    assert [next(steps), next(steps)] == ["done", "done"]
    assert stop.waited_s == [2, 4, 2, 4]


def test_other_errors_are_raised_at_once() -> None:
    """What is not one of `errors` is not tried again."""

    def refuse() -> str:
        raise RejectedError("refused", "wanted another")

    stop = Pauses()
    with pytest.raises(RejectedError):
        next(results(refuse, stop, 1, errors=ServiceError))
    assert stop.waited_s == []


def test_a_stop_during_a_pause_ends_it() -> None:
    """Nothing is tried once the event is set."""
    stop = threading.Event()

    def step() -> str:
        stop.set()
        raise ServiceError("chain_down", "gone")

    assert list(results(step, stop, 60)) == []


def test_what_a_started_stage_has_made_is_left_out_of_collection() -> None:
    """From the first step that worked; what cannot be reached by then is collected, not kept for ever."""
    gc.unfreeze()

    class Lost:
        """In a cycle with itself."""

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            collected.append(True)

    collected: list[bool] = []
    Lost()
    steps = results(failing(0), threading.Event(), 1)
    assert not gc.get_freeze_count()
    next(steps)
    assert gc.get_freeze_count()
    assert collected == [True]
