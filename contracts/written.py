"""Quantities as people write them in a terms file: "30 min", "8.0 C", "250 TEST". ValueError says what was wanted."""

import re
from decimal import Context, Decimal

from contracts.money import Money
from lading.quantities import Quantity

_PARTS = re.compile(r"\s*(-?[0-9]{1,24}(?:\.[0-9]{1,24})?)\s*([^\s0-9][^\s]*)\s*\Z")
_DURATIONS_MS = {
    ("ms",): 1,
    ("s", "second", "seconds"): 1_000,
    ("min", "minute", "minutes"): 60_000,
    ("h", "hour", "hours"): 3_600_000,
    ("d", "day", "days"): 86_400_000,
}
_EXACT = Context(prec=96)  # more digits than a product of what _PARTS takes has
_UNITS_MS = {name: size_ms for names, size_ms in _DURATIONS_MS.items() for name in names}
_UNITS = {
    Quantity.TEMPERATURE: ("C", "°C"),
    Quantity.HUMIDITY: ("%RH", "%"),
    Quantity.LIGHT: ("lx",),
    Quantity.SHOCK: ("g",),
    Quantity.BATTERY: ("V",),
    Quantity.PRESSURE: ("hPa",),
}


def duration_ms(text: str) -> int:
    """Milliseconds of "30 min"."""
    found = _split(text)
    if found is None or found[1] not in _UNITS_MS:
        raise ValueError('a duration such as "30 min" (ms, s, min, h or d)')
    return _whole(_EXACT.multiply(found[0], Decimal(_UNITS_MS[found[1]])), "whole milliseconds", least=0)


def duration_s(text: str) -> int:
    """Seconds of "5 days"."""
    time_ms = duration_ms(text)
    if time_ms % 1000:
        raise ValueError("whole seconds")
    return time_ms // 1000


def value_milli(text: str, quantity: int) -> int:
    """Thousandths of a channel's unit, of "8.0 C"."""
    units = _UNITS.get(Quantity(quantity), ()) if quantity in set(Quantity) else ()
    found = _split(text)
    if not units:
        raise ValueError("thousandths of the unit as a whole number: this quantity has no unit to write")
    if found is None or found[1] not in units:
        raise ValueError(f'a number with {" or ".join(units)}, such as "8.0 {units[0]}"')
    return _whole(_EXACT.multiply(found[0], Decimal(1000)), f"thousandths of {units[-1]} at the finest")


def amount_units(text: str, money: Money) -> int:
    """The token's smallest units of "250 TEST"."""
    found = _split(text)
    if not money.is_known:
        raise ValueError("whole smallest units of the token as a number: no chain tells its decimals")
    if found is None or found[1] != money.symbol:
        raise ValueError(f'an amount such as "250 {money.symbol}"')
    units = money.units(found[0])
    if units is None or units < 0:
        raise ValueError(f"an amount of {money.symbol} with at most {money.decimals} decimals")
    return units


def _split(text: str) -> tuple[Decimal, str] | None:
    found = _PARTS.match(text)
    return None if found is None else (Decimal(found[1]), found[2])


def _whole(value: Decimal, wanted: str, least: int | None = None) -> int:
    if value != value.to_integral_value() or (least is not None and value < least):
        raise ValueError(wanted)
    return int(value)
