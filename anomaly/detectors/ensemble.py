# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""The ensemble: decades of rarity of three views of a channel, added up, less what is small for this channel.

    shape      (g(novelty by blocks of 4) + g(novelty by blocks of 2)) / 2          `codebook`, `gauss`
    daily      −log10 of the share of recalled residuals as great                    `recall`, `conformal`
    sustained  SUSTAINED · min(g(deviation), deviation / (steps · STEPS))            `sustained`, `gauss`
    effect     PER_OCTAVE · log2(r / (STEPS_FULL · step)), within EFFECT_MIN and 0;  r: `profile`, step: `sustained`
    total = shape + daily + sustained + effect, at least 0;  score = total / (total + HALF)

    detector: the number, in DETECTORS, of the view with most decades

Readings are first taken together to rows of five minutes (`gather`); a reading that closes none says what the last row
did. Where rows are longer, `recall.scale` times, sustained counts fewer of them, daily and effect smooth less, and so
many fewer teach before a view speaks, but WARM_SHARE of them. Rows of 20 to 50 minutes, from LONG to HOUR times as
long: each is a block of the shapes, and step is the fourth root of scale smaller, as that is by how much steps grow.

A defrost may be rare, and yet be small beside the channel's usual steps: that is what effect is for.
What an alarm teaches is held by the views themselves, which clip what they learn from; to slow all of them while an
alarm is up was measured, and is worse. A channel's row: each view's state. The ensemble's constants are all here.
Source: Fisher's combination of tests (Statistical methods for research workers, 1925); docs/detection.md.
"""

from math import sqrt

from anomaly.detectors import codebook, conformal, gather, gauss, profile, recall, sustained
from anomaly.detectors.arith import FAULT, Bytes, Floats, Ints, compiled, is_fault, ln, log10

DETECTORS = ("none", "shape", "daily", "sustained")
COARSE_BLOCK, COARSE_LIMIT = 4, 4.0
FINE_BLOCK, FINE_LIMIT = 2, 3.0
SUSTAINED, STEPS = 1.25, 3.0
PER_OCTAVE, STEPS_FULL, EFFECT_MIN = 0.7, 12.0, -3.0
HALF = 3.0  # decades that say 0.5
LONG, HOUR = 3.5, 11.0  # times five minutes: from 20 to less than an hour, within the jitter of a logger
WARM_SHARE = 0.5  # of fewer rows than this of what five minutes need, no mean and no spread is known

RUN_READINGS = 64  # that are scored together, at most: what comes between them stays near
WORK = (12, RUN_READINGS + sustained.READINGS)
_PACE = 1.0
_PER_E = PER_OCTAVE / 0.6931471805599453
_STEPS_MIN = 0.5  # no logarithm is needed below it
_SAID, _SAYS = 0, 1  # the last row's score and detector
_GATHER = 2
_COARSE = _GATHER + gather.WIDTH
_COARSE_TAIL = _COARSE + codebook.WIDTH
_FINE = _COARSE_TAIL + gauss.WIDTH
_FINE_TAIL = _FINE + codebook.WIDTH
_RECALL = _FINE_TAIL + gauss.WIDTH
_RECALL_RANKS = _RECALL + recall.WIDTH
_SUSTAINED = _RECALL_RANKS + conformal.WIDTH
_SUSTAINED_TAIL = _SUSTAINED + sustained.WIDTH
_PROFILE = _SUSTAINED_TAIL + gauss.WIDTH
WIDTH = _PROFILE + profile.WIDTH

_novelty, _block, _between = codebook.novelty, codebook.whole, codebook.between
_recall, _scale, _longer, _alike = recall.run, recall.scale, recall.longer, recall.alike
_sustained, _profile, _rarity, _share = sustained.run, profile.run, gauss.run, conformal.share
_gather = gather.gather


@compiled
def warm(scale: float, rows: float) -> float:
    """How many rows, `scale` times as long as five minutes, teach as `rows` of five minutes do."""
    return max(rows / scale, WARM_SHARE * rows)


@compiled
def is_long(longer: float) -> bool:
    """Rows of 20 to 50 minutes, by how many times as long as five minutes they are."""
    return LONG <= longer <= HOUR


def silent_rows(row: Floats) -> int:
    """In how many rows of a channel days alone can say something: shapes begin with the shorter blocks."""
    first_shape = (codebook.BLOCKS + 1) * FINE_BLOCK - 1
    return int(warm(_scale(row[_RECALL:_RECALL_RANKS]), gauss.WARM)) + first_shape


@compiled
def _books(row: Floats, value: Floats, is_long: bool, coarse: Floats, fine: Floats) -> None:
    coarse_book, fine_book = row[_COARSE:_COARSE_TAIL], row[_FINE:_FINE_TAIL]
    i = 0
    while i < len(value):  # both at once: each waits for itself from block to block
        if is_long:
            coarse[i] = _novelty(coarse_book, value[i], _PACE, 1, COARSE_LIMIT)
            fine[i] = _novelty(fine_book, value[i], _PACE, 1, FINE_LIMIT)
            i += 1
        elif i + COARSE_BLOCK <= len(value) and _between(coarse_book) and _between(fine_book):
            _block(coarse_book, value, i, _PACE, COARSE_BLOCK, COARSE_LIMIT, coarse)
            for k in range(i, i + COARSE_BLOCK, FINE_BLOCK):
                _block(fine_book, value, k, _PACE, FINE_BLOCK, FINE_LIMIT, fine)
            i += COARSE_BLOCK
        else:
            coarse[i] = _novelty(coarse_book, value[i], _PACE, COARSE_BLOCK, COARSE_LIMIT)
            fine[i] = _novelty(fine_book, value[i], _PACE, FINE_BLOCK, FINE_LIMIT)
            i += 1


@compiled
def _shapes(row: Floats, value: Floats, room: Floats, coarse: Floats, fine: Floats, shape: Floats) -> None:
    ring = row[_RECALL:_RECALL_RANKS]
    teach = warm(_scale(ring), gauss.WARM)
    _books(row, value, is_long(_longer(ring)), coarse, fine)
    _rarity(row[_COARSE_TAIL:_FINE], coarse, _PACE, teach, room, shape)
    _rarity(row[_FINE_TAIL:_RECALL], fine, _PACE, teach, room, coarse)
    for i in range(len(value)):
        shape[i] = 0.5 * (shape[i] + coarse[i])


@compiled
def _days(row: Floats, time_ms: Ints, value: Floats, room: Floats, daily: Floats) -> None:
    ring, ranks = row[_RECALL:_RECALL_RANKS], row[_RECALL_RANKS:_SUSTAINED]
    _recall(ring, time_ms, value, _PACE, room, daily)
    for i in range(len(value)):
        daily[i] = _share(ranks, daily[i], _PACE)
    for i in range(len(value)):
        share = daily[i]
        decades = -log10(share)
        daily[i] = decades if share < 1.0 else 0.0


@compiled
def _stay(row: Floats, value: Floats, room: Floats, far: Floats, unit: Floats, stays: Floats) -> None:
    tail, ring = row[_SUSTAINED_TAIL:_PROFILE], row[_RECALL:_RECALL_RANKS]
    scale = _scale(ring)
    rows, teach = int(sustained.READINGS / scale + 0.5), warm(scale, sustained.WARM_READINGS)
    _sustained(row[_SUSTAINED:_SUSTAINED_TAIL], value, _PACE, rows, teach, room, far, unit)
    if is_long(_longer(ring)):
        growth = sqrt(sqrt(scale))
        for i in range(len(value)):
            unit[i] /= growth
    _rarity(tail, far, _PACE, warm(scale, gauss.WARM), room, stays)
    for i in range(len(value)):
        stays[i] = SUSTAINED * max(min(stays[i], far[i] / (STEPS * unit[i])), 0.0)


@compiled
def _effects(row: Floats, time_ms: Ints, value: Floats, unit: Floats, effect: Floats) -> None:
    _profile(row[_PROFILE:WIDTH], time_ms, value, _PACE, _scale(row[_RECALL:_RECALL_RANKS]), effect)
    for i in range(len(value)):
        steps = effect[i] / unit[i]
        full, little = steps >= STEPS_FULL, steps < _STEPS_MIN
        small = max(_PER_E * ln((1.0 if full or little else steps) / STEPS_FULL), EFFECT_MIN)
        effect[i] = 0.0 if full else EFFECT_MIN if little else small


@compiled
def _fuse(work: Floats, score: Floats, detector: Floats) -> None:
    for i in range(len(score)):
        shape, daily, stays = work[0, i], work[1, i], work[2, i]
        total = max(shape + daily + stays + work[3, i], 0.0)
        score[i] = total / (total + HALF)
        most = max(max(shape, daily), stays)
        which = 1.0 if shape == most else 2.0 if daily == most else 3.0
        detector[i] = 0.0 if score[i] == 0.0 else which


@compiled
def _rows(row: Floats, time_ms: Ints, value: Floats, score: Floats, detector: Floats, work: Floats) -> None:
    """Rows of one channel: view after view, as none needs what another says; first the one that knows their scale."""
    count = len(value)
    shape, daily, stays, effect = work[0, :count], work[1, :count], work[2, :count], work[3, :count]
    unit, one, two, room = work[4, :count], work[5, :count], work[6, :count], work[7:10]
    _days(row, time_ms, value, room, daily)
    _shapes(row, value, room, one, two, shape)
    _stay(row, value, room, one, unit, stays)
    _effects(row, time_ms, value, unit, effect)
    _fuse(work, score, detector)


@compiled
def _run(
    row: Floats,
    time_ms: Ints,
    value: Floats,
    score: Floats,
    detector: Bytes,
    closed: Bytes,
    work: Floats,
    times: Ints,
) -> None:
    """Readings of one channel, none a fault, no more than rows of one `_scale` may be (`_alike`)."""
    values, says = work[10], work[11]
    count = _gather(row[_GATHER:_COARSE], time_ms, value, times, values, closed)
    if count > 0:
        _rows(row, times[:count], values[:count], values[:count], says[:count], work)
    at, fives = 0, int(_scale(row[_RECALL:_RECALL_RANKS]) + 0.5)
    for i in range(len(value)):
        if closed[i]:
            closed[i] = fives
            row[_SAID], row[_SAYS] = values[at], says[at]
            at += 1
        score[i], detector[i] = row[_SAID], int(row[_SAYS])


@compiled
def ensemble(
    state: Floats,
    slot: Ints,
    time_ms: Ints,
    value: Floats,
    score: Floats,
    detector: Bytes,
    closed: Bytes,
    work: Floats,
    times: Ints,
) -> None:
    """The kernel: `score` (n,) f64 in [0, 1], NaN for a fault; `detector`, `closed` (n,) u8: how many times as long as
    five minutes the row is, 1 to 4, that became known with the reading, so that its score is new, or 0; `work` WORK
    f64 and `times` RUN_READINGS i64, for what comes between. Readings of one channel that follow one another cost
    less: each view's state stays at hand."""
    first = 0
    while first < len(value):
        if is_fault(value[first]):
            score[first], detector[first], closed[first] = FAULT, 0, 0
            first += 1
            continue
        row = state[slot[first]]
        together = min(RUN_READINGS, _alike(row[_RECALL:_RECALL_RANKS]))
        end, last = first + 1, min(len(value), first + together)
        while end < last and slot[end] == slot[first] and not is_fault(value[end]):
            end += 1
        _run(
            row,
            time_ms[first:end],
            value[first:end],
            score[first:end],
            detector[first:end],
            closed[first:end],
            work,
            times,
        )
        first = end
