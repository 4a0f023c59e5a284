"""What an insurer's manager signs and a holder buys (docs/spec/cover.md): the policy, and its one ABI encoding."""

from dataclasses import astuple, dataclass
from typing import Any

from lading.abi_words import WORD, Kind, WordReader, encode_array, encode_record, uint_word
from lading.due import LegTerms
from lading.errors import MalformedError
from lading.settlement import TERMS_BYTES_MAX
from lading.terms import LEG_KINDS, Leg
from lading.tiers import TIER_KINDS, TIERS_MAX, Metric, Tier

POLICY_HEAD_KINDS: tuple[Kind, ...] = ("b", "a", "b", 64, 64, 32, 32, 96, 96, 96, 128)
_TIERS_AT = (len(POLICY_HEAD_KINDS) + len(LEG_KINDS) + 1) * WORD
_LEAST_BYTES = WORD + _TIERS_AT + WORD


@dataclass(frozen=True, slots=True)
class Policy:
    """What a pool's manager sells to a holder; amounts in the token's smallest units."""

    pool: bytes
    holder: bytes
    tenant: bytes
    start_s: int
    quote_until_s: int
    window_s: int
    uncertainty_max_milli: int
    maximum: int
    deductible: int
    premium: int
    salt: int
    leg: Leg
    tiers: tuple[Tier, ...]

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The one leg, as terms of several have them."""
        return (self.leg,)

    @property
    def leg_terms(self) -> LegTerms:
        """What the leg makes due before the deductible is taken from it."""
        leg, most = self.leg, self.maximum + self.deductible
        heard_least_ms, since_ms = leg.begin_ms, self.start_s * 1000
        return LegTerms(leg.begin_ms, leg.due_ms, leg.deadline_s, most, self.tiers, heard_least_ms, since_ms)

    def payout(self, due: int) -> int:
        """What is paid where the leg makes so much due."""
        return min(max(due - self.deductible, 0), self.maximum)

    def head(self) -> list[Any]:
        """The fields before the leg."""
        return [getattr(self, name) for name in self.__slots__[:-2]]

    def argument(self) -> tuple[Any, ...]:
        """struct Policy, as the ABI encoder takes it."""
        return (*self.head(), astuple(self.leg), [astuple(tier) for tier in self.tiers])

    def encode(self) -> bytes:
        """`abi.encode(policy)`: a dynamic tuple, words of 32 bytes."""
        head = encode_record(self.head(), POLICY_HEAD_KINDS) + encode_record(astuple(self.leg), LEG_KINDS)
        tiers = encode_array([astuple(tier) for tier in self.tiers], TIER_KINDS)
        return b"".join([uint_word(WORD), head, uint_word(_TIERS_AT), tiers])

    @staticmethod
    def decode(data: bytes) -> "Policy":
        """Exactly one encoding; MalformedError `policy`."""
        words = WordReader(data, "policy", _LEAST_BYTES, TERMS_BYTES_MAX)
        words.take(256)
        head, leg = words.record(POLICY_HEAD_KINDS), Leg(*words.record(LEG_KINDS))
        words.take(256)
        tiers = tuple(Tier(*one) for one in words.array(TIER_KINDS, TIERS_MAX, "tiers"))
        if any(not 1 <= tier.metric <= max(Metric) for tier in tiers):
            raise MalformedError("policy", f"metrics {[tier.metric for tier in tiers]}, wanted known ones")
        policy = Policy(*[*head, leg, tiers])
        if policy.encode() != data:
            raise MalformedError("policy", "not the one ABI encoding of a policy")
        return policy
