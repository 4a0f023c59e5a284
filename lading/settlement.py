"""What an agreement paid over a leg (docs/spec/settlement.md), as the settlement stage logs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from lading import fields
from lading.cbor import decode, encode, open_document
from lading.errors import MalformedError

TAG_V1, TAG = "lading/settlement/1", "lading/settlement/2"
SETTLEMENT_BYTES_MAX = 16_384
TERMS_BYTES_MAX = 8_192
LEG_INDEX_MAX = 15
CHANNELS_MAX = 32
ADDRESS_BYTES = 20

Kind = Literal["penalty", "release"]
KINDS: tuple[Kind, ...] = ("penalty", "release")


@dataclass(frozen=True, slots=True)
class Settlement:
    """Which agreement paid what over which leg, and the transaction that did it; amounts in the token's units.

    `amount`: the penalty, or what was released. The rest is said by the second version of the document alone:
    `rest`: of the bond released; `owed`: of the penalty, what was not let out yet; `reached`: bits of the tiers;
    `uncertainties`: (channel, thousandths) of the calibrations that counted, None where the terms ask for none.
    """

    agreement: bytes
    leg_id: bytes
    escrow: bytes
    chain_id: int
    terms: bytes
    kind: Kind
    amount: int
    tx_hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int
    version: int = 1
    leg_index: int = 0
    rest: int = 0
    owed: int = 0
    reached: int = 0
    uncertainties: tuple[tuple[int, int], ...] | None = None

    @property
    def claim(self) -> bytes:
        """The agreement's id, as a payout's is its cover's."""
        return self.agreement

    @property
    def penalty(self) -> int:
        """What the shipper gets, or is owed."""
        return self.amount if self.kind == "penalty" else 0

    def encode(self) -> bytes:
        """Document `lading/settlement/1` or `/2`, by the version."""
        return encode(self._items_v1() if self.version == 1 else self._items())

    @staticmethod
    def decode(data: bytes) -> "Settlement":
        """From either document."""
        value = decode(data, SETTLEMENT_BYTES_MAX)
        if isinstance(value, list) and value and value[0] == TAG_V1:
            return _decode_v1(open_document(data, TAG_V1, 12, SETTLEMENT_BYTES_MAX))
        return _decode(open_document(data, TAG, 16, SETTLEMENT_BYTES_MAX))

    def _place(self) -> list[Any]:
        return [self.tx_hash, self.block_number, self.block_hash, self.gas_used]

    def _items_v1(self) -> list[Any]:
        about = [TAG_V1, self.agreement, self.leg_id, self.escrow, self.chain_id, self.terms]
        return [*about, self.kind, wide(self.amount), *self._place()]

    def _items(self) -> list[Any]:
        return [
            *[TAG, self.agreement, self.leg_index, self.leg_id, self.escrow, self.chain_id, self.terms],
            *[wide(self.penalty), wide(self.rest), wide(self.owed)],
            *[self.reached, uncertainty_items(self.uncertainties)],
            *self._place(),
        ]


def _decode_v1(items: Sequence[Any]) -> Settlement:
    agreement, leg, escrow, chain_id, terms, kind, amount, *place = items
    return Settlement(
        fields.fixed(agreement, "agreement"),
        fields.fixed(leg, "leg id"),
        fields.fixed(escrow, "escrow", ADDRESS_BYTES),
        fields.uint(chain_id, "chain id"),
        fields.blob(terms, "terms", TERMS_BYTES_MAX),
        cast(Kind, fields.choice(kind, "kind", KINDS)),
        number(amount, "amount"),
        *read_place(place),
    )


def _decode(items: Sequence[Any]) -> Settlement:
    agreement, index, leg, escrow, chain_id, terms, penalty, rest, owed, reached, counted, *place = items
    paid, released, still = number(penalty, "penalty"), number(rest, "rest"), number(owed, "owed")
    if still > paid:
        raise MalformedError("field", f"owed is {still}, wanted at most the penalty of {paid}")
    return Settlement(
        fields.fixed(agreement, "agreement"),
        fields.fixed(leg, "leg id"),
        fields.fixed(escrow, "escrow", ADDRESS_BYTES),
        fields.uint(chain_id, "chain id"),
        fields.blob(terms, "terms", TERMS_BYTES_MAX),
        "penalty" if paid else "release",
        paid or released,
        *read_place(place),
        version=2,
        leg_index=fields.uint(index, "leg index", LEG_INDEX_MAX),
        rest=released,
        owed=still,
        reached=fields.uint(reached, "reached", fields.U32_MAX),
        uncertainties=read_uncertainties(counted),
    )


def read_place(place: Sequence[Any]) -> tuple[bytes, int, bytes, int]:
    """Transaction and block of a document, and the gas."""
    tx, number, block, gas = place
    return (
        fields.fixed(tx, "transaction hash"),
        fields.uint(number, "block number"),
        fields.fixed(block, "block hash"),
        fields.uint(gas, "gas used"),
    )


def read_uncertainties(value: Any) -> tuple[tuple[int, int], ...] | None:
    """Of a document: ascending by channel, each once."""
    if value is None:
        return None
    found = []
    for item in fields.items(value, "uncertainties", CHANNELS_MAX):
        channel, milli = fields.items(item, "uncertainty", 2, count=2)
        found.append(
            (
                fields.uint(channel, "channel", fields.U16_MAX),
                fields.uint(milli, "uncertainty", fields.U32_MAX),
            )
        )
    if [channel for channel, _ in found] != sorted({channel for channel, _ in found}):
        raise MalformedError("field", "uncertainties are not by channel, each once")
    return tuple(found)


def uncertainty_items(counted: tuple[tuple[int, int], ...] | None) -> list[Any] | None:
    """As documents have them."""
    return None if counted is None else [list(one) for one in counted]


def wide(amount: int) -> bytes:
    """An amount as documents have it."""
    return amount.to_bytes(32, "big")


def number(value: Any, name: str) -> int:
    """An amount of a document."""
    return int.from_bytes(fields.fixed(value, name), "big")
