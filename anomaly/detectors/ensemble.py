# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""The ensemble: decades of rarity of three views of a channel, added up, less what is small for this channel.

    shape      (g(novelty by blocks of 4) + g(novelty by blocks of 2)) / 2          `codebook`, `gauss`
    daily      −log10 of the share of recalled residuals as great                    `recall`, `conformal`
    sustained  SUSTAINED · min(g(deviation), deviation / (steps · STEPS))            `sustained`, `gauss`
    effect     PER_OCTAVE · log2(r / (STEPS_FULL · step)), within EFFECT_MIN and 0;  r: `profile`, step: `sustained`
    total = shape + daily + sustained + effect, at least 0;  score = total / (total + HALF)

    detector: the number, in DETECTORS, of the view with most decades

A defrost may be rare, and yet be small beside the channel's usual steps: that is what effect is for.
What an alarm teaches is held by the views themselves, which clip what they learn from; to slow all of them while an
alarm is up was measured, and is worse. A channel's row: each view's state. The ensemble's constants are all here.
Source: Fisher's combination of tests (Statistical methods for research workers, 1925); docs/detection.md.
"""

from anomaly.detectors import codebook, conformal, gauss, profile, recall, sustained
from anomaly.detectors.arith import FAULT, Bytes, Floats, Ints, compiled, is_fault, ln, log10

DETECTORS = ("none", "shape", "daily", "sustained")
COARSE_BLOCK, COARSE_LIMIT = 4, 4.0
FINE_BLOCK, FINE_LIMIT = 2, 3.0
SUSTAINED, STEPS = 1.25, 3.0
PER_OCTAVE, STEPS_FULL, EFFECT_MIN = 0.7, 12.0, -3.0
HALF = 3.0  # decades that say 0.5

_PACE = 1.0
_PER_E = PER_OCTAVE / 0.6931471805599453
_STEPS_MIN = 0.5  # no logarithm is needed below it
_COARSE = 0
_COARSE_TAIL = _COARSE + codebook.WIDTH
_FINE = _COARSE_TAIL + gauss.WIDTH
_FINE_TAIL = _FINE + codebook.WIDTH
_RECALL = _FINE_TAIL + gauss.WIDTH
_RECALL_RANKS = _RECALL + recall.WIDTH
_SUSTAINED = _RECALL_RANKS + conformal.WIDTH
_SUSTAINED_TAIL = _SUSTAINED + sustained.WIDTH
_PROFILE = _SUSTAINED_TAIL + gauss.WIDTH
WIDTH = _PROFILE + profile.WIDTH

_novelty, _recall, _sustained, _profile = codebook.novelty, recall.step, sustained.step, profile.step
_unit, _rarity, _share = sustained.unit, gauss.rarity, conformal.share


@compiled
def _shape(row: Floats, value: float) -> float:
    coarse = _novelty(row[_COARSE:_COARSE_TAIL], value, _PACE, COARSE_BLOCK, COARSE_LIMIT)
    fine = _novelty(row[_FINE:_FINE_TAIL], value, _PACE, FINE_BLOCK, FINE_LIMIT)
    return 0.5 * (
        _rarity(row[_COARSE_TAIL:_FINE], coarse, _PACE) + _rarity(row[_FINE_TAIL:_RECALL], fine, _PACE)
    )


@compiled
def _daily(row: Floats, time_ms: int, value: float) -> float:
    share = _share(
        row[_RECALL_RANKS:_SUSTAINED], _recall(row[_RECALL:_RECALL_RANKS], time_ms, value, _PACE), _PACE
    )
    return -log10(share) if share < 1.0 else 0.0


@compiled
def _stays(row: Floats, time_ms: int, value: float) -> float:
    deviation = _sustained(row[_SUSTAINED:_SUSTAINED_TAIL], time_ms, value, _PACE)
    rarity = _rarity(row[_SUSTAINED_TAIL:_PROFILE], deviation, _PACE)
    return SUSTAINED * max(min(rarity, deviation / (STEPS * _unit(row[_SUSTAINED:_SUSTAINED_TAIL]))), 0.0)


@compiled
def _effect(row: Floats, time_ms: int, value: float) -> float:
    steps = _profile(row[_PROFILE:WIDTH], time_ms, value, _PACE) / _unit(row[_SUSTAINED:_SUSTAINED_TAIL])
    if steps >= STEPS_FULL:
        return 0.0
    return EFFECT_MIN if steps < _STEPS_MIN else max(_PER_E * ln(steps / STEPS_FULL), EFFECT_MIN)


@compiled
def step(row: Floats, time_ms: int, value: float) -> tuple[float, int]:
    """One reading: the score in [0, 1] and the detector's number; NaN and 0 for a fault."""
    if is_fault(value):
        return FAULT, 0
    shape = _shape(row, value)
    daily = _daily(row, time_ms, value)
    stays = _stays(row, time_ms, value)
    total = max(shape + daily + stays + _effect(row, time_ms, value), 0.0)
    score = total / (total + HALF)
    if score == 0.0:
        return score, 0
    most = max(max(shape, daily), stays)
    return score, 1 if shape == most else 2 if daily == most else 3


@compiled
def ensemble(state: Floats, slot: Ints, time_ms: Ints, value: Floats, score: Floats, detector: Bytes) -> None:
    """The kernel: `score` (n,) f64 in [0, 1], NaN for a fault; `detector` (n,) u8."""
    for i in range(len(value)):
        score[i], detector[i] = step(state[slot[i]], time_ms[i], value[i])
