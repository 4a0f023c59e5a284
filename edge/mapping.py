"""What a recording's columns mean: a small toml, or a look at the files (docs/replay.md)."""

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.units import UNITS, to_milli
from lading.errors import MalformedError, ServiceError
from lading.limits import OFF_HIGH, OFF_LOW, OFF_U32, ChannelLimits, Limits
from lading.quantities import PRIVATE_FIRST, Quantity

MAPPING_BYTES_MAX = 1_048_576
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
TIME_NAMES = ("timestamp", "time", "datetime", "date", "ts", "time_ms")
SENSOR_NAMES = (
    "sensor",
    "sensor_id",
    "sensorid",
    "sensor_name",
    "device",
    "device_id",
    "channel",
    "name",
    "id",
)
VALUE_NAMES = ("value", "reading", "temperature", "temp", "humidity", "measurement")
FAULTS_KNOWN = (Decimal(-127), Decimal("327.67"), Decimal("-327.68"))  # 1-wire gone, i16 limits in hundredths
GUESSES = (("temp", "Cel"), ("humid", "%RH"))

_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)\Z")


Layout = Literal["long", "wide", "file"]


class Model(BaseModel):
    """Base: unknown keys fail."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Csv(Model):
    """How lines are to be read. `columns` names the columns of files without a header line."""

    layout: Layout = Field(
        "long",
        description="a row is one reading; or one time with a column a sensor; or each file is one sensor",
    )
    delimiter: str = Field(",", min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    columns: tuple[str, ...] = ()
    time: str = "timestamp"
    time_format: str = Field("iso", description="iso, unix_s, unix_ms, or a pattern of strptime")
    zone: str = Field("UTC", description="of times that name none: UTC, +02:00, or an IANA name")
    sensor: str = Field("sensor", description="long: the column that names the sensor")
    value: str = Field("value", description="long and file: the column that holds the value")
    not_before: datetime | None = None
    not_after: datetime | None = None
    faults: tuple[Decimal | str, ...] = Field((), description="values that are error codes, not measurements")


class LimitsModel(Model):
    """A channel's limits in its own unit and in seconds; what is left out is off (docs/spec/limits.md)."""

    lower: Decimal | None = None
    upper: Decimal | None = None
    hold_s: Decimal = Decimal(600)
    above_stretch_max_s: Decimal | None = None
    above_total_max_s: Decimal | None = None
    below_stretch_max_s: Decimal | None = None
    below_total_max_s: Decimal | None = None
    peak_lower: Decimal | None = None
    peak_upper: Decimal | None = None
    mkt_max: Decimal | None = None
    gap_max_s: Decimal | None = None
    unknown_total_max_s: Decimal | None = None
    rate_max: Decimal | None = None
    stuck_max_s: Decimal | None = None


class ChannelModel(Model):
    """One sensor: the text that names it in the recording, and what it measures."""

    channel: int = Field(ge=0, le=65535)
    sensor: str
    label: str = ""
    unit: str | None = None
    quantity: int | None = Field(
        None, ge=PRIVATE_FIRST, le=65535, description="private quantity, in thousandths"
    )
    faults: tuple[Decimal | str, ...] = ()
    limits: LimitsModel = LimitsModel()

    @model_validator(mode="after")
    def _known_unit(self) -> "ChannelModel":
        if (self.unit is None) == (self.quantity is None):
            raise ValueError("wanted either a unit or a private quantity")
        if self.unit is not None and self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r}, wanted one of {', '.join(UNITS)}")
        return self

    @property
    def code(self) -> int:
        """The quantity's code."""
        return UNITS[self.unit].quantity if self.unit is not None else self.quantity or PRIVATE_FIRST

    @property
    def scale(self) -> tuple[Decimal, Decimal]:
        """Thousandths of Lading's unit in one of this one, and the offset to add before."""
        return UNITS[self.unit][1:] if self.unit is not None else (Decimal(1000), Decimal(0))

    def channel_limits(self) -> ChannelLimits:
        """The limits as gateways and agreements carry them."""
        given, (scale, offset) = self.limits, self.scale

        def value(number: Decimal | None, off: int) -> int:
            return off if number is None else to_milli(number, scale, offset)

        def ms(seconds: Decimal | None) -> int:
            return OFF_U32 if seconds is None else int(seconds * 1000)

        return ChannelLimits(
            self.channel,
            self.code,
            value(given.lower, OFF_LOW),
            value(given.upper, OFF_HIGH),
            int(given.hold_s * 1000),
            ms(given.above_stretch_max_s),
            ms(given.above_total_max_s),
            ms(given.below_stretch_max_s),
            ms(given.below_total_max_s),
            value(given.peak_lower, OFF_LOW),
            value(given.peak_upper, OFF_HIGH),
            value(given.mkt_max, OFF_HIGH),
            ms(given.gap_max_s),
            ms(given.unknown_total_max_s),
            OFF_U32 if given.rate_max is None else to_milli(given.rate_max, scale, Decimal(0)),
            ms(given.stuck_max_s),
        )


class GatewayModel(Model):
    """One device: its channels share a clock and become one gateway."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    channel: tuple[ChannelModel, ...] = Field(min_length=1, max_length=256)

    @property
    def channels(self) -> dict[int, int]:
        """Channel to quantity, as a Gateway wants it."""
        return {channel.channel: channel.code for channel in self.channel}

    @property
    def limits(self) -> Limits:
        """Limits of all channels, ascending."""
        return Limits(tuple(c.channel_limits() for c in sorted(self.channel, key=lambda c: c.channel)))


class Mapping(Model):
    """A recording's columns, devices, channels, units, limits and error codes."""

    csv: Csv = Csv()
    gateway: tuple[GatewayModel, ...] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _unique(self) -> "Mapping":
        names = [gateway.name for gateway in self.gateway]
        sensors = [channel.sensor for gateway in self.gateway for channel in gateway.channel]
        for what, found in (("gateway", names), ("sensor", sensors)):
            twice = sorted({name for name in found if found.count(name) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]!r} occurs twice")
        for gateway in self.gateway:
            _ = gateway.limits
        return self


def load_mapping(path: Path) -> Mapping:
    """From a toml file; ServiceError `mapping` says which key is wrong and what was wanted."""
    try:
        data = path.read_bytes()
        if len(data) > MAPPING_BYTES_MAX:
            raise ServiceError("mapping", f"{path}: {len(data)} bytes, wanted at most {MAPPING_BYTES_MAX}")
        mapping = Mapping.model_validate(tomllib.loads(data.decode("utf-8-sig"), parse_float=Decimal))
        make_clock(mapping.csv)
    except OSError as exc:
        raise ServiceError("mapping", f"{path}: {exc.strerror}") from exc
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors()[:8]
        )
        raise ServiceError("mapping", f"{path}: {problems}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, MalformedError) as exc:
        raise ServiceError("mapping", f"{path}: {exc}") from exc
    return mapping


@dataclass(frozen=True, slots=True)
class Columns:
    """What a header line seems to say."""

    layout: Layout
    delimiter: str
    names: tuple[str, ...]
    time: str
    sensor: str | None
    value: str | None


def read_header(line: str) -> Columns:
    """Time, sensor and value columns by their usual names; MalformedError `file_header` if there is no time."""
    delimiter = max((",", ";", "\t"), key=line.count)
    names = tuple(name.strip().strip('"') for name in line.split(delimiter))

    def first(wanted: Sequence[str], prefix_too: bool = False) -> str | None:
        for name in names:
            if name.lower() in wanted or (prefix_too and name.lower().startswith("sensor_id")):
                return name
        return None

    time = first(TIME_NAMES)
    if time is None:
        raise MalformedError(
            "file_header", f"no column {', '.join(TIME_NAMES)} among {', '.join(names)[:200]!r}"
        )
    sensor, value = first(SENSOR_NAMES, prefix_too=True), first(VALUE_NAMES)
    if len(names) == 2 and value is not None:
        return Columns("file", delimiter, names, time, None, value)
    if sensor is not None and value is not None:
        return Columns("long", delimiter, names, time, sensor, value)
    return Columns("wide", delimiter, names, time, None, None)


def guess_mapping(columns: Columns, sensors: Iterable[str]) -> Mapping:
    """One gateway `replay` with every sensor found; a quantity only where a name tells it, else a private one."""
    named = {"sensor": columns.sensor, "value": columns.value}
    csv = Csv(layout=columns.layout, delimiter=columns.delimiter, time=columns.time, faults=FAULTS_KNOWN)
    csv = csv.model_copy(update={name: text for name, text in named.items() if text is not None})
    ordered = sorted(
        set(sensors), key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name)
    )
    models = []
    for number, name in enumerate(ordered, 1):
        unit = _guess_unit(f"{name} {columns.value or ''}")
        models.append(
            ChannelModel(channel=number, sensor=name, unit=unit, quantity=None if unit else PRIVATE_FIRST)
        )
    return Mapping(csv=csv, gateway=(GatewayModel(name="replay", channel=tuple(models)),))


def _guess_unit(text: str) -> str | None:
    return next((unit for word, unit in GUESSES if word in text.lower()), None)


def make_clock(csv: Csv) -> Callable[[str], int]:
    """A function from a time's text to milliseconds UTC; it raises ValueError."""
    zone = _zone(csv.zone)
    low = _bound(csv.not_before, zone, 0)
    high = _bound(csv.not_after, zone, 2**62)
    read = _reader(csv.time_format, zone)

    def clock(text: str) -> int:
        time_ms = read(text)
        if not low <= time_ms <= high:
            raise ValueError("outside the recording's stated span")
        return time_ms

    return clock


def _bound(time: datetime | None, zone: tzinfo, absent: int) -> int:
    return absent if time is None else _milliseconds(time, zone)


def _reader(time_format: str, zone: tzinfo) -> Callable[[str], int]:
    if time_format == "iso":
        return lambda text: _milliseconds(datetime.fromisoformat(text), zone)
    if time_format in ("unix_s", "unix_ms"):
        scale = 1000 if time_format == "unix_s" else 1
        return lambda text: _epoch(text, scale)
    if "%" not in time_format:
        raise ServiceError(
            "mapping", f"time_format {time_format!r}, wanted iso, unix_s, unix_ms or a strptime pattern"
        )
    return lambda text: _milliseconds(datetime.strptime(text, time_format), zone)  # noqa: DTZ007


def _milliseconds(time: datetime, zone: tzinfo) -> int:
    return ((time if time.tzinfo else time.replace(tzinfo=zone)) - EPOCH) // MILLISECOND


def _epoch(text: str, scale: int) -> int:
    if not re.fullmatch(r"\d{1,14}(\.\d{1,9})?", text):
        raise ValueError("no whole or decimal number")
    return int(Decimal(text) * scale)


def _zone(name: str) -> tzinfo:
    offset = _OFFSET.match(name)
    if offset:
        sign, hours, minutes = offset.groups()
        return timezone((-1 if sign == "-" else 1) * timedelta(hours=int(hours), minutes=int(minutes)))
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ServiceError(
            "mapping", f"zone {name!r}, wanted UTC, an offset like +02:00 or an IANA name"
        ) from exc


__all__ = [
    "Columns",
    "Csv",
    "GatewayModel",
    "Mapping",
    "Quantity",
    "guess_mapping",
    "load_mapping",
    "make_clock",
    "read_header",
]
