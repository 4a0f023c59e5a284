"""The gateways of the demo: each with its key, outbox, link and simulated sensors, stepped by event time."""

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from demo.story import MINUTE_MS, PlannedGateway
from edge.gateway import Gateway
from edge.link import Broker
from edge.outbox import Outbox
from edge.publisher import Publisher
from edge.readings import NewReading
from edge.simulation import CHANNELS, Channel
from lading.cose import KeySigner, PublicKey
from lading.errors import ServiceError
from lading.frame import SALT_BYTES
from lading.limits import Limits
from lading.profiles import load
from lading.quantities import Quantity

OUTBOX = "outbox.sqlite"
SAMPLE_MS = 2 * MINUTE_MS
PUBLISH_LIMIT_S = 60.0
DOOR_OPEN_MAX_MS = 45 * MINUTE_MS
_ROLES = {Channel.AIR: "air", Channel.DOOR: "door", Channel.SHOCK: "shock"}


def limits_of(profile: str, channels: tuple[int, ...]) -> Limits:
    """A profile's limits for a gateway's channels, but for doors: these parties load and unload for longer."""
    known = load(profile)
    roles = {channel: _ROLES.get(Channel(channel), "") for channel in channels}
    limits = known.limits(
        {c: role if role in known.roles else CHANNELS[c].name.lower() for c, role in roles.items()}
    )
    return Limits(
        tuple(
            replace(one, above_stretch_max_ms=DOOR_OPEN_MAX_MS) if one.quantity == Quantity.DOOR else one
            for one in limits.channels
        )
    )


@dataclass
class Member:
    """One gateway of the fleet."""

    plan: PlannedGateway
    seed: bytes
    folder: Path
    tenant: str
    operator: PublicKey
    broker: Broker
    device: str = "original"
    sampled_ms: int = 0
    is_linked: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.signer = KeySigner.from_seed(self.seed + self.plan.name.encode())
        self._salts = random.Random(self.seed + self.plan.name.encode() + self.device.encode())
        self.simulation = self.plan.simulate(
            random.Random(self.seed + self.plan.name.encode() + self.device.encode())
        )
        self.outbox = Outbox(self.folder / OUTBOX, self.signer.public.gateway_id)
        self.gateway = Gateway(
            self.outbox,
            self.signer,
            self.operator,
            self.tenant,
            {channel: CHANNELS[channel] for channel in self.plan.channels},
            salts=lambda: self._salts.randbytes(SALT_BYTES),
        )
        self.publisher = Publisher(self.gateway, self.tenant, self.broker)

    @property
    def gateway_id(self) -> bytes:
        """Hash of the gateway's key."""
        return self.signer.public.gateway_id

    def sample_until(self, time_ms: int) -> int:
        """Take a sample of every channel every two minutes up to `time_ms`; how many readings."""
        readings = [
            NewReading(channel, minute, value, flags)
            for minute in range(self.sampled_ms + SAMPLE_MS, time_ms + 1, SAMPLE_MS)
            for channel, value, flags in self.simulation.sample(minute)
        ]
        for refused in self.gateway.take_all(readings):  # one transaction
            raise refused.error
        self.sampled_ms = time_ms
        return len(readings)

    def link(self, time_ms: int) -> None:
        """Connect or disconnect, as the story says."""
        if self.plan.online(time_ms) == self.is_linked:
            return
        if self.is_linked:
            self.publisher.stop(time_ms)
        else:
            self.publisher.start()
        self.is_linked = not self.is_linked

    def publish(self, time_ms: int) -> None:
        """Publish until the broker has everything. ServiceError `broker` when it does not take it in time."""
        if self.is_linked and not self.publisher.wait_acked(PUBLISH_LIMIT_S, time_ms):
            raise ServiceError("broker", f"{self.plan.name}: no PUBACK within {PUBLISH_LIMIT_S:.0f} s")

    def clone(self, folder: Path) -> "Member":
        """A second device with the same key and the same memory: what a thief of the disk has."""
        folder.mkdir(parents=True)
        with (
            closing(sqlite3.connect(self.folder / OUTBOX)) as source,
            closing(sqlite3.connect(folder / OUTBOX)) as target,
        ):
            source.backup(target)
        other = Member(self.plan, self.seed, folder, self.tenant, self.operator, self.broker, device="clone")
        other.sampled_ms = self.sampled_ms
        return other

    def close(self) -> None:
        """Leave the broker, close the outbox."""
        if self.is_linked:
            self.publisher.stop()
        self.outbox.close()
