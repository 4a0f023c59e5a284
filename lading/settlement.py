"""A payment that an agreement made over a leg (docs/spec/settlement.md), as the settlement stage logs it."""

from dataclasses import dataclass
from typing import Literal, cast

from lading import fields
from lading.cbor import encode, open_document

TAG = "lading/settlement/1"
SETTLEMENT_BYTES_MAX = 16_384
TERMS_BYTES_MAX = 8_192
ADDRESS_BYTES = 20

Kind = Literal["penalty", "release"]
KINDS: tuple[Kind, ...] = ("penalty", "release")


@dataclass(frozen=True, slots=True)
class Settlement:
    """Which agreement paid what over which leg, and the transaction that did it. `amount` is in the token's units."""

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

    def encode(self) -> bytes:
        """Document `lading/settlement/1`."""
        return encode(
            [
                TAG,
                self.agreement,
                self.leg_id,
                self.escrow,
                self.chain_id,
                self.terms,
                self.kind,
                self.amount.to_bytes(32, "big"),
                self.tx_hash,
                self.block_number,
                self.block_hash,
                self.gas_used,
            ]
        )

    @staticmethod
    def decode(data: bytes) -> "Settlement":
        """From the document."""
        agreement, leg, escrow, chain_id, terms, kind, amount, tx, number, block, gas = open_document(
            data, TAG, 12, SETTLEMENT_BYTES_MAX
        )
        return Settlement(
            fields.fixed(agreement, "agreement"),
            fields.fixed(leg, "leg id"),
            fields.fixed(escrow, "escrow", ADDRESS_BYTES),
            fields.uint(chain_id, "chain id"),
            fields.blob(terms, "terms", TERMS_BYTES_MAX),
            cast(Kind, fields.choice(kind, "kind", KINDS)),
            int.from_bytes(fields.fixed(amount, "amount"), "big"),
            fields.fixed(tx, "transaction hash"),
            fields.uint(number, "block number"),
            fields.fixed(block, "block hash"),
            fields.uint(gas, "gas used"),
        )
