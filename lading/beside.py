"""Work in a thread of its own, beside a stage's: receiving where admission is apart, the archive, the scores."""

import threading
from collections.abc import Callable

from lading import metrics
from lading.errors import ServiceError
from lading.process import Tries

RETRY_S = 0.1
STOP_S = 60.0


class Beside:
    """Steps until told to stop, resting `rest_s` between them. A step that fails is tried again as `Tries` says."""

    def __init__(self, name: str, step: Callable[[], object], rest_s: float = 0.0) -> None:
        self._step = step
        self._rest_s = rest_s
        self._stop = threading.Event()
        self._tries = Tries(RETRY_S)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.failing = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def check(self) -> None:
        """Raise what has ended the thread: the ServiceError of a step that failed too often, or a fault of ours."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End, after the step at hand."""
        self._stop.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            self._steps()
        except BaseException as exc:  # noqa: BLE001 (`check` raises it)
            self._error = exc
            self.failing = f"{type(exc).__name__} {exc}"

    def _steps(self) -> None:
        while not self._stop.is_set():
            try:
                self._step()
            except ServiceError as exc:
                self._failed(exc)
            else:
                self.failing = ""
                self._tries.succeeded()
                self._stop.wait(self._rest_s)

    def _failed(self, exc: ServiceError) -> None:
        self.failing = str(exc)
        metrics.PROCESS_STEP_FAILURES.add(1, exc.code)
        self._stop.wait(self._tries.failed(exc))
