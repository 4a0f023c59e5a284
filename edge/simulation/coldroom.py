"""A cold room of a small factory: short cycles, defrosts, doors on working days, warm goods in the morning."""

import random
from collections import deque
from datetime import UTC, datetime

from edge.simulation.box import STEP_MS, Box, Design
from edge.simulation.sensors import Channel, Sample, Sensors
from edge.simulation.stories import Stories
from edge.simulation.thermal import Masses
from edge.simulation.weather import DAY_MS, MINUTE_MS, Weather, surroundings

HOUR_MS = 3_600_000
NO_STORIES = Stories()
ROOM_CHANNELS = (
    Channel.AIR,
    Channel.PRODUCT,
    Channel.HUMIDITY,
    Channel.DOOR,
    Channel.LIGHT,
    Channel.BATTERY,
)


def coldroom_design(set_c: float = 3.5) -> Design:
    """About 50 m³ with two tonnes of cheese; the compressor cycles every seven to ten minutes."""
    masses = Masses(air_j_k=1.3e5, load_j_k=6.0e6, wall_w_k=20.0, coupling_w_k=140.0)
    return Design(
        masses=masses,
        set_c=set_c,
        band_k=0.8,
        cooling_w=2000.0,
        base_w=280.0,
        door_w_k=110.0,
        defrost_w=420.0,
        defrost_every_s=5.2 * 3600.0,
        defrost_for_s=26 * 60.0,
        coil_below_k=6.0,
    )


class ColdRoom:
    """One cold room. Times given to `sample` must not go back."""

    def __init__(
        self,
        rng: random.Random,
        begin_ms: int,
        design: Design | None = None,
        stories: Stories = NO_STORIES,
        mean_c: float = 20.0,
    ) -> None:
        self.stories = stories
        self.box = Box(design or coldroom_design(), defrost_age_s=rng.uniform(0, 4 * 3600))
        self._weather = Weather(rng.getrandbits(64), mean_c, swing_k=2.5, wander_k=1.0, humidity=0.55)
        self._plan = random.Random(rng.getrandbits(64))
        self._noise = random.Random(rng.getrandbits(64))
        self._sensors = Sensors(self._noise, stories)
        self._doors: deque[tuple[int, int]] = deque()
        self._goods_ms: int | None = None
        self._day = begin_ms // DAY_MS - 1
        self._now_ms = begin_ms
        self._sampled_ms = begin_ms
        self._open = False
        self._outside = surroundings(self._weather, begin_ms, False, True)

    def sample(self, time_ms: int) -> list[Sample]:
        """Every channel at this time, ascending."""
        if time_ms < self._sampled_ms:
            raise ValueError(f"sample: {time_ms} ms, wanted at least {self._sampled_ms}")
        while self._now_ms + STEP_MS <= time_ms:
            self._step()
        self._sampled_ms = time_ms
        return self._read(time_ms)

    def _step(self) -> None:
        now_ms = self._now_ms
        if now_ms // DAY_MS != self._day:
            self._plan_day(now_ms // DAY_MS)
        if self._goods_ms is not None and now_ms >= self._goods_ms:
            self.box.bring_in(self._plan.uniform(0.03, 0.08), 22.0)
            self._goods_ms = None
        while self._doors and self._doors[0][1] <= now_ms:
            self._doors.popleft()
        self._open = bool(self._doors and self._doors[0][0] <= now_ms) or self.stories.door_open(now_ms)
        able = not self.stories.fails(now_ms)
        outside = self._outside
        if now_ms % MINUTE_MS < STEP_MS or outside.door_open != self._open or outside.compressor_able != able:
            outside = self._outside = surroundings(self._weather, now_ms, self._open, able)
        self.box.step(outside)
        self._now_ms = now_ms + STEP_MS

    def _plan_day(self, day: int) -> None:
        """Doors and deliveries of one day, in order; none at the weekend."""
        self._day = day
        self._doors.clear()
        self._goods_ms = None
        if datetime.fromtimestamp(day * DAY_MS / 1000, UTC).weekday() >= 5:
            return
        time_ms = day * DAY_MS + 6 * HOUR_MS
        while (
            time_ms := time_ms + round(self._plan.expovariate(1 / 14) * 60_000)
        ) < day * DAY_MS + 17 * HOUR_MS:
            end_ms = time_ms + self._plan.randint(20, 110) * 1000
            self._doors.append((time_ms, end_ms))
            time_ms = end_ms
        self._goods_ms = day * DAY_MS + round(self._plan.uniform(8, 11) * HOUR_MS)

    def _read(self, time_ms: int) -> list[Sample]:
        read, box = self._sensors.read, self.box
        lux = self._noise.uniform(180, 220) if self._open else 0.0
        return [
            read(Channel.AIR, box.air_c, 0.04, 0.0625, time_ms),
            read(Channel.PRODUCT, box.load_c, 0.03, 0.0625, time_ms),
            self._sensors.humidity(Channel.HUMIDITY, box.relative_humidity(), time_ms),
            read(Channel.DOOR, float(self._open), 0.0, 1.0, time_ms),
            read(Channel.LIGHT, lux, 0.0, 1.0, time_ms),
            read(Channel.BATTERY, 3.6, 0.004, 0.01, time_ms),
        ]
