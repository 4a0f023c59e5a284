"""What a twin is, and the sums and logarithms that they share."""

import math
from typing import Protocol

NONE = -1.0


class Twin(Protocol):
    """One channel."""

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        """Surprise of one reading; never a fault."""


def ln(x: float) -> float:
    """By the series of artanh to the fifteenth power, after splitting off the power of two."""
    mantissa, power = math.frexp(x)  # in [½, 1)
    mantissa, power = 2 * mantissa, power - 1
    if mantissa > 1.4142135623730951:
        mantissa, power = mantissa / 2, power + 1
    t = (mantissa - 1) / (mantissa + 1)
    series = 0.0
    for odd in range(15, 0, -2):
        series = 1 / odd + t * t * series
    return power * 0.6931471805599453 + 2 * t * series


def log10(x: float) -> float:
    """Decimal."""
    return ln(x) * 0.4342944819032518


def in_order(numbers: list[float]) -> float:
    """Their sum, added from the first on."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def clip(x: float, limit: float) -> float:
    """Within ± limit."""
    return min(max(x, -limit), limit)
