"""A csv file in chunks: its times and, of each value column, its numbers."""

import csv
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from anomaly.detectors.arith import Floats, Ints
from anomaly.tables import numbers, times
from anomaly.tables.files import reading
from anomaly.tables.layout import Layout, delimiter_of, excel_delimiter, names_of, why_ignored
from lading.errors import MalformedError

CHUNK_ROWS = 20_000
COLUMNS_MAX = 4_096
CELL_CHARS_MAX = 1_000_000
SHOWN_CHARS = 40

Flags = npt.NDArray[np.bool_]
Row = list[str]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows in the file's order."""

    time_cells: list[str]
    time_ms: Ints  # never less than the row's before
    values: Floats  # (rows, value columns); NaN: none


@dataclass(slots=True)
class Oddities:
    """What was taken otherwise than it stands: how often, and the first line."""

    found: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, what: str, lines: Sequence[int], where: Sequence[int] | Ints) -> None:
        """At these places of `lines`."""
        if len(where):
            count, first = self.found.get(what, (0, lines[where[0]]))
            self.found[what] = (count + len(where), first)


class Table:
    """A csv file, open. Which columns hold values (`columns`, by place) is known once `chunks` has begun."""

    def __init__(self, path: Path, text: TextIO, encoding: str) -> None:
        self.path = path
        self.rows = 0
        self.columns: list[int] = []
        self.ignored: dict[str, str] = {}
        self.oddities = Oddities()
        self._parse: times.Parser = times.iso
        self._last_ms = times.NO_TIME
        self._line_begin = 0
        csv.field_size_limit(CELL_CHARS_MAX)
        first, second, told = self._open(text)
        delimiter = told or delimiter_of(first, second)
        self._reader = csv.reader(itertools.chain([first, second], text), delimiter=delimiter, strict=True)
        names, has_header = self._names()
        self.layout = Layout(
            encoding, delimiter, "\r\n" if first.endswith("\r\n") else "\n", names, has_header
        )

    def chunks(self, rows_max: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """All rows, some at a time. Raises MalformedError with the line."""
        rows, lines = self._take(rows_max)
        self._learn(rows, lines)
        while rows:
            self.rows += len(rows)
            yield self._chunk(rows, lines)
            rows, lines = self._take(rows_max)

    def _malformed(self, line: int, found: str, wanted: str) -> MalformedError:
        return MalformedError("csv", f"{self.path}, line {line}: found {found}, wanted {wanted}")

    def _open(self, text: TextIO) -> tuple[str, str, str]:
        """The first two lines that count, and the delimiter if a line before them tells it."""

        def line(number: int) -> str:
            found = text.readline(CELL_CHARS_MAX)
            if len(found) == CELL_CHARS_MAX:
                raise self._malformed(number, "a longer line", f"{CELL_CHARS_MAX} characters at most")
            return found

        first, told = line(1), ""
        while first and (excel_delimiter(first) or not first.strip("\r\n\0 ")):
            told = told or excel_delimiter(first)
            self._line_begin += 1
            first = line(self._line_begin + 1)
        if not first:
            raise self._malformed(1, "nothing", "a header and rows")
        return first, line(self._line_begin + 2), told

    def _names(self) -> tuple[tuple[str, ...], bool]:
        row = self._next()
        assert row is not None, "the first line is not blank"
        line = self._line()
        if len(row) < 2:
            raise self._malformed(line, f"one column, {_shown(row[0])}", "the time and at least one value")
        if len(row) > COLUMNS_MAX:
            raise self._malformed(line, f"{len(row)} columns", f"at most {COLUMNS_MAX}")
        names, has_header = names_of(row)
        self._pending = [] if has_header else [row]
        return names, has_header

    def _line(self) -> int:
        return self._reader.line_num + self._line_begin

    def _next(self) -> Row | None:
        """The next row that is not blank."""
        rows, _ = self._read(1)
        return rows[0] if rows else None

    def _read(self, rows_max: int) -> tuple[list[Row], list[int]]:
        """The next rows that are not blank, and on which line each ends."""
        rows: list[Row] = []
        lines: list[int] = []
        reader, begin = self._reader, self._line_begin
        try:
            for row in reader:
                if len(row) > 1 or (row and row[0].strip()):
                    rows.append(row)
                    lines.append(reader.line_num + begin)
                    if len(rows) == rows_max:
                        break
        except csv.Error as exc:
            raise self._malformed(
                self._line(), str(exc), f"cells of {CELL_CHARS_MAX} characters at most"
            ) from exc
        return rows, lines

    def _take(self, rows_max: int) -> tuple[list[Row], list[int]]:
        pending, self._pending = self._pending, []
        line = self._line()
        rows, lines = self._read(rows_max - len(pending))
        return pending + rows, [line] * len(pending) + lines

    def _learn(self, rows: list[Row], lines: list[int]) -> None:
        """How times are written, and which columns hold values, by the first rows."""
        names = self.layout.names
        if rows:
            self._learn_times(rows, lines)
            if all(_is_wide(row, len(names)) for row in rows):
                raise self._malformed(lines[0], f"{len(rows[0])} cells", f"{len(names)}, as the header has")
        for at, name in enumerate(names[1:], 1):
            cells = [row[at] for row in rows if at < len(row)]
            why = why_ignored(name, cells, self.layout.decimal_comma)
            if why:
                self.ignored[name] = why
            else:
                self.columns.append(at)
        if not self.columns:
            found = ", ".join(f"{_shown(name)} ({why})" for name, why in self.ignored.items())
            raise self._malformed(
                lines[0] if lines else 1, f"beside the time only {found}", "a column of numbers"
            )

    def _learn_times(self, rows: list[Row], lines: list[int]) -> None:
        cells = [row[0] for row in rows]
        parse = times.parser_for(cells)
        if parse is None:
            column = self.layout.names[0]
            raise self._malformed(
                lines[0], f"{_shown(cells[0])} in the first column, {_shown(column)}", times.WANTED
            )
        self._parse = parse
        found = times.parse_all(parse, cells)
        back = np.flatnonzero(np.diff(found[found != times.NO_TIME]) < 0)
        # Newest first cannot be scored without looking ahead.
        if len(back) > max(1, len(cells) // 2):
            raise self._malformed(
                lines[int(back[0]) + 1], "times that go back from row to row", "the oldest row first"
            )

    def _chunk(self, rows: list[Row], lines: list[int]) -> Chunk:
        width = len(self.layout.names)
        cells = [row[0] for row in rows]
        wide = np.array([_is_wide(row, width) for row in rows])
        short = np.array([len(row) < width for row in rows])
        time_ms = times.parse_all(self._parse, cells)
        untimed = time_ms == times.NO_TIME
        reached = times.clock(time_ms, self._last_ms)
        add = self.oddities.add
        add("a time that cannot be read: scored 0", lines, np.flatnonzero(untimed))
        add("more cells than the header: scored 0", lines, np.flatnonzero(wide))
        add("fewer cells than the header, taken as empty", lines, np.flatnonzero(short))
        late = ~untimed & (time_ms < np.concatenate([[self._last_ms], reached[:-1]]))
        add("a time before an earlier row's", lines, np.flatnonzero(late))
        self._last_ms = int(reached[-1])
        values = np.column_stack([self._column(at, rows, lines) for at in self.columns])
        values[untimed | wide] = np.nan
        return Chunk(cells, reached, values)

    def _column(self, at: int, rows: list[Row], lines: list[int]) -> Floats:
        cells = [row[at] if at < len(row) else "" for row in rows]
        found, text = numbers.column(cells, self.layout.decimal_comma)
        name = self.layout.names[at]
        self.oddities.add(f"text instead of a number in {_shown(name)}, taken as empty", lines, text)
        return found


def _is_wide(row: Row, width: int) -> bool:
    return len(row) > width and any(cell.strip() for cell in row[width:])


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= SHOWN_CHARS else cell[:SHOWN_CHARS] + "…")


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """The table of a file. Raises ServiceError where it cannot be read, MalformedError where it is no table."""
    with reading(path) as (text, encoding):
        yield Table(path, text, encoding)
