"""Deterministic CBOR of the subset in docs/spec/README.md: exactly one encoding of each value decodes.

Integers of up to 64 bits, byte strings, text, arrays, false, true, null. Shortest heads, definite lengths.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from lading.errors import MalformedError

DEPTH_MAX = 8

Value: TypeAlias = int | bytes | str | bool | Sequence["Value"] | None

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _SIMPLE = 0, 1, 2, 3, 4, 7
_CONSTANTS: dict[int, bool | None] = {20: False, 21: True, 22: None}
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}


@lru_cache(maxsize=1024)
def head(major: int, argument: int) -> bytes:
    """Shortest head of a major type with its argument, 0 ≤ argument < 2^64."""
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, width in _WIDTHS.items():
        if argument < 1 << 8 * width:
            return bytes([major << 5 | info]) + argument.to_bytes(width, "big")
    raise OverflowError(f"{argument} needs more than 64 bits")


def encode(value: Value) -> bytes:
    """The one encoding of `value`; TypeError for a type outside the subset, OverflowError past 64 bits."""
    if value is None or isinstance(value, bool):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return head(_UNSIGNED, value) if value >= 0 else head(_NEGATIVE, -1 - value)
    if isinstance(value, bytes):
        return head(_BYTES, len(value)) + value
    if isinstance(value, str):
        text = value.encode("utf-8")
        return head(_TEXT, len(text)) + text
    if isinstance(value, list | tuple):
        return head(_ARRAY, len(value)) + b"".join(map(encode, value))
    raise TypeError(f"{type(value).__name__} is outside the CBOR subset")


class _Reader:
    """A position in the bytes; every read checks that the bytes are there."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise MalformedError(
                "cbor", f"byte {self.at}: {count} bytes wanted, {len(self.data) - self.at} left"
            )
        self.at += count
        return self.data[self.at - count : self.at]

    def head(self) -> tuple[int, int]:
        start = self.at
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info
        width = _WIDTHS.get(info)
        if width is None or major == _SIMPLE:
            raise MalformedError("cbor", f"byte {start}: head {first:02x} is outside the subset")
        argument = int.from_bytes(self.take(width), "big")
        if head(major, argument) != self.data[start : self.at]:
            raise MalformedError("cbor", f"byte {start}: head of {argument} is not the shortest")
        return major, argument

    def text(self, count: int) -> str:
        start = self.at
        try:
            return self.take(count).decode("utf-8")
        except UnicodeDecodeError as exc:
            raise MalformedError("cbor", f"byte {start}: text is not UTF-8") from exc

    def value(self, depth: int) -> Any:
        start = self.at
        major, argument = self.head()
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == _BYTES:
            return self.take(argument)
        if major == _TEXT:
            return self.text(argument)
        if major == _ARRAY:
            return self.array(argument, depth)
        if major == _SIMPLE and argument in _CONSTANTS:
            return _CONSTANTS[argument]
        raise MalformedError(
            "cbor", f"byte {start}: major type {major} argument {argument} is outside the subset"
        )

    def array(self, count: int, depth: int) -> list[Any]:
        # An item takes at least a byte, so a count past the end is refused before anything is allocated.
        if count > len(self.data) - self.at:
            raise MalformedError(
                "cbor", f"byte {self.at}: {count} items wanted, {len(self.data) - self.at} bytes left"
            )
        if depth >= DEPTH_MAX:
            raise MalformedError("cbor", f"byte {self.at}: deeper than {DEPTH_MAX} arrays")
        return [self.value(depth + 1) for _ in range(count)]


def decode(data: bytes, bytes_max: int) -> Any:
    """The value of `data`, arrays as lists; MalformedError unless `data` is its one encoding."""
    if len(data) > bytes_max:
        raise MalformedError("cbor", f"{len(data)} bytes, wanted at most {bytes_max}")
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise MalformedError("cbor", f"{len(data) - reader.at} bytes after the value's end at {reader.at}")
    return value


def open_document(data: bytes, tag: str, items: int, bytes_max: int) -> list[Any]:
    """The fields after the tag text of a document `[tag, …]` with `items` items in all."""
    value = decode(data, bytes_max)
    if not isinstance(value, list) or not value or value[0] != tag:
        raise MalformedError("document", f"found {_brief(value)}, wanted a document {tag!r}")
    if len(value) != items:
        raise MalformedError("document", f"{tag}: {len(value)} items, wanted {items}")
    return value[1:]


def _brief(value: object) -> str:
    first = value[0] if isinstance(value, list) and value else value
    return f"{type(value).__name__} beginning with {str(first)[:40]!r}"
