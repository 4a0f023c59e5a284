"""What a stage's loop says of itself: that it turns, that its steps succeed, that what it needs is there.

The loop's own thread asks everything and keeps the answers; whoever looks, in whatever thread, reads those. So a
look never waits for a store, and a loop that hangs shows by its age.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lading import metrics
from lading.errors import LadingError

TEND_S = 2.0
STEP_LIMIT_S = 300.0

_FIGURES = "log_figures"

Probe = Callable[[], str]
"""Why something that the stage needs is not there; "" when it is. A LadingError is a reason too."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The last step that failed."""

    code: str
    reason: str
    at_s: float


class Heart:
    """One loop's. `measure` sets the gauges that only the loop may read, after a step and at most every `tend_s`."""

    def __init__(
        self,
        stage: str,
        probes: Mapping[str, Probe] | None = None,
        measure: Callable[[], None] = lambda: None,
        *,
        step_limit_s: float = STEP_LIMIT_S,
        tend_s: float = TEND_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stage = stage
        self._probes = dict(probes or {})
        self._measure = measure
        self._step_limit_s = step_limit_s
        self._tend_s = tend_s
        self._monotonic_s = monotonic_s
        self._began_s = self._turned_s = monotonic_s()
        self._tended_s: float | None = None
        self._last_failure: Failure | None = None
        self._reasons: dict[str, str] = {"step": "none has succeeded yet"}
        self._failing = self._reasons["step"]

    def beat(self) -> None:
        """The loop turns, though it may be waiting."""
        self._turned_s = self._monotonic_s()

    def stepped(self) -> None:
        """A step has succeeded."""
        self.beat()
        self._failing = ""
        metrics.PROCESS_STEPS.add()
        self._tend(is_due="step" in self._reasons)

    def failed(self, exc: LadingError) -> None:
        """A step has failed, and will be tried again."""
        self.beat()
        self._last_failure = Failure(exc.code, exc.text, self._turned_s)
        self._failing = f"{exc.code}: {exc.text}"
        metrics.PROCESS_STEP_FAILURES.add(1, exc.code)
        self._tend(is_due=True)

    def age_s(self) -> float:
        """Seconds since the loop last turned."""
        return self._monotonic_s() - self._turned_s

    def is_alive(self) -> bool:
        """Whether the loop has turned within the limit."""
        return self.age_s() <= self._step_limit_s

    def reasons(self) -> dict[str, str]:
        """What is not ready, and why; empty when all is."""
        if self.is_alive():
            return self._reasons
        return {
            **self._reasons,
            "loop": f"last turned {self.age_s():.0f} s ago, wanted {self._step_limit_s:.0f}",
        }

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        failure, now_s = self._last_failure, self._monotonic_s()
        return {
            "stage": self.stage,
            "ready": not self.reasons(),
            "not_ready": self.reasons(),
            "up_s": round(now_s - self._began_s, 1),
            "step_age_s": round(self.age_s(), 1),
            "step_limit_s": self._step_limit_s,
            "last_failure": failure
            and {"code": failure.code, "reason": failure.reason, "age_s": round(now_s - failure.at_s, 1)},
        }

    def _tend(self, *, is_due: bool) -> None:
        now_s = self._monotonic_s()
        if not is_due and self._tended_s is not None and now_s - self._tended_s < self._tend_s:
            return
        self._tended_s = now_s
        found = {"step": self._failing} | {name: _reason(probe) for name, probe in self._probes.items()}
        found["figures"] = _reason(self._measured)
        self._reasons = {name: reason for name, reason in found.items() if reason}
        self.beat()

    def _measured(self) -> str:
        self._measure()
        return ""


class Lookout:
    """Probes and figures that another thread asks, `look` by `look`: a loop in a hurry must not wait for answers."""

    def __init__(self, probes: Mapping[str, Probe], measure: Callable[[], None]) -> None:
        self._probes = dict(probes)
        self._measure = measure
        self._said = dict.fromkeys([*probes, _FIGURES], "")

    def look(self) -> None:
        """Ask everything."""
        for name, probe in self._probes.items():
            self._said[name] = _reason(probe)
        self._said[_FIGURES] = _reason(self._measured)

    def _measured(self) -> str:
        self._measure()
        return ""

    def probes(self) -> dict[str, Probe]:
        """What was said last, for a `Heart`."""
        return {name: partial(self._said.__getitem__, name) for name in self._said}


def _reason(probe: Probe) -> str:
    try:
        return probe()
    except LadingError as exc:
        return f"{exc.code}: {exc.text}"
