"""Channels as series of readings, from wherever they come, and what proves where they come from."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from anomaly.forecast.grid import Floats, Grid, Times, to_grid
from anomaly.tables.files import find_csvs
from anomaly.tables.reading import open_table
from lading import tree
from lading.errors import MalformedError, ServiceError
from lading.fast import Checked
from lading.frame import RECORD_BYTES
from lading.quantities import INVALID

READINGS_MAX = 200_000_000
"""Held in memory at 16 bytes each."""
FILE_BYTES_MAX = 2**31
GATEWAY_DIGITS = 64

Key = tuple[str, int]
"""Gateway id in hex and channel, or a file's name and the place of its column."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where series come from."""

    kind: Literal["archive", "csv"]
    root: bytes
    batches: int
    frames: int


class Series(NamedTuple):
    """A channel's readings, invalid ones left out; thousandths become units."""

    key: Key
    time_ms: Times
    value: Floats

    @property
    def name(self) -> str:
        """For people."""
        place, number = self.key
        return f"{place[:16] if len(place) == GATEWAY_DIGITS else place}/{number}"

    def grid(self, step_ms: int) -> Grid:
        """Means by step; MalformedError `grid` where a clock leapt."""
        try:
            return to_grid(self.time_ms, self.value, step_ms)
        except MalformedError as exc:
            raise MalformedError(exc.code, f"{self.name}: {exc.text}") from exc


@dataclass
class Collector:
    """Takes checked frames, keeps the valid readings of one quantity, by channel."""

    quantity: int
    only: Key | None = None
    readings: int = 0
    _parts: dict[Key, list[tuple[Times, Floats]]] = field(default_factory=dict)

    def add(self, checked: Checked) -> None:
        """The readings of frames; ServiceError where they are more than are held."""
        self.readings += len(checked.columns.value)
        if self.readings > READINGS_MAX:
            raise ServiceError("archive", f"more than {READINGS_MAX} readings, wanted at most so many")
        for frame in np.flatnonzero(checked.whole):
            gateway = checked.gateway_id(int(frame)).hex()
            for run in range(checked.run_starts[frame], checked.run_starts[frame + 1]):
                self._add_run(gateway, checked, run)

    def _add_run(self, gateway: str, checked: Checked, run: int) -> None:
        record = checked.records.reshape(-1, RECORD_BYTES)[run]
        key = gateway, int.from_bytes(record[1:3].tobytes(), "big")
        if int.from_bytes(record[3:5].tobytes(), "big") != self.quantity or self.only not in (None, key):
            return
        part = slice(int(checked.reading_starts[run]), int(checked.reading_starts[run + 1]))
        columns = checked.columns
        valid = columns.flags[part] & INVALID == 0
        times, values = columns.time_ms[part][valid].copy(), columns.value[part][valid] / 1000
        self._parts.setdefault(key, []).append((times, values))

    def series(self) -> list[Series]:
        """Every channel, in order."""
        return [
            Series(key, *(np.concatenate(columns) for columns in zip(*self._parts[key], strict=True)))
            for key in sorted(self._parts)
        ]


def of_csvs(folder: Path) -> tuple[list[Series], Source]:
    """Every column of every csv file of a folder, or of one. Proves no origin: `root` says which bytes they were."""
    paths = find_csvs(folder, folder) if folder.is_dir() else [folder]
    if not paths:
        raise ServiceError("no_input", f"{folder}: found no .csv or .csv.gz file, wanted one or more")
    series = [
        one
        for path in paths
        for one in _columns(path, str(path.relative_to(folder)) if folder.is_dir() else path.name)
    ]
    leaves = [tree.leaf_hash(_digest(path)) for path in paths]
    return series, Source("csv", tree.root(leaves), 0, 0)


def _columns(path: Path, name: str) -> Iterator[Series]:
    with open_table(path) as table:
        chunks = list(table.chunks())
        times = np.concatenate([chunk.time_ms for chunk in chunks] or [np.empty(0, np.int64)])
        values = np.concatenate([chunk.values for chunk in chunks] or [np.empty((0, 0))])
        for at, column in enumerate(table.columns if len(values) else []):
            yield Series((name, column), times, values[:, at])


def _digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ServiceError("no_input", f"{path}: more than {FILE_BYTES_MAX} bytes")
    return tree.sha256(data)
