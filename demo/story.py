"""What happens in the demo: three trucks and a cold room over two weeks, by event time."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge.simulation import (
    CHANNELS,
    Channel,
    ColdRoom,
    CompressorFailure,
    Offline,
    Reefer,
    SensorFault,
    Stories,
)
from edge.simulation.coldroom import coldroom_design
from edge.simulation.reefer import reefer_design

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
BEGIN_MS = 1_772_409_600_000  # 2026-03-02T00:00:00Z, a Monday
END_MS = BEGIN_MS + 14 * DAY_MS

COLDROOM_CHANNELS = (
    Channel.AIR,
    Channel.PRODUCT,
    Channel.HUMIDITY,
    Channel.DOOR,
    Channel.LIGHT,
    Channel.BATTERY,
)


def at(day: float, hour: float = 0) -> int:
    """Milliseconds of a day (from 0) and hour of the story."""
    return BEGIN_MS + round(day * DAY_MS + hour * HOUR_MS)


@dataclass(frozen=True)
class PlannedLeg:
    """One leg as the operator plans it. `agreed`: a carrier has put up a bond for it. `insured`: a cover was bought.

    `deadline_ms`: of the agreement, where it is not some days after the due time.
    """

    reference: str
    profile: str
    begin_ms: int
    end_ms: int
    due_ms: int
    agreed: bool = False
    insured: bool = False
    deadline_ms: int = 0


@dataclass(frozen=True)
class PlannedGateway:
    """One gateway, what carries it and what goes wrong with it."""

    name: str
    kind: str  # reefer | coldroom
    legs: tuple[PlannedLeg, ...]
    stories: tuple[CompressorFailure | Offline | SensorFault, ...] = ()
    cloned_ms: int | None = None
    channels: tuple[int, ...] = field(default=tuple(CHANNELS))

    @property
    def offline(self) -> tuple[Offline, ...]:
        """Stretches without a link."""
        return tuple(story for story in self.stories if isinstance(story, Offline))

    def online(self, time_ms: int) -> bool:
        """True when there is a link to the broker."""
        return not any(story.covers(time_ms) for story in self.offline)

    def simulate(self, rng: random.Random) -> "Reefer | ColdRoom":
        """The physics behind its sensors."""
        stories = Stories(self.stories)
        if self.kind == "coldroom":
            return ColdRoom(rng, BEGIN_MS, coldroom_design(4.0), stories)
        return Reefer(rng, BEGIN_MS, reefer_design(5.0), stories)


VACCINE = "vaccine-2-8"

FLEET = (
    PlannedGateway(
        "truck-1",
        "reefer",
        (
            PlannedLeg("SHP-1001 vaccines Rotterdam-Milan", VACCINE, at(0, 6), at(6, 18), at(7), agreed=True),
            PlannedLeg("SHP-1005 vaccines Milan-Rotterdam", VACCINE, at(7, 6), at(13), at(13, 12)),
        ),
        (Offline(at(2, 10), at(4, 12)),),  # 50 hours
    ),
    PlannedGateway(
        "truck-2",
        "reefer",
        (
            PlannedLeg("SHP-1002 vaccines Rotterdam-Milan", VACCINE, at(0, 8), at(5, 12), at(6), agreed=True),
            PlannedLeg(
                "SHP-1006 vaccines Milan-Rotterdam",
                VACCINE,
                at(6, 6),
                at(11, 12),
                at(12),
                agreed=True,
                insured=True,
            ),
        ),
        (CompressorFailure(at(8, 14), at(9, 16)),),
    ),
    PlannedGateway(
        "truck-3",
        "reefer",
        (
            PlannedLeg("SHP-1003 vaccines Rotterdam-Milan", VACCINE, at(0, 8), at(6), at(7), agreed=True),
            PlannedLeg("SHP-1007 vaccines Milan-Rotterdam", VACCINE, at(7), at(13), at(13, 12)),
        ),
        cloned_ms=at(9, 14),
    ),
    PlannedGateway(
        "cold-room",
        "coldroom",
        (
            PlannedLeg(
                "SHP-1004 vaccine store week 1", VACCINE, at(0, 4), at(7), 0, agreed=True, deadline_ms=at(5)
            ),
            PlannedLeg("SHP-1008 vaccine store week 2", VACCINE, at(7), at(13, 20), 0),
        ),
        (SensorFault(at(9, 3), at(10, 1), channel=Channel.AIR),),
        channels=COLDROOM_CHANNELS,
    ),
)


@dataclass(frozen=True)
class Event:
    """Something for people to read while it runs, and a mark on the report's timeline."""

    time_ms: int
    gateway: str
    text: str


def events() -> Iterator[Event]:
    """What the story makes happen, by time."""
    found = []
    for gateway in FLEET:
        for story in gateway.stories:
            text, end = {
                Offline: ("offline", "online again"),
                CompressorFailure: ("compressor stops", "compressor runs again"),
                SensorFault: ("air sensor fails", "air sensor replaced"),
            }[type(story)]
            found += [Event(story.begin_ms, gateway.name, text), Event(story.end_ms, gateway.name, end)]
        if gateway.cloned_ms is not None:
            found.append(Event(gateway.cloned_ms, gateway.name, "its key is used by a second device"))
    yield from sorted(found, key=lambda event: event.time_ms)
