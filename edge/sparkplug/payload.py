"""Sparkplug B's payload (6.4.1, protocol buffers): a strict decoder of what a host needs, and one command.

Lengths, counts and wire types are checked before anything is built; fields that no reading needs (metadata, data sets,
templates, extensions) are stepped over. docs/adr/0042-sparkplug.md says why there is no library.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from lading.errors import MalformedError

PAYLOAD_BYTES_MAX = 2**20
METRICS_MAX = 8_192
TEXT_BYTES_MAX = 1_024  # of a name or unit
PROPERTIES_MAX = 64
VARINT_BYTES_MAX = 10
FIELDS_MAX = 2**29

REBIRTH = "Node Control/Rebirth"
INT, LONG, FLOAT, DOUBLE, BOOLEAN, OTHER = (
    10,
    11,
    12,
    13,
    14,
    15,
)  # fields that carry a metric's value; 15 to 19 are no numbers
BOOLEAN_TYPE = 11  # datatype
PROPERTY_VALUES = {3: INT, 4: LONG, 5: FLOAT, 6: DOUBLE, 7: BOOLEAN, 8: OTHER}

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_PAYLOAD = {1: _VARINT, 2: _BYTES, 3: _VARINT, 4: _BYTES, 5: _BYTES}
_METRIC = {
    1: _BYTES, 2: _VARINT, 3: _VARINT, 4: _VARINT, 5: _VARINT, 6: _VARINT, 7: _VARINT, 8: _BYTES, 9: _BYTES,
    INT: _VARINT, LONG: _VARINT, FLOAT: _FIXED32, DOUBLE: _FIXED64, BOOLEAN: _VARINT,
    15: _BYTES, 16: _BYTES, 17: _BYTES, 18: _BYTES, 19: _BYTES,
}  # fmt: skip
_PROPERTIES = {1: _BYTES, 2: _BYTES}
_PROPERTY = {
    1: _VARINT, 2: _VARINT, 3: _VARINT, 4: _VARINT, 5: _FIXED32, 6: _FIXED64, 7: _VARINT,
    8: _BYTES, 9: _BYTES, 10: _BYTES, 11: _BYTES,
}  # fmt: skip


class Value(NamedTuple):
    """What a `oneof value` carries: which field, and the number as it stands there; None where it is no number."""

    field: int
    number: int | float | None


class Metric(NamedTuple):
    """A metric as it came: None where the field is absent. `quality` and `unit` are its properties Quality, engUnit."""

    name: str | None
    alias: int | None
    time_ms: int | None
    datatype: int | None
    is_historical: bool
    is_null: bool
    value: Value | None
    quality: Value | None
    unit: str | None


class Payload(NamedTuple):
    """A message's contents."""

    time_ms: int | None
    seq: int | None
    metrics: list[Metric]


def decode(data: bytes) -> Payload:
    """MalformedError `sparkplug_payload`, `sparkplug_size` refuses all of it."""
    if len(data) > PAYLOAD_BYTES_MAX:
        raise MalformedError("sparkplug_size", f"{len(data)} bytes, wanted at most {PAYLOAD_BYTES_MAX}")
    once: dict[int, Any] = {}
    metrics: list[Metric] = []
    for number, value in _fields(data, _PAYLOAD):
        if number != 2:
            _put(once, number, value)
        elif len(metrics) == METRICS_MAX:
            raise MalformedError("sparkplug_size", f"more than {METRICS_MAX} metrics")
        else:
            metrics.append(_metric(value))
    return Payload(once.get(1), once.get(3), metrics)


def rebirth_command(time_ms: int) -> bytes:
    """Asks an edge node for its births again (5.17)."""
    stamp = b"\x08" + _encode(time_ms)
    name = REBIRTH.encode()
    metric = b"\x0a%c%b\x18%b\x20%c\x70\x01" % (len(name), name, _encode(time_ms), BOOLEAN_TYPE)
    return stamp + b"\x12%c%b" % (len(metric), metric)


def _metric(data: bytes) -> Metric:
    once: dict[int, Any] = {}
    value = None
    for number, raw in _fields(data, _METRIC):
        if number < INT:
            _put(once, number, raw)
        elif value is not None:
            raise _bad("a metric with two values")
        else:
            value = _value(min(number, OTHER), raw)
    quality, unit = _properties(once[9]) if 9 in once else (None, None)
    return Metric(
        _text(once[1]) if 1 in once else None,
        once.get(2),
        once.get(3),
        once.get(4),
        _flag(once, 5),
        _flag(once, 7),
        value,
        quality,
        unit,
    )


def _properties(data: bytes) -> tuple[Value | None, str | None]:
    """Quality (6.4.9.1) and the unit that many publishers add. Keys and values are two lists of one length (6.4.8)."""
    keys: list[str] = []
    values: list[bytes] = []
    for number, raw in _fields(data, _PROPERTIES):
        if number == 1:
            keys.append(_text(raw))
        else:
            values.append(raw)
    if len(keys) != len(values) or len(keys) > PROPERTIES_MAX:
        raise _bad(
            f"{len(keys)} property keys, {len(values)} values, wanted as many and at most {PROPERTIES_MAX}"
        )
    found = {key.lower(): raw for key, raw in zip(keys, values, strict=True)}
    quality = _property(found["quality"])[0] if "quality" in found else None
    return quality, _property(found["engunit"])[1] if "engunit" in found else None


def _property(data: bytes) -> tuple[Value, str | None]:
    """The value; a null one is no number. And the text, if it is one."""
    value, text, is_null = Value(OTHER, None), None, False
    for number, raw in _fields(data, _PROPERTY):
        if number == 2:
            is_null = raw != 0
        elif number > 2:
            value = _value(PROPERTY_VALUES.get(number, OTHER), raw)
            text = _text(raw) if number == 8 else None
    return (Value(OTHER, None), None) if is_null else (value, text)


def _value(field: int, raw: Any) -> Value:
    if field == FLOAT:
        return Value(field, struct.unpack("<f", raw)[0])
    if field == DOUBLE:
        return Value(field, struct.unpack("<d", raw)[0])
    return Value(field, None if field == OTHER else raw)


def _put(once: dict[int, Any], number: int, value: Any) -> None:
    if number in once:
        raise _bad(f"field {number} occurs twice")
    once[number] = value


def _flag(once: dict[int, Any], number: int) -> bool:
    value = once.get(number, 0)
    if value > 1:
        raise _bad(f"field {number} is {value}, wanted true or false")
    return bool(value)


def _text(raw: bytes) -> str:
    if len(raw) > TEXT_BYTES_MAX:
        raise _bad(f"a text of {len(raw)} bytes, wanted at most {TEXT_BYTES_MAX}")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _bad("text is not UTF-8") from exc


def _fields(data: bytes, known: dict[int, int]) -> Iterator[tuple[int, Any]]:
    """Known fields in order: integers as such, everything else as its bytes."""
    at, end = 0, len(data)
    while at < end:
        key = data[at]
        at += 1
        if key >= 0x80:  # seldom: fields above 15
            key, at = _varint(data, at - 1)
        number, wire = key >> 3, key & 7
        value: Any
        if wire == _VARINT:
            value, at = _varint(data, at)
        else:
            length, at = _length(wire, data, at)
            if length > end - at:
                raise _bad(f"byte {at}: {length} bytes wanted, {end - at} left")
            value = data[at : at + length]
            at += length
        if known.get(number, wire) != wire or not 0 < number < FIELDS_MAX:
            raise _bad(f"field {number} has wire type {wire}")
        if number in known:
            yield number, value


def _length(wire: int, data: bytes, at: int) -> tuple[int, int]:
    """How many bytes a field has, and where they begin."""
    if wire == _BYTES:
        return _varint(data, at)
    if wire not in _FIXED:
        raise _bad(f"byte {at}: wire type {wire}")
    return _FIXED[wire], at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The integer at a place, and the place after it."""
    value = shift = 0
    for byte in data[at : at + VARINT_BYTES_MAX]:
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            if value >= 2**64:
                raise _bad(f"byte {at}: an integer of more than 64 bits")
            return value, at
        shift += 7
    raise _bad(f"byte {at}: an integer that does not end")


def _encode(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _bad(text: str) -> MalformedError:
    return MalformedError("sparkplug_payload", text)
