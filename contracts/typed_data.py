"""EIP-712 of the terms (docs/spec/settlement.md): the digest that both parties sign, and the same as wallets take it.

One table of fields a version of the escrow; type strings, hashes and the wallets' JSON all follow from it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from eth_hash.auto import keccak

from lading import terms as terms_v2
from lading import terms_v1
from lading.abi_words import WORD, Kind, encode_record
from lading.terms import Terms
from lading.terms_v1 import TermsV1
from lading.tiers import TIER_KINDS

AnyTerms = Terms | TermsV1
NAME = "Lading PenaltyEscrow"
_Fields = tuple[tuple[str, str], ...]
_DOMAIN: _Fields = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)
_PARTIES: _Fields = (
    ("carrier", "address"),
    ("shipper", "address"),
    ("token", "address"),
    ("tenant", "bytes32"),
)
_LEG: _Fields = (
    ("gatewayId", "bytes32"),
    ("legId", "bytes32"),
    ("limitsHash", "bytes32"),
    ("beginMs", "uint64"),
    ("dueMs", "uint64"),
    ("deadlineS", "uint64"),
)
_TIER: _Fields = (
    ("channel", "uint16"),
    ("metric", "uint8"),
    ("threshold", "uint128"),
    ("amount", "uint128"),
)
_TYPES: dict[int, dict[str, _Fields]] = {
    1: {
        "Terms": (
            *_PARTIES,
            *_LEG,
            ("windowS", "uint32"),
            ("bond", "uint128"),
            ("salt", "uint128"),
            ("tiers", "Tier[]"),
        ),
        "Tier": _TIER,
    },
    2: {
        "Terms": (
            *_PARTIES,
            ("windowS", "uint32"),
            ("uncertaintyMaxMilli", "uint32"),
            ("bond", "uint128"),
            ("legCap", "uint128"),
            ("salt", "uint128"),
            ("legs", "Leg[]"),
            ("tiers", "Tier[]"),
        ),
        "Leg": _LEG,
        "Tier": _TIER,
    },
}


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature counts: one escrow, or another contract that judges legs, on one chain."""

    chain_id: int
    escrow: bytes

    def separator(self, version: int) -> bytes:
        """EIP-712 domain separator of an escrow of a version."""
        return separator_of(self, NAME, str(version))


def separator_of(domain: Domain, name: str, version: str) -> bytes:
    """EIP-712 domain separator of a contract with this name."""
    texts = [_encode_type("EIP712Domain", {"EIP712Domain": _DOMAIN}), name, version]
    words = [keccak256(text.encode()) for text in texts]
    return keccak256(b"".join(words) + encode_record([domain.chain_id, domain.escrow], (256, "a")))


def hash_leg(leg: terms_v2.Leg) -> bytes:
    """EIP-712 hashStruct of a leg."""
    return keccak256(_type_hash(2, "Leg") + encode_record(astuple(leg), terms_v2.LEG_KINDS))


def hash_tiers(tiers: Iterable[Any]) -> bytes:
    """EIP-712 hash of a list of tiers."""
    return _hash_all(2, "Tier", tiers, TIER_KINDS)


def version_of(terms: AnyTerms) -> int:
    """Which version of the escrow takes such terms."""
    return 1 if isinstance(terms, TermsV1) else 2


def agreement_id(terms: AnyTerms, domain: Domain) -> bytes:
    """The EIP-712 digest that both parties sign; on chain the agreement's id."""
    return keccak256(b"\x19\x01" + domain.separator(version_of(terms)) + terms_hash(terms))


def terms_hash(terms: AnyTerms) -> bytes:
    """EIP-712 hashStruct."""
    if isinstance(terms, TermsV1):
        *values, tiers = (getattr(terms, name) for name in terms.__slots__)
        head, arrays = encode_record(values, terms_v1.HEAD_KINDS), [_hash_all(1, "Tier", tiers, TIER_KINDS)]
    else:
        *values, legs, tiers = (getattr(terms, name) for name in terms.__slots__)
        head = encode_record(values, terms_v2.HEAD_KINDS)
        arrays = [
            _hash_all(2, "Leg", legs, terms_v2.LEG_KINDS),
            _hash_all(2, "Tier", tiers, TIER_KINDS),
        ]
    return keccak256(_type_hash(version_of(terms), "Terms") + head + b"".join(arrays))


def typed_data(terms: AnyTerms, domain: Domain) -> dict[str, Any]:
    """`eth_signTypedData_v4`'s argument: numbers as decimal text, so that no wallet rounds them."""
    version = version_of(terms)
    types = {"EIP712Domain": _DOMAIN} | _TYPES[version]
    return {
        "domain": {
            "name": NAME,
            "version": str(version),
            "chainId": domain.chain_id,
            "verifyingContract": "0x" + domain.escrow.hex(),
        },
        "primaryType": "Terms",
        "types": {name: [{"name": n, "type": t} for n, t in fields] for name, fields in types.items()},
        "message": _message(version, "Terms", [getattr(terms, name) for name in terms.__slots__]),
    }


def terms_argument(terms: AnyTerms) -> tuple[Any, ...]:
    """struct Terms, as the ABI encoder takes it."""
    return tuple(
        [astuple(one) for one in value] if isinstance(value, tuple) else value
        for value in (getattr(terms, name) for name in terms.__slots__)
    )


def _message(version: int, name: str, values: Sequence[Any]) -> dict[str, Any]:
    pairs = zip(_TYPES[version][name], values, strict=True)
    return {field: _value(version, kind, value) for (field, kind), value in pairs}


def _value(version: int, kind: str, value: Any) -> Any:
    if kind.endswith("[]"):
        return [_message(version, kind[:-2], astuple(one)) for one in value]
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _hash_all(version: int, name: str, records: Iterable[Any], kinds: Sequence[Kind]) -> bytes:
    """Hash of an array of structs: the hash of their hashes in order."""
    type_hash = _type_hash(version, name)
    return keccak256(b"".join(keccak256(type_hash + encode_record(astuple(one), kinds)) for one in records))


def _type_hash(version: int, name: str) -> bytes:
    digest = keccak256(_encode_type(name, _TYPES[version]).encode())
    assert len(digest) == WORD
    return digest


def _encode_type(name: str, types: dict[str, _Fields]) -> str:
    """The type with the types that it names, those by name."""
    named = sorted({kind[:-2] for _, kind in types[name] if kind.endswith("[]")})
    return "".join(
        f"{one}({','.join(f'{kind} {field}' for field, kind in types[one])})" for one in (name, *named)
    )


def keccak256(data: bytes) -> bytes:
    digest: bytes = keccak(data)
    return digest
