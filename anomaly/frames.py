"""Frames from the log as the rules read them: many at once, or one again. They were checked before they came there."""

import struct
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from anomaly.kernels import FIELDS, summarize_runs
from anomaly.state import Spot
from lading import topics
from lading.decoding import decode_frame, decode_header
from lading.errors import MalformedError
from lading.fast import frame_hashes, walk_frames
from lading.frame import HEADER_BYTES, RECORD_BYTES, Frame, Header
from lading.log import Log
from lading.rules import FrameView, RunView, Summary, view
from lading.totals import TOTALS_BYTES, Reading
from lading.tree import HASH_BYTES
from lading.walk import Columns

_RECORD = struct.Struct(f">xHHQI8x8x32x{TOTALS_BYTES}s")
_TOTALS_COUNT_AT = 8
_NOT_READ = 2**62  # a next offset past every record
WITHHELD = "withheld"  # the code of a frame whose readings were erased


def read_frames(values: Sequence[bytes]) -> list[Callable[[], FrameView]]:
    """A view of each frame's bytes, made when it is called; MalformedError then, where they are no frame."""
    if not values:
        return []
    walked = walk_frames(values)
    runs = len(walked.reading_starts) - 1
    rows = np.zeros((runs, FIELDS), np.int64)
    columns = walked.columns
    summarize_runs(walked.reading_starts, columns.time_ms, columns.value, columns.flags, rows)
    whole, run_starts, reading_starts = (
        walked.whole.tolist(),
        walked.run_starts.tolist(),
        walked.reading_starts.tolist(),
    )
    headers, records = walked.headers.tobytes(), walked.records.tobytes()
    hashes = frame_hashes(walked).tobytes()

    def make(i: int) -> FrameView:
        if not whole[i]:
            return view(_shown(values[i]))
        header = Header.decode(headers[i * HEADER_BYTES : (i + 1) * HEADER_BYTES])
        vars(header)["hash"] = hashes[
            i * HASH_BYTES : (i + 1) * HASH_BYTES
        ]  # where the cached property looks
        return FrameView(header, [make_run(run) for run in range(run_starts[i], run_starts[i + 1])])

    def make_run(run: int) -> RunView:
        channel, quantity, first_seq, count, totals = _RECORD.unpack_from(records, run * RECORD_BYTES)
        totals_count = int.from_bytes(totals[_TOTALS_COUNT_AT : _TOTALS_COUNT_AT + 4], "big")
        summary = Summary._make(rows[run].tolist()) if count else None
        readings = partial(_readings, columns, reading_starts[run], reading_starts[run + 1], first_seq)
        return RunView(channel, quantity, first_seq, count, totals, totals_count, summary, readings)

    return [partial(make, i) for i in range(len(values))]


def frame_at(log: Log, spot: Spot) -> FrameView:
    """A frame read again from where it lies."""
    return read_frames([_bytes_at(log, spot)])[0]()


def header_at(log: Log, spot: Spot) -> Header:
    """Its header alone."""
    return decode_header(_bytes_at(log, spot))


def _bytes_at(log: Log, spot: Spot) -> bytes:
    elsewhere = dict.fromkeys(log.end(topics.FRAMES), _NOT_READ)
    records = log.read(topics.FRAMES, {**elsewhere, spot.partition: spot.at}, 1)
    assert records[0].offset == spot.at, f"log has {records[0].offset}, wanted {spot}"
    return records[0].value


def _shown(data: bytes) -> Frame:
    """A frame with all readings, or the MalformedError that says why not: `withheld` where they were erased."""
    frame = decode_frame(data, may_withhold=True)
    if any(run.is_withheld for run in frame.runs):
        raise MalformedError(WITHHELD, f"readings of frame {frame.header.frame_seq} were erased")
    return frame


def _readings(columns: Columns, first: int, last: int, first_seq: int) -> list[Reading]:
    times, values, flags = (
        columns.time_ms[first:last].tolist(),
        columns.value[first:last].tolist(),
        columns.flags[first:last].tolist(),
    )
    return [
        Reading(seq, *reading)
        for seq, reading in enumerate(zip(times, values, flags, strict=True), first_seq)
    ]


assert _RECORD.size == RECORD_BYTES
