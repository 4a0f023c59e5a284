"""Mean kinetic temperature by one published integer table (docs/spec/totals.md, USP <1079.2>)."""

import json
import math
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from importlib import resources

SCALE_BITS = 32
STEP_MILLI = 100
LOWEST_MILLI, HIGHEST_MILLI = -100_000, 100_000
ACTIVATION_K = 10_000  # ΔH/R = 83.144 kJ/mol / 8.3144 J/(mol·K)
ZERO_CELSIUS_MK = 273_150


def make_table() -> list[int]:
    """floor(w · 2^32 + ½) at −100.0, −99.9, … +100.0 °C, computed with 60 decimal digits."""
    context = Context(prec=60, rounding=ROUND_HALF_UP)
    zero = context.divide(Decimal(ZERO_CELSIUS_MK), Decimal(1000))
    table = []
    for value_milli in range(LOWEST_MILLI, HIGHEST_MILLI + 1, STEP_MILLI):
        kelvin = context.divide(Decimal(ZERO_CELSIUS_MK + value_milli), Decimal(1000))
        difference = context.subtract(context.divide(Decimal(1), kelvin), context.divide(Decimal(1), zero))
        weight = context.multiply(
            context.exp(context.multiply(difference, Decimal(-ACTIVATION_K))), Decimal(1 << SCALE_BITS)
        )
        table.append(int(weight.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=context)))
    return table


@cache
def table() -> tuple[int, ...]:
    """The published table, 2001 whole numbers."""
    text = resources.files("lading").joinpath("data/mkt_weights.json").read_text("utf-8")
    return tuple(json.loads(text))


def weight(value_milli: int) -> int:
    """w(T) · 2^32 of a temperature in thousandths °C, linear between the table's entries."""
    clamped = min(max(value_milli, LOWEST_MILLI), HIGHEST_MILLI) - LOWEST_MILLI
    k, f = divmod(clamped, STEP_MILLI)
    entries = table()
    if f == 0:
        return entries[k]
    return (entries[k] * (STEP_MILLI - f) + entries[k + 1] * f) // STEP_MILLI


def mean_kinetic_celsius(weight_sum: int, known_ms: int) -> float | None:
    """Mean kinetic temperature in °C for people to read; None without held time. Judgements use the sums."""
    if known_ms == 0 or weight_sum == 0:
        return None
    mean = weight_sum / known_ms / (1 << SCALE_BITS)
    zero_k = ZERO_CELSIUS_MK / 1000
    return 1 / (1 / zero_k - math.log(mean) / ACTIVATION_K) - zero_k
