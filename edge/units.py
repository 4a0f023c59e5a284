"""Units that readings come in, and how many thousandths of Lading's unit one of them is."""

import struct
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from lading.errors import MalformedError
from lading.fields import I32_MAX, I32_MIN
from lading.quantities import Quantity

DIGITS_MAX = 12  # a value of more digits before its point is no measurement


class Unit(NamedTuple):
    """A value v is (v + offset) · scale thousandths of the quantity's unit."""

    quantity: Quantity
    scale: Decimal
    offset: Decimal = Decimal(0)


def _unit(quantity: Quantity, scale: str, offset: str = "0") -> Unit:
    return Unit(quantity, Decimal(scale), Decimal(offset))


# Names of RFC 8428 section 12.1 and RFC 8798, and what people write into csv files.
UNITS: dict[str, Unit] = {
    "Cel": _unit(Quantity.TEMPERATURE, "1000"),
    "°C": _unit(Quantity.TEMPERATURE, "1000"),
    "C": _unit(Quantity.TEMPERATURE, "1000"),
    "K": _unit(Quantity.TEMPERATURE, "1000", "-273.15"),
    "°F": Unit(Quantity.TEMPERATURE, Decimal(5000) / 9, Decimal(-32)),
    "F": Unit(Quantity.TEMPERATURE, Decimal(5000) / 9, Decimal(-32)),
    "%RH": _unit(Quantity.HUMIDITY, "1000"),
    "%": _unit(Quantity.HUMIDITY, "1000"),
    "open": _unit(Quantity.DOOR, "1000"),
    "lx": _unit(Quantity.LIGHT, "1000"),
    "g": _unit(Quantity.SHOCK, "1000"),
    "m/s2": Unit(Quantity.SHOCK, 1000 / Decimal("9.80665")),
    "lat": _unit(Quantity.LATITUDE, "1000000"),
    "lon": _unit(Quantity.LONGITUDE, "1000000"),
    "V": _unit(Quantity.BATTERY, "1000"),
    "mV": _unit(Quantity.BATTERY, "1"),
    "hPa": _unit(Quantity.PRESSURE, "1000"),
    "Pa": _unit(Quantity.PRESSURE, "10"),
}


def to_milli(value: Decimal, scale: Decimal, offset: Decimal) -> int:
    """Whole thousandths, halves to even; MalformedError `value` when that is no i32."""
    if not value.is_finite() or (value and not -28 <= value.adjusted() <= DIGITS_MAX):
        raise MalformedError("value", f"{str(value)[:40]}, wanted a number of at most {DIGITS_MAX} digits")
    milli = int(((value + offset) * scale).to_integral_value(ROUND_HALF_EVEN))
    if not I32_MIN <= milli <= I32_MAX:
        raise MalformedError("value", f"{milli} thousandths, wanted {I32_MIN}..{I32_MAX}")
    return milli


def shortest(value: float, *, is_single: bool) -> Decimal:
    """The shortest decimal that reads back as this finite number of 64 bits, or of 32: what its sender meant by it."""
    if not is_single:
        return Decimal(repr(value))
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        if struct.unpack("<f", struct.pack("<f", float(text)))[0] == value:
            return Decimal(text)
    return Decimal(f"{value:.9g}")
