"""Ingest's word to a gateway that frames are durable (docs/spec/receipt.md): then it may forget them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lading import fields
from lading.cbor import encode, open_document
from lading.tree import sha256

TAG = "lading/receipt/1"
ITEMS_MAX = 256
RECEIPT_BYTES_MAX = 16_384


@dataclass(frozen=True, slots=True)
class Receipt:
    """Frames by number, each with SHA-256 of the whole message as it came: a receipt for other bytes is none."""

    items: tuple[tuple[int, bytes], ...]

    def encode(self) -> bytes:
        """Document `lading/receipt/1`."""
        return encode([TAG, [[frame_seq, digest] for frame_seq, digest in self.items]])

    @staticmethod
    def decode(data: bytes) -> "Receipt":
        """From the document."""
        (found,) = open_document(data, TAG, 2, RECEIPT_BYTES_MAX)
        rows = [
            fields.items(row, f"items[{i}]", 2, 2)
            for i, row in enumerate(fields.items(found, "items", ITEMS_MAX))
        ]
        return Receipt(
            tuple((fields.uint(row[0], "frame_seq"), fields.fixed(row[1], "digest")) for row in rows)
        )


def receipts(messages: Sequence[tuple[int, bytes]]) -> Iterator[Receipt]:
    """For frames by number, in pieces of ITEMS_MAX."""
    for at in range(0, len(messages), ITEMS_MAX):
        yield Receipt(tuple((seq, sha256(data)) for seq, data in messages[at : at + ITEMS_MAX]))
