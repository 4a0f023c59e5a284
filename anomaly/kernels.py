# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
# In compiled code int and numpy's integers are one.
"""Kernel: what each run of readings is like, so that runs in which nothing happens are passed over at once."""

import numpy as np
import numpy.typing as npt
from numba import njit

from lading.rules import Summary

Rows = npt.NDArray[np.int64]
FIELDS = len(Summary._fields)
_MINUTE_MS = 60_000


@njit(cache=True)
def summarize_runs(
    starts: Rows,
    time_ms: npt.NDArray[np.int64],
    value: npt.NDArray[np.int32],
    flags: npt.NDArray[np.uint16],
    out: Rows,
) -> None:
    """Run r is readings starts[r] to starts[r + 1]; out (runs, 14) i64 gets the fields of `Summary`, in order.

    An empty run's row is left as it is. Times are ms and increase strictly within a run, values thousandths.
    The twin is `lading.rules.summarize`.
    """
    for run in range(len(starts) - 1):
        first, last = starts[run], starts[run + 1] - 1
        if last < first:
            continue
        together, least, greatest = np.int64(flags[first]), np.int64(value[first]), np.int64(value[first])
        step, rate, same, tail = np.int64(0), np.int64(0), np.int64(0), first
        head = np.int64(-1)
        for i in range(first + 1, last + 1):
            now, before = np.int64(value[i]), np.int64(value[i - 1])
            dt = time_ms[i] - time_ms[i - 1]
            together |= flags[i]
            least, greatest = min(least, now), max(greatest, now)
            step, rate = max(step, dt), max(rate, abs(now - before) * _MINUTE_MS // dt)
            if now != before:
                same = max(same, time_ms[i - 1] - time_ms[tail])
                head = i - 1 if head < 0 else head
                tail = i
        same = max(same, time_ms[last] - time_ms[tail])
        head = last if head < 0 else head
        row = out[run]
        row[0], row[1], row[2], row[3] = together, flags[last], least, greatest
        row[4], row[5], row[6], row[7] = value[first], value[last], time_ms[first], time_ms[last]
        row[8], row[9], row[10], row[11] = step, rate, same, time_ms[head]
        row[12], row[13] = tail - first, time_ms[tail]
