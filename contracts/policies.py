"""What an insurer's pool is opened on, and the ids of pools and covers (docs/spec/cover.md)."""

from dataclasses import astuple, dataclass

from contracts.typed_data import Domain, hash_leg, hash_tiers, keccak256, separator_of
from lading.abi_words import Kind, encode_record
from lading.policy import POLICY_HEAD_KINDS, Policy

NAME, VERSION = "Lading ParametricCover", "1"
_POOL_KINDS: tuple[Kind, ...] = ("a", "a", 96, 96, 32, 32, 32, 128)
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


def cover_id(policy: Policy, domain: Domain) -> bytes:
    """The EIP-712 digest that the manager signs; on chain the cover's id."""
    return keccak256(b"\x19\x01" + separator_of(domain, NAME, VERSION) + policy_hash(policy))


def policy_hash(policy: Policy) -> bytes:
    """EIP-712 hashStruct."""
    head = encode_record(policy.head(), POLICY_HEAD_KINDS)
    words = [keccak256(_TYPE.encode()), head, hash_leg(policy.leg), hash_tiers(policy.tiers)]
    return keccak256(b"".join(words))
