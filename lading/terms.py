"""What carrier and shipper sign (docs/spec/settlement.md): the terms, their one ABI encoding, and what they make due.

The ABI encoding is `abi.encode(Terms)` of contracts/src/Settlement.sol, written out so that verifying needs no web3.
"""

from dataclasses import astuple, dataclass, fields

from lading.errors import MalformedError
from lading.settlement import TERMS_BYTES_MAX

WORD = 32
TIERS_MAX = 32
_TIER_WORDS = 4


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
        if len(tiers) > TIERS_MAX:
            raise MalformedError("terms", f"{len(tiers)} tiers, wanted at most {TIERS_MAX}")
        terms = Terms(*values, tiers=tiers)
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


def _value(word: bytes, kind: _Kind) -> "int | bytes":
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
