"""What the sensors make of the truth: noise, quantisation, error codes; and the numbers of the channels."""

import random
from enum import IntEnum
from typing import NamedTuple

from edge.simulation.stories import Stories
from lading.quantities import FAULT, Quantity


class Channel(IntEnum):
    """Channels of the simulated gateways. A cold room has the first five and the battery."""

    AIR = 1
    PRODUCT = 2
    HUMIDITY = 3
    DOOR = 4
    LIGHT = 5
    SHOCK = 6
    LATITUDE = 7
    LONGITUDE = 8
    BATTERY = 9


CHANNELS: dict[int, Quantity] = {
    Channel.AIR: Quantity.TEMPERATURE,
    Channel.PRODUCT: Quantity.TEMPERATURE,
    Channel.HUMIDITY: Quantity.HUMIDITY,
    Channel.DOOR: Quantity.DOOR,
    Channel.LIGHT: Quantity.LIGHT,
    Channel.SHOCK: Quantity.SHOCK,
    Channel.LATITUDE: Quantity.LATITUDE,
    Channel.LONGITUDE: Quantity.LONGITUDE,
    Channel.BATTERY: Quantity.BATTERY,
}


class Sample(NamedTuple):
    """One reading before the gateway numbers it."""

    channel: int
    value_milli: int
    flags: int


class Sensors:
    """Noise, quantisation and faults of one gateway's sensors."""

    def __init__(self, rng: random.Random, stories: Stories) -> None:
        self._gauss = rng.gauss
        self._stories = stories

    def read(self, channel: Channel, truth: float, noise: float, quantum: float, time_ms: int) -> Sample:
        """The truth in the channel's unit, plus noise, in whole quanta; an error code where a story says so."""
        code_milli = self._stories.fault_milli(channel, time_ms)
        if code_milli is not None:
            return Sample(channel, code_milli, FAULT)
        if noise:
            truth += self._gauss(0.0, noise)
        return Sample(channel, round(round(truth / quantum) * quantum * 1000), 0)

    def humidity(self, channel: Channel, share: float, time_ms: int) -> Sample:
        """Relative humidity, which no sensor gives above 100 %."""
        sample = self.read(channel, 100 * share - 0.6, 0.4, 0.1, time_ms)
        return sample if sample.flags else sample._replace(value_milli=min(sample.value_milli, 100_000))
