"""A message as it came, before any check (docs/spec/raw.md): what lies between the receivers and admission."""

from dataclasses import dataclass

from ingest.admission import peek
from lading import fields, topics
from lading.cbor import encode, open_document
from lading.frame import FRAME_BYTES_MAX

TAG = "lading/raw/1"
ORIGIN_BYTES_MAX = 65_535
RAW_BYTES_MAX = FRAME_BYTES_MAX + 131_072
NAME_BYTES_MAX = 64
"""Of what a topic names in a gateway's place: whoever publishes may write 64 KiB there, and a key is bounded."""


@dataclass(frozen=True, slots=True)
class RawMessage:
    """MQTT topic, when it came, and its bytes."""

    origin: str
    received_ms: int
    data: bytes

    def encode(self) -> bytes:
        """Document `lading/raw/1`."""
        return encode([TAG, self.origin, self.received_ms, self.data[: FRAME_BYTES_MAX + 1]])

    @staticmethod
    def decode(document: bytes) -> "RawMessage":
        """From the document."""
        origin, received, data = open_document(document, TAG, 4, RAW_BYTES_MAX)
        return RawMessage(
            fields.text(origin, "origin", ORIGIN_BYTES_MAX),
            fields.time_ms(received, "received"),
            fields.blob(data, "message", FRAME_BYTES_MAX + 1),
        )


def key_of(origin: str, data: bytes) -> bytes:
    """The log key of a message, and of its dead letter: whose past decides about it."""
    frame = peek(data)
    if frame is not None:
        return frame.gateway
    parts = origin.split("/")
    named = parts[3] if origin.startswith(f"{topics.ROOT}/") and len(parts) > 3 else ""
    try:
        return bytes.fromhex(named)[:NAME_BYTES_MAX] or b"-"
    except ValueError:
        return named.encode()[:NAME_BYTES_MAX]
