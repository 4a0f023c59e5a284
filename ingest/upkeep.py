"""What the stage does every second between messages."""

import structlog

from ingest.intake import Intake
from lading import metrics
from lading.errors import ServiceError
from lading.process import Tries

STEP_S = 1.0


class Upkeep:
    """Releases what waited too long. While that fails, frames are taken all the same."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._tries = Tries(STEP_S)
        self._due_s = 0.0
        self.failing = ""

    def step(self, now_s: float) -> None:
        """If it is time. The ServiceError of a step that failed too often goes on."""
        if now_s < self._due_s:
            return
        try:
            self._work()
        except ServiceError as exc:
            self.failing = str(exc)
            metrics.PROCESS_STEP_FAILURES.add(1, exc.code)
            self._due_s = now_s + self._tries.failed(exc)
            return
        self.failing, self._due_s = "", now_s + STEP_S
        self._tries.succeeded()

    def _work(self) -> None:
        released = self._intake.tend()
        if released:
            structlog.get_logger().info("waiting_released", frames=released)
