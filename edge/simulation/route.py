"""Where a truck is: driving at the pace that driving and rest times allow, with stops that open doors."""

import math
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

EARTH_KM = 6371.0088
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
DRIVE_MS_MAX = 4 * HOUR_MS + 30 * MINUTE_MS  # then 45 minutes' break, Regulation (EC) 561/2006
DAY_DRIVE_MS_MAX = 9 * HOUR_MS  # then 11 hours' rest

Place = tuple[float, float]  # latitude, longitude in degrees

ROTTERDAM_MILAN: tuple[Place, ...] = (
    (51.8850, 4.2860),  # Rotterdam
    (51.4416, 5.4697),  # Eindhoven
    (50.9375, 6.9603),  # Cologne
    (49.0069, 8.4037),  # Karlsruhe
    (47.5596, 7.5886),  # Basel
    (46.8059, 8.6370),  # Gotthard north
    (45.4642, 9.1900),  # Milan
)


class Segment(NamedTuple):
    """One stretch of a journey: driving from `here` to `there`, or standing (here = there), the door perhaps open."""

    begin_ms: int
    end_ms: int
    here: Place
    there: Place
    door_open: bool

    def at(self, time_ms: int) -> Place:
        part = (time_ms - self.begin_ms) / (self.end_ms - self.begin_ms)
        return tuple(a + part * (b - a) for a, b in zip(self.here, self.there, strict=True))  # type: ignore[return-value]


def distance_km(here: Place, there: Place) -> float:
    """Great-circle distance (haversine)."""
    (lat1, lon1), (lat2, lon2) = ((math.radians(x), math.radians(y)) for x, y in (here, there))
    chord = (
        math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_KM * math.asin(math.sqrt(chord))


def itinerary(
    rng: random.Random, begin_ms: int, places: Sequence[Place], speed_km_h: float
) -> Iterator[Segment]:
    """Without end: along the places and back, stopping at each."""
    driver = _Driver(begin_ms)
    index, direction = 0, 1
    while True:
        yield from driver.deliver(places[index], rng)
        if not 0 <= index + direction < len(places):
            direction = -direction
        yield from driver.drive(places[index], places[index + direction], speed_km_h * rng.uniform(0.9, 1.05))
        index += direction


class _Driver:
    def __init__(self, begin_ms: int) -> None:
        self._now_ms = begin_ms
        self._since_break_ms = 0
        self._since_rest_ms = 0

    def deliver(self, place: Place, rng: random.Random) -> Iterator[Segment]:
        """Wait, open for loading, close up."""
        for minutes, door_open in (
            (rng.randint(5, 25), False),
            (rng.randint(6, 18), True),
            (rng.randint(5, 10), False),
        ):
            yield self._stand(place, minutes * MINUTE_MS, door_open)

    def drive(self, here: Place, there: Place, speed_km_h: float) -> Iterator[Segment]:
        left_ms = max(1, round(distance_km(here, there) / speed_km_h * HOUR_MS))
        whole_ms = left_ms
        while left_ms > 0:
            yield from self._pause(_between(there, here, left_ms / whole_ms))
            now_ms = min(left_ms, DRIVE_MS_MAX - self._since_break_ms, DAY_DRIVE_MS_MAX - self._since_rest_ms)
            start = _between(there, here, left_ms / whole_ms)
            left_ms -= now_ms
            stop = _between(there, here, left_ms / whole_ms)
            yield Segment(self._now_ms, self._now_ms + now_ms, start, stop, False)
            self._now_ms += now_ms
            self._since_break_ms += now_ms
            self._since_rest_ms += now_ms

    def _pause(self, place: Place) -> Iterator[Segment]:
        if self._since_rest_ms >= DAY_DRIVE_MS_MAX:
            self._since_rest_ms = self._since_break_ms = 0
            yield self._stand(place, 11 * HOUR_MS, False)
        elif self._since_break_ms >= DRIVE_MS_MAX:
            self._since_break_ms = 0
            yield self._stand(place, 45 * MINUTE_MS, False)

    def _stand(self, place: Place, span_ms: int, door_open: bool) -> Segment:
        begin_ms = self._now_ms
        self._now_ms += span_ms
        return Segment(begin_ms, self._now_ms, place, place, door_open)


def _between(here: Place, there: Place, part: float) -> Place:
    return here[0] + part * (there[0] - here[0]), here[1] + part * (there[1] - here[1])
