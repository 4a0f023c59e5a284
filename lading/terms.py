"""What carrier and shipper sign (docs/spec/settlement.md): the terms, their one ABI encoding, and what they make due.

The ABI encoding is `abi.encode(Terms)` of contracts/src/Settlement.sol, written out so that verifying needs no web3.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from enum import IntEnum
from typing import Any, NamedTuple

from lading.errors import MalformedError
from lading.settlement import TERMS_BYTES_MAX, Kind
from lading.totals import EMPTY, Totals

WORD = 32
TIERS_MAX = 32
_TIER_WORDS = 4


class Metric(IntEnum):
    """The figures that tiers compare. Values, in thousandths, are shifted by 2^31; the least one is turned over."""

    ABOVE_MS = 1
    ABOVE_LONGEST_MS = 2
    BELOW_MS = 3
    BELOW_LONGEST_MS = 4
    MKT = 5  # the weight sum, compared with threshold · known_ms
    LONGEST_GAP_MS = 6
    UNKNOWN_MS = 7
    LATE_MS = 8  # of the leg
    SILENCE_MS = 9  # of the leg
    MAX_VALUE = 10
    MIN_VALUE = 11
    UNCOVERED_MS = 12  # from the planned begin to the frame, without the time the channel's readings span


METRICS_OF_LEG = (Metric.LATE_MS, Metric.SILENCE_MS)
VALUE_OFFSET = 1 << 31


@dataclass(frozen=True, slots=True)
class Tier:
    """Where the metric's figure is above `threshold`, `amount` is due. `channel` is 0 for a metric of the leg."""

    channel: int
    metric: int
    threshold: int
    amount: int


@dataclass(frozen=True, slots=True)
class Terms:
    """Times in milliseconds or seconds as their names say; amounts in the token's units; addresses are 20 bytes."""

    carrier: bytes
    shipper: bytes
    token: bytes
    tenant: bytes
    gateway_id: bytes
    leg_id: bytes
    limits_hash: bytes
    begin_ms: int
    due_ms: int
    deadline_s: int
    window_s: int
    bond: int
    salt: int
    tiers: tuple[Tier, ...]

    def encode(self) -> bytes:
        """`abi.encode(terms)`: a dynamic tuple, words of 32 bytes."""
        head = b"".join(
            _word(getattr(self, field.name), kind)
            for field, kind in zip(fields(self)[:-1], _KINDS, strict=True)
        )
        tiers = b"".join(
            _word(value, kind)
            for tier in self.tiers
            for value, kind in zip(astuple(tier), _TIER_KINDS, strict=True)
        )
        return b"".join([_uint(WORD), head, _uint(_TIERS_AT), _uint(len(self.tiers)), tiers])

    @staticmethod
    def decode(data: bytes) -> "Terms":
        """Exactly one encoding; MalformedError `terms`."""
        if len(data) > TERMS_BYTES_MAX or len(data) < _LEAST_BYTES or len(data) % WORD:
            raise MalformedError(
                "terms", f"{len(data)} bytes, wanted whole words from {_LEAST_BYTES} to {TERMS_BYTES_MAX}"
            )
        words = [data[at : at + WORD] for at in range(0, len(data), WORD)]
        values = [_value(word, kind) for word, kind in zip(words[1:], _KINDS, strict=False)]
        rest = words[_TIERS_AT // WORD + 2 :]
        tiers = tuple(
            Tier(
                *(
                    _value(word, kind)
                    for word, kind in zip(rest[at : at + _TIER_WORDS], _TIER_KINDS, strict=False)
                )
            )
            for at in range(0, len(rest) - len(rest) % _TIER_WORDS, _TIER_WORDS)
        )
        if len(tiers) > TIERS_MAX or any(not 1 <= tier.metric <= max(Metric) for tier in tiers):
            raise MalformedError("terms", f"{len(tiers)} tiers, wanted at most {TIERS_MAX}, of known metrics")
        terms = Terms(*[*values, tiers])
        if terms.encode() != data:
            raise MalformedError("terms", "not the one ABI encoding of terms")
        return terms


# Kinds: an integer is the bits of an unsigned number; "a" is an address, "b" is 32 bytes.
_Kind = int | str
_KINDS: tuple[_Kind, ...] = ("a", "a", "a", "b", "b", "b", "b", 64, 64, 64, 32, 128, 128)
_TIER_KINDS: tuple[_Kind, ...] = (16, 8, 128, 128)
_TIERS_AT = (len(_KINDS) + 1) * WORD
_LEAST_BYTES = WORD + _TIERS_AT + WORD


def _uint(value: int) -> bytes:
    return value.to_bytes(WORD, "big")


def _word(value: int | bytes, kind: _Kind) -> bytes:
    if isinstance(value, bytes):
        assert len(value) == (20 if kind == "a" else WORD)
        return value.rjust(WORD, b"\0")
    assert isinstance(kind, int)
    assert 0 <= value < 1 << kind
    return _uint(value)


def _value(word: bytes, kind: _Kind) -> Any:
    if kind == "b":
        return word
    if kind == "a":
        if any(word[:12]):
            raise MalformedError("terms", f"address word {word.hex()}")
        return word[12:]
    assert isinstance(kind, int)
    number = int.from_bytes(word, "big")
    if number >> kind:
        raise MalformedError("terms", f"word {word.hex()} is more than {kind} bits")
    return number


# --- what is due --------------------------------------------------------------------------------------------------


class Payment(NamedTuple):
    """A settlement: a penalty to the shipper and the rest to the carrier, or the bond's release to the carrier."""

    kind: Kind
    amount: int
    rest: int


def penalty_of_channels(terms: Terms, totals: Mapping[int, Totals], sent_ms: int) -> int:
    """Sum of the reached tiers of channels, by a frame's totals."""
    tiers = [tier for tier in terms.tiers if tier.metric not in METRICS_OF_LEG]
    return sum(
        tier.amount for tier in tiers if _is_reached(terms, tier, totals.get(tier.channel, EMPTY), sent_ms)
    )


def penalty_of_leg(terms: Terms, late_ms: int, silence_ms: int) -> int:
    """Sum of the reached tiers of the leg."""
    figures = {Metric.LATE_MS: late_ms, Metric.SILENCE_MS: silence_ms}
    tiers = [tier for tier in terms.tiers if tier.metric in METRICS_OF_LEG]
    return sum(tier.amount for tier in tiers if figures[Metric(tier.metric)] > tier.threshold)


def due_from_closing(terms: Terms, totals: Mapping[int, Totals], sent_ms: int) -> Payment:
    """What the closing frame, sent at `sent_ms`, makes due: `settle` of the escrow."""
    late_ms = max(sent_ms - terms.due_ms, 0)
    return _payment(terms, penalty_of_channels(terms, totals, sent_ms) + penalty_of_leg(terms, late_ms, 0))


def due_from_shown(terms: Terms, totals: Mapping[int, Totals] | None, sent_ms: int) -> Payment:
    """What is due after the window without a closing frame, from the newest frame shown or from none: `finish`."""
    deadline_ms = terms.deadline_s * 1000
    shown = 0 if totals is None else min(penalty_of_channels(terms, totals, sent_ms), terms.bond)
    heard_ms = terms.begin_ms if totals is None else sent_ms
    late_ms, silence_ms = max(deadline_ms - terms.due_ms, 0), max(deadline_ms - heard_ms, 0)
    return _payment(terms, shown + penalty_of_leg(terms, late_ms, silence_ms))


def _payment(terms: Terms, due: int) -> Payment:
    penalty = min(due, terms.bond)
    if penalty == 0:
        return Payment("release", terms.bond, 0)
    return Payment("penalty", penalty, terms.bond - penalty)


def _is_reached(terms: Terms, tier: Tier, totals: Totals, sent_ms: int) -> bool:
    if tier.metric == Metric.MKT:
        return totals.mkt_weight_sum > tier.threshold * totals.known_ms
    return _figure(terms, Metric(tier.metric), totals, sent_ms) > tier.threshold


def _figure(terms: Terms, metric: Metric, totals: Totals, sent_ms: int) -> int:
    if metric == Metric.UNCOVERED_MS:
        if totals.count == 0:
            return max(sent_ms - terms.begin_ms, 0)
        return max(totals.first_ms - terms.begin_ms, 0) + max(sent_ms - totals.last_ms, 0)
    if metric in (Metric.MAX_VALUE, Metric.MIN_VALUE):
        value = totals.max_value if metric == Metric.MAX_VALUE else -totals.min_value
        return value + VALUE_OFFSET if totals.valid_count else 0
    figure: int = getattr(totals, metric.name.lower())
    return figure
