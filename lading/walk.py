# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return"
# In compiled code int and numpy's integers are one, and the loads have no Python type.
"""Kernel: the strict walk over many joined frames, every refusal of docs/spec/frame.md that needs no hash.

The pure twin is `lading.decoding.decode_frame`, which also says what is wrong; this says only whether.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from lading.fields import TIME_MS_MAX
from lading.frame import FRAME_BYTES_MAX, FRAME_READINGS_MAX, FRAME_RUNS_MAX, HEADER_BYTES, RECORD_BYTES
from lading.quantities import FLAGS_KNOWN, PRIVATE_FIRST, Quantity
from lading.sha16 import copy_bytes
from lading.unaligned import i32_little, u16_big, u16_little, u32_big, u32_little, u64_big

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SIGNED_HEAD_BYTES = 19  # of the Sig_structure, before the header
SIGNED_BYTES = SIGNED_HEAD_BYTES + HEADER_BYTES
SIGNATURE_BYTES = 64

# Offsets in a frame's bytes; those in the header and the record are the tables of docs/spec/frame.md.
_HEADER_AT = 10
_SIGNATURE_AT = _HEADER_AT + HEADER_BYTES + 2
_RUNS_AT = _SIGNATURE_AT + SIGNATURE_BYTES
_RECORD_AT = 3
_SALT_AT = _RECORD_AT + RECORD_BYTES + 1
_COLUMNS_AT = _SALT_AT + 16
_TOTALS_AT = 65
TOTALS_BYTES = RECORD_BYTES - _TOTALS_AT

RUN_BYTES_MIN = _COLUMNS_AT + 7
READING_BYTES_MIN = 8

_HEAD = np.uint64(0x82D28443A10126A0)
_QUANTITY_MAX = int(max(Quantity))
_STRANGE_FLAGS = 0xFFFF & ~FLAGS_KNOWN
_TIMES_TAG, _VALUES_TAG, _FLAGS_TAG, _NO_FLAGS = 0xD846, 0xD84E, 0xD845, 0xF6
_TIME_MAX = np.uint64(TIME_MS_MAX)
_ZERO = np.uint64(0)


class Columns(NamedTuple):
    """The readings of all runs, one after the other."""

    channel: npt.NDArray[np.uint16]
    seq: npt.NDArray[np.uint64]
    time_ms: npt.NDArray[np.int64]
    value: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint16]


class Walked(NamedTuple):
    """What `walk` fills: n frames, at most r runs. A frame that is not whole leaves neither runs nor readings."""

    whole: Flags  # (n,)
    headers: Bytes  # (n·221,)
    signatures: Bytes  # (n·64,)
    run_starts: Offsets  # (n + 1,) first run of each frame
    records: Bytes  # (r·207,)
    salts: Bytes  # (r·16,)
    reading_starts: Offsets  # (r + 1,) first reading of each run
    columns: Columns


@njit(cache=True)
def walk(data: Bytes, starts: Offsets, out: Walked) -> None:
    """Frame i is data[starts[i] : starts[i + 1]]."""
    run = 0
    out.run_starts[0] = 0
    out.reading_starts[0] = 0
    for frame in range(len(starts) - 1):
        runs = _walk_frame(data, starts[frame], starts[frame + 1], frame, run, out)
        out.whole[frame] = runs >= 0
        run += max(runs, 0)
        out.run_starts[frame + 1] = run


@njit(cache=True)
def _walk_frame(data: Bytes, start: int, end: int, frame: int, run: int, out: Walked) -> int:
    """The number of runs, or −1."""
    if not _RUNS_AT < end - start <= FRAME_BYTES_MAX or not _header_is_sound(data, start):
        return -1
    header = start + _HEADER_AT
    runs = np.int64(u16_big(data, header + 219))
    at = start + _RUNS_AT + _head_bytes(data, start + _RUNS_AT, end, 0x80, runs)
    if at == start + _RUNS_AT:
        return -1
    first_reading = out.reading_starts[run]
    channel_last = -1
    for i in range(runs):
        at = _walk_run(data, at, end, data[header + 34] == 0, run + i, out)
        if at < 0 or out.reading_starts[run + i + 1] - first_reading > FRAME_READINGS_MAX:
            return -1
        channel = np.int64(u16_big(out.records, (run + i) * RECORD_BYTES + 1))
        if channel <= channel_last:
            return -1
        channel_last = channel
    if at != end:
        return -1
    copy_bytes(out.headers, frame * HEADER_BYTES, data, header, HEADER_BYTES)
    copy_bytes(out.signatures, frame * SIGNATURE_BYTES, data, start + _SIGNATURE_AT, SIGNATURE_BYTES)
    return runs


@njit(cache=True)
def _header_is_sound(data: Bytes, start: int) -> bool:
    header = start + _HEADER_AT
    if (
        u64_big(data, start) != _HEAD
        or u16_big(data, start + 8) != 0x58DD
        or u16_big(data, start + 231) != 0x5840
    ):
        return False
    state = data[header + 34]
    runs = u16_big(data, header + 219)
    idle = state == 0
    return (
        u16_big(data, header) == 0x0301
        and state <= 2
        and idle == _is_zero(data, header + 35)
        and idle == _is_zero(data, header + 67)
        and (u64_big(data, header + 99) == _ZERO) == _is_zero(data, header + 107)
        and u64_big(data, header + 139) <= _TIME_MAX
        and (u64_big(data, header + 147) == _ZERO) == _is_zero(data, header + 155)
        and runs <= FRAME_RUNS_MAX
        and (idle or runs > 0)
    )


@njit(cache=True)
def _is_zero(data: Bytes, at: int) -> bool:
    return (
        u64_big(data, at) | u64_big(data, at + 8) | u64_big(data, at + 16) | u64_big(data, at + 24)
    ) == _ZERO


@njit(cache=True)
def _head_bytes(data: Bytes, at: int, end: int, major: int, size: int) -> int:
    """Length of the CBOR head at `at` if it is the shortest one of `size`, else 0."""
    if at + 5 > end:  # short of the longest head: byte by byte
        width = 1 if size < 24 else 2 if size < 256 else 3 if size < 65536 else 5
        if at + width > end:
            return 0
    if size < 24:
        return 1 if data[at] == major + size else 0
    if size < 256:
        return 2 if data[at] == major + 24 and data[at + 1] == size else 0
    if size < 65536:
        return 3 if data[at] == major + 25 and u16_big(data, at + 1) == size else 0
    return 5 if data[at] == major + 26 and u32_big(data, at + 1) == size else 0


@njit(cache=True)
def _column_at(data: Bytes, at: int, end: int, tag: int, size: int) -> int:
    """Where the `size` bytes of a typed array begin, or −1."""
    if at + 2 > end or u16_big(data, at) != tag:
        return -1
    head = _head_bytes(data, at + 2, end, 0x40, size)
    begin = at + 2 + head
    return begin if head and begin + size <= end else -1


@njit(cache=True)
def _walk_run(data: Bytes, at: int, end: int, idle: bool, run: int, out: Walked) -> int:
    """Where the run ends, or −1. Fills the run's row and its readings."""
    if at + _COLUMNS_AT > end or u16_big(data, at) != 0x8558 or u16_big(data, at + 2) != 0xCF02:
        return -1
    record = at + _RECORD_AT
    quantity = u16_big(data, record + 3)
    count = np.int64(u32_big(data, record + 13))
    known = 1 <= quantity <= _QUANTITY_MAX or quantity >= PRIVATE_FIRST
    if not known or count > FRAME_READINGS_MAX or data[at + _SALT_AT - 1] != 0x50:
        return -1
    times = _column_at(data, at + _COLUMNS_AT, end, _TIMES_TAG, 4 * count)
    if times < 0:
        return -1
    values = _column_at(data, times + 4 * count, end, _VALUES_TAG, 4 * count)
    if values < 0 or values + 4 * count >= end:
        return -1
    after = values + 4 * count
    flags = -1
    if data[after] == _NO_FLAGS:
        after += 1
    else:
        flags = _column_at(data, after, end, _FLAGS_TAG, 2 * count)
        if flags < 0:
            return -1
        after = flags + 2 * count
    first = out.reading_starts[run]
    out.reading_starts[run + 1] = first + count
    if not _take_times(data, record, times, count, first, out.columns):
        return -1
    if not _take_values(data, values, flags, count, first, u16_big(data, record + 1), out.columns):
        return -1
    if count == 0 and (u64_big(data, at + _SALT_AT) | u64_big(data, at + _SALT_AT + 8)) != _ZERO:
        return -1
    if not _totals_fit(data, record, idle, count, first, out.columns):
        return -1
    copy_bytes(out.records, run * RECORD_BYTES, data, record, RECORD_BYTES)
    copy_bytes(out.salts, run * 16, data, at + _SALT_AT, 16)
    return after


@njit(cache=True)
def _take_times(data: Bytes, record: int, at: int, count: int, first: int, columns: Columns) -> bool:
    """Sequence numbers and times; whether the record's first and last are theirs, and they increase."""
    seq_first = u64_big(data, record + 5)
    time_first = u64_big(data, record + 17)
    time_last = u64_big(data, record + 25)
    if seq_first > ~_ZERO - np.uint64(count) or time_first > _TIME_MAX or time_last > _TIME_MAX:
        return False
    if count == 0:
        return time_first == _ZERO and time_last == _ZERO
    base = np.int64(time_first)
    last = np.int64(-1)
    rising = True
    for i in range(count):
        delta = np.int64(u32_little(data, at + 4 * i))
        rising &= delta > last
        last = delta
        columns.time_ms[first + i] = base + delta
        columns.seq[first + i] = seq_first + np.uint64(i)
    return (
        rising
        and columns.time_ms[first] == base
        and columns.time_ms[first + count - 1] == np.int64(time_last)
    )


@njit(cache=True)
def _take_values(
    data: Bytes, at: int, flags_at: int, count: int, first: int, channel: int, columns: Columns
) -> bool:
    """Channel, values and flags; whether flags that are present are known and not all zero."""
    for i in range(count):
        columns.value[first + i] = i32_little(data, at + 4 * i)
        columns.channel[first + i] = channel
        columns.flags[first + i] = 0
    if flags_at < 0:
        return True
    seen = 0
    for i in range(count):
        flags = u16_little(data, flags_at + 2 * i)
        columns.flags[first + i] = flags
        seen |= flags
    return seen != 0 and seen & _STRANGE_FLAGS == 0


@njit(cache=True)
def _totals_fit(data: Bytes, record: int, idle: bool, count: int, first: int, columns: Columns) -> bool:
    """Whether the totals do not contradict the run: all `frame_totals` refusals."""
    totals = record + _TOTALS_AT
    totals_count = u32_big(data, totals + 8)
    if idle or totals_count == 0:
        return (idle or count == 0) and _is_empty(data, totals)
    if count > totals_count or u32_big(data, totals + 12) > totals_count:
        return False
    if u16_big(data, totals + 32) & _STRANGE_FLAGS:
        return False
    seq_end = u64_big(data, totals) + np.uint64(totals_count)
    if seq_end < np.uint64(totals_count) or seq_end != u64_big(data, record + 5) + np.uint64(count):
        return False
    first_ms, last_ms = u64_big(data, totals + 16), u64_big(data, totals + 24)
    known_ms, unknown_ms = u64_big(data, totals + 62), u64_big(data, totals + 70)
    if first_ms > last_ms or known_ms > last_ms - first_ms or unknown_ms != last_ms - first_ms - known_ms:
        return False
    if count == 0:
        return True
    last = first + count - 1
    return last_ms == np.uint64(columns.time_ms[last]) and u16_big(data, totals + 32) == columns.flags[last]


@njit(cache=True)
def _is_empty(data: Bytes, totals: int) -> bool:
    seen = 0
    for at in range(totals, totals + TOTALS_BYTES):
        seen |= data[at]
    return seen == 0
