# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Gaussian tail: how far a surprise is above what the channel's surprises usually are, as decades of rarity.

    z = (x − m) / √v;  out = −log10 Q(z), at most DECADES_MAX, and 0 for the first WARM surprises;  then, with
    r = pace · max(1 / n, 1 / MEMORY), d = x − m:  m ← m + r · d;  v ← (1 − r) · (v + r · d²)

Q is the normal distribution's upper tail. Its logarithm is taken by −log10 Q(z) ≈ log10 2 + A z + B z² for z ≥ 0
(within 0.05 up to z = 5), and log10 2 · (1 + z / 2)² from there down to z = −2. Unlike a rank it still grows where
nothing alike was seen: for surprises without heavy tails, such as distances.
Source: the anomaly likelihood of Ahmad, Lavin, Purdy and Agha (Neurocomputing 262, 2017), with running moments.
"""

from math import sqrt

from anomaly.detectors.arith import FAULT, Floats, Ints, compiled, is_fault

MEMORY = 8_000.0
WARM = 100.0
DECADES_MAX = 6.0
LOG2, A, B = 0.30103, 0.293, 0.189
SCALE_SHARE_MIN, SCALE_MIN = 1e-6, 1e-100  # of the mean: a variance of rounding errors alone is none
WIDTH = 3
_COUNT, _MEAN, _VARIANCE = range(WIDTH)


@compiled
def decades(z: float) -> float:
    """−log10 of the normal distribution's tail above z."""
    above = min(LOG2 + z * (A + z * B), DECADES_MAX)
    half = max(1.0 + 0.5 * z, 0.0)
    below = LOG2 * half * half
    return (
        above if z >= 0.0 else below
    )  # chosen, not branched to: the sign is nothing that a processor can guess


@compiled
def rarity(row: Floats, surprise: float, pace: float, warm: float) -> float:
    """Decades, then learns it; 0 for the first `warm`, and a detector that has nothing to say. Not for faults."""
    if surprise < 0.0:
        return 0.0
    count = row[_COUNT] + 1.0
    d = surprise - row[_MEAN]
    out = 0.0
    if count > warm:
        scale = max(max(sqrt(row[_VARIANCE]), SCALE_SHARE_MIN * row[_MEAN]), SCALE_MIN)
        out = decades(d / scale)
    gain = pace * max(1.0 / count, 1.0 / MEMORY)
    row[_COUNT] = count
    row[_MEAN] += gain * d
    row[_VARIANCE] = (1.0 - gain) * (row[_VARIANCE] + gain * (d * d))
    return out


@compiled
def run(row: Floats, surprise: Floats, pace: float, warm: float, work: Floats, out: Floats) -> None:
    """`rarity` of each; `work`: room for three rows as long. What waits for the one before is done alone."""
    count, mean, variance = row[_COUNT], row[_MEAN], row[_VARIANCE]
    n = len(surprise)
    if n == 0 or surprise[0] < 0.0:  # once something was said, there is no more without
        for i in range(n):
            out[i] = rarity(row, surprise[i], pace, warm)
        return
    gains, distances, scales = work[0, :n], work[1, :n], work[2, :n]
    for i in range(n):
        gains[i] = pace * max(1.0 / (count + (i + 1)), 1.0 / MEMORY)
    for i in range(n):
        d, gain = surprise[i] - mean, gains[i]
        distances[i], scales[i], out[i] = d, variance, mean
        mean += gain * d
        variance = (1.0 - gain) * (variance + gain * (d * d))
    for i in range(n):
        scale = max(max(sqrt(scales[i]), SCALE_SHARE_MIN * out[i]), SCALE_MIN)
        said = decades(distances[i] / scale)
        out[i] = said if count + (i + 1) > warm else 0.0
    row[_COUNT], row[_MEAN], row[_VARIANCE] = count + n, mean, variance


@compiled
def step(row: Floats, surprise: float, pace: float) -> float:
    """One surprise."""
    return FAULT if is_fault(surprise) else rarity(row, min(surprise, 1e100), pace, WARM)


@compiled
def gauss(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """The kernel: `value` is a surprise, zero or more; `out` decades, at most DECADES_MAX."""
    for i in range(len(value)):
        out[i] = step(state[slot[i]], value[i], 1.0)
