# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Novelty of shape: how far the last readings are from every shape that the channel's codebook holds.

    x: of each block of readings the extreme that is farther from m;  m ← (m + mean of the block) / 2
    shape: the last BLOCKS of x;  d: least Euclidean distance to a prototype;  out = d, until the next block is full
    d ≤ limit · u: the nearest prototype p learns, p ← p + pace · LEARN · (shape − p)
    else the shape takes the place of the prototype that was used least; a use weighs GROWTH more with every block
    u ← u + pace · max(MEMORY, 1 / n) · (d − u), the usual distance

High: a shape unlike all before; from then on it is known. Values are taken within ± VALUE_MAX.
Source: leader clustering with a vigilance, as in adaptive resonance theory (Carpenter and Grossberg, Computer Vision,
Graphics and Image Processing 37, 1987); extremes of blocks as in Hampton's ARTime (2021), which knows the whole
series' range and length beforehand; this does not.
"""

from math import sqrt

from anomaly.detectors.arith import FAULT, NONE, Floats, Ints, compiled, is_fault, least_at
from anomaly.detectors.vectors import draw, nearest

BLOCKS = 6
PROTOTYPES = 64
LEARN = 0.1
GROWTH = 1.001
MEMORY = 1.0 / 500.0
CLIP, CLIP_FROM = 5.0, 30.0  # mean distances that one distance counts for, at most; from which distance on
TRUST_FROM = 3.0  # distances before a shape can be new
VALUE_MAX = 1e100
FAR = 1e120  # where a prototype lies that there is not yet
BLOCK, LIMIT = 2, 3.0  # readings a block and mean distances, of the kernel; an ensemble has more than one
WEIGHT_MAX, SCALE_DOWN = 2.0**40, 2.0**-40
_FILLED, _SUM, _MOST, _LEAST, _MEAN, _SEEN, _MADE, _USUAL, _JUDGED, _SAID, _WEIGHT, _SHAPE = range(12)
_USES = _SHAPE + BLOCKS
_DISTANCES = _USES + PROTOTYPES
_BOOK = _DISTANCES + PROTOTYPES  # first all prototypes' first x, then all their second …
WIDTH = _BOOK + BLOCKS * PROTOTYPES
_nearest_of_8, _nearest_of_16, _nearest_of_32, _nearest_of_64 = (
    nearest(BLOCKS, PROTOTYPES, points, _SHAPE, _DISTANCES, _BOOK) for points in (8, 16, 32, 64)
)
_draw = draw(BLOCKS, PROTOTYPES, _SHAPE, _BOOK)


@compiled
def _begin(row: Floats, value: float) -> None:
    row[_MEAN] = value
    row[_SAID] = NONE
    row[_WEIGHT] = 1.0
    for k in range(_BOOK, WIDTH):
        row[k] = FAR


@compiled
def _place(row: Floats) -> int:
    """Where a new prototype goes: a free place, or that of the one used least."""
    made = int(row[_MADE])
    if made < PROTOTYPES:
        row[_MADE] = float(made + 1)
        return made
    return least_at(row, _USES, PROTOTYPES)


@compiled
def _set(row: Floats, place: int) -> None:
    for k in range(BLOCKS):
        row[_BOOK + k * PROTOTYPES + place] = row[_SHAPE + k]


@compiled
def _nearest(row: Floats) -> tuple[int, float]:
    """Of the prototypes that there are: most books hold few. The first time all, as distances are state, too."""
    made = row[_MADE]
    if made <= 8.0 and row[_JUDGED] > 0.0:
        return _nearest_of_8(row)
    if made <= 16.0 and row[_JUDGED] > 0.0:
        return _nearest_of_16(row)
    if made <= 32.0 and row[_JUDGED] > 0.0:
        return _nearest_of_32(row)
    return _nearest_of_64(row)


@compiled
def _judge(row: Floats, limit: float, pace: float) -> float:
    """The shape's distance; then the book learns it."""
    if row[_MADE] == 0.0:
        _set(row, _place(row))
        row[_USES] = 1.0
    place, square = _nearest(row)
    d = sqrt(square)
    judged = row[_JUDGED] + 1.0
    row[_JUDGED] = judged
    row[_WEIGHT] *= GROWTH
    if d > limit * row[_USUAL] and judged > TRUST_FROM:
        place = _place(row)
        _set(row, place)
        row[_USES + place] = row[_WEIGHT]
    else:
        _draw(row, place, pace * LEARN)
        row[_USES + place] += row[_WEIGHT]
    held = min(d, CLIP * row[_USUAL]) if judged > CLIP_FROM else d
    row[_USUAL] += pace * max(MEMORY, 1.0 / judged) * (held - row[_USUAL])
    if row[_WEIGHT] > WEIGHT_MAX:
        row[_WEIGHT] *= SCALE_DOWN
        for j in range(PROTOTYPES):
            row[_USES + j] *= SCALE_DOWN
    return d


@compiled
def _close(row: Floats, readings: int) -> None:
    """The block, of so many readings, is full: its extreme joins the shape."""
    mean = row[_SUM] / readings
    row[_MEAN] = 0.5 * (row[_MEAN] + mean)
    over, under = abs(row[_MOST] - row[_MEAN]), abs(row[_LEAST] - row[_MEAN])
    for k in range(BLOCKS - 1):
        row[_SHAPE + k] = row[_SHAPE + k + 1]
    row[_SHAPE + BLOCKS - 1] = row[_MOST] if over >= under else row[_LEAST]
    row[_FILLED] = row[_SUM] = 0.0


@compiled
def _full(row: Floats, pace: float, readings: int, limit: float) -> None:
    _close(row, readings)
    row[_SEEN] += 1.0
    if row[_SEEN] > BLOCKS:
        row[_SAID] = _judge(row, limit, pace)


@compiled
def novelty(row: Floats, value: float, pace: float, block: int, limit: float) -> float:
    """One reading, not a fault; `block` readings make an x, and those that wait where blocks become shorter."""
    value = min(max(value, -VALUE_MAX), VALUE_MAX)
    if row[_WEIGHT] == 0.0:
        _begin(row, value)
    first = row[_FILLED] == 0.0
    row[_MOST] = value if first else max(row[_MOST], value)
    row[_LEAST] = value if first else min(row[_LEAST], value)
    row[_SUM] += value
    row[_FILLED] += 1.0
    if row[_FILLED] >= block:
        _full(row, pace, int(row[_FILLED]), limit)
    return row[_SAID]


@compiled
def between(row: Floats) -> bool:
    """Whether the book has begun and the last block is full."""
    return row[_FILLED] == 0.0 and row[_WEIGHT] > 0.0


@compiled
def whole(row: Floats, value: Floats, i: int, pace: float, block: int, limit: float, out: Floats) -> None:
    """`novelty` of a whole block of readings, from `i` on, of a book that is `between` two."""
    most = least = total = min(max(value[i], -VALUE_MAX), VALUE_MAX)
    total += 0.0
    for k in range(i + 1, i + block):
        x = min(max(value[k], -VALUE_MAX), VALUE_MAX)
        most, least = max(most, x), min(least, x)
        total += x
    said = row[_SAID]
    for k in range(i, i + block - 1):
        out[k] = said
    row[_MOST], row[_LEAST], row[_SUM] = most, least, total
    _full(row, pace, block, limit)
    out[i + block - 1] = row[_SAID]


@compiled
def step(row: Floats, time_ms: int, value: float, pace: float) -> float:
    """One reading."""
    return FAULT if is_fault(value) else novelty(row, value, pace, BLOCK, LIMIT)


@compiled
def codebook(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `out` in the channel's own unit."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], time_ms[i], value[i], 1.0)
