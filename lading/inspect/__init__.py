"""Any of the formats field by field: what it is, where each field lies, what it means (`lading inspect`).

Shows as much as can be read; whether the bytes are sound is then asked of the format's own decoder.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lading.assignment import decode_payload, read_assignment
from lading.batch import AnchorRecord, BatchLeaf, BatchRecord
from lading.clone import Clone
from lading.deadletter import DeadLetter
from lading.decoding import decode_envelope, decode_frame
from lading.errors import LadingError
from lading.evidence import Evidence
from lading.frame import Header, RunRecord
from lading.inspect import layouts
from lading.inspect.agreed import check_agreement, check_agreement_v1, check_cover
from lading.inspect.documents import DOCUMENTS, read_document, walk
from lading.inspect.node import Node, Stopped
from lading.inspect.wire import (
    READINGS_SHOWN,
    SIG_STRUCTURE_HEAD,
    SIGN1_HEAD,
    read_envelope,
    read_frame,
    read_sig_structure,
)
from lading.limits import Limits
from lading.payout import Payout
from lading.settlement import Settlement
from lading.verdict import Verdict, VerdictRecord

ALL = 2**32
_TOTALS_BYTES = layouts.layout_size(layouts.TOTALS)

Fields = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What the bytes are, their fields, and what is wrong with them, if anything."""

    kind: str
    fields: Fields
    problem: str | None


def inspect(data: bytes, readings_shown: int = READINGS_SHOWN) -> Found:
    """The fields of `data`, whatever format it is. Never raises for what the bytes hold."""
    try:
        kind, fields = _read(data, readings_shown)
    except Stopped as exc:
        return Found(_kind(data), exc.fields, str(exc))
    return Found(kind, fields, _problem(kind, data))


def _read(data: bytes, readings_shown: int) -> tuple[str, Fields]:
    kind = _kind(data)
    if kind in _LAYOUTS:
        fields, end = _LAYOUTS[kind](data, 0), 0
        end = fields[-1].offset + fields[-1].length
    elif kind == "frame":
        fields, end = read_frame(data, 0, readings_shown)
    elif kind == "envelope":
        fields, end = read_envelope(data, 0)
    elif kind == "Sig_structure":
        fields, end = read_sig_structure(data, 0)
    elif kind == "document":
        return read_document(data, 0)
    else:
        raise Stopped(
            "format", f"byte 0: found {data[:8].hex() or 'nothing'}, which begins none of the formats"
        )
    if end != len(data):
        raise Stopped("size", f"byte {end}: {len(data) - end} bytes after the end of the {kind}", fields)
    return kind, fields


_LAYOUTS: dict[str, Callable[[bytes, int], Fields]] = {
    "reading leaf": lambda data, at: layouts.read_layout(data, at, layouts.READING),
    "run record": layouts.read_record,
    "header": lambda data, at: layouts.read_layout(data, at, layouts.HEADER),
    "batch leaf": lambda data, at: layouts.read_layout(data, at, layouts.BATCH_LEAF),
    "limits": layouts.read_limits,
    "assignment": layouts.read_assignment_payload,
    "totals": lambda data, at: layouts.read_layout(data, at, layouts.TOTALS),
}
_TYPES = {1: "reading leaf", 2: "run record", 3: "header", 4: "batch leaf", 5: "limits", 9: "assignment"}


def _kind(data: bytes) -> str:
    """By the first bytes; totals have no type byte and are known by their length."""
    if data.startswith(SIGN1_HEAD[:2]):
        return "envelope"
    if data.startswith(SIG_STRUCTURE_HEAD[:3]):
        return "Sig_structure"
    if data.startswith(b"\x82" + SIGN1_HEAD[:1]):
        return "frame"
    if data and data[0] >> 5 == 4:
        return "document"
    if len(data) == _TOTALS_BYTES:
        return "totals"
    return _TYPES.get(data[0], "unknown") if data else "unknown"


def _problem(kind: str, data: bytes) -> str | None:
    decode = _DECODERS.get(kind)
    if decode is None:
        return None
    try:
        decode(data)
    except LadingError as exc:
        return str(exc)
    return None


def _envelope(data: bytes) -> object:
    payload = walk(data, len(SIGN1_HEAD)).value
    return (
        read_assignment(data)
        if isinstance(payload, bytes) and payload[:1] == b"\x09"
        else decode_envelope(data)
    )


_DECODERS: dict[str, Callable[[bytes], object]] = {
    "run record": RunRecord.decode,
    "header": Header.decode,
    "batch leaf": BatchLeaf.decode,
    "limits": Limits.decode,
    "assignment": decode_payload,
    "frame": lambda data: decode_frame(data, may_withhold=True),
    "envelope": _envelope,
    "batch record": BatchRecord.decode,
    "anchor record": AnchorRecord.decode,
    "verdict": Verdict.decode,
    "verdict record": VerdictRecord.decode,
    "dead letter": DeadLetter.decode,
    "clone proof": Clone.decode,
    "settlement": Settlement.decode,
    "payout": Payout.decode,
    "agreement of the first version": check_agreement_v1,
    "agreement": check_agreement,
    "cover": check_cover,
    "evidence": Evidence.decode,
}
assert {kind for kind, _ in DOCUMENTS.values()} <= set(_DECODERS)

__all__ = ["ALL", "READINGS_SHOWN", "Found", "Node", "inspect"]
