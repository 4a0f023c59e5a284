"""SenML (RFC 8428) from third-party sensors: packs in, resolved records out, readings with the flag DERIVED."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from edge import senml_cbor
from edge.readings import NewReading
from edge.units import UNITS, to_milli
from lading.errors import LadingError, MalformedError, RejectedError
from lading.fields import TIME_MS_MAX
from lading.quantities import DERIVED, Quantity

PACK_BYTES_MAX = 65_536
RECORDS_MAX = 1_024
NAME_BYTES_MAX = 255
NUMBER_CHARS_MAX = 40
VERSION = 10
RELATIVE_S = 2**28  # a time below it is seconds from now

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]*\Z")
_NUMBERS, _TEXTS, _FLAGS = (
    ("bt", "bv", "bs", "v", "s", "t", "ut"),
    ("bn", "bu", "n", "u", "vs", "vd"),
    ("vb",),
)
_VALUES = ("v", "vs", "vb", "vd")

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """A resolved record: full name, unit (empty where none is given), time, and its value if it is a number or flag."""

    name: str
    unit: str
    time_ms: int
    value: Decimal | bool | None


def decode(data: bytes, now_ms: int) -> list[Record]:
    """The resolved records of a pack, in JSON or CBOR. MalformedError `senml_…` refuses all of it."""
    if len(data) > PACK_BYTES_MAX:
        raise MalformedError("senml_size", f"{len(data)} bytes, wanted at most {PACK_BYTES_MAX}")
    pack = senml_cbor.parse(data) if senml_cbor.is_cbor(data) else _parse(data)
    if not isinstance(pack, list) or not 1 <= len(pack) <= RECORDS_MAX:
        raise MalformedError("senml_pack", f"wanted an array of 1 to {RECORDS_MAX} records")
    base: dict[str, Any] = {"bn": "", "bt": Decimal(0), "bu": "", "bv": Decimal(0)}
    records = []
    for index, fields in enumerate(pack):
        try:
            _check(fields)
            base.update((key, fields[key]) for key in base.keys() & fields.keys())
            if any(key in fields for key in (*_VALUES, "s")):
                records.append(_resolve(fields, base, now_ms))
        except MalformedError as exc:
            raise MalformedError(exc.code, f"record {index}: {exc.text}") from exc
    _check_versions(pack)
    return records


def readings(
    records: Iterable[Record], sensors: Mapping[tuple[str, int], int], latest_ms: int
) -> tuple[list[NewReading], list[LadingError]]:
    """Readings for the sensors that are known, by (name, quantity) to channel; and why each other record gave none.

    A time after `latest_ms` is refused: it would put the channel's past ahead of every later reading.
    """
    found, problems = [], []
    for record in records:
        try:
            found.append(_reading(record, sensors, latest_ms))
        except LadingError as exc:
            problems.append(exc)
    return found, problems


def _reading(record: Record, sensors: Mapping[tuple[str, int], int], latest_ms: int) -> NewReading:
    if record.time_ms > latest_ms:
        raise RejectedError("senml_time", f"{record.name}: {record.time_ms} ms, wanted at most {latest_ms}")
    if record.value is None:
        raise RejectedError("senml_value", f"{record.name}: neither a number nor true or false")
    if isinstance(record.value, bool):
        quantity, milli = Quantity.DOOR, 1000 * record.value
    elif record.unit not in UNITS:
        raise RejectedError(
            "senml_unit", f"{record.name}: unit {record.unit!r}, wanted one of {', '.join(UNITS)}"
        )
    else:
        quantity, scale, offset = UNITS[record.unit]
        milli = to_milli(record.value, scale, offset)
    if (record.name, quantity) not in sensors:
        raise RejectedError(
            "senml_sensor", f"{record.name} measuring {quantity.name.lower()} is not configured"
        )
    return NewReading(sensors[record.name, quantity], record.time_ms, milli, DERIVED)


def _parse(data: bytes) -> Any:
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_number,
            parse_int=_number,
            parse_constant=_no_constant,
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as exc:
        raise MalformedError("senml_json", str(exc)[:200]) from exc


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedError("senml_json", "a field occurs twice")
    return fields


def _number(text: str) -> Decimal:
    if len(text) > NUMBER_CHARS_MAX:
        raise MalformedError(
            "senml_number", f"a number of {len(text)} characters, wanted at most {NUMBER_CHARS_MAX}"
        )
    try:
        value = Decimal(text)
    except InvalidOperation as exc:  # an exponent beyond Decimal's own
        raise MalformedError("senml_number", f"{text} is out of range") from exc
    _require_range(value)
    return value


def _require_range(value: Decimal) -> None:
    if value and not -NUMBER_CHARS_MAX <= value.adjusted() <= NUMBER_CHARS_MAX:
        raise MalformedError("senml_number", f"{value} is out of range")


def _no_constant(text: str) -> Any:
    raise MalformedError("senml_number", f"{text} is no JSON number")


def _check(fields: Any) -> None:
    """Types of the fields we know; unknown ones are ignored unless their name ends with an underscore."""
    if not isinstance(fields, dict):
        raise MalformedError("senml_record", "wanted an object")
    for names, kind, wanted in (
        (_NUMBERS, Decimal, "number"),
        (_TEXTS, str, "text"),
        (_FLAGS, bool, "true or false"),
    ):
        for name in names:
            if name in fields and not isinstance(fields[name], kind):
                raise MalformedError(
                    "senml_field", f"{name} is {str(fields[name])[:40]!r}, wanted a {wanted}"
                )
            if name in fields and kind is Decimal:
                _require_range(fields[name])
    demanding = [name for name in fields if name.endswith("_")]
    if demanding:
        raise MalformedError("senml_field", f"{demanding[0][:40]!r} must be understood, and is not")
    present = [name for name in _VALUES if name in fields]
    if len(present) > 1:
        raise MalformedError("senml_value", f"{' and '.join(present)} in one record")


def _check_versions(pack: list[Fields]) -> None:
    versions = {fields["bver"] for fields in pack if "bver" in fields}
    if len(versions) > 1 or any(
        not isinstance(v, Decimal) or v != v.to_integral() or v > VERSION for v in versions
    ):
        raise MalformedError(
            "senml_version", f"version {[str(v)[:20] for v in versions]}, wanted one of at most {VERSION}"
        )


def _resolve(fields: Fields, base: Fields, now_ms: int) -> Record:
    name = base["bn"] + fields.get("n", "")
    if len(name) > NAME_BYTES_MAX or not _NAME.match(name):
        raise MalformedError(
            "senml_name", f"{name[:60]!r}, wanted letters, digits and -:./_ of at most {NAME_BYTES_MAX}"
        )
    value = fields.get("vb")
    if "v" in fields:
        value = base["bv"] + fields["v"]
    return Record(name, fields.get("u", base["bu"]), _time_ms(base["bt"] + fields.get("t", 0), now_ms), value)


def _time_ms(seconds: Decimal, now_ms: int) -> int:
    relative = abs(seconds) < RELATIVE_S
    time_ms = int(seconds * 1000) + (now_ms if relative else 0)
    if not 0 <= time_ms <= TIME_MS_MAX:
        raise MalformedError("senml_time", f"{time_ms} ms, wanted 0..{TIME_MS_MAX}")
    return time_ms
