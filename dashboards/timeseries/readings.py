"""Readings, positions and frames as points, many at once: from the log's frames and from the archive alike."""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dashboards.timeseries import schema
from dashboards.timeseries.kernels import TAIL_BYTES_MAX, format_readings
from dashboards.timeseries.lines import (
    AHEAD_MS_MAX,
    EARLIEST_MS,
    NS_A_MS,
    Chunk,
    Value,
    gathered,
    head,
    is_in_range,
    line,
)
from dashboards.timeseries.names import Names, OfLeg
from lading import quantities
from lading.decoding import decode_frame
from lading.errors import MalformedError
from lading.fast import walk_frames
from lading.frame import HEADER_BYTES, RECORD_BYTES, Header
from lading.log import Record
from lading.quantities import INVALID, Quantity
from lading.walk import Walked

LINES_A_CHUNK = 5_000
GROUP_BYTES = 1024 * 1024
"""Frames of about so many bytes become lines at once: some 20 MB of text."""
HEADS_CACHED_MAX = 65_536

_RECORD_HEAD = struct.Struct(">xHH")

Ints = npt.NDArray[np.int64]


class Run(NamedTuple):
    """One channel's successive readings of one frame. `frame` tells the runs of one frame from the next one's."""

    of: OfLeg
    channel: int
    quantity: int
    frame: int


class Block(NamedTuple):
    """Runs with their readings: run r is readings starts[r] to starts[r + 1]. Values are thousandths."""

    runs: Sequence[Run]
    starts: Ints
    time_ms: Ints
    value: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint16]

    def column(self, run: int) -> "Block":
        """One run's readings."""
        at = slice(int(self.starts[run]), int(self.starts[run + 1]))
        whole = np.array([0, at.stop - at.start])
        return Block([self.runs[run]], whole, self.time_ms[at], self.value[at], self.flags[at])

    def valid(self, run: int) -> tuple[Ints, npt.NDArray[np.int32]]:
        """Times and values of one run's valid readings."""
        one = self.column(run)
        mask = one.flags & INVALID == 0
        return one.time_ms[mask], one.value[mask]


class Window(NamedTuple):
    """Times outside are left out; both ends are in it."""

    first_ms: int
    last_ms: int

    @staticmethod
    def until(record_ms: int) -> "Window":
        """What may be true of readings that were logged by then."""
        return Window(EARLIEST_MS, record_ms + AHEAD_MS_MAX)


class Points:
    """Makes the lines. `left_out` counts readings and frames whose time is outside the window."""

    def __init__(self, names: Names, lines_a_chunk: int = LINES_A_CHUNK) -> None:
        self._names = names
        self._lines_a_chunk = lines_a_chunk
        self._heads: dict[tuple[OfLeg, int, int], bytes] = {}
        self.left_out = 0

    def of_frames(self, records: Sequence[Record]) -> Iterator[Chunk]:
        """All points of frames in the log; a frame that is none is left out."""
        for group in _groups(records):
            walked = walk_frames([record.value for record in group])
            headers = _headers(walked, group)
            block = self._block(walked, headers)
            yield from self.of_block(block, Window.until(max(record.time_ms for record in group)))
            yield from gathered(self._gateway_lines(group, headers, block, walked), self._lines_a_chunk)

    def of_block(self, block: Block, window: Window) -> Iterator[Chunk]:
        """Readings and positions."""
        if len(block.runs):
            yield from self._reading_chunks(block, window)
            yield from gathered(position_lines(block, window), self._lines_a_chunk)

    def _block(self, walked: Walked, headers: Sequence[Header | None]) -> Block:
        of = [None if header is None else self._names.of_header(header) for header in headers]
        records, run_starts = walked.records.tobytes(), walked.run_starts.tolist()
        runs = [
            Run(labels, *_channel(records, run), frame)
            for frame, labels in enumerate(of)
            if labels is not None
            for run in range(run_starts[frame], run_starts[frame + 1])
        ]
        columns = walked.columns
        return Block(runs, walked.reading_starts, columns.time_ms, columns.value, columns.flags)

    def _reading_chunks(self, block: Block, window: Window) -> Iterator[Chunk]:
        heads = [self._head(run) for run in block.runs]
        lengths = np.fromiter(map(len, heads), np.int64, len(heads))
        counts = np.diff(block.starts)
        size = int((counts * (lengths + TAIL_BYTES_MAX)).sum())
        total = int(counts.sum())
        out = np.empty(size, np.uint8)
        cuts = np.empty(total // self._lines_a_chunk + 2, np.int64)
        count = format_readings(
            block.starts,
            np.frombuffer(b"".join(heads), np.uint8),
            np.concatenate([[0], np.cumsum(lengths)]),
            block.time_ms,
            block.value,
            block.flags,
            window.first_ms,
            window.last_ms,
            self._lines_a_chunk,
            out,
            cuts,
        )
        self.left_out += total - count
        for first, last in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            if first < last:
                lines = min(self._lines_a_chunk, count)
                count -= lines
                yield Chunk(out[first:last].tobytes(), lines, "ms")

    def _head(self, run: Run) -> bytes:
        """A run's lines up to their fields."""
        key = (run.of, run.channel, run.quantity)
        known = self._heads.get(key)
        if known is None:
            if len(self._heads) >= HEADS_CACHED_MAX:
                self._heads.clear()
            tags = channel_tags(self._names, run.of, run.channel, run.quantity)
            known = self._heads[key] = f"{head(schema.READING, tags)} ".encode("utf-8", "replace")
        return known

    def _gateway_lines(
        self, records: Sequence[Record], headers: Sequence[Header | None], block: Block, walked: Walked
    ) -> Iterator[bytes]:
        batteries = {run.frame: i for i, run in enumerate(block.runs) if run.quantity == Quantity.BATTERY}
        readings = np.diff(walked.reading_starts[walked.run_starts]).tolist()
        for frame, (record, header) in enumerate(zip(records, headers, strict=True)):
            if header is None:
                continue
            if not is_in_range(header.sent_ms, record.time_ms):
                self.left_out += 1
                continue
            values: dict[str, Value] = {
                "frame_seq": header.frame_seq,
                "leg_state": header.leg_state,
                "readings": readings[frame],
                "delay_s": (record.time_ms - header.sent_ms) / 1000,
                "battery": _last_value(block, batteries.get(frame)),
            }
            tags = self._names.gateway(header.gateway_id)
            time_ns = header.sent_ms * NS_A_MS + header.frame_seq % NS_A_MS
            yield line(schema.GATEWAY, {"tenant": tags.tenant, "gateway": tags.gateway}, values, time_ns)


def channel_tags(names: Names, of: OfLeg, channel: int, quantity: int) -> dict[str, str]:
    """The tags of a leg's channel."""
    part = names.part(of.gateway, channel)
    return of.tags() | {"channel": str(channel), "part": part, "quantity": quantities.name(quantity)}


def position_lines(block: Block, window: Window) -> Iterator[bytes]:
    """Where a frame has a valid latitude and longitude of one time: in the log thousandths of a millidegree."""
    pairs: dict[int, dict[int, int]] = {}
    for i, run in enumerate(block.runs):
        if run.quantity in (Quantity.LATITUDE, Quantity.LONGITUDE):
            pairs.setdefault(run.frame, {}).setdefault(run.quantity, i)
    for runs in pairs.values():
        if len(runs) == 2:
            north, east = runs[Quantity.LATITUDE], runs[Quantity.LONGITUDE]
            tags = block.runs[north].of.tags()
            for time_ms, latitude, longitude in _together(block.valid(north), block.valid(east)):
                if window.first_ms <= time_ms <= window.last_ms:
                    values: dict[str, Value] = {"latitude": latitude / 1e6, "longitude": longitude / 1e6}
                    yield line(schema.POSITION, tags, values, time_ms * NS_A_MS)


def _groups(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    first, size = 0, 0
    for at, record in enumerate(records):
        size += len(record.value)
        if size >= GROUP_BYTES or at == len(records) - 1:
            yield records[first : at + 1]
            first, size = at + 1, 0


def _headers(walked: Walked, records: Sequence[Record]) -> list[Header | None]:
    """Of each frame, one whose readings were erased too; None where the bytes are no frame."""
    data = walked.headers.tobytes()
    return [
        Header.decode(data[i * HEADER_BYTES : (i + 1) * HEADER_BYTES]) if whole else _erased(record.value)
        for i, (whole, record) in enumerate(zip(walked.whole.tolist(), records, strict=True))
    ]


def _erased(data: bytes) -> Header | None:
    """The header of a frame with withheld runs."""
    try:
        return decode_frame(data, may_withhold=True).header
    except MalformedError:
        return None


def _channel(records: bytes, run: int) -> tuple[int, int]:
    """Channel and quantity of a run record."""
    channel, quantity = _RECORD_HEAD.unpack_from(records, run * RECORD_BYTES)
    return channel, quantity


def _last_value(block: Block, run: int | None) -> float | None:
    """The newest valid value of a run, in the unit."""
    if run is None:
        return None
    _, values = block.valid(run)
    return int(values[-1]) / 1000 if len(values) else None


def _together(
    one: tuple[Ints, npt.NDArray[np.int32]], other: tuple[Ints, npt.NDArray[np.int32]]
) -> Iterator[tuple[int, int, int]]:
    """(time, value of the one, value of the other) where both have the time."""
    times, at, there = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    return zip(times.tolist(), one[1][at].tolist(), other[1][there].tolist(), strict=True)
