"""The terms of the escrow's first version (docs/spec/settlement.md): one leg, no calibration; such agreements go on."""

from dataclasses import astuple, dataclass, fields

from lading.abi_words import WORD, Kind, WordReader, encode_array, encode_record, uint_word
from lading.due import LegTerms
from lading.errors import MalformedError
from lading.settlement import TERMS_BYTES_MAX
from lading.terms import Leg
from lading.tiers import TIER_KINDS, TIERS_MAX, Metric, Tier

HEAD_KINDS: tuple[Kind, ...] = ("a", "a", "a", "b", "b", "b", "b", 64, 64, 64, 32, 128, 128)
_TIERS_AT = (len(HEAD_KINDS) + 1) * WORD
_LEAST_BYTES = WORD + _TIERS_AT + WORD


@dataclass(frozen=True, slots=True)
class TermsV1:
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

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The one leg, as the later terms have it."""
        return (
            Leg(self.gateway_id, self.leg_id, self.limits_hash, self.begin_ms, self.due_ms, self.deadline_s),
        )

    @property
    def uncertainty_max_milli(self) -> int:
        """These terms ask for no calibration."""
        return 0

    @property
    def leg_cap(self) -> int:
        """The one leg may cost the whole bond."""
        return self.bond

    def leg_terms(self, index: int) -> LegTerms:
        """What the one leg owes by."""
        assert index == 0
        return LegTerms(self.begin_ms, self.due_ms, self.deadline_s, self.bond, self.tiers, 0)

    def encode(self) -> bytes:
        """`abi.encode(terms)`: a dynamic tuple, words of 32 bytes."""
        values = [getattr(self, field.name) for field in fields(self)[:-1]]
        tiers = encode_array([astuple(tier) for tier in self.tiers], TIER_KINDS)
        return b"".join([uint_word(WORD), encode_record(values, HEAD_KINDS), uint_word(_TIERS_AT), tiers])

    @staticmethod
    def decode(data: bytes) -> "TermsV1":
        """Exactly one encoding; MalformedError `terms`."""
        words = WordReader(data, "terms", _LEAST_BYTES, TERMS_BYTES_MAX)
        words.take(256)
        values = words.record(HEAD_KINDS)
        words.take(256)
        tiers = tuple(Tier(*one) for one in words.array(TIER_KINDS, TIERS_MAX, "tiers"))
        if any(not 1 <= tier.metric <= max(Metric) for tier in tiers):
            raise MalformedError("terms", f"metrics {[tier.metric for tier in tiers]}, wanted known ones")
        terms = TermsV1(*[*values, tiers])
        if terms.encode() != data:
            raise MalformedError("terms", "not the one ABI encoding of terms")
        return terms
