"""Event time: what the readings' times go by, which need not be now."""

import time
from collections.abc import Callable


class EventClock:
    """Event time: begin + speed · elapsed. At speed 0 it goes wherever the next reading is.

    It runs steadily, whatever is done to the machine's clock. `wall_ms` is that clock, where event time is now.
    """

    def __init__(
        self,
        begin_ms: int,
        speed: float,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] | None = None,
    ) -> None:
        self._begin_ms = begin_ms
        self._speed = speed
        self._monotonic_s = monotonic_s
        self._start_s = monotonic_s()
        self._wall_ms = wall_ms

    @property
    def is_free(self) -> bool:
        """True at speed 0."""
        return self._speed == 0

    def now_ms(self) -> int:
        """Event time now."""
        return self._begin_ms + int((self._monotonic_s() - self._start_s) * 1000 * self._speed)

    def shown_ms(self) -> int:
        """What the machine's clock shows, set right or wrong since the start; event time where that is not now."""
        return self.now_ms() if self._wall_ms is None else self._wall_ms()

    def wait_s(self, time_ms: int) -> float:
        """Seconds until then."""
        return 0.0 if self.is_free else max(0.0, (time_ms - self.now_ms()) / 1000 / self._speed)
