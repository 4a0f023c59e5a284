# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Readings to rows: those that come more often than every five minutes are taken together, as their mean.

    a reading at t, d after the one before, joins the open row, which began at b;  a row of one where none is open
    the row closes with it where t − b + SOON · d ≥ ROW_MS: as near to five minutes as the readings allow
    t − b ≥ GAP · ROW_MS: the row closes without it, and it begins another; but where SOON · d ≥ ROW_MS the reading is a
    row, and what was begun before is left out;  t < b, as a clock was set back, likewise closes the row
    a channel's first reading is a row;  values are taken within ± VALUE_MAX

So a channel that is read every four minutes or less often has a row a reading, at once. What the views count in rows
is then an hour or a day for a sensor of a second as for one of five minutes: physics does not go by the interval.
Source: downsampling by means over windows of time, as every store of time series has it.
"""

from anomaly.detectors.arith import Bytes, Floats, Ints, compiled

ROW_MS = 300_000.0
SOON, GAP = 1.25, 1.25
VALUE_MAX = 1e100
WIDTH = 5
_READ, _LAST_MS, _BEGIN_MS, _SUM, _COUNT = range(
    WIDTH
)  # whether anything was read; the last reading; the open row


@compiled
def _close(row: Floats, times: Ints, values: Floats, at: int) -> None:
    times[at], values[at] = int(row[_BEGIN_MS]), row[_SUM] / row[_COUNT]
    row[_COUNT] = 0.0


@compiled
def gather(row: Floats, time_ms: Ints, value: Floats, times: Ints, values: Floats, closed: Bytes) -> int:
    """Readings of one channel, none a fault: how many rows they close. `times`, `values`: the rows; `closed` (n,): 1
    for a reading with which one does, which is then known."""
    rows = 0
    for i in range(len(value)):
        at = float(time_ms[i])
        interval, taken = at - row[_LAST_MS], at - row[_BEGIN_MS]
        late = row[_COUNT] > 0.0 and (taken >= GAP * ROW_MS or taken < 0.0)
        if late and SOON * interval >= ROW_MS:
            late, row[_COUNT] = False, 0.0
        elif late:
            _close(row, times, values, rows)
        if row[_COUNT] == 0.0:
            row[_BEGIN_MS], row[_SUM] = at, 0.0
        row[_SUM] += min(max(value[i], -VALUE_MAX), VALUE_MAX)
        row[_COUNT] += 1.0
        soon = at - row[_BEGIN_MS] + SOON * interval >= ROW_MS or row[_READ] == 0.0
        if soon and not late:
            _close(row, times, values, rows)
        row[_READ], row[_LAST_MS] = 1.0, at
        closed[i] = late or soon
        rows += closed[i]
    return rows
