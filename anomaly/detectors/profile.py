# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Residual to the day's profile: the least difference from the usual mean of this half hour, the one before or after.

    m[h] ← m[h] + pace · max(GAIN, 1 / n[h]) · (v − m[h]) for h, the slot of the day of this reading, once it is judged
    residual = least |v − m[j]|, j = h − 1, h, h + 1 where they hold something
    out ← out + SMOOTH · scale · (residual − out);  scale: how many times as long as five minutes a row is (`recall`)

Source: seasonal means by time of day, Hyndman and Athanasopoulos, Forecasting (2021), sections 3.4 and 5.2.
"""

from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault

DAY_MS = 86_400_000
SLOTS = 48
SLOT_MS = DAY_MS // SLOTS
GAIN = 0.05
SMOOTH = 1.0 / 12.0
_MEAN, _SLOT_MEANS = 0, 1  # smoothed residual, means, counts
_COUNTS = _SLOT_MEANS + SLOTS
WIDTH = _COUNTS + SLOTS


@compiled
def _residual(row: Floats, here: int, value: float) -> float:
    """The least of three; NONE where there is none."""
    residual = NONE
    for near in range(-1, 2):
        at = here + near
        at = at + SLOTS if at < 0 else at - SLOTS if at >= SLOTS else at
        if row[_COUNTS + at] > 0.0:
            d = abs(value - row[_SLOT_MEANS + at])
            residual = d if residual == NONE else min(residual, d)
    return residual


@compiled
def _judge(row: Floats, here: int, value: float, pace: float, scale: float) -> float:
    residual = _residual(row, here, value)
    count = row[_COUNTS + here] + 1.0
    row[_COUNTS + here] = count
    row[_SLOT_MEANS + here] += pace * max(GAIN, 1.0 / count) * (value - row[_SLOT_MEANS + here])
    if residual != NONE:
        row[_MEAN] += SMOOTH * scale * (residual - row[_MEAN])
    return row[_MEAN]


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    return _judge(row, time_ms % DAY_MS // SLOT_MS, value, pace, 1.0)


@compiled
def run(row: Floats, time_ms: Ints, value: Floats, pace: float, scale: float, out: Floats) -> None:
    """Rows of one channel, none a fault, `scale` times as long as five minutes, are judged. Most are in the slot of the
    one before."""
    here, begin_ms = 0, time_ms[0] + 1
    for i in range(len(value)):
        if not begin_ms <= time_ms[i] < begin_ms + SLOT_MS:
            here = time_ms[i] % DAY_MS // SLOT_MS
            begin_ms = time_ms[i] // SLOT_MS * SLOT_MS
        out[i] = _judge(row, here, value[i], pace, scale)


@compiled
def profile(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in the channel's own unit."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
