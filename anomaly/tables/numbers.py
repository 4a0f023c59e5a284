"""Cells to numbers: what is empty, what is a number, and what is text."""

import math
from collections.abc import Sequence

import numpy as np

from anomaly.detectors.arith import Floats

MISSING = frozenset(
    ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "nil", "missing", "-", "--", "?", "\\n", "nat")
)
_WORDS = {"true": 1.0, "false": 0.0}


def number(cell: str, decimal_comma: bool = False) -> float | None:
    """The number in a cell; NaN for an empty one and for infinities; None for text."""
    text = cell.strip()
    try:
        value = float(text.replace("_", "!"))
    except ValueError:
        word = text.casefold()
        if word in MISSING:
            return math.nan
        if word in _WORDS:
            return _WORDS[word]
        if decimal_comma and text.count(",") == 1:
            return number(text.replace(",", "."))
        return None
    return value if math.isfinite(value) else math.nan


def column(cells: Sequence[str], decimal_comma: bool) -> tuple[Floats, list[int]]:
    """The numbers of a column, NaN where there is none, and at which places there is text."""
    try:
        values = np.array(list(map(float, cells)))
    except ValueError:
        found = [number(cell, decimal_comma) for cell in cells]
        text = [i for i, value in enumerate(found) if value is None]
        return np.array([math.nan if value is None else value for value in found], np.float64), text
    values[~np.isfinite(values)] = math.nan
    return values, []
