"""How a csv file is written: what parts its cells, its header, and which columns hold values."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass

from anomaly.tables import numbers, times

DELIMITERS = (";", "\t", "|", ",")  # the first of those that give as many cells
LABELS = frozenset(
    {
        *("anomaly", "anomalies", "anomalous", "is_anomaly", "anomaly_label", "anomaly_score"),
        *("label", "labels", "is_label", "ground_truth", "groundtruth", "outlier", "is_outlier"),
        *("attack", "is_attack", "changepoint", "change_point", "is_changepoint"),
    }
)
_TIME, _VALUE = "time", "value"  # where there is no header


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written, for its scores to be written alike. `names` of all columns, the time's first."""

    encoding: str
    delimiter: str
    line_end: str
    names: tuple[str, ...]
    has_header: bool

    @property
    def decimal_comma(self) -> bool:
        """Whether 3,5 may be a number."""
        return self.delimiter != ","


def names_of(first: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The columns' names by the first row, and whether it is a header: a time and numbers alone are not."""
    cells = [cell.strip() for cell in first]
    if not times.is_time(cells[0]) or any(numbers.number(cell, True) is None for cell in cells[1:]):
        return tuple(first), True
    values = [f"{_VALUE}_{i}" for i in range(1, len(first))] if len(first) > 2 else [_VALUE]
    return (_TIME, *values), False


def why_ignored(name: str, cells: Sequence[str], decimal_comma: bool) -> str:
    """Why a column holds no values; empty if it does."""
    if name.strip().casefold().replace(" ", "_").replace("-", "_") in LABELS:
        return "labels are not looked at"
    found = [numbers.number(cell, decimal_comma) for cell in cells]
    filled = [value for value in found if value is None or value == value]
    return "text" if filled and all(value is None for value in filled) else ""


def excel_delimiter(line: str) -> str:
    """The delimiter of a line such as `sep=;`, which some programs write first; empty for another line."""
    text = line.strip("\r\n")
    return text[4] if len(text) == 5 and text.lower().startswith("sep=") and text[4] in DELIMITERS else ""


def delimiter_of(first: str, second: str) -> str:
    """What parts the cells: of those found in both lines the one that gives most cells in the first."""
    lines = [first, second] if second.strip() else [first]
    common = [d for d in DELIMITERS if all(_cells(line, d) > 1 for line in lines)]
    return max(common or DELIMITERS, key=lambda d: _cells(first, d))


def _cells(line: str, delimiter: str) -> int:
    return len(next(csv.reader([line], delimiter=delimiter), []))
