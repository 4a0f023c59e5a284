"""Envelopes and frames as they are on the wire."""

import struct

from lading import cbor
from lading.inspect.layouts import (
    HEADER,
    layout_size,
    number_of,
    read_assignment_payload,
    read_layout,
    read_record,
)
from lading.inspect.node import Node, Stopped, flags_note, time_note, value_note

SIGN1_HEAD = bytes.fromhex("d28443a10126a0")
SIG_STRUCTURE_HEAD = bytes.fromhex("846a5369676e61747572653143a1012640")
READINGS_SHOWN = 12
_HEADER_TYPE, _ASSIGNMENT_TYPE = 3, 9
_RECORD_BYTES = 207


class Cursor:
    """A position in the bytes with the fields found so far; stops with them when something else is there."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at
        self.nodes: list[Node] = []

    def add(self, node: Node) -> None:
        """Keep a field and step over it."""
        self.nodes.append(node)
        self.at = node.offset + node.length

    def stop(self, text: str) -> Stopped:
        """The error here, with what was found before."""
        return Stopped("format", f"byte {self.at}: {text}", tuple(self.nodes))

    def expect(self, name: str, wanted: bytes, note: str = "") -> None:
        """Fixed bytes."""
        found = self.data[self.at : self.at + len(wanted)]
        if found != wanted:
            raise self.stop(f"{name} is {found.hex() or 'missing'}, wanted {wanted.hex()}")
        self.add(Node(name, self.at, len(wanted), wanted.hex(), note))

    def head(self, name: str, major: int) -> int:
        """A CBOR head of a major type: its argument."""
        first = self.data[self.at] if self.at < len(self.data) else None
        if first is None or first >> 5 != major:
            raise self.stop(f"{name} wanted, found {'the end' if first is None else f'{first:02x}'}")
        extra = {24: 1, 25: 2, 26: 4, 27: 8}.get(first & 31, 0)
        raw = self.data[self.at + 1 : self.at + 1 + extra]
        argument = int.from_bytes(raw, "big") if extra else first & 31
        if len(raw) < extra or cbor.head(major, argument) != self.data[self.at : self.at + 1 + extra]:
            raise self.stop(f"head of {name} is cut, or not the shortest")
        self.at += 1 + extra
        return argument

    def body(self, name: str, major: int = 2) -> tuple[int, int]:
        """A byte string's (start, length), all of it there."""
        length = self.head(name, major)
        if self.at + length > len(self.data):
            raise self.stop(f"{name} of {length} bytes, {len(self.data) - self.at} are left")
        return self.at, length

    def nest(self, name: str, start: int, length: int, fields: "tuple[Node, ...]", note: str = "") -> None:
        """Keep a field that has fields."""
        self.add(Node(name, start, length, "", note, fields))

    def within(self, name: str, start: int, length: int, exc: Stopped) -> Stopped:
        """The error of a nested field, with what was found around it."""
        node = Node(name, start, length, "", "", exc.fields)
        return Stopped(exc.code, exc.text, (*self.nodes, node))


def read_envelope(data: bytes, at: int) -> tuple[tuple[Node, ...], int]:
    """A COSE_Sign1's fields and where it ends."""
    cursor = Cursor(data, at)
    cursor.expect("head", SIGN1_HEAD, "COSE_Sign1, ES256")
    start, length = cursor.body("payload")
    _read_payload(cursor, start, length)
    start, length = cursor.body("signature")
    if length != 64:
        raise cursor.stop(f"signature of {length} bytes, wanted 64")
    cursor.nodes.append(Node("signature r", start, 32, data[start : start + 32].hex()))
    cursor.add(Node("signature s", start + 32, 32, data[start + 32 : start + 64].hex()))
    return tuple(cursor.nodes), cursor.at


def _read_payload(cursor: Cursor, start: int, length: int) -> None:
    payload = cursor.data[: start + length]
    kind = payload[start] if length else None
    try:
        if kind == _HEADER_TYPE and length == layout_size(HEADER):
            cursor.nest("header", start, length, read_layout(payload, start, HEADER))
        elif kind == _ASSIGNMENT_TYPE:
            cursor.nest("assignment", start, length, read_assignment_payload(payload, start))
        else:
            raise cursor.stop(f"payload of {length} bytes that is neither a frame header nor an assignment")
    except Stopped as exc:
        raise cursor.within("payload", start, length, exc) from exc


def read_sig_structure(data: bytes, at: int) -> tuple[tuple[Node, ...], int]:
    """What is signed: fields and end."""
    cursor = Cursor(data, at)
    cursor.expect("head", SIG_STRUCTURE_HEAD, "Sig_structure: Signature1, ES256, no external_aad")
    start, length = cursor.body("payload")
    _read_payload(cursor, start, length)
    return tuple(cursor.nodes), cursor.at


def read_frame(data: bytes, at: int, readings_shown: int) -> tuple[tuple[Node, ...], int]:
    """A frame's fields and where it ends."""
    cursor = Cursor(data, at)
    cursor.expect("head", b"\x82", "array of envelope and runs")
    start = cursor.at
    try:
        fields, end = read_envelope(data, start)
    except Stopped as exc:
        raise cursor.within("envelope", start, len(data) - start, exc) from exc
    cursor.nest("envelope", start, end - start, fields)
    start = cursor.at
    count = cursor.head("array of runs", 4)
    cursor.nodes.append(Node("runs", start, cursor.at - start, str(count)))
    for number in range(count):
        start = cursor.at
        try:
            fields, end = _read_run(data, start, readings_shown)
        except Stopped as exc:
            raise cursor.within(f"run {number}", start, len(data) - start, exc) from exc
        cursor.nest(f"run {number}", start, end - start, fields)
    return tuple(cursor.nodes), cursor.at


def _read_run(data: bytes, at: int, readings_shown: int) -> tuple[tuple[Node, ...], int]:
    cursor = Cursor(data, at)
    is_withheld = data[at : at + 1] == b"\x81"
    if is_withheld:
        cursor.expect("head", b"\x81", "array of record alone: the readings are withheld")
    else:
        cursor.expect("head", b"\x85", "array of record, salt, times, values, flags")
    start, length = cursor.body("run record")
    if length != _RECORD_BYTES:
        raise cursor.stop(f"run record of {length} bytes, wanted {_RECORD_BYTES}")
    record = read_record(data, start)
    cursor.nest("run record", start, length, record)
    if is_withheld:
        return tuple(cursor.nodes), cursor.at
    start, length = cursor.body("salt")
    cursor.add(Node("salt", start, length, data[start : start + length].hex()))
    count = number_of(record, "count")
    times = _column(cursor, "times", 0x46, "I", count, "u32, ms after first_time_ms")
    values = _column(cursor, "values", 0x4E, "i", count, "i32, thousandths of the unit")
    if data[cursor.at : cursor.at + 1] == b"\xf6":
        cursor.expect("flags", b"\xf6", "null: every reading is valid")
        flags: tuple[int, ...] = (0,) * count
    else:
        flags = _column(cursor, "flags", 0x45, "H", count, "u16")
    columns = list(zip(times, values, flags, strict=True))
    cursor.nodes.extend(_reading_nodes(record, columns, cursor.at, readings_shown))
    return tuple(cursor.nodes), cursor.at


def _column(cursor: Cursor, name: str, tag: int, code: str, count: int, note: str) -> tuple[int, ...]:
    start = cursor.at
    if cursor.data[start : start + 2] != bytes([0xD8, tag]):
        raise cursor.stop(
            f"{name}: tag {tag} wanted, found {cursor.data[start : start + 2].hex() or 'the end'}"
        )
    cursor.at += 2
    at, length = cursor.body(name)
    if length != struct.calcsize(f"<{code}") * count:
        raise cursor.stop(f"{name} of {length} bytes for {count} readings")
    cursor.add(Node(name, at, length, f"{count} × {note}"))
    return struct.unpack(f"<{count}{code}", cursor.data[at : at + length])


def _reading_nodes(
    record: tuple[Node, ...], columns: list[tuple[int, int, int]], at: int, shown: int
) -> list[Node]:
    """The readings as they are put together from the columns: no bytes of their own."""
    first_seq, first_ms = number_of(record, "first_seq"), number_of(record, "first_time_ms")
    quantity = number_of(record, "quantity")
    nodes = [
        Node(
            f"reading {first_seq + i}",
            at,
            0,
            f"{time_note(first_ms + delta)}  {value_note(value, quantity) or value}",
            flags_note(flags) if flags else "",
        )
        for i, (delta, value, flags) in enumerate(columns[:shown])
    ]
    if len(columns) > shown:
        nodes.append(Node("…", at, 0, f"{len(columns) - shown} more readings, shown with --all"))
    return nodes
