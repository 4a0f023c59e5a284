"""What a gateway says of a channel since the leg began: one pure integer fold (docs/spec/totals.md)."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import NamedTuple

from lading.errors import RejectedError
from lading.limits import ChannelLimits
from lading.mkt import weight
from lading.quantities import INVALID, Quantity

TOTALS_BYTES = 142
_LAYOUT = struct.Struct(">QIIQQHiQiiQQQQQQQQQQQ")
_U64_MASK = 2**64 - 1


class Reading(NamedTuple):
    """One value of one channel at one time: thousandths of the unit, milliseconds UTC."""

    seq: int
    time_ms: int
    value: int
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """A channel's totals since the leg began; `EMPTY` before its first reading. Units end the names."""

    first_seq: int = 0
    count: int = 0
    valid_count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    last_flags: int = 0
    last_value: int = 0
    valid_ms: int = 0
    min_value: int = 0
    max_value: int = 0
    longest_gap_ms: int = 0
    known_ms: int = 0
    unknown_ms: int = 0
    above_ms: int = 0
    above_longest_ms: int = 0
    above_current_ms: int = 0
    below_ms: int = 0
    below_longest_ms: int = 0
    below_current_ms: int = 0
    mkt_weight_sum: int = 0

    def encode(self) -> bytes:
        """142 bytes."""
        *most, mkt = _values(self)
        return _LAYOUT.pack(*most, mkt >> 64, mkt & _U64_MASK)

    @staticmethod
    def decode(data: bytes) -> "Totals":
        """Totals from exactly 142 bytes, which the caller has measured."""
        *most, high, low = _LAYOUT.unpack(data)
        values = [*most, high << 64 | low]
        return Totals(*values)


_values = attrgetter(*(field.name for field in fields(Totals)))  # astuple would copy every number
EMPTY = Totals()


def fold(totals: Totals, limits: ChannelLimits, readings: Iterable[Reading]) -> Totals:
    """`totals` after further readings, in order, under the channel's limits.

    Raises RejectedError `totals` when a sequence number is skipped or a time does not increase.
    """
    state = list(_values(totals))
    for reading in readings:
        _step(state, limits, reading)
    return Totals(*state)


# Positions in the list that `_step` works on: the order of Totals' fields.
(
    _FIRST_SEQ,
    _COUNT,
    _VALID_COUNT,
    _FIRST_MS,
    _LAST_MS,
    _LAST_FLAGS,
    _LAST_VALUE,
    _VALID_MS,
    _MIN,
    _MAX,
    _GAP,
    _KNOWN,
    _UNKNOWN,
    _ABOVE,
    _ABOVE_LONGEST,
    _ABOVE_NOW,
    _BELOW,
    _BELOW_LONGEST,
    _BELOW_NOW,
    _MKT,
) = range(20)


def _step(state: list[int], limits: ChannelLimits, reading: Reading) -> None:
    if state[_COUNT]:
        _check_order(state, reading)
        _hold(state, limits, reading.time_ms - state[_LAST_MS])
    else:
        state[_FIRST_SEQ], state[_FIRST_MS] = reading.seq, reading.time_ms
    if not reading.flags & INVALID:
        _take_valid(state, limits, reading)
    state[_COUNT] += 1
    state[_LAST_MS], state[_LAST_FLAGS] = reading.time_ms, reading.flags


def _check_order(state: list[int], reading: Reading) -> None:
    seq_next = state[_FIRST_SEQ] + state[_COUNT]
    if reading.seq != seq_next:
        raise RejectedError("totals", f"reading {reading.seq}, wanted {seq_next}")
    if reading.time_ms <= state[_LAST_MS]:
        raise RejectedError(
            "totals", f"reading {reading.seq} at {reading.time_ms} ms, the last was at {state[_LAST_MS]} ms"
        )


def _hold(state: list[int], limits: ChannelLimits, dt: int) -> None:
    """The time since the last reading: its value held for at most hold_ms, unknown past that."""
    if state[_LAST_FLAGS] & INVALID:
        state[_UNKNOWN] += dt
        return
    held = min(dt, limits.hold_ms)
    value = state[_LAST_VALUE]
    state[_KNOWN] += held
    state[_UNKNOWN] += dt - held
    if limits.quantity == Quantity.TEMPERATURE:
        state[_MKT] += weight(value) * held
    if value > limits.upper:
        state[_ABOVE] += held
        state[_ABOVE_NOW] += held
        state[_ABOVE_LONGEST] = max(state[_ABOVE_LONGEST], state[_ABOVE_NOW])
    if value < limits.lower:
        state[_BELOW] += held
        state[_BELOW_NOW] += held
        state[_BELOW_LONGEST] = max(state[_BELOW_LONGEST], state[_BELOW_NOW])


def _take_valid(state: list[int], limits: ChannelLimits, reading: Reading) -> None:
    value = reading.value
    if state[_VALID_COUNT]:
        state[_GAP] = max(state[_GAP], reading.time_ms - state[_VALID_MS])
        state[_MIN], state[_MAX] = min(state[_MIN], value), max(state[_MAX], value)
    else:
        state[_MIN] = state[_MAX] = value
    if value <= limits.upper:
        state[_ABOVE_NOW] = 0
    if value >= limits.lower:
        state[_BELOW_NOW] = 0
    state[_VALID_COUNT] += 1
    state[_VALID_MS], state[_LAST_VALUE] = reading.time_ms, value


@dataclass(frozen=True, slots=True)
class LegSums:
    """What several legs' totals of one quantity add up to. Stretches and gaps are the longest within one leg."""

    count: int = 0
    valid_count: int = 0
    min_value: int | None = None
    max_value: int | None = None
    longest_gap_ms: int = 0
    known_ms: int = 0
    unknown_ms: int = 0
    above_ms: int = 0
    above_longest_ms: int = 0
    below_ms: int = 0
    below_longest_ms: int = 0
    mkt_weight_sum: int = 0


def add_legs(legs: Iterable[Totals]) -> LegSums:
    """Sums, extremes and longest stretches over legs; time between two legs belongs to neither."""
    found = list(legs)
    valid = [leg for leg in found if leg.valid_count]
    return LegSums(
        count=sum(leg.count for leg in found),
        valid_count=sum(leg.valid_count for leg in found),
        min_value=min((leg.min_value for leg in valid), default=None),
        max_value=max((leg.max_value for leg in valid), default=None),
        longest_gap_ms=max((leg.longest_gap_ms for leg in found), default=0),
        known_ms=sum(leg.known_ms for leg in found),
        unknown_ms=sum(leg.unknown_ms for leg in found),
        above_ms=sum(leg.above_ms for leg in found),
        above_longest_ms=max((leg.above_longest_ms for leg in found), default=0),
        below_ms=sum(leg.below_ms for leg in found),
        below_longest_ms=max((leg.below_longest_ms for leg in found), default=0),
        mkt_weight_sum=sum(leg.mkt_weight_sum for leg in found),
    )
