"""What a cover paid over a leg (docs/spec/cover.md), as the settlement stage logs it beside what agreements paid."""

from dataclasses import dataclass
from typing import Any, Literal

from lading import fields
from lading.cbor import decode, encode, open_document
from lading.errors import MalformedError
from lading.settlement import (
    ADDRESS_BYTES,
    SETTLEMENT_BYTES_MAX,
    TERMS_BYTES_MAX,
    Settlement,
    number,
    read_place,
    read_uncertainties,
    uncertainty_items,
    wide,
)

PAYOUT_TAG = "lading/payout/1"


@dataclass(frozen=True, slots=True)
class Payout:
    """Which cover ended with what over which leg, and the transaction that did it; amounts in the token's units.

    `owed`: of the amount, what was not let out yet; `reached`: bits of the tiers; `uncertainties`: (channel,
    thousandths) of the calibrations that counted, None where the policy asks for none.
    """

    cover: bytes
    leg_id: bytes
    contract: bytes
    chain_id: int
    policy: bytes
    amount: int
    owed: int
    reached: int
    uncertainties: tuple[tuple[int, int], ...] | None
    tx_hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int

    @property
    def claim(self) -> bytes:
        """The cover's id, as a settlement's is its agreement's."""
        return self.cover

    @property
    def kind(self) -> Literal["payout", "lapse"]:
        """A lapse: nothing was due."""
        return "payout" if self.amount else "lapse"

    def encode(self) -> bytes:
        """Document `lading/payout/1`."""
        about: list[Any] = [self.cover, self.leg_id, self.contract, self.chain_id, self.policy]
        paid: list[Any] = [
            wide(self.amount),
            wide(self.owed),
            self.reached,
            uncertainty_items(self.uncertainties),
        ]
        place: list[Any] = [self.tx_hash, self.block_number, self.block_hash, self.gas_used]
        return encode([PAYOUT_TAG, *about, *paid, *place])

    @staticmethod
    def decode(data: bytes) -> "Payout":
        """From the document."""
        items = open_document(data, PAYOUT_TAG, 14, SETTLEMENT_BYTES_MAX)
        cover, leg, contract, chain_id, policy, amount, owed, reached, counted, *place = items
        paid, still = number(amount, "payout"), number(owed, "owed")
        if still > paid:
            raise MalformedError("field", f"owed is {still}, wanted at most the payout of {paid}")
        return Payout(
            fields.fixed(cover, "cover"),
            fields.fixed(leg, "leg id"),
            fields.fixed(contract, "contract", ADDRESS_BYTES),
            fields.uint(chain_id, "chain id"),
            fields.blob(policy, "policy", TERMS_BYTES_MAX),
            paid,
            still,
            fields.uint(reached, "reached", fields.U32_MAX),
            read_uncertainties(counted),
            *read_place(place),
        )


Settled = Settlement | Payout


def decode_settled(data: bytes) -> Settled:
    """A record of `lading.settlements.v1`: of an agreement, or of a cover."""
    value = decode(data, SETTLEMENT_BYTES_MAX)
    is_of_cover = isinstance(value, list) and bool(value) and value[0] == PAYOUT_TAG
    return Payout.decode(data) if is_of_cover else Settlement.decode(data)
