"""Frames for ingest's tests: a gateway that signs what it is told, without an outbox or a broker."""

import random
from collections.abc import Sequence

from lading.assignment import BEGIN, Assignment, sign_assignment
from lading.cose import KeySigner
from lading.frame import CLOSED, IDLE, NO_ANCHOR, NO_LEG, OPEN, Frame, LegRef, Reading, make_run, seal
from lading.gateways import GatewayEntry
from lading.limits import ChannelLimits, Limits
from lading.names import tenant_id
from lading.quantities import Quantity
from lading.topics import gateway_topic
from lading.totals import EMPTY, Totals, fold
from lading.tree import ZERO_HASH

TENANT = "demo"
BEGIN_MS = 1_772_409_600_000
OPERATOR = KeySigner.from_seed(b"operator")
OPERATORS = {tenant_id(TENANT): OPERATOR.public}


def limits_of(channels: int) -> Limits:
    """Temperature channels 1.. with an upper limit of 8 °C."""
    return Limits(
        tuple(
            ChannelLimits(channel, Quantity.TEMPERATURE, lower=2_000, upper=8_000)
            for channel in range(1, channels + 1)
        )
    )


class Truck:
    """One gateway and its open leg."""

    def __init__(self, name: str = "truck-1", channels: int = 2, seed: int = 1) -> None:
        self.signer = KeySigner.from_seed(name.encode())
        self.id = self.signer.public.gateway_id
        self.name = name
        self.topic = gateway_topic(TENANT, self.id, "frames")
        self.order_topic = gateway_topic(TENANT, self.id, "assignment")
        self._random = random.Random(f"{name}/{seed}")
        self._channels = channels
        self.limits = limits_of(channels)
        self.order_seq = 0
        self.frame_seq, self.previous, self.now_ms = 0, ZERO_HASH, BEGIN_MS
        self.next_seq = dict.fromkeys(range(1, channels + 1), 0)
        self.totals: dict[int, Totals] = {}
        self.leg = NO_LEG

    def entry(self, valid_from_ms: int = 0, valid_until_ms: int | None = None) -> GatewayEntry:
        """Its line in the registry's view."""
        return GatewayEntry(self.signer.public, TENANT, valid_from_ms, valid_until_ms, self.name)

    def order(self, reference: str = "", signer: KeySigner = OPERATOR) -> bytes:
        """The operator's signed begin, which the truck obeys at once."""
        self.order_seq += 1
        reference = reference or f"{self.name} leg {self.order_seq}"
        order = Assignment(
            BEGIN, tenant_id(TENANT), self.id, self.order_seq, bytes(16), reference, self.now_ms, self.now_ms, 0,
            self.limits,
        )  # fmt: skip
        self.leg = LegRef(OPEN, order.leg_id, self.limits.hash)
        self.totals = dict.fromkeys(self.next_seq, EMPTY)
        return sign_assignment(order, signer)

    def frame(self, readings: int = 3, *, state: int | None = None) -> Frame:
        """The next frame: `readings` of each channel, a minute apart."""
        state = self.leg.state if state is None else state
        runs = []
        for channel in self.next_seq if state != IDLE or readings else ():
            found = self._readings(channel, readings)
            totals = EMPTY
            if state != IDLE:
                totals = fold(self.totals[channel], self.limits.channel(channel), found)
                self.totals[channel] = totals
            salt = self._random.randbytes(16)
            runs.append(make_run(channel, Quantity.TEMPERATURE, self.next_seq[channel], salt, found, totals))
            self.next_seq[channel] += readings
        self.now_ms += 60_000 * max(readings, 1)
        leg = NO_LEG if state == IDLE else self.leg._replace(state=state)
        frame = seal(self.signer, leg, self.frame_seq, self.previous, self.now_ms, NO_ANCHOR, runs)
        if state == CLOSED:
            self.leg = NO_LEG
        self.frame_seq += 1
        self.previous = frame.header.hash
        return frame

    def _readings(self, channel: int, count: int) -> Sequence[Reading]:
        return [
            Reading(self.next_seq[channel] + i, self.now_ms + 60_000 * i, self._random.randint(1_000, 9_000))
            for i in range(count)
        ]

    def messages(self, count: int, readings: int = 3) -> list[tuple[str, bytes]]:
        """The next frames as MQTT messages."""
        return [(self.topic, self.frame(readings).encode()) for _ in range(count)]


class Fleet:
    """A view of the registry in memory."""

    def __init__(self, *trucks: Truck) -> None:
        self.entries = {truck.id: truck.entry() for truck in trucks}

    def find(self, gateway_id: bytes) -> GatewayEntry | None:
        """See `lading.gateways.Gateways`."""
        return self.entries.get(gateway_id)
