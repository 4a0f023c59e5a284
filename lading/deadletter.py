"""A message that was not taken, kept whole (docs/spec/dead-letter.md)."""

from dataclasses import dataclass

from lading import fields
from lading.cbor import encode, open_document

TAG = "lading/dead/1"
DEAD_BYTES_MAX = 2_097_152
DEAD_LETTER_BYTES_MAX = 2 * DEAD_BYTES_MAX + 65_536
CODE_BYTES_MAX, REASON_BYTES_MAX, ORIGIN_BYTES_MAX = 64, 1024, 512


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Code, reason, origin and bytes; `related` is the other envelope of an equivocation."""

    code: str
    reason: str
    origin: str
    received_ms: int
    data: bytes
    related: bytes | None = None

    def encode(self) -> bytes:
        """Document `lading/dead/1`; what is over-long is cut, and the reason says so."""
        reason = self.reason
        if len(self.data) > DEAD_BYTES_MAX:
            reason = f"{_cut(reason, REASON_BYTES_MAX - 64)} [cut from {len(self.data)} bytes]"
        return encode(
            [
                TAG,
                _cut(self.code, CODE_BYTES_MAX),
                _cut(reason, REASON_BYTES_MAX),
                _cut(self.origin, ORIGIN_BYTES_MAX),
                self.received_ms,
                self.data[:DEAD_BYTES_MAX],
                self.related,
            ]
        )

    @staticmethod
    def decode(data: bytes) -> "DeadLetter":
        """From the document."""
        code, reason, origin, received, message, related = open_document(data, TAG, 7, DEAD_LETTER_BYTES_MAX)
        return DeadLetter(
            fields.text(code, "code", CODE_BYTES_MAX),
            fields.text(reason, "reason", REASON_BYTES_MAX),
            fields.text(origin, "origin", ORIGIN_BYTES_MAX),
            fields.time_ms(received, "received"),
            fields.blob(message, "message", DEAD_BYTES_MAX),
            None if related is None else fields.blob(related, "related", DEAD_BYTES_MAX),
        )


def _cut(text: str, bytes_max: int) -> str:
    return text.encode("utf-8", "replace")[:bytes_max].decode("utf-8", "ignore")
