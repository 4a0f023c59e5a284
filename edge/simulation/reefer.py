"""A refrigerated trailer on its way: box, weather, route, and the sensors of its gateway."""

import random
from collections.abc import Sequence

from edge.simulation.box import STEP_MS, Box, Design
from edge.simulation.route import ROTTERDAM_MILAN, Place, Segment, itinerary
from edge.simulation.sensors import Channel, Sample, Sensors
from edge.simulation.stories import Stories
from edge.simulation.thermal import Masses
from edge.simulation.weather import MINUTE_MS, Weather, surroundings

NO_STORIES = Stories()


def reefer_design(set_c: float = 5.0, load_t: float = 4.0) -> Design:
    """A 13.6 m trailer of about 0.5 W/m²K, start-stop control, goods of 3 kJ/kgK."""
    masses = Masses(air_j_k=6.0e5, load_j_k=load_t * 3.0e6, wall_w_k=75.0, coupling_w_k=900.0)
    return Design(
        masses=masses,
        set_c=set_c,
        band_k=1.0,
        cooling_w=7500.0,
        base_w=150.0,
        door_w_k=260.0,
        defrost_w=1600.0,
        defrost_every_s=6 * 3600.0,
        defrost_for_s=18 * 60.0,
    )


class Reefer:
    """One truck. Times given to `sample` must not go back; the truth does not depend on how often it is sampled."""

    def __init__(
        self,
        rng: random.Random,
        begin_ms: int,
        design: Design | None = None,
        stories: Stories = NO_STORIES,
        places: Sequence[Place] = ROTTERDAM_MILAN,
        mean_c: float = 21.0,
    ) -> None:
        self.stories = stories
        self.box = Box(design or reefer_design(), defrost_age_s=rng.uniform(0, 4 * 3600))
        self._weather = Weather(rng.getrandbits(64), mean_c, swing_k=6.0, wander_k=2.5, humidity=0.6)
        self._route = itinerary(random.Random(rng.getrandbits(64)), begin_ms, places, speed_km_h=72.0)
        self._noise = random.Random(rng.getrandbits(64))
        self._sensors = Sensors(self._noise, stories)
        self._segment: Segment = next(self._route)
        self._now_ms = begin_ms
        self._sampled_ms = begin_ms
        self._charge = 0.8
        self._outside = surroundings(self._weather, begin_ms, False, True)

    def sample(self, time_ms: int) -> list[Sample]:
        """Every channel at this time, ascending."""
        if time_ms < self._sampled_ms:
            raise ValueError(f"sample: {time_ms} ms, wanted at least {self._sampled_ms}")
        while self._now_ms + STEP_MS <= time_ms:
            self._step()
        samples = self._read(time_ms)
        self._sampled_ms = time_ms
        return samples

    def door_open(self) -> bool:
        return self._segment.door_open or self.stories.door_open(self._now_ms)

    def driving(self) -> bool:
        return self._segment.here != self._segment.there

    def _step(self) -> None:
        now_ms = self._now_ms
        while self._segment.end_ms <= now_ms:
            self._segment = next(self._route)
        door_open, able = self.door_open(), not self.stories.fails(now_ms)
        outside = self._outside
        if now_ms % MINUTE_MS < STEP_MS or outside.door_open != door_open or outside.compressor_able != able:
            outside = self._outside = surroundings(self._weather, now_ms, door_open, able)
        self.box.step(outside)
        self._charge += 4e-5 if self.driving() and self._charge < 1 else -2e-6
        self._now_ms = now_ms + STEP_MS

    def _read(self, time_ms: int) -> list[Sample]:
        read, box = self._sensors.read, self.box
        latitude, longitude = self._segment.at(
            min(max(time_ms, self._segment.begin_ms), self._segment.end_ms)
        )
        return [
            read(Channel.AIR, box.air_c, 0.04, 0.0625, time_ms),
            read(Channel.PRODUCT, box.load_c, 0.03, 0.0625, time_ms),
            self._sensors.humidity(Channel.HUMIDITY, box.relative_humidity(), time_ms),
            read(Channel.DOOR, float(self.door_open()), 0.0, 1.0, time_ms),
            read(Channel.LIGHT, self._lux(time_ms), 0.0, 1.0, time_ms),
            read(Channel.SHOCK, self._shock_g(time_ms), 0.0, 0.01, time_ms),
            read(Channel.LATITUDE, latitude * 1000, 0.02, 0.01, time_ms),
            read(Channel.LONGITUDE, longitude * 1000, 0.03, 0.01, time_ms),
            read(Channel.BATTERY, 3.45 + 0.7 * self._charge, 0.004, 0.01, time_ms),
        ]

    def _lux(self, time_ms: int) -> float:
        if not self.door_open():
            return 0.0
        return 25.0 + 4000.0 * self._weather.daylight(time_ms) * self._noise.uniform(0.6, 1.0)

    def _shock_g(self, time_ms: int) -> float:
        """The greatest acceleration since the last sample: road rumble, now and then a pothole."""
        road_g = self._noise.expovariate(1 / 0.08) if self.driving() else abs(self._noise.gauss(0, 0.01))
        return max(min(road_g, 1.8), self.stories.bump_g(self._sampled_ms, time_ms))
