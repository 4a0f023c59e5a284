"""Line protocol: one point as one line, by the schema's declaration.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/. Times are nanoseconds. Whatever stands in a tag
or a text, the line stays one line and parses: a backslash cannot be had at a tag's end, so none is had at all.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from dashboards.timeseries.schema import TEXT_CHARS_MAX, Field, Measurement

TAG_CHARS_MAX = 256
I64_MAX = 2**63 - 1
NS_A_MS = 1_000_000
"""Offsets and numbers part points of one millisecond, modulo this."""

EARLIEST_MS = 946_684_800_000
"""2000-01-01. InfluxDB keeps a folder a week: a lie about time is not worth one."""
AHEAD_MS_MAX = 86_400_000
"""How far past its own record's time a point may lie."""

Value = float | int | str | None

_CONTROLS = [*range(32), *range(127, 160), 0x2028, 0x2029]
_TAG_SIGNS: dict[int, str] = dict.fromkeys([*_CONTROLS, ord("\\")], "_") | {
    ord(","): "\\,",
    ord("="): "\\=",
    ord(" "): "\\ ",
}
_TEXT_SIGNS: dict[int, str] = dict.fromkeys(_CONTROLS, " ") | {ord("\\"): "\\\\", ord('"'): '\\"'}


class Chunk(NamedTuple):
    """Lines that go in one request; `precision` is the unit of their times, `ms` or `ns`."""

    body: bytes
    points: int
    precision: str = "ns"


@lru_cache(maxsize=16_384)
def tag_value(value: str) -> str:
    """A tag's value as it is written; empty for none."""
    return value[:TAG_CHARS_MAX].translate(_TAG_SIGNS)


def head(measurement: Measurement, tags: Mapping[str, str], labels: Mapping[str, str] | None = None) -> str:
    """`measurement,tag=value,…`; tags without a value are left out. `labels`: tags beyond the declared ones."""
    assert set(tags) <= set(measurement.tags), f"{measurement.name}: tags {sorted(tags)}"
    pairs = [*((name, tags.get(name, "")) for name in measurement.tags), *sorted((labels or {}).items())]
    return ",".join(
        [measurement.name, *(f"{tag_value(name)}={tag_value(value)}" for name, value in pairs if value)]
    )


def line(
    measurement: Measurement,
    tags: Mapping[str, str],
    values: Mapping[str, Value],
    time_ns: int,
    labels: Mapping[str, str] | None = None,
) -> bytes:
    """One point, with its line's end; empty where no field has a value."""
    fields = [
        f"{name}={text}"
        for name, value in values.items()
        if (text := field_value(measurement.field(name), value))
    ]
    if not fields:
        return b""
    return f"{head(measurement, tags, labels)} {','.join(fields)} {time_ns}\n".encode("utf-8", "replace")


def field_value(field: Field, value: Value) -> str:
    """A field's value as it is written; empty for None and for floats that are not finite."""
    if value is None:
        return ""
    if field.kind == "text":
        assert isinstance(value, str), field.name
        return f'"{value[:TEXT_CHARS_MAX].translate(_TEXT_SIGNS)}"'
    assert not isinstance(value, str), field.name
    if field.kind == "integer":
        return f"{min(int(value), I64_MAX)}i"
    number = float(value)
    return repr(number) if math.isfinite(number) else ""


def gathered(lines: Iterable[bytes], lines_a_chunk: int) -> Iterator[Chunk]:
    """Requests of so many lines, made as they are asked for; empty lines are none."""
    some = []
    for one in lines:
        if one:
            some.append(one)
        if len(some) >= lines_a_chunk:
            yield Chunk(b"".join(some), len(some))
            some = []
    if some:
        yield Chunk(b"".join(some), len(some))


def log_ns(time_ms: int, offset: int) -> int:
    """The time of what has its record's: two records of one millisecond are two points."""
    return time_ms * NS_A_MS + offset % NS_A_MS


def is_in_range(time_ms: int, record_ms: int) -> bool:
    """Whether a point may have this time, given when the record it comes from was written."""
    return EARLIEST_MS <= time_ms <= record_ms + AHEAD_MS_MAX
