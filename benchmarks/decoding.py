"""Wire bytes to columns of readings: the walk over joined frames against orjson objects, one a reading."""

from typing import Any

import numpy as np
import orjson

from benchmarks.data import make_chain, wires
from benchmarks.measure import Result, Work, compare
from lading.fast import walk_frames

FRAMES = 1000
READINGS = 100


def json_columns(messages: list[bytes]) -> tuple[Any, ...]:
    """The peer: an array of objects a message, to the same columns."""
    columns: tuple[list[int], ...] = ([], [], [], [], [])
    for message in messages:
        readings = orjson.loads(message)
        for column, name in zip(columns, ("channel", "seq", "time_ms", "value", "flags"), strict=True):
            column.extend([reading[name] for reading in readings])
    kinds = (np.uint16, np.uint64, np.int64, np.int32, np.uint16)
    return tuple(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True))


def run(*, quick: bool) -> list[Result]:
    """Frames of 100 readings; no hash is computed by either."""
    chain = make_chain(0, FRAMES // 10 if quick else FRAMES, READINGS)
    frames = wires([chain])
    messages = [
        orjson.dumps([{"channel": 1, **reading._asdict()} for run in frame.runs for reading in run.readings])
        for frame in chain.frames
    ]
    ours, theirs = walk_frames(frames).columns, json_columns(messages)
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    units = len(frames) * READINGS
    works = {
        "lading.fast.walk_frames": Work(lambda: walk_frames(frames), units),
        "orjson objects": Work(lambda: json_columns(messages), units),
    }
    size = sum(map(len, frames)) / units, sum(map(len, messages)) / units
    data = (
        f"{len(frames)} frames of {READINGS} readings, {size[0]:.1f} bytes a reading; "
        f"json {size[1]:.1f} bytes a reading; one thread"
    )
    return [compare("frame decode", "readings/s", data, works, quick=quick)]
