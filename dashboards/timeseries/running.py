"""The writer's loop: steps, points of the moment, pauses that grow while InfluxDB is away, and what `status` shows."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from dashboards.timeseries.pulse import LogPulse, Moments
from dashboards.timeseries.stage import Series
from dashboards.timeseries.state import SeriesState
from lading import metrics
from lading.errors import ServiceError
from lading.heart import Heart
from lading.log import wall_ms

PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 10.0
HEARD_S = 5.0
SILENT_MS = 60_000
"""A writer that has not said anything for so long does not run."""

WRITING, WAITING, STOPPED = "writing", "waiting", "stopped"

_log = structlog.get_logger()


class Loop:
    """Runs until told to stop. InfluxDB may be away for any time: the log keeps what it misses."""

    def __init__(
        self,
        series: Series,
        state: SeriesState,
        pulse: LogPulse,
        moments: Moments,
        stop: threading.Event,
        heart: Heart,
        *,
        poll_s: float,
        interval_s: float,
        pause_s_max: float = PAUSE_S_MAX,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._series = series
        self._state = state
        self._pulse = pulse
        self._moments = moments
        self._stop = stop
        self._heart = heart
        self._poll_s = poll_s
        self._interval_s = interval_s
        self._pause_s_max = pause_s_max
        self._now_ms = now_ms
        self._pause_s = 0.0
        self._health: dict[str, Any] = {}
        self._heard_s = self._pulse_due_s = 0.0

    def run(self) -> None:
        """Until `stop`."""
        while not self._stop.is_set():
            try:
                handled = self._turn()
            except ServiceError as exc:
                self._fail(exc)
                self._stop.wait(self._pause_s)
                continue
            self._pause_s = 0.0
            self._heart.stepped()
            self._say(WRITING)
            if not handled:
                self._stop.wait(self._poll_s)
        self._say(STOPPED)

    def _turn(self) -> int:
        handled = self._series.step()
        if time.monotonic() >= self._pulse_due_s:
            self._pulse_due_s = time.monotonic() + self._interval_s
            self._moments.add(self._pulse.lines(self._now_ms()))
        lines = self._moments.take()
        if lines:
            self._series.write(lines)
        return handled

    def _fail(self, exc: ServiceError) -> None:
        self._pause_s = min(max(2 * self._pause_s, PAUSE_S_MIN), self._pause_s_max)
        _log.warning("series_waiting", code=exc.code, reason=exc.text, pause_s=self._pause_s)
        self._heart.failed(exc)
        self._say(WAITING, code=exc.code, reason=exc.text)

    def _say(self, state: str, **more: str) -> None:
        """Keep for `status` what changed, and every few seconds that the writer is there."""
        document = {"state": state, **more}
        known = {name: self._health.get(name) for name in document}
        is_news = known != document
        if not is_news and time.monotonic() - self._heard_s < HEARD_S:
            return
        since_ms = self._now_ms() if self._health.get("state") != state else self._health["since_ms"]
        self._health = {**document, "since_ms": since_ms}
        self._heard_s = time.monotonic()
        metrics.SERIES_UP.set(state == WRITING)
        if is_news and state == WRITING:
            _log.info("series_writing")
        try:
            with self._state.transaction():
                self._state.set_health({**self._health, "heard_ms": self._now_ms()})
        except ServiceError as exc:
            _log.warning("series_state_failed", code=exc.code, reason=exc.text)


def status_document(
    state: SeriesState, behind: Mapping[str, int], now_ms: int, refused_max: int
) -> dict[str, Any]:
    """What `lading dashboards status` shows."""
    health = state.health() or {"state": "never started"}
    heard_ms = health.get("heard_ms")
    if heard_ms is not None and health["state"] != STOPPED and now_ms - heard_ms > SILENT_MS:
        health = {**health, "state": "silent"}
    counts = state.counts()
    return {
        **health,
        "points": counts.pop("points", 0),
        "refused": counts,
        "behind": dict(behind),
        "refused_last": [
            {
                "at_ms": at_ms,
                "code": one.code,
                "reason": one.reason,
                "points": one.points,
                "line": one.line.decode("utf-8", "replace"),
            }
            for at_ms, one in state.refused()[-refused_max:]
        ],
    }
