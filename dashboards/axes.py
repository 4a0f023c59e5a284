"""Where things go on a plot: per cent of the width, pixels of the height, and the marks along both."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from dashboards import words

_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_STEPS_MS = (
    *(1, 10, 100, 1_000, 5_000, 15_000, 30_000),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 28, 91, 182, 364)),
)


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Time to per cent of the width."""

    first_ms: int
    last_ms: int

    @property
    def length_ms(self) -> int:
        """At least 1, so that a leg of one reading has an axis."""
        return max(1, self.last_ms - self.first_ms)

    def percent(self, time_ms: int) -> float:
        """0 at the first moment, 100 at the last."""
        return 100 * (time_ms - self.first_ms) / self.length_ms

    def ticks(self, count_max: int) -> list[tuple[int, str]]:
        """Round moments and what to write at them: a day at midnight, else the time."""
        step = next((s for s in _STEPS_MS if self.length_ms / s <= count_max), _STEPS_MS[-1])
        first = -(-self.first_ms // step) * step
        return [(time, _tick_label(time, step)) for time in range(first, self.last_ms + 1, step)]


def _tick_label(time_ms: int, step_ms: int) -> str:
    if time_ms % _DAY == 0:
        return words.day(time_ms)
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    if step_ms >= _MINUTE:
        return moment.strftime("%H:%M")
    return moment.strftime("%H:%M:%S") + (f".{time_ms % 1000:03d}" if step_ms < 1_000 else "")


@dataclass(frozen=True, slots=True)
class ValueAxis:
    """Thousandths to pixels from the top."""

    low: int
    high: int
    height_px: int

    @property
    def span(self) -> int:
        """At least 1."""
        return max(1, self.high - self.low)

    def px(self, value: float) -> float:
        """0 at the highest value."""
        return self.height_px * (self.high - value) / self.span

    def ticks(self, count_max: int) -> list[int]:
        """Round values."""
        step = round_step(self.span, count_max)
        return list(range(-(-self.low // step) * step, self.high + 1, step))


def round_step(span: int, count_max: int) -> int:
    """The least of 1, 2, 5, 10, … of which at most `count_max` fit into the span."""
    magnitude = int(10 ** max(0, math.floor(math.log10(max(1, span) / count_max))))
    return next(m * magnitude for m in (1, 2, 5, 10, 20, 50) if span / (m * magnitude) <= count_max)


def value_axis(values: list[int], height_px: int) -> ValueAxis:
    """Holds all the values with a twelfth of room on either side."""
    low, high = min(values), max(values)
    room = max(1, (high - low) // 12) if high > low else max(500, abs(high) // 10)
    return ValueAxis(low - room, high + room, height_px)
