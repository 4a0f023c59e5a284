# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
# In compiled code int and numpy's integers are one.
"""Kernel: readings as lines of text, in integers alone: a value is the exact decimal of its thousandths.

The twin is `naive.reading_line` of the tests.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from lading.quantities import INVALID

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

TAIL_BYTES_MAX = 64
"""Longest of what follows a line's head: `value=-2147483.648,flags=65535i 253402300799999` and the line's end."""

_VALUE = np.frombuffer(b"value=", np.uint8)
_FLAGS = np.frombuffer(b"flags=", np.uint8)
_ZERO, _MINUS, _POINT, _COMMA, _SPACE, _INTEGER, _END = (np.uint8(ord(sign)) for sign in "0-., i\n")


@njit(cache=True, nogil=True)
def format_readings(
    starts: Offsets,
    heads: Bytes,
    head_starts: Offsets,
    time_ms: Offsets,
    value: npt.NDArray[np.int32],
    flags: npt.NDArray[np.uint16],
    first_ms: int,
    last_ms: int,
    lines_a_cut: int,
    out: Bytes,
    cuts: Offsets,
) -> int:
    """Writes a line a reading to `out`; how many lines. Readings before first_ms or after last_ms are left out.

    Run r is readings starts[r] to starts[r + 1], its lines begin with heads[head_starts[r] : head_starts[r + 1]].
    `out` (bytes) has room for every line with TAIL_BYTES_MAX; `cuts` (lines // lines_a_cut + 2) gets 0, the end of
    every lines_a_cut lines, and the end of all in each place after that. Values are thousandths.
    """
    at, lines, cut = 0, 0, 0
    cuts[0] = 0
    for run in range(len(starts) - 1):
        begin, end = head_starts[run], head_starts[run + 1]
        for i in range(starts[run], starts[run + 1]):
            if time_ms[i] < first_ms or time_ms[i] > last_ms:
                continue
            for j in range(begin, end):
                out[at] = heads[j]
                at += 1
            is_valid = flags[i] & INVALID == 0
            if is_valid:
                at = _copy(_VALUE, out, at)
                at = _thousandths(value[i], out, at)
            if flags[i]:
                if is_valid:
                    out[at] = _COMMA
                    at += 1
                at = _copy(_FLAGS, out, at)
                at = _number(np.int64(flags[i]), out, at)
                out[at] = _INTEGER
                at += 1
            out[at] = _SPACE
            at = _number(time_ms[i], out, at + 1)
            out[at] = _END
            at += 1
            lines += 1
            if lines % lines_a_cut == 0:
                cut += 1
                cuts[cut] = at
    for later in range(cut + 1, len(cuts)):
        cuts[later] = at
    return lines


@njit(cache=True, nogil=True)
def _copy(source: Bytes, out: Bytes, at: int) -> int:
    for byte in source:
        out[at] = byte
        at += 1
    return at


@njit(cache=True, nogil=True)
def _number(number: int, out: Bytes, at: int) -> int:
    """A number from 0 on, its digits written from the last one."""
    digits, rest = 1, number // 10
    while rest:
        digits += 1
        rest //= 10
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = _ZERO + np.uint8(number % 10)
        number //= 10
    return at + digits


@njit(cache=True, nogil=True)
def _thousandths(value: int, out: Bytes, at: int) -> int:
    """5312 as 5.312, −50 as -0.05, 4000 as 4."""
    number = np.int64(value)
    if number < 0:
        out[at] = _MINUS
        at += 1
        number = -number
    at = _number(number // 1000, out, at)
    rest = number % 1000
    if rest == 0:
        return at
    out[at] = _POINT
    out[at + 1] = _ZERO + np.uint8(rest // 100)
    out[at + 2] = _ZERO + np.uint8(rest // 10 % 10)
    out[at + 3] = _ZERO + np.uint8(rest % 10)
    return at + (4 if rest % 10 else 3 if rest % 100 else 2)
