# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return"
# In compiled code int and numpy's integers are one, and the loads have no Python type.
"""Kernel: do the totals of many runs follow from the totals before them? docs/spec/totals.md

The pure twin is `lading.totals.fold`.
A state is the 19 fields before mkt_weight_sum, in the layout's order, as i64; the sum is two u64, high and low.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from lading import mkt
from lading.fields import TIME_MS_MAX, U32_MAX
from lading.frame import HEADER_BYTES, OPEN, RECORD_BYTES
from lading.quantities import INVALID, Quantity
from lading.unaligned import i32_big, u16_big, u32_big, u64_big
from lading.walk import Bytes, Columns, Flags, Offsets

States = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_FIELDS = 19
# fmt: off
(_FIRST_SEQ, _COUNT, _VALID_COUNT, _FIRST_MS, _LAST_MS, _LAST_FLAGS, _LAST_VALUE, _VALID_MS, _MIN, _MAX, _GAP,
 _KNOWN, _UNKNOWN, _ABOVE, _ABOVE_LONGEST, _ABOVE_NOW, _BELOW, _BELOW_LONGEST, _BELOW_NOW) = range(_FIELDS)
# fmt: on
_GAP_AT, _WEIGHT_AT = 54, 126
_TOTALS_AT = 65
_LIMITS_HEAD_BYTES, _LIMITS_BYTES = 4, 62
_TEMPERATURE = int(Quantity.TEMPERATURE)
_LOWEST, _HIGHEST, _STEP = mkt.LOWEST_MILLI, mkt.HIGHEST_MILLI, mkt.STEP_MILLI
_WEIGHTS = np.array(mkt.table(), np.uint64)
_LOW_32, _BITS_32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
UNKNOWN, NONE = -2, -1


class Bounds(NamedTuple):
    """What the fold needs of a channel's limits."""

    quantity: int
    lower: int
    upper: int
    hold_ms: int


class Links(NamedTuple):
    """Where each of n frames finds its past: rows n.. of headers, run_starts and records are the caller's heads."""

    headers: Bytes  # (rows·221,)
    run_starts: Offsets  # (rows + 1,)
    records: Bytes  # (runs·207,)
    previous: Offsets  # (n,) row of the frame before; NONE or UNKNOWN
    limits: Bytes  # limits documents, joined
    limits_at: Offsets  # (n,) where the frame's begin; UNKNOWN


@njit(cache=True)
def refold(links: Links, reading_starts: Offsets, columns: Columns, whole: Flags, follows: Flags) -> None:
    """follows[i]: frame i is chained to its predecessor, keeps its leg and limits, and its totals are the fold."""
    state, wanted = np.zeros(_FIELDS, np.int64), np.zeros(_FIELDS, np.int64)
    weight, weight_wanted = np.zeros(2, np.uint64), np.zeros(2, np.uint64)
    for frame in range(len(follows)):
        follows[frame] = False
        if not whole[frame] or not _is_chained(links, frame):
            continue
        fits = True
        if links.headers[frame * HEADER_BYTES + 34] != 0:
            past = _past_run(links, frame)
            fits = past != UNKNOWN and _keeps_limits(links, frame)
            for i in range(links.run_starts[frame], links.run_starts[frame + 1] if fits else 0):
                record = i * RECORD_BYTES
                bounds = _bounds(links, frame, i)
                if past == NONE:
                    state[:] = 0
                    weight[:] = _ZERO
                else:
                    before = past + i - links.run_starts[frame]
                    fits &= _load(links.records, before * RECORD_BYTES + _TOTALS_AT, state, weight)
                fits &= _fold(state, weight, bounds, columns, reading_starts[i], reading_starts[i + 1])
                fits &= _load(links.records, record + _TOTALS_AT, wanted, weight_wanted)
                for field in range(_FIELDS):
                    fits &= state[field] == wanted[field]
                fits &= weight[0] == weight_wanted[0] and weight[1] == weight_wanted[1]
        follows[frame] = fits


@njit(cache=True)
def _is_chained(links: Links, frame: int) -> bool:
    """frame_seq 0 without a past, or one more than that of a past frame of the same gateway."""
    here = frame * HEADER_BYTES
    if links.previous[frame] == NONE:
        return u64_big(links.headers, here + 99) == _ZERO
    if links.previous[frame] == UNKNOWN:
        return False
    before = links.previous[frame] * HEADER_BYTES
    seq_fits = u64_big(links.headers, here + 99) == u64_big(links.headers, before + 99) + _ONE
    leg_fits = links.headers[before + 34] != OPEN or _same_leg(links, here, before)
    return seq_fits and leg_fits and _same_32(links.headers, here + 2, before + 2)


@njit(cache=True)
def _same_leg(links: Links, here: int, before: int) -> bool:
    return _same_32(links.headers, here + 35, before + 35) and _same_32(links.headers, here + 67, before + 67)


@njit(cache=True)
def _same_32(data: Bytes, a: int, b: int) -> bool:
    same = True
    for i in range(0, 32, 8):
        same &= u64_big(data, a + i) == u64_big(data, b + i)
    return same


@njit(cache=True)
def _past_run(links: Links, frame: int) -> int:
    """First run of the leg's frame before; NONE where the leg begins here, UNKNOWN where a closer look must say."""
    row = links.previous[frame]
    if row == NONE:
        return NONE
    here, before = frame * HEADER_BYTES, row * HEADER_BYTES
    if links.headers[before + 34] != OPEN:
        return UNKNOWN if _same_32(links.headers, here + 35, before + 35) else NONE
    first, runs = links.run_starts[row], links.run_starts[row + 1] - links.run_starts[row]
    if runs != links.run_starts[frame + 1] - links.run_starts[frame]:
        return UNKNOWN
    for i in range(runs):
        mine = (links.run_starts[frame] + i) * RECORD_BYTES
        if u32_big(links.records, mine + 1) != u32_big(links.records, (first + i) * RECORD_BYTES + 1):
            return UNKNOWN
    return first


@njit(cache=True)
def _keeps_limits(links: Links, frame: int) -> bool:
    """Whether the runs are of exactly the limits' channels and quantities."""
    at = links.limits_at[frame]
    first, last = links.run_starts[frame], links.run_starts[frame + 1]
    if at == UNKNOWN or u16_big(links.limits, at + 2) != last - first:
        return False
    for i in range(last - first):
        limit = at + _LIMITS_HEAD_BYTES + i * _LIMITS_BYTES
        if u32_big(links.limits, limit) != u32_big(links.records, (first + i) * RECORD_BYTES + 1):
            return False
    return True


@njit(cache=True)
def _bounds(links: Links, frame: int, run: int) -> Bounds:
    at = links.limits_at[frame] + _LIMITS_HEAD_BYTES + (run - links.run_starts[frame]) * _LIMITS_BYTES
    return Bounds(
        np.int64(u16_big(links.limits, at + 2)),
        np.int64(i32_big(links.limits, at + 4)),
        np.int64(i32_big(links.limits, at + 8)),
        np.int64(u32_big(links.limits, at + 12)),
    )


@njit(cache=True)
def _load(data: Bytes, at: int, state: States, weight: Words) -> bool:
    """Totals of 142 bytes into state and weight; False where a time is past what the arithmetic is for."""
    state[_FIRST_SEQ] = np.int64(u64_big(data, at))
    state[_COUNT] = u32_big(data, at + 8)
    state[_VALID_COUNT] = u32_big(data, at + 12)
    state[_FIRST_MS] = np.int64(u64_big(data, at + 16))
    state[_LAST_MS] = np.int64(u64_big(data, at + 24))
    state[_LAST_FLAGS] = u16_big(data, at + 32)
    state[_LAST_VALUE] = i32_big(data, at + 34)
    state[_VALID_MS] = np.int64(u64_big(data, at + 38))
    state[_MIN] = i32_big(data, at + 46)
    state[_MAX] = i32_big(data, at + 50)
    for field in range(_GAP, _FIELDS):
        state[field] = np.int64(u64_big(data, at + _GAP_AT + 8 * (field - _GAP)))
    weight[0], weight[1] = u64_big(data, at + _WEIGHT_AT), u64_big(data, at + _WEIGHT_AT + 8)
    fits = 0 <= state[_FIRST_MS] <= TIME_MS_MAX and 0 <= state[_LAST_MS] <= TIME_MS_MAX
    fits &= 0 <= state[_VALID_MS] <= TIME_MS_MAX
    for field in range(_GAP, _FIELDS):
        fits &= 0 <= state[field] <= TIME_MS_MAX
    return fits


@njit(cache=True)
def _fold_calm(state: States, weight: Words, bounds: Bounds, columns: Columns, first: int, last: int) -> bool:
    """Readings first .. last − 1 in one go, if all are valid and inside the limits, as the one before them was.

    False, with nothing changed, where they are not; the caller has seen that they follow the state.
    """
    calm = state[_COUNT] > 0 and state[_COUNT] + last - first <= U32_MAX and not state[_LAST_FLAGS] & INVALID
    calm = calm and bounds.lower <= state[_LAST_VALUE] <= bounds.upper
    least, greatest, flags = state[_LAST_VALUE], state[_LAST_VALUE], 0
    for i in range(first, last):
        least = min(least, np.int64(columns.value[i]))
        greatest = max(greatest, np.int64(columns.value[i]))
        flags |= np.int64(columns.flags[i])
    if not calm or flags & INVALID or least < bounds.lower or greatest > bounds.upper:
        return False
    before_ms, value, gap, known = state[_LAST_MS], state[_LAST_VALUE], state[_GAP], 0
    for i in range(first, last):
        dt = columns.time_ms[i] - before_ms
        held = min(dt, bounds.hold_ms)
        known += held
        gap = max(gap, dt)
        if bounds.quantity == _TEMPERATURE:
            _weigh(weight, value, held)
        before_ms, value = columns.time_ms[i], np.int64(columns.value[i])
    state[_KNOWN] += known
    state[_UNKNOWN] += before_ms - state[_LAST_MS] - known
    state[_MIN], state[_MAX] = min(state[_MIN], least), max(state[_MAX], greatest)
    state[_GAP] = gap
    state[_COUNT] += last - first
    state[_VALID_COUNT] += last - first
    state[_LAST_MS] = state[_VALID_MS] = before_ms
    state[_LAST_FLAGS], state[_LAST_VALUE] = np.int64(columns.flags[last - 1]), value
    state[_ABOVE_NOW] = state[_BELOW_NOW] = 0
    return True


@njit(cache=True)
def _follow(state: States, columns: Columns, reading: int) -> bool:
    """Whether the reading has the next sequence number and a later time."""
    wanted = np.uint64(state[_FIRST_SEQ]) + np.uint64(state[_COUNT])
    return columns.seq[reading] == wanted and columns.time_ms[reading] > state[_LAST_MS]


@njit(cache=True)
def _fold(state: States, weight: Words, bounds: Bounds, columns: Columns, first: int, last: int) -> bool:
    """The totals after readings first .. last − 1, which the walk has found consecutive and rising in time."""
    if first == last:
        return True
    if state[_COUNT] and not _follow(state, columns, first):
        return False
    if _fold_calm(state, weight, bounds, columns, first, last):
        return True
    for i in range(first, last):
        time_ms, flags = columns.time_ms[i], np.int64(columns.flags[i])
        if state[_COUNT] == U32_MAX:
            return False
        if state[_COUNT]:
            _hold(state, weight, bounds, time_ms - state[_LAST_MS])
        else:
            state[_FIRST_SEQ], state[_FIRST_MS] = np.int64(columns.seq[i]), time_ms
        if not flags & INVALID:
            _take_valid(state, bounds, time_ms, np.int64(columns.value[i]))
        state[_COUNT] += 1
        state[_LAST_MS], state[_LAST_FLAGS] = time_ms, flags
    return True


@njit(cache=True)
def _hold(state: States, weight: Words, bounds: Bounds, dt: int) -> None:
    """The time since the last reading: its value held for at most hold_ms, unknown past that."""
    if state[_LAST_FLAGS] & INVALID:
        state[_UNKNOWN] += dt
        return
    held = min(dt, bounds.hold_ms)
    value = state[_LAST_VALUE]
    state[_KNOWN] += held
    state[_UNKNOWN] += dt - held
    if bounds.quantity == _TEMPERATURE:
        _weigh(weight, value, held)
    if value > bounds.upper:
        state[_ABOVE] += held
        state[_ABOVE_NOW] += held
        state[_ABOVE_LONGEST] = max(state[_ABOVE_LONGEST], state[_ABOVE_NOW])
    if value < bounds.lower:
        state[_BELOW] += held
        state[_BELOW_NOW] += held
        state[_BELOW_LONGEST] = max(state[_BELOW_LONGEST], state[_BELOW_NOW])


@njit(cache=True)
def _weigh(weight: Words, value: int, held: int) -> None:
    """weight += w(value)·held in 128 bits; w is below 2^47 and held below 2^27, so each half fits 64."""
    offset = min(max(value, _LOWEST), _HIGHEST) - _LOWEST
    k, f = offset // _STEP, offset % _STEP
    w = _WEIGHTS[k]
    if f:
        w = (w * np.uint64(_STEP - f) + _WEIGHTS[k + 1] * np.uint64(f)) // np.uint64(_STEP)
    low = (w & _LOW_32) * np.uint64(held)
    high = (w >> _BITS_32) * np.uint64(held)
    product = low + ((high & _LOW_32) << _BITS_32)
    carry = _ONE if product < low else _ZERO
    weight[1] += product
    carry += _ONE if weight[1] < product else _ZERO
    weight[0] += (high >> _BITS_32) + carry


@njit(cache=True)
def _take_valid(state: States, bounds: Bounds, time_ms: int, value: int) -> None:
    if state[_VALID_COUNT]:
        state[_GAP] = max(state[_GAP], time_ms - state[_VALID_MS])
        state[_MIN], state[_MAX] = min(state[_MIN], value), max(state[_MAX], value)
    else:
        state[_MIN] = value
        state[_MAX] = value
    if value <= bounds.upper:
        state[_ABOVE_NOW] = 0
    if value >= bounds.lower:
        state[_BELOW_NOW] = 0
    state[_VALID_COUNT] += 1
    state[_VALID_MS], state[_LAST_VALUE] = time_ms, value
