"""SenML's CBOR (RFC 8428 section 6) as the JSON reader has it: integer labels by name, every number a Decimal.

Any well-formed encoding of it is taken, definite or indefinite, since sensors choose theirs; lading.cbor is for our own
formats, of which only one encoding decodes.
"""

import math
import struct
from decimal import Decimal
from typing import Any

from lading.errors import MalformedError

DEPTH_MAX = 8
EXPONENT_MAX = 40
LABELS = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_CONSTANTS = {20: False, 21: True, 22: None, 23: None}
_INDEFINITE, _BREAK = 31, 0xFF
_DECIMAL_FRACTION = 4


def is_cbor(data: bytes) -> bool:
    """True for what begins with a CBOR array: no JSON text begins with such a byte."""
    return bool(data) and 0x80 <= data[0] <= 0x9F


def parse(data: bytes) -> Any:
    """The pack, its records' labels by name. MalformedError `senml_cbor` unless it is one well-formed item."""
    reader = _Reader(data)
    pack = reader.value(0)
    if reader.at != len(data):
        raise _bad(f"{len(data) - reader.at} bytes after the pack")
    return [_named(record) if isinstance(record, dict) else record for record in pack]


def _named(record: dict[int | str, Any]) -> dict[str, Any]:
    """Data (`vd`) is bytes here and text in JSON; nothing reads it. Labels that we do not know are extensions."""
    named = {
        LABELS.get(label, f"label {label}") if isinstance(label, int) else label: value
        for label, value in record.items()
    }
    if len(named) != len(record):
        raise _bad("a field occurs twice")
    if "vd" in named:
        if not isinstance(named["vd"], bytes):
            raise _bad("vd is no byte string")
        named["vd"] = ""
    return named


class _Reader:
    """A position in the bytes; every read checks that the bytes are there."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise _bad(f"byte {self.at}: {count} bytes wanted, {len(self.data) - self.at} left")
        self.at += count
        return self.data[self.at - count : self.at]

    def value(self, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise _bad(f"deeper than {DEPTH_MAX}")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == _SIMPLE:
            return self.simple(info)
        if info == _INDEFINITE:
            return self.indefinite(major, depth)
        count = self.argument(info)
        if major in (_UNSIGNED, _NEGATIVE):
            return Decimal(count if major == _UNSIGNED else -1 - count)
        if major == _TAG:
            return self.tagged(count, depth)
        if major in (_BYTES, _TEXT):
            return _text(self.take(count)) if major == _TEXT else self.take(count)
        # An item takes at least a byte, so a count past the end is refused before anything is allocated.
        if count > len(self.data) - self.at:
            raise _bad(f"byte {self.at}: {count} items wanted, {len(self.data) - self.at} bytes left")
        if major == _ARRAY:
            return [self.value(depth + 1) for _ in range(count)]
        return _map([(self.label(), self.value(depth + 1)) for _ in range(count)])

    def label(self) -> int | str:
        major = self.data[self.at] >> 5 if self.at < len(self.data) else None
        label = self.value(DEPTH_MAX)
        if major not in (_UNSIGNED, _NEGATIVE, _TEXT):
            raise _bad("a label that is neither an integer nor text")
        return label if isinstance(label, str) else int(label)

    def argument(self, info: int) -> int:
        if info < 24:
            return info
        if info not in _WIDTHS:
            raise _bad(f"byte {self.at}: reserved head")
        return int.from_bytes(self.take(_WIDTHS[info]), "big")

    def simple(self, info: int) -> Any:
        if info in _FLOATS:
            (number,) = struct.unpack(_FLOATS[info], self.take(_WIDTHS[info]))
            if not math.isfinite(number):
                raise MalformedError("senml_number", f"{number} is no number")
            return Decimal(repr(number))
        if info not in _CONSTANTS:
            raise _bad(f"byte {self.at}: simple value {info}")
        return _CONSTANTS[info]

    def tagged(self, tag: int, depth: int) -> Any:
        """A decimal fraction; other tags say nothing that a record needs."""
        value = self.value(depth + 1)
        if tag != _DECIMAL_FRACTION:
            return value
        if not isinstance(value, list) or [type(part) for part in value] != [Decimal, Decimal]:
            raise _bad("a decimal fraction wants exponent and mantissa")
        exponent, mantissa = value
        if abs(exponent) > EXPONENT_MAX or exponent != int(exponent) or mantissa != int(mantissa):
            raise MalformedError("senml_number", f"{mantissa} · 10^{exponent} is out of range")
        return mantissa.scaleb(int(exponent))

    def indefinite(self, major: int, depth: int) -> Any:
        if major not in (_BYTES, _TEXT, _ARRAY, _MAP):
            raise _bad(f"byte {self.at}: indefinite length of major type {major}")
        found: list[Any] = []
        while self.data[self.at : self.at + 1] != bytes([_BREAK]):
            head = self.data[self.at] if major in (_BYTES, _TEXT) and self.at < len(self.data) else None
            if head is not None and (head >> 5 != major or head & 31 == _INDEFINITE):
                raise _bad(f"byte {self.at}: a chunk of another kind")
            if major == _MAP:
                found.append((self.label(), self.value(depth + 1)))
            else:
                found.append(self.value(depth + 1))
        self.at += 1
        if major == _MAP:
            return _map(found)
        return found if major == _ARRAY else (b"" if major == _BYTES else "").join(found)


def _map(pairs: list[tuple[int | str, Any]]) -> dict[int | str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _bad("a field occurs twice")
    return found


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _bad("text is not UTF-8") from exc


def _bad(text: str) -> MalformedError:
    return MalformedError("senml_cbor", text)
