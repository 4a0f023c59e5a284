"""Quantities, units and reading flags (docs/spec/README.md, docs/spec/totals.md)."""

from enum import IntEnum

FAULT = 1  # the sensor failed: the value is its raw report, not a measurement
CLOCK = 2  # the gateway's clock was unset or behind the channel's past: the time is a placeholder
DERIVED = 4  # taken over from a third-party sensor
FLAGS_KNOWN = FAULT | CLOCK | DERIVED
INVALID = FAULT | CLOCK

PRIVATE_FIRST = 0x8000


class Quantity(IntEnum):
    """Registered quantities; values are thousandths of the unit."""

    TEMPERATURE = 1
    HUMIDITY = 2
    DOOR = 3
    LIGHT = 4
    SHOCK = 5
    LATITUDE = 6
    LONGITUDE = 7
    BATTERY = 8
    PRESSURE = 9


_UNITS = {
    Quantity.TEMPERATURE: "°C",
    Quantity.HUMIDITY: "%RH",
    Quantity.DOOR: "open",
    Quantity.LIGHT: "lx",
    Quantity.SHOCK: "g",
    Quantity.LATITUDE: "m°",
    Quantity.LONGITUDE: "m°",
    Quantity.BATTERY: "V",
    Quantity.PRESSURE: "hPa",
}


def is_quantity(code: int) -> bool:
    """True for registered and private codes."""
    return 1 <= code <= max(Quantity) or PRIVATE_FIRST <= code <= 0xFFFF


def name(code: int) -> str:
    """`temperature`, …, `private 32768`, or `unknown 99` for a code that is neither registered nor private."""
    if code >= PRIVATE_FIRST:
        return f"private {code}"
    return Quantity(code).name.lower() if is_quantity(code) else f"unknown {code}"


def unit(code: int) -> str:
    """Unit whose thousandths a value counts; empty for codes that are not registered."""
    return _UNITS[Quantity(code)] if is_quantity(code) and code < PRIVATE_FIRST else ""
