"""Questions to the archive's readings, asked through DuckDB over the batches' Parquet files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt

from lading.errors import ServiceError

ROWS_MAX = 10_000_000
_INVALID = 3  # FAULT | CLOCK


class Series(NamedTuple):
    """A channel's readings by time: milliseconds, thousandths of the unit, flags."""

    time_ms: npt.NDArray[np.int64]
    value: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint16]


class Coverage(NamedTuple):
    """What the archive has of one channel of a leg."""

    gateway: str
    leg: str | None
    channel: int
    quantity: int
    readings: int
    valid: int
    first_ms: int
    last_ms: int
    first_seq: int
    missing: int  # sequence numbers between first and last that are not there
    longest_gap_ms: int


class Queries:
    """Reads every `<folder>/<tenant>/*.parquet` that is there when asked."""

    def __init__(self, folder: Path, tenant: str = "*") -> None:
        self._folder = folder
        self._tenant = tenant
        self._db = duckdb.connect(":memory:")

    def readings_count(self, leg: str | None = None) -> int:
        """Readings in the archive: all, or of a leg."""
        where, values = ("WHERE leg = ?", [leg]) if leg else ("", [])
        rows = self._ask(f"SELECT count(*) FROM readings {where}", values)
        return int(rows[0][0]) if rows else 0

    def series(self, leg: str, channel: int) -> Series:
        """A channel's readings of a leg, in order."""
        return self._series("leg = ? AND channel = ?", [leg, channel])

    def gateway_series(self, gateway: str, channel: int) -> Series:
        """A channel's readings of a gateway, over all its legs and what lies between them."""
        return self._series("gateway = ? AND channel = ?", [gateway, channel])

    def coverage(self) -> list[Coverage]:
        """Every channel of every leg: how much there is, and what is missing."""
        rows = self._ask(
            "SELECT gateway, leg, channel, any_value(quantity), count(*),"
            f" count(*) FILTER (flags & {_INVALID} = 0), min(time_ms), max(time_ms), min(seq),"
            " max(seq) - min(seq) + 1 - count(*), coalesce(max(gap_ms), 0) FROM"
            " (SELECT *, time_ms - lag(time_ms) OVER (PARTITION BY gateway, leg, channel ORDER BY seq) AS gap_ms"
            " FROM readings) GROUP BY gateway, leg, channel ORDER BY gateway, min(time_ms), leg, channel"
        )
        return [Coverage(row[0], row[1], *(int(value) for value in row[2:])) for row in rows]

    def duplicates(self) -> int:
        """Readings that are there more than once: 0, or something is broken."""
        rows = self._ask(
            "SELECT coalesce(sum(n - 1), 0) FROM"
            " (SELECT count(*) AS n FROM readings GROUP BY gateway, channel, seq) WHERE n > 1"
        )
        return int(rows[0][0]) if rows else 0

    def sql(self, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Any query over the view `readings`: column names and rows."""
        if not self._open():
            return [], []
        try:
            cursor = self._db.execute(query)
            names = [column[0] for column in cursor.description or []]
            return names, cursor.fetchmany(ROWS_MAX)
        except duckdb.Error as exc:
            raise ServiceError("query", str(exc)) from exc

    def _series(self, where: str, values: Sequence[object]) -> Series:
        query = f"SELECT time_ms, value, flags FROM readings WHERE {where} ORDER BY seq LIMIT {ROWS_MAX}"
        if not self._open():
            return Series(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint16))
        found = self._db.execute(query, list(values)).fetchnumpy()
        return Series(found["time_ms"], found["value"], found["flags"])

    def _ask(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if not self._open():
            return []
        try:
            return self._db.execute(query, list(values)).fetchall()
        except duckdb.Error as exc:
            raise ServiceError("query", str(exc)) from exc

    def _open(self) -> bool:
        """A view of the files that are there now; False when there is none."""
        files = sorted(str(path) for path in self._folder.glob(f"{self._tenant}/*.parquet"))
        if files:
            listed = ", ".join(f"'{_quoted(path)}'" for path in files)
            self._db.execute(f"CREATE OR REPLACE VIEW readings AS SELECT * FROM read_parquet([{listed}])")
        return bool(files)


def _quoted(text: str) -> str:
    return text.replace("'", "''")
