"""The archive's readings and positions as points: what was recorded before there was an InfluxDB, or is gone from it.

The archive's Parquet files are read by their documented columns (docs/ingest.md): gateway and leg in hex, frame_seq,
channel, quantity, time_ms, value, flags. The points are those that the log gives, so filling twice, or beside the
writer, changes nothing.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dashboards.timeseries.lines import AHEAD_MS_MAX, EARLIEST_MS
from dashboards.timeseries.names import Names
from dashboards.timeseries.readings import Block, Points, Run, Window
from dashboards.timeseries.sink import Sink
from dashboards.timeseries.state import Refused
from lading.errors import ServiceError
from lading.fields import TIME_MS_MAX
from lading.process import RETRIES_MAX, Tries
from lading.tree import ZERO_HASH

ROWS_A_BLOCK = 100_000
PAUSE_S = 0.5
REFUSED_KEPT_MAX = 100
COLUMNS = ("gateway", "leg", "frame_seq", "channel", "quantity", "time_ms", "value", "flags")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which readings: times in ms, both ends in; `legs` are ids in hex, None for all and what lies between legs."""

    first_ms: int = EARLIEST_MS
    last_ms: int = TIME_MS_MAX
    legs: frozenset[str] | None = None


@dataclass
class Filled:
    """How far it is. `readings` counts those given to InfluxDB, `points` positions too."""

    files: int = 0
    files_skipped: int = 0
    readings: int = 0
    points: int = 0
    refused: int = 0
    out_of_range: int = 0


class Backfill:
    """Fills from the files that are there when it starts."""

    def __init__(
        self,
        folder: Path,
        sink: Sink,
        names: Names,
        now_ms: int,
        lines_a_chunk: int,
        retries_max: int = RETRIES_MAX,
    ) -> None:
        self._folder = folder
        self._sink = sink
        self._names = names
        self._points = Points(names, lines_a_chunk)
        self._retries_max = retries_max
        self._latest_ms = now_ms + AHEAD_MS_MAX
        self.refused: list[Refused] = []

    def files(self) -> list[Path]:
        """The archive's files of readings, tenants and batches in order."""
        return sorted(self._folder.glob("*/*.parquet"))

    def run(self, asked: Asked, stop: threading.Event, show: Callable[[Filled], None]) -> Filled:
        """Write what is asked for, until the end or `stop`. What InfluxDB does not take for now is tried again."""
        filled = Filled()
        for path in self.files():
            if stop.is_set():
                break
            if not self._file(path, asked, stop, filled):
                filled.files_skipped += 1
            filled.files += 1
            show(filled)
        return filled

    def _file(self, path: Path, asked: Asked, stop: threading.Event, filled: Filled) -> bool:
        """False when its times are outside what is asked for."""
        with _archive_errors(path), pq.ParquetFile(path) as file:
            groups = [
                at for at in range(file.num_row_groups) if _may_hold(file.metadata.row_group(at), asked)
            ]
            batches = file.iter_batches(ROWS_A_BLOCK, groups, columns=list(COLUMNS)) if groups else ()
            for rows in _whole_frames(_wanted(batch, asked) for batch in batches):
                if stop.is_set():
                    break
                self._write(self._block(rows), asked, stop, filled)
        return bool(groups)

    def _write(self, block: Block, asked: Asked, stop: threading.Event, filled: Filled) -> None:
        window = Window(max(asked.first_ms, EARLIEST_MS), min(asked.last_ms, self._latest_ms))
        tries = Tries(PAUSE_S, retries_max=self._retries_max)
        while not stop.is_set():
            self._points.left_out = 0
            try:
                points, refused = self._sink.write(self._points.of_block(block, window), in_order=False)
            except ServiceError as exc:
                stop.wait(tries.failed(exc))
                continue
            filled.readings += len(block.time_ms) - self._points.left_out
            filled.out_of_range += self._points.left_out
            filled.points += points
            filled.refused += sum(one.points for one in refused)
            self.refused = (self.refused + refused)[-REFUSED_KEPT_MAX:]
            return

    def _block(self, rows: pa.Table) -> Block:
        """Rows in the archive's order: a run is what has one gateway, leg, frame, channel and quantity."""
        gateway, gateways = _coded(rows, "gateway")
        leg, legs = _coded(rows, "leg")
        frame = rows.column("frame_seq").to_numpy().view(np.int64)
        channel, quantity = (
            rows.column(name).to_numpy().astype(np.int64) for name in ("channel", "quantity")
        )
        keys = np.stack([gateway, leg, frame, channel, quantity], axis=1)
        begins = np.flatnonzero(np.any(keys[1:] != keys[:-1], axis=1)) + 1
        starts = np.concatenate([[0], begins, [len(keys)]]).astype(np.int64)
        frames: dict[tuple[int, ...], int] = {}
        runs = []
        for row in keys[starts[:-1]].tolist():
            number = frames.setdefault((row[0], row[2]), len(frames))
            of = self._names.leg(
                bytes.fromhex(gateways[row[0]]), bytes.fromhex(legs[row[1]] or "") or ZERO_HASH
            )
            runs.append(Run(of, row[3], row[4], number))
        return Block(
            runs,
            starts,
            rows.column("time_ms").to_numpy(),
            rows.column("value").to_numpy(),
            rows.column("flags").to_numpy(),
        )


def _may_hold(group: Any, asked: Asked) -> bool:
    """By the row group's own statistics."""
    times = _span(group, "time_ms")
    if times and (times[1] < asked.first_ms or times[0] > asked.last_ms):
        return False
    legs = _span(group, "leg")
    return asked.legs is None or legs is None or any(legs[0] <= leg <= legs[1] for leg in asked.legs)


def _span(group: Any, name: str) -> tuple[Any, Any] | None:
    """Least and greatest, where the file says so."""
    for at in range(group.num_columns):
        column = group.column(at)
        if column.path_in_schema == name and column.statistics is not None and column.statistics.has_min_max:
            return column.statistics.min, column.statistics.max
    return None


def _wanted(batch: pa.RecordBatch, asked: Asked) -> pa.Table:
    rows = pa.Table.from_batches([batch])
    keep = pc.and_(
        pc.greater_equal(rows.column("time_ms"), asked.first_ms),
        pc.less_equal(rows.column("time_ms"), asked.last_ms),
    )
    if asked.legs is not None:
        keep = pc.and_(keep, pc.is_in(rows.column("leg"), pa.array(sorted(asked.legs), pa.string())))
    return rows.filter(keep)


def _whole_frames(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Rows that are not none, never cut within a frame: a position is of two runs of one."""
    kept: pa.Table | None = None
    for rows in tables:
        together = rows if kept is None else pa.concat_tables([kept, rows])
        if not len(together):
            continue
        frame = together.column("frame_seq").to_numpy()
        gateway, _ = _coded(together, "gateway")
        is_last = (frame == frame[-1]) & (gateway == gateway[-1])
        cut = int(len(frame) - np.argmin(is_last[::-1])) if not is_last.all() else 0
        if cut:
            yield together.slice(0, cut)
        kept = together.slice(cut)
    if kept is not None and len(kept):
        yield kept


def _coded(rows: pa.Table, name: str) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    """A column of repeated texts as numbers, and the texts; null is a text of its own."""
    coded = rows.column(name).combine_chunks().dictionary_encode("encode")
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    return coded.indices.to_numpy().astype(np.int64), coded.dictionary.to_pylist()


@contextmanager
def _archive_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, KeyError) as exc:
        raise ServiceError("archive_failed", f"{path}: {exc}, wanted the archive's readings") from exc
