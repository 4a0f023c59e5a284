# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Residual to the same time of day: the least difference from what earlier days had within some minutes of now.

The day has BINS bins of BIN_MS. A bin holds a mean over days, each new day's mean weighing BLEND. A bin's mean of
today joins only once the clock is NEAR bins past it, so that no reading is compared with its own hour.

    residual = least |v − bin[j]| for the bins j within NEAR of now that hold something
    out = mean of the last residuals: m ← m + SMOOTH · (residual − m);  NONE before the second day

Source: seasonal naive forecast with a tolerance in time (Hyndman and Athanasopoulos, Forecasting, section 5.2).
"""

from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault

DAY_MS = 86_400_000
BINS = 288
BIN_MS = DAY_MS // BINS
NEAR = 3
BLEND = 0.5
SMOOTH = 0.1
_PENDING = NEAR + 1  # means of today that may not be seen yet
_EMPTY = -1.0
# begun, number of the current bin since 1970, its sum and count, smoothed residual;
# pending numbers, their means; bins, whether set
_BIN, _SUM, _COUNT, _MEAN, _NUMBERS = 1, 2, 3, 4, 5
_MEANS = _NUMBERS + _PENDING
_BINS = _MEANS + _PENDING
_SET = _BINS + BINS
WIDTH = _SET + BINS


@compiled
def _settle(row: Floats, now: float) -> None:
    """Let the means of bins more than NEAR before `now` join the means over days."""
    for k in range(_PENDING):
        number = row[_NUMBERS + k]
        if number > now:  # the clock was set back
            row[_NUMBERS + k] = _EMPTY
        elif number != _EMPTY and number < now - NEAR:
            at = int(number) % BINS
            mean = row[_MEANS + k]
            if row[_SET + at] != 0.0:
                row[_BINS + at] += BLEND * (mean - row[_BINS + at])
            else:
                row[_BINS + at] = mean
                row[_SET + at] = 1.0
            row[_NUMBERS + k] = _EMPTY


@compiled
def _turn(row: Floats, now: float) -> None:
    """The clock came to another bin: keep the last one's mean."""
    for k in range(_PENDING):
        if row[_NUMBERS + k] == _EMPTY:
            row[_NUMBERS + k] = row[_BIN]
            row[_MEANS + k] = row[_SUM] / row[_COUNT]
            break
    _settle(row, now)
    row[_BIN], row[_SUM], row[_COUNT] = now, 0.0, 0.0


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    now = float(time_ms // BIN_MS)
    if row[0] == 0.0:
        row[0] = 1.0
        row[_BIN] = now
        for k in range(_PENDING):
            row[_NUMBERS + k] = _EMPTY
    elif now != row[_BIN]:
        _turn(row, now)
    residual = -1.0
    at = int(now) % BINS - NEAR
    at = at + BINS if at < 0 else at
    for _ in range(2 * NEAR + 1):
        at = at - BINS if at >= BINS else at
        if row[_SET + at] != 0.0:
            d = abs(value - row[_BINS + at])
            if residual < 0.0 or d < residual:
                residual = d
        at += 1
    row[_SUM] += value
    row[_COUNT] += 1.0
    if residual < 0.0:
        return NONE
    row[_MEAN] += SMOOTH * (residual - row[_MEAN])
    return row[_MEAN]


@compiled
def daily(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in the channel's own unit."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
