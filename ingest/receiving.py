"""Receiving in a thread of its own, where admission is apart: neither waits for the other's turn at the log."""

import threading
from collections.abc import Callable

from lading import metrics
from lading.errors import ServiceError
from lading.process import Tries

RETRY_S = 0.1
WAIT_S = 0.2
"""So long a signal to stop may go unheard."""
STOP_S = 60.0


class Receiving:
    """Steps until told to stop. `step` takes what has come, waiting so many seconds for it (`Receiver.step`)."""

    def __init__(self, step: Callable[[float], int]) -> None:
        self._step = step
        self._stop = threading.Event()
        self._tries = Tries(RETRY_S)
        self._error: ServiceError | None = None
        self._thread = threading.Thread(target=self._run, name="receiving", daemon=True)
        self.failing = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def check(self) -> None:
        """Raise what has ended the thread: the ServiceError of a step that failed too often."""
        if self._error is not None:
            raise self._error
        assert self._thread.is_alive(), "the receiving thread has ended, wanted one that steps"

    def stop(self) -> None:
        """End, after the step at hand."""
        self._stop.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._step(WAIT_S)
            except ServiceError as exc:
                self._failed(exc)
            else:
                self.failing = ""
                self._tries.succeeded()

    def _failed(self, exc: ServiceError) -> None:
        self.failing = str(exc)
        metrics.PROCESS_STEP_FAILURES.add(1, exc.code)
        try:
            self._stop.wait(self._tries.failed(exc))
        except ServiceError as last:
            self._error = last
            self._stop.set()
