"""What an insurer's pool is opened on, and what its manager signs (docs/spec/cover.md): one encoding, one digest."""

from dataclasses import astuple, dataclass
from typing import Any

from contracts.typed_data import Domain, hash_leg, hash_tiers, keccak256, separator_of
from lading.abi_words import WORD, Kind, WordReader, encode_array, encode_record, uint_word
from lading.errors import MalformedError
from lading.settlement import TERMS_BYTES_MAX
from lading.terms import LEG_KINDS, Leg
from lading.tiers import TIER_KINDS, TIERS_MAX, Metric, Tier

NAME, VERSION = "Lading ParametricCover", "1"
_POOL_KINDS: tuple[Kind, ...] = ("a", "a", 96, 96, 32, 32, 32, 128)
_HEAD_KINDS: tuple[Kind, ...] = ("b", "a", "b", 64, 64, 32, 32, 96, 96, 96, 128)
_TIERS_AT = (len(_HEAD_KINDS) + len(LEG_KINDS) + 1) * WORD
_LEAST_BYTES = WORD + _TIERS_AT + WORD
_TYPE = (
    "Policy(bytes32 pool,address holder,bytes32 tenant,uint64 startS,uint64 quoteUntilS,uint32 windowS,"
    "uint32 uncertaintyMaxMilli,uint96 maximum,uint96 deductible,uint96 premium,uint128 salt,Leg leg,Tier[] tiers)"
    "Leg(bytes32 gatewayId,bytes32 legId,bytes32 limitsHash,uint64 beginMs,uint64 dueMs,uint64 deadlineS)"
    "Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)"
)


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """A pool's terms; amounts in the token's smallest units. Nobody can change them."""

    manager: bytes
    token: bytes
    event_max: int
    aggregate_max: int
    waiting_s: int
    span_s: int
    notice_s: int
    salt: int

    def pool_id(self, domain: Domain) -> bytes:
        """The pool's id at the contract that keeps its books."""
        place = encode_record([domain.chain_id, domain.escrow], (256, "a"))
        return keccak256(place + encode_record(astuple(self), _POOL_KINDS))


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

    def cover_id(self, domain: Domain) -> bytes:
        """The EIP-712 digest that the manager signs; on chain the cover's id."""
        head = encode_record(self._head(), _HEAD_KINDS)
        words = [keccak256(_TYPE.encode()), head, hash_leg(self.leg), hash_tiers(self.tiers)]
        return keccak256(b"\x19\x01" + separator_of(domain, NAME, VERSION) + keccak256(b"".join(words)))

    def argument(self) -> tuple[Any, ...]:
        """struct Policy, as the ABI encoder takes it."""
        return (*self._head(), astuple(self.leg), [astuple(tier) for tier in self.tiers])

    def encode(self) -> bytes:
        """`abi.encode(policy)`: a dynamic tuple, words of 32 bytes."""
        head = encode_record(self._head(), _HEAD_KINDS) + encode_record(astuple(self.leg), LEG_KINDS)
        tiers = encode_array([astuple(tier) for tier in self.tiers], TIER_KINDS)
        return b"".join([uint_word(WORD), head, uint_word(_TIERS_AT), tiers])

    @staticmethod
    def decode(data: bytes) -> "Policy":
        """Exactly one encoding; MalformedError `policy`."""
        words = WordReader(data, "policy", _LEAST_BYTES, TERMS_BYTES_MAX)
        words.take(256)
        head, leg = words.record(_HEAD_KINDS), Leg(*words.record(LEG_KINDS))
        words.take(256)
        tiers = tuple(Tier(*one) for one in words.array(TIER_KINDS, TIERS_MAX, "tiers"))
        if any(not 1 <= tier.metric <= max(Metric) for tier in tiers):
            raise MalformedError("policy", f"metrics {[tier.metric for tier in tiers]}, wanted known ones")
        policy = Policy(*[*head, leg, tiers])
        if policy.encode() != data:
            raise MalformedError("policy", "not the one ABI encoding of a policy")
        return policy

    def _head(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__[:-2]]
