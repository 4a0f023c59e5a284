"""What carrier and shipper sign (docs/spec/settlement.md): the terms, and their one ABI encoding.

The ABI encoding is `abi.encode(Terms)` of contracts/src/Settlement.sol, written out so that verifying needs no web3.
`lading.terms_v1` has the terms of the escrow's first version, whose agreements go on.
"""

from dataclasses import astuple, dataclass

from lading.abi_words import WORD, Kind, WordReader, encode_array, encode_record, uint_word
from lading.due import LegTerms
from lading.errors import MalformedError
from lading.settlement import TERMS_BYTES_MAX
from lading.tiers import TIER_KINDS, TIERS_MAX, Metric, Tier

LEGS_MAX = 16
LEG_KINDS: tuple[Kind, ...] = ("b", "b", "b", 64, 64, 64)
HEAD_KINDS: tuple[Kind, ...] = ("a", "a", "a", "b", 32, 32, 128, 128, 128)
_HEAD_BYTES = (len(HEAD_KINDS) + 2) * WORD
_LEAST_BYTES = WORD + _HEAD_BYTES + 2 * WORD


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of the shipment. Times in milliseconds or seconds as their names say; due_ms 0: no time was agreed."""

    gateway_id: bytes
    leg_id: bytes
    limits_hash: bytes
    begin_ms: int
    due_ms: int
    deadline_s: int


@dataclass(frozen=True, slots=True)
class Terms:
    """Amounts in the token's smallest units; addresses are 20 bytes. The tiers apply to each leg.

    `uncertainty_max_milli`: the greatest uncertainty of a channel's calibration, in thousandths of its unit; 0 where
    calibration is not asked for.
    """

    carrier: bytes
    shipper: bytes
    token: bytes
    tenant: bytes
    window_s: int
    uncertainty_max_milli: int
    bond: int
    leg_cap: int
    salt: int
    legs: tuple[Leg, ...]
    tiers: tuple[Tier, ...]

    def leg_terms(self, index: int) -> LegTerms:
        """What one leg owes by."""
        leg = self.legs[index]
        return LegTerms(leg.begin_ms, leg.due_ms, leg.deadline_s, self.leg_cap, self.tiers, leg.begin_ms)

    def encode(self) -> bytes:
        """`abi.encode(terms)`: a dynamic tuple, words of 32 bytes."""
        *values, legs, tiers = (getattr(self, name) for name in self.__slots__)
        legs_words = encode_array([astuple(leg) for leg in legs], LEG_KINDS)
        places = uint_word(_HEAD_BYTES) + uint_word(_HEAD_BYTES + len(legs_words))
        tiers_words = encode_array([astuple(tier) for tier in tiers], TIER_KINDS)
        return b"".join([uint_word(WORD), encode_record(values, HEAD_KINDS), places, legs_words, tiers_words])

    @staticmethod
    def decode(data: bytes) -> "Terms":
        """Exactly one encoding; MalformedError `terms`."""
        words = WordReader(data, "terms", _LEAST_BYTES, TERMS_BYTES_MAX)
        words.take(256)
        values = words.record(HEAD_KINDS)
        _ = words.take(256), words.take(256)
        legs = tuple(Leg(*one) for one in words.array(LEG_KINDS, LEGS_MAX, "legs"))
        tiers = tuple(Tier(*one) for one in words.array(TIER_KINDS, TIERS_MAX, "tiers"))
        if any(not 1 <= tier.metric <= max(Metric) for tier in tiers):
            raise MalformedError("terms", f"metrics {[tier.metric for tier in tiers]}, wanted known ones")
        terms = Terms(*[*values, legs, tiers])
        if terms.encode() != data:
            raise MalformedError("terms", "not the one ABI encoding of terms")
        return terms
