"""What is shown of a format: a tree of fields, each with its place in the bytes, value and meaning."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from lading import quantities
from lading.errors import MalformedError
from lading.fields import I32_MAX, I32_MIN, TIME_MS_MAX, U32_MAX
from lading.rules import amount, duration

TEXT_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Node:
    """One field: `length` bytes at `offset`; `note` says what the value means."""

    name: str
    offset: int
    length: int
    value: str = ""
    note: str = ""
    fields: tuple["Node", ...] = ()

    def named(self, name: str, note: str = "") -> "Node":
        """The same field under another name."""
        return replace(self, name=name, note=note or self.note)

    def as_json(self) -> dict[str, Any]:
        """Plain values; empty ones left out."""
        row: dict[str, Any] = {"name": self.name, "offset": self.offset, "length": self.length}
        row |= {key: text for key, text in (("value", self.value), ("note", self.note)) if text}
        return row | ({"fields": [field.as_json() for field in self.fields]} if self.fields else {})

    def lines(self, depth: int = 0) -> list[str]:
        """`offset:length  name  value  meaning`, one line a field, indented by depth."""
        text = f"{self.offset:>7}:{self.length:<6} {'  ' * depth}{self.name}"
        if self.value or self.note:
            text = f"{text:<44} {self.value}" + (f"  ({self.note})" if self.note else "")
        return [text, *(line for field in self.fields for line in field.lines(depth + 1))]


class Stopped(MalformedError):
    """The bytes stop being the format at a place; `fields` are those before it."""

    def __init__(self, code: str, text: str, fields: tuple[Node, ...] = ()) -> None:
        super().__init__(code, text)
        self.fields = fields


# --- meanings -----------------------------------------------------------------------------------------------------


def time_note(time_ms: int) -> str:
    """The instant in UTC."""
    if not 0 < time_ms <= TIME_MS_MAX:
        return "none" if time_ms == 0 else "past the end of the year 9999"
    whole = datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{time_ms % 1000:03d}Z"


def duration_note(time_ms: int) -> str:
    """A length of time in its two greatest units."""
    return duration(time_ms)


def limit_ms_note(limit_ms: int) -> str:
    """A limit of time, or that it is off."""
    return "off" if limit_ms == U32_MAX else duration(limit_ms)


def value_note(value: int, quantity: int) -> str:
    """A value with its unit, or that the limit is off."""
    if value in (I32_MIN, I32_MAX):
        return "off"
    return amount(value, quantity) if quantities.is_quantity(quantity) else ""


def quantity_note(code: int) -> str:
    """Quantity and unit."""
    if not quantities.is_quantity(code):
        return "unknown"
    unit = quantities.unit(code)
    return f"{quantities.name(code)}, thousandths of {unit}" if unit else quantities.name(code)


def flags_note(flags: int) -> str:
    """The flags' names."""
    names = (("fault", quantities.FAULT), ("clock", quantities.CLOCK), ("derived", quantities.DERIVED))
    found = [name for name, bit in names if flags & bit]
    if flags & ~quantities.FLAGS_KNOWN:
        found.append("unknown")
    return ", ".join(found) or "valid"


def shown_text(text: str) -> str:
    """Text in quotes, escaped, cut when it is long."""
    return repr(text if len(text) <= TEXT_SHOWN_MAX else text[:TEXT_SHOWN_MAX] + "…")
