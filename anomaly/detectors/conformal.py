# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Conformal calibration: which share of the channel's own surprises were as great, without a model of their tail.

    n[k]: weights of the surprises in bucket k; buckets are eighths of an octave, by the bits of x; zeros stand apart
    p = (w + Σ over k > b of n[k] + (1 − f) · n[b]) / (w + total);  out = −log10 p;  for x = 0, p = 1
    f: how far in its bucket x lies, as if those in it were spread evenly
    then n[b] and total grow by pace · w, and w by the share GROWTH, so that the last 1 / GROWTH readings count

The buckets cover OCTAVES, around the first surprise. They move MOVE octaves up where more than OVER of the weight is in
the last of them; down where more than UNDER is in the first and no more than OVER in the highest MOVE octaves. What
leaves the range stays in the bucket at its end.

Source: Vovk, Gammerman and Shafer, Algorithmic learning in a random world (2005); Laxhammar and Falkman (2010).
"""

import numpy as np

from anomaly.detectors.arith import FAULT, Floats, Ints, compiled, is_fault, log10

OCTAVES, PARTS = 16, 8
BUCKETS = OCTAVES * PARTS
GROWTH = 1.0 / 8192.0
OVER, UNDER = 1.0 / 512.0, 0.5
MOVE = 4  # octaves
WEIGHT_MAX, SCALE_DOWN = 2.0**40, 2.0**-40
_BASE, _WEIGHT, _TOTAL, _ZEROS, _SUMS = (
    0,
    1,
    2,
    3,
    4,
)  # number of the first bucket; then sums of octaves, buckets
_BUCKETS = _SUMS + OCTAVES
WIDTH = _BUCKETS + BUCKETS
_PART_BITS = 49  # 52 bits of mantissa but the three that tell eight parts
_PART_MASK, _PART_SCALE = np.int64((1 << 49) - 1), 2.0**-49


@compiled
def _move(row: Floats, octaves: int) -> None:
    """Let the range begin so many octaves higher; lower where it is negative."""
    buckets = row[_BUCKETS:WIDTH]
    by = octaves * PARTS
    row[_BASE] += float(by)
    if by > 0:
        for k in range(BUCKETS):
            weight = buckets[k]
            buckets[k] = 0.0
            buckets[max(k - by, 0)] += weight
    else:
        for k in range(BUCKETS - 1, -1, -1):
            weight = buckets[k]
            buckets[k] = 0.0
            buckets[min(k - by, BUCKETS - 1)] += weight
    for octave in range(OCTAVES):
        row[_SUMS + octave] = 0.0
        for k in range(octave * PARTS, octave * PARTS + PARTS):
            row[_SUMS + octave] += buckets[k]


@compiled
def _top(row: Floats) -> float:
    """The weight that would lose its place if the range moved down."""
    weight = 0.0
    for octave in range(OCTAVES - MOVE, OCTAVES):
        weight += row[_SUMS + octave]
    return weight


@compiled
def _learn(row: Floats, here: int, weight: float) -> None:
    """Count a surprise in its bucket, and see that the range fits."""
    row[_BUCKETS + here] += weight
    row[_SUMS + here // PARTS] += weight
    filled = row[_TOTAL] - row[_ZEROS]
    if here == BUCKETS - 1 and row[_BUCKETS + here] > OVER * filled:
        _move(row, MOVE)
    elif here == 0 and row[_BUCKETS] > UNDER * filled and _top(row) <= OVER * filled:
        _move(row, -MOVE)


@compiled
def _shrink(row: Floats) -> None:
    """Weights grow for ever: bring all of them down together, by a power of two, which changes no share."""
    for k in range(_WEIGHT, WIDTH):
        row[k] *= SCALE_DOWN


@compiled
def _above(row: Floats, here: int, share: float) -> float:
    """The weight above a bucket, and a share of its own."""
    octave = here // PARTS
    above = 0.0
    for k in range(1, OCTAVES):  # all of them: how many there are above is nothing that a processor can guess
        above += row[_SUMS + k] if k > octave else 0.0
    for k in range(1, PARTS):
        above += row[_BUCKETS + octave * PARTS + k] if octave * PARTS + k > here else 0.0
    return above + share * row[_BUCKETS + here]


@compiled
def share(row: Floats, surprise: float, pace: float) -> float:
    """The share p of surprises as great, then learns it; 1 for none. Not for faults.

    An ensemble multiplies shares, and takes one logarithm of the product.
    """
    if surprise < 0.0:
        return 1.0
    if row[_WEIGHT] == 0.0:
        row[_WEIGHT] = 1.0
    weight = row[_WEIGHT]
    part = 1.0
    if surprise == 0.0:
        row[_ZEROS] += pace * weight
        row[_TOTAL] += pace * weight
    else:
        bits = np.float64(surprise).view(np.int64)
        number = bits >> _PART_BITS
        if row[_TOTAL] == row[_ZEROS]:
            row[_BASE] = float(number - BUCKETS // 2)
        here = min(max(number - int(row[_BASE]), 0), BUCKETS - 1)
        over = 1.0 - (bits & _PART_MASK) * _PART_SCALE
        part = (weight + _above(row, here, over)) / (weight + row[_TOTAL])
        row[_TOTAL] += pace * weight
        _learn(row, here, pace * weight)
    row[_WEIGHT] = weight * (1.0 + GROWTH)
    if row[_WEIGHT] > WEIGHT_MAX:
        _shrink(row)
    return min(part, 1.0)


@compiled
def step(row: Floats, surprise: float, pace: float) -> float:
    """−log10 of the share; 0 where there is no surprise yet; NaN for a fault."""
    if is_fault(surprise):
        return FAULT
    part = share(row, surprise, pace)
    return -log10(part) if part < 1.0 else 0.0


@compiled
def conformal(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `value` is a surprise, zero or more; `out` −log10 of its share, at most log10 of what was seen."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], value[i], 1.0)
