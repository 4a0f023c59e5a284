"""The operator's signed order to a gateway: begin a leg, or end it (docs/spec/assignment.md)."""

import struct
from dataclasses import dataclass

from lading.cose import PublicKey, Signer, decode_sign1, encode_sign1, sig_structure
from lading.errors import MalformedError
from lading.fields import TIME_MS_MAX
from lading.limits import Limits
from lading.names import leg_id

TYPE, VERSION = 9, 1
BEGIN, END = 1, 2
ASSIGNMENT_BYTES_MAX = 16_384

_HEAD = struct.Struct(">BBB32s32sQ32s16sQQQH")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class Assignment:
    """One order. `limits` is there for a begin and None for an end; due_ms 0 means no time was agreed."""

    action: int
    tenant: bytes
    gateway: bytes
    order_seq: int
    salt: bytes
    reference: str
    issued_ms: int
    begin_ms: int
    due_ms: int
    limits: Limits | None

    @property
    def leg_id(self) -> bytes:
        """The salted commitment of the reference."""
        return leg_id(self.salt, self.reference)

    def encode_payload(self) -> bytes:
        """The bytes that the operator signs."""
        reference = self.reference.encode()
        limits = self.limits.encode() if self.limits else b""
        head = _HEAD.pack(
            TYPE,
            VERSION,
            self.action,
            self.tenant,
            self.gateway,
            self.order_seq,
            self.leg_id,
            self.salt,
            self.issued_ms,
            self.begin_ms,
            self.due_ms,
            len(reference),
        )
        return head + reference + _LENGTH.pack(len(limits)) + limits


def sign_assignment(assignment: Assignment, signer: Signer) -> bytes:
    """The message: a COSE_Sign1 of the order."""
    payload = assignment.encode_payload()
    return encode_sign1(payload, signer.sign(sig_structure(payload)))


def open_assignment(data: bytes, operator: PublicKey) -> Assignment:
    """The order in a message, if the operator signed it: RejectedError `signature`, MalformedError otherwise."""
    payload, signature = _split(data)
    operator.verify(sig_structure(payload), signature)
    return decode_payload(payload)


def read_assignment(data: bytes) -> Assignment:
    """The order in a message whose signature is not checked: to show it, or to find whose key to ask for."""
    payload, _ = _split(data)
    return decode_payload(payload)


def _split(data: bytes) -> tuple[bytes, bytes]:
    if len(data) > ASSIGNMENT_BYTES_MAX:
        raise MalformedError("assignment", f"{len(data)} bytes, wanted at most {ASSIGNMENT_BYTES_MAX}")
    return decode_sign1(data)


def decode_payload(payload: bytes) -> Assignment:
    """The order in a payload; exactly one encoding."""
    if len(payload) < _HEAD.size:
        raise MalformedError("assignment", f"{len(payload)} bytes, wanted at least {_HEAD.size}")
    kind, version, action, tenant, gateway, order_seq, leg, salt, issued, begin, due, length = (
        _HEAD.unpack_from(payload)
    )
    if (kind, version) != (TYPE, VERSION) or action not in (BEGIN, END):
        raise MalformedError("assignment", f"type {kind} version {version} action {action}")
    if order_seq == 0 or max(issued, begin, due) > TIME_MS_MAX:
        raise MalformedError("assignment", f"order {order_seq}, times {issued} {begin} {due}")
    reference, limits = _tail(payload, length, action)
    assignment = Assignment(action, tenant, gateway, order_seq, salt, reference, issued, begin, due, limits)
    if assignment.leg_id != leg:
        raise MalformedError("assignment", f"leg id {leg.hex()} is not the commitment of the reference")
    return assignment


def _tail(payload: bytes, reference_length: int, action: int) -> tuple[str, Limits | None]:
    at = _HEAD.size + reference_length
    try:
        reference = payload[_HEAD.size : at].decode("utf-8")
    except UnicodeDecodeError as exc:
        raise MalformedError("assignment", "reference is not UTF-8") from exc
    if len(payload) < at + _LENGTH.size:
        raise MalformedError("assignment", f"{len(payload)} bytes, wanted at least {at + _LENGTH.size}")
    (length,) = _LENGTH.unpack_from(payload, at)
    limits = payload[at + _LENGTH.size :]
    if len(limits) != length or (action == END) != (not limits):
        raise MalformedError("assignment", f"{len(limits)} bytes of limits, {length} stated, action {action}")
    return reference, Limits.decode(limits) if limits else None
