"""What a leg must keep, by channel (docs/spec/limits.md). One hash binds gateway, agreement and verdict to it."""

import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache

from lading.errors import MalformedError
from lading.fields import I32_MAX, I32_MIN, U16_MAX, U32_MAX
from lading.quantities import Quantity, is_quantity
from lading.tree import sha256

TYPE, VERSION = 5, 1
CHANNELS_MAX = 256
HOLD_MS_MAX = 86_400_000
OFF_U32, OFF_LOW, OFF_HIGH = U32_MAX, I32_MIN, I32_MAX

_HEAD = struct.Struct(">BBH")
_RECORD = struct.Struct(">HHiiIIIIIiiiIIIIH")
LIMITS_BYTES_MAX = _HEAD.size + CHANNELS_MAX * _RECORD.size


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """One channel's limits. Values in thousandths of the unit, times in ms; the OFF_ values switch a limit off."""

    channel: int
    quantity: int
    lower: int = OFF_LOW
    upper: int = OFF_HIGH
    hold_ms: int = 600_000
    above_stretch_max_ms: int = OFF_U32
    above_total_max_ms: int = OFF_U32
    below_stretch_max_ms: int = OFF_U32
    below_total_max_ms: int = OFF_U32
    peak_lower: int = OFF_LOW
    peak_upper: int = OFF_HIGH
    mkt_max: int = OFF_HIGH
    gap_max_ms: int = OFF_U32
    unknown_total_max_ms: int = OFF_U32
    rate_max: int = OFF_U32
    stuck_max_ms: int = OFF_U32

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise MalformedError("limits", f"channel {self.channel}: {problem}")

    def encode(self) -> bytes:
        """The record of 62 bytes."""
        return _RECORD.pack(*(getattr(self, field.name) for field in fields(self)), 0)


def _problems(limits: ChannelLimits) -> list[str]:
    found = [
        f"{field.name} {getattr(limits, field.name)} does not fit"
        for field, (low, high) in zip(fields(ChannelLimits), _BOUNDS, strict=True)
        if not low <= getattr(limits, field.name) <= high
    ]
    if not is_quantity(limits.quantity):
        found.append(f"unknown quantity {limits.quantity}")
    if limits.lower > limits.upper:
        found.append(f"lower {limits.lower} above upper {limits.upper}")
    if limits.peak_lower > limits.peak_upper:
        found.append(f"peak_lower {limits.peak_lower} above peak_upper {limits.peak_upper}")
    if not 1 <= limits.hold_ms <= HOLD_MS_MAX:
        found.append(f"hold_ms {limits.hold_ms}, wanted 1..{HOLD_MS_MAX}")
    if limits.mkt_max != OFF_HIGH and limits.quantity != Quantity.TEMPERATURE:
        found.append(
            f"mkt_max {limits.mkt_max} on quantity {limits.quantity}, which has no mean kinetic temperature"
        )
    return found


_TYPE_BOUNDS = {"H": (0, U16_MAX), "I": (0, U32_MAX), "i": (I32_MIN, I32_MAX)}
_BOUNDS = [_TYPE_BOUNDS[code] for code in _RECORD.format[1:-1]]


@dataclass(frozen=True)
class Limits:
    """The limits of a leg's channels, ascending."""

    channels: tuple[ChannelLimits, ...]

    def __post_init__(self) -> None:
        numbers = [limits.channel for limits in self.channels]
        if not 1 <= len(numbers) <= CHANNELS_MAX:
            raise MalformedError("limits", f"{len(numbers)} channels, wanted 1..{CHANNELS_MAX}")
        if any(a >= b for a, b in itertools.pairwise(numbers)):
            raise MalformedError("limits", f"channels {numbers} are not strictly ascending")

    def encode(self) -> bytes:
        """The bytes that `hash` is of."""
        return _HEAD.pack(TYPE, VERSION, len(self.channels)) + b"".join(c.encode() for c in self.channels)

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the encoding, 32 bytes."""
        return sha256(self.encode())

    @cached_property
    def by_channel(self) -> Mapping[int, ChannelLimits]:
        """Channel number to its limits."""
        return {limits.channel: limits for limits in self.channels}

    def channel(self, number: int) -> ChannelLimits:
        """Limits of one channel; KeyError if it has none."""
        return self.by_channel[number]

    @staticmethod
    @lru_cache(maxsize=64)  # many legs have the same limits
    def decode(data: bytes) -> "Limits":
        """Exactly one encoding; MalformedError code `limits`."""
        if len(data) < _HEAD.size:
            raise MalformedError("limits", f"{len(data)} bytes, wanted at least {_HEAD.size}")
        kind, version, count = _HEAD.unpack_from(data)
        if (kind, version) != (TYPE, VERSION):
            raise MalformedError("limits", f"type {kind} version {version}, wanted {TYPE} and {VERSION}")
        if len(data) != _HEAD.size + count * _RECORD.size:
            raise MalformedError("limits", f"{len(data)} bytes for {count} channels")
        records = list(_RECORD.iter_unpack(data[_HEAD.size :]))
        if any(record[-1] for record in records):
            raise MalformedError("limits", "reserved bits are set")
        return Limits(tuple(ChannelLimits(*record[:-1]) for record in records))
