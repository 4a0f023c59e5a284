"""A thread beside the stage: a failed step is tried again and told; one that fails for ever, or by our own fault, ends
the process."""

import threading
from collections.abc import Callable

import pytest

from lading.beside import Beside
from lading.errors import ServiceError
from tests.waiting import until


def failing(times: int, done: threading.Event) -> Callable[[], int]:
    """A step that fails so often, then takes one message in each step."""
    left = [times]

    def step() -> int:
        left[0] -= 1
        if left[0] >= 0:
            raise ServiceError("log_failed", "no answer")
        done.set()
        return 1

    return step


def test_a_failed_step_is_tried_again() -> None:
    """After two failures it receives as before, and nothing is said to fail."""
    done = threading.Event()
    receiving = Beside("receiving", failing(2, done))
    receiving.start()
    assert done.wait(30)
    until(lambda: not receiving.failing)
    receiving.check()
    receiving.stop()
    assert receiving.failing == ""


def test_one_that_never_succeeds_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks is told of it at once, and after too many tries gets the error."""
    monkeypatch.setattr("lading.process.RETRY_S_MAX", 0.001)
    receiving = Beside("receiving", failing(10**9, threading.Event()))
    receiving.start()
    until(lambda: "no answer" in receiving.failing)

    def ended() -> bool:
        try:
            receiving.check()
        except ServiceError as exc:
            return exc.code == "log_failed"
        return False

    until(ended)
    receiving.stop()


def test_a_fault_of_ours_is_raised_where_it_is_looked_for() -> None:
    """It ends the thread, and whoever checks gets it as it was, not only that the thread is gone."""

    def step() -> None:
        raise KeyError("ours")

    scoring = Beside("scores", step)
    scoring.start()

    def ended() -> bool:
        try:
            scoring.check()
        except KeyError:
            return True
        return False

    until(ended)
    scoring.stop()
