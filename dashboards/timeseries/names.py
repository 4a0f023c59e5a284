"""What gateways, legs and channels are called in tags."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from lading.frame import IDLE, Header
from lading.gateways import GatewayEntry, Gateways
from lading.tree import ZERO_HASH

HEX_DIGITS = 16
LEGS_CACHED_MAX = 65_536


class OfLeg(NamedTuple):
    """The tags of a leg; empty where there is none."""

    tenant: str
    gateway: str
    leg: str = ""

    def tags(self) -> dict[str, str]:
        """By name."""
        return self._asdict()


class Names:
    """`reference_of`: a leg's reference by its id, or None where no order has been seen."""

    def __init__(
        self,
        gateways: Gateways,
        channels: Mapping[str, Mapping[int, str]],
        reference_of: Callable[[bytes], str | None],
    ) -> None:
        self._gateways = gateways
        self._channels = channels
        self._reference_of = reference_of
        self._legs: dict[bytes, str] = {}

    def gateway(self, gateway_id: bytes) -> OfLeg:
        """Tenant and gateway."""
        entry: GatewayEntry | None = self._gateways.find(gateway_id)
        short = gateway_id.hex()[:HEX_DIGITS]
        return OfLeg(entry.tenant, entry.name or short) if entry else OfLeg("", short)

    def leg(self, gateway_id: bytes, leg_id: bytes) -> OfLeg:
        """Tenant, gateway and leg; a zero leg id is none."""
        label = "" if leg_id == ZERO_HASH else self.leg_label(leg_id)
        return self.gateway(gateway_id)._replace(leg=label)

    def of_header(self, header: Header) -> OfLeg:
        """Of a frame."""
        return self.leg(header.gateway_id, ZERO_HASH if header.leg_state == IDLE else header.leg_id)

    def leg_label(self, leg_id: bytes) -> str:
        """The reference, or the first digits of the id."""
        known = self._legs.get(leg_id)
        if known is not None:
            return known
        reference = self._reference_of(leg_id)
        if reference is None:
            return leg_id.hex()[:HEX_DIGITS]  # not kept: its order may come
        if len(self._legs) >= LEGS_CACHED_MAX:
            self._legs.clear()
        self._legs[leg_id] = reference
        return reference

    def part(self, gateway: str, channel: int) -> str:
        """The part a channel plays in `[lading.channels]`, or nothing."""
        return self._channels.get(gateway, {}).get(channel, "")
