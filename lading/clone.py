"""Proof that two devices sign with one key: two different frames with one frame_seq (docs/spec/frame.md)."""

from dataclasses import dataclass

from lading import fields
from lading.cbor import encode, open_document
from lading.cose import PublicKey
from lading.decoding import decode_envelope
from lading.errors import MalformedError
from lading.frame import Header

TAG = "lading/clone/1"
ENVELOPE_BYTES_MAX = 512
CLONE_BYTES_MAX = 2_048


@dataclass(frozen=True)
class Clone:
    """Both envelopes, ordered by frame hash."""

    first: bytes
    second: bytes

    @staticmethod
    def of(one: bytes, other: bytes) -> "Clone":
        """The proof from two envelopes in any order; MalformedError `clone` when they prove nothing."""
        headers = decode_envelope(one)[0], decode_envelope(other)[0]
        clone = Clone(one, other) if headers[0].hash < headers[1].hash else Clone(other, one)
        clone.headers()
        return clone

    def headers(self) -> tuple[Header, Header]:
        """Both headers; MalformedError unless they are of one gateway and frame_seq, and ordered by frame hash."""
        first, second = decode_envelope(self.first)[0], decode_envelope(self.second)[0]
        same = (first.gateway_id, first.frame_seq) == (second.gateway_id, second.frame_seq)
        if not same or first.hash >= second.hash:
            raise MalformedError(
                "clone", "not two frames of one gateway and frame_seq, ordered by frame hash"
            )
        return first, second

    def check(self, key: PublicKey) -> None:
        """RejectedError `signature` unless `key` signed both."""
        for envelope in (self.first, self.second):
            header, signature = decode_envelope(envelope)
            key.verify(header.signed, signature)

    def encode(self) -> bytes:
        """Document `lading/clone/1`."""
        return encode([TAG, self.first, self.second])

    @staticmethod
    def decode(data: bytes) -> "Clone":
        """From the document."""
        first, second = open_document(data, TAG, 3, CLONE_BYTES_MAX)
        clone = Clone(
            fields.blob(first, "first envelope", ENVELOPE_BYTES_MAX),
            fields.blob(second, "second envelope", ENVELOPE_BYTES_MAX),
        )
        clone.headers()
        return clone
