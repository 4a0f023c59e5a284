"""Outside air: a daily wave about a mean that wanders from day to day."""

import math
import random

from edge.simulation.box import Outside
from edge.simulation.thermal import saturation_pa

DAY_MS = 86_400_000
MINUTE_MS = 60_000
WARMEST_MS = 15 * 3_600_000


class Weather:
    """Ambient temperature and vapour pressure by event time; the same seed gives the same days in any order."""

    def __init__(self, seed: int, mean_c: float, swing_k: float, wander_k: float, humidity: float) -> None:
        self._seed = seed
        self._mean_c = mean_c
        self._swing_k = swing_k
        self._wander_k = wander_k
        self._humidity = humidity
        self._offsets: dict[int, float] = {}

    def celsius(self, time_ms: int) -> float:
        day, within = divmod(time_ms, DAY_MS)
        part = within / DAY_MS
        drift = self._offset(day) * (1 - part) + self._offset(day + 1) * part
        wave = math.cos(2 * math.pi * (within - WARMEST_MS) / DAY_MS)
        return self._mean_c + drift + self._swing_k * wave

    def relative(self, celsius: float) -> float:
        """Relative humidity outside, 0..1: the mean's vapour in warmer or colder air."""
        return min(1.0, max(0.15, self._humidity - 0.025 * (celsius - self._mean_c)))

    def daylight(self, time_ms: int) -> float:
        """0 at night to 1 at noon."""
        return max(0.0, math.cos(2 * math.pi * (time_ms % DAY_MS - DAY_MS / 2) / DAY_MS))

    def _offset(self, day: int) -> float:
        if day not in self._offsets:
            if len(self._offsets) > 16:
                self._offsets.clear()
            self._offsets[day] = random.Random(f"{self._seed}:{day}").gauss(0, self._wander_k)
        return self._offsets[day]


def surroundings(weather: Weather, time_ms: int, door_open: bool, able: bool) -> Outside:
    """The weather of a minute around a box."""
    celsius = weather.celsius(time_ms)
    return Outside(celsius, weather.relative(celsius) * saturation_pa(celsius), door_open, able)
