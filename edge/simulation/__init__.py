"""Physical simulation of what a gateway's sensors see: a reefer truck and a cold room, stepwise by event time."""

from edge.simulation.coldroom import ColdRoom
from edge.simulation.reefer import Reefer
from edge.simulation.sensors import CHANNELS, Channel, Sample
from edge.simulation.stories import (
    Bump,
    ClockStep,
    ClockUnset,
    CompressorFailure,
    DoorLeftOpen,
    Offline,
    SensorFault,
    Stories,
)

__all__ = [
    "CHANNELS",
    "Bump",
    "Channel",
    "ClockStep",
    "ClockUnset",
    "ColdRoom",
    "CompressorFailure",
    "DoorLeftOpen",
    "Offline",
    "Reefer",
    "Sample",
    "SensorFault",
    "Stories",
]
