# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Level beyond drift: how far the level of now is from the long-run one, in units that know how the channel wanders.

    m ← m + (v − m) / SOFT: the level of now;  e = m − mu;  scale = s + SPREAD · w + DRIFT · d
    out = |e| / scale;  then, each step held within ± CLIP times what is usual, so that what is far off is not learned:
    mu ← mu + r · e;  s ← s + r · (|e| − s);  w ← w + r · (|v − mu| − w);  r = pace · max(GAIN, 1 / n)
    d: mean of |mean of BLOCK readings − that of the BLOCK before| over all blocks: a temperature wanders, a voltage not

Source: Huber's clipped averages (1981); differences of block means as in Allan, Proc. IEEE 54 (1966).
"""

from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault

SOFT = 8.0
SPREAD, DRIFT = 0.2, 2.0
CLIP = 3.0
GAIN = 1.0 / 4096.0
BLOCK = 30.0
WARM_READINGS = 30.0
WARM_BLOCKS = 4.0
SCALE_SHARE_MIN, SCALE_MIN = 1e-6, 1e-9  # of the level, as in `robust`
SURPRISE_MAX = 1e6
MU, W, D = 2, 4, 5
_M, _S, _BLOCK_COUNT, _BLOCK_SUM, _BLOCK_LAST, _STEPS = 1, 3, 6, 7, 8, 9  # 0: readings seen
WIDTH = 10


@compiled
def _wander(row: Floats, value: float) -> None:
    """The mean difference of neighbouring blocks. _STEPS: blocks done."""
    row[_BLOCK_COUNT] += 1.0
    row[_BLOCK_SUM] += value
    if row[_BLOCK_COUNT] < BLOCK:
        return
    mean = row[_BLOCK_SUM] / BLOCK
    if row[_STEPS] > 0.0:
        moved = abs(mean - row[_BLOCK_LAST])
        if row[_STEPS] > WARM_BLOCKS:
            moved = min(moved, CLIP * row[D])
        row[D] += max(1.0 / row[_STEPS], BLOCK * GAIN) * (moved - row[D])
    row[_STEPS] += 1.0
    row[_BLOCK_LAST] = mean
    row[_BLOCK_COUNT] = row[_BLOCK_SUM] = 0.0


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    if is_fault(value):
        return FAULT
    count = row[0] + 1.0
    row[0] = count
    if count == 1.0:
        row[_M] = row[MU] = value
    row[_M] += (value - row[_M]) / SOFT
    e = row[_M] - row[MU]
    off = abs(value - row[MU])
    least = max(abs(row[MU]) * SCALE_SHARE_MIN, SCALE_MIN)
    scale = max(row[_S] + SPREAD * row[W] + DRIFT * row[D], least)
    surprise = min(abs(e) / scale, SURPRISE_MAX)
    size = abs(e)
    if count > WARM_READINGS:
        e = min(max(e, -CLIP * scale), CLIP * scale)
        size = min(size, CLIP * max(row[_S], least))
        off = min(off, CLIP * max(row[W], least))
    rate = pace * max(GAIN, 1.0 / count)
    row[MU] += rate * e
    row[_S] += rate * (size - row[_S])
    row[W] += rate * (off - row[W])
    _wander(row, value)
    return surprise if count > WARM_READINGS else NONE


@compiled
def level(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in scales."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
