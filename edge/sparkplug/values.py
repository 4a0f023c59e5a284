"""What a metric's value means as a reading: its datatype's range, its quality, its time."""

import math
from decimal import Decimal
from typing import NamedTuple

from edge.readings import NewReading
from edge.sparkplug.payload import BOOLEAN, DOUBLE, FLOAT, INT, LONG, Metric, Value
from edge.units import UNITS, shortest, to_milli
from lading.errors import RejectedError
from lading.quantities import DERIVED, FAULT, Quantity

GOOD, STALE = 192, 500  # 6.4.9.1; 0 is bad
DATATYPES = (
    "unknown", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float", "Double", "Boolean",
    "String", "DateTime", "Text", "UUID", "DataSet", "Bytes", "File", "Template",
)  # fmt: skip
_SIGNED, _UNSIGNED = {1: 8, 2: 16, 3: 32, 4: 64}, {5: 8, 6: 16, 7: 32, 8: 64}  # datatype: bits
_FIELDS = {
    **dict.fromkeys(range(1, 9), (INT, LONG)),
    9: (FLOAT,),
    10: (DOUBLE,),
    11: (BOOLEAN,),
}


class Sensor(NamedTuple):
    """A metric that is taken: its full name GROUP/NODE/DEVICE/METRIC, its unit, its channel."""

    name: str
    unit: str
    channel: int


def datatype_name(datatype: int | None) -> str:
    """As the specification calls it."""
    return (
        DATATYPES[datatype] if datatype is not None and datatype < len(DATATYPES) else f"datatype {datatype}"
    )


def is_number(datatype: int) -> bool:
    """True for integers, floats and booleans: what a reading can be."""
    return datatype in _FIELDS


def reading(sensor: Sensor, metric: Metric, datatype: int, time_ms: int) -> NewReading:
    """RejectedError `sparkplug_…` where it is none: null, stale, of another type, out of range, of another unit."""
    if metric.is_null:
        raise _refusal("null", sensor, "null")
    if metric.unit is not None and not _is_same_unit(sensor.unit, metric.unit):
        raise _refusal(
            "unit", sensor, f"its publisher says {metric.unit[:20]!r}, the settings {sensor.unit!r}"
        )
    flags = DERIVED | _fault(sensor, metric.quality)
    value = number(sensor, metric, datatype)
    quantity, scale, offset = UNITS[sensor.unit]
    if isinstance(value, bool) and quantity != Quantity.DOOR:
        raise _refusal("type", sensor, f"Boolean, wanted a number of {sensor.unit}")
    if quantity == Quantity.DOOR and value not in (0, 1):
        raise _refusal("value", sensor, f"{value}, wanted true or false, 1 or 0")
    return NewReading(sensor.channel, time_ms, to_milli(Decimal(value), scale, offset), flags)


def number(sensor: Sensor, metric: Metric, datatype: int) -> Decimal | bool:
    """The value of its datatype."""
    fields = _FIELDS.get(datatype)
    if fields is None:
        raise _refusal("type", sensor, f"{datatype_name(datatype)}, wanted an integer, a float or a boolean")
    if metric.datatype not in (None, datatype):
        raise _refusal("type", sensor, f"{datatype_name(metric.datatype)}, born as {datatype_name(datatype)}")
    if metric.value is None or metric.value.field not in fields or metric.value.number is None:
        raise _refusal("type", sensor, f"no value that a {datatype_name(datatype)} has")
    found = metric.value.number
    if isinstance(found, float):
        if not math.isfinite(found):
            raise _refusal("value", sensor, f"{found} is no number")
        return shortest(found, is_single=datatype == 9)
    if datatype == 11:
        if found > 1:
            raise _refusal("value", sensor, f"{found}, wanted true or false")
        return bool(found)
    return Decimal(_integer(sensor, found, datatype))


def _integer(sensor: Sensor, found: int, datatype: int) -> int:
    """Negative ones come in two's complement of their own width, or of the field that carries them."""
    bits = _UNSIGNED.get(datatype) or _SIGNED[datatype]
    if datatype in _UNSIGNED and found < 1 << bits:
        return found
    if datatype in _SIGNED:
        half = 1 << bits - 1
        if found < half:
            return found
        for width in (bits, 32, 64):
            if (1 << width) - half <= found < 1 << width:
                return found - (1 << width)
    raise _refusal("value", sensor, f"{found} is out of the range of {datatype_name(datatype)}")


def _fault(sensor: Sensor, quality: Value | None) -> int:
    """FAULT for everything but good; a stale value is no reading."""
    if quality is None:
        return 0
    if quality.field != INT:
        raise _refusal("quality", sensor, "its quality is no Int32")
    if quality.number == STALE:
        raise _refusal("stale", sensor, "stale")
    return 0 if quality.number == GOOD else FAULT


def _is_same_unit(ours: str, theirs: str) -> bool:
    """A unit that we do not know says nothing."""
    return theirs not in UNITS or UNITS[theirs] == UNITS[ours]


def _refusal(what: str, sensor: Sensor, text: str) -> RejectedError:
    return RejectedError(f"sparkplug_{what}", f"{sensor.name}: {text}")
