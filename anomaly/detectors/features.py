# mypy: disable-error-code="arg-type,assignment,return-value,no-any-return,misc,untyped-decorator"
"""Features of a whole fleet at once: channels side by side in blocks of LANES, so that vectors work on many.

Of each reading v of a channel, with level, scale, up and down as in `robust` and `cusum`:

    z = (v − level) / scale;  jump = |v − last| / scale;  same: readings in a row that equal the last
    f = base + season[k];  r = (v − f) / spread;  base ← base + g · (v − f);  season[k] ← season[k] + SEASON · (v − f)
    spread ← spread + g · (|v − f| − spread);  k: the step's number modulo SEASONS; g = max(GAIN, 1 / n)
    x = max(|z|, |r|);  q: its running quantile that a share TAIL exceeds, as in `tail`
    tail = TAIL · (q / x)² above q, a Pareto tail of index 2; below q, linear from 1 to TAIL
    flags: sum of FAR |z| > Z_FAR, DRIFTED max(up, down) > SUM_FAR, JUMPED jump > JUMP_FAR, STUCK same ≥ SAME_LONG,
        UNLIKE |r| > R_FAR, RARE tail < RARE_SHARE

Sources: those of `robust`, `cusum` and `tail`; Holt (1957), Winters (1960) without trend.
The state is (blocks, WIDTH · LANES): number k of channel l of a block at k · LANES + l. Branches are selections: so
LLVM makes vectors of the inner loop. It works on one base pointer at constant offsets, input and outputs included.
"""

import numpy as np
from numba import njit

from anomaly.detectors.arith import FAULT, Floats
from anomaly.detectors.cusum import DRIFT, STEP_MAX, SUM_MAX
from anomaly.detectors.robust import CLIP, GAIN, SCALE_MIN, SCALE_SHARE_MIN
from anomaly.detectors.tail import FLOOR, RATE, TAIL

LANES = 64
SEASONS = 16
SEASON = 0.1
WARM = 30.0
Z_FAR, SUM_FAR, JUMP_FAR, R_FAR, SAME_LONG, RARE_SHARE = 5.0, 20.0, 8.0, 5.0, 30.0, 1e-3
FAR, DRIFTED, JUMPED, STUCK, UNLIKE, RARE = 1.0, 2.0, 4.0, 8.0, 16.0, 32.0
_COUNT, _LEVEL, _SCALE, _UP, _DOWN, _LAST, _SAME, _BASE, _SPREAD, _Q, _IN, _TAIL, _FLAGS, _SEASON = range(14)
STATE = _SEASON + SEASONS  # float64 numbers a channel, of which input and outputs are three
_NOW = STATE  # the season's row of this step
WIDTH = STATE + 1


@njit(cache=True, error_model="numpy")
def _update(block: Floats) -> None:
    """One reading of each channel of a block, from the row _IN to the rows _TAIL and _FLAGS."""
    w = np.uint64(LANES)
    for lane in range(LANES):
        at = np.uint64(lane)
        v = block[np.uint64(_IN) * w + at]
        count = block[np.uint64(_COUNT) * w + at]
        level = block[np.uint64(_LEVEL) * w + at]
        scale = block[np.uint64(_SCALE) * w + at]
        up = block[np.uint64(_UP) * w + at]
        down = block[np.uint64(_DOWN) * w + at]
        last = block[np.uint64(_LAST) * w + at]
        same = block[np.uint64(_SAME) * w + at]
        base = block[np.uint64(_BASE) * w + at]
        spread = block[np.uint64(_SPREAD) * w + at]
        q = block[np.uint64(_Q) * w + at]
        season = block[np.uint64(_NOW) * w + at]
        good = v - v == 0.0
        new = count == 0.0
        warm = count >= WARM
        v = v if good else last
        level = v if new else level
        base = v if new else base
        last = v if new else last
        gain = 1.0 / (count + 1.0)
        gain = gain if gain > GAIN else GAIN
        least = abs(level) * SCALE_SHARE_MIN
        least = least if least > SCALE_MIN else SCALE_MIN
        unit = scale if scale > least else least
        d = v - level
        z = d / unit
        size = abs(z)
        jump = abs(v - last) / unit
        limit = CLIP * unit
        held = d if d < limit else limit
        held = held if held > -limit else -limit
        held = held if warm else d
        zc = z if z < STEP_MAX else STEP_MAX
        zc = zc if zc > -STEP_MAX else -STEP_MAX
        zc = zc if warm else 0.0
        above = up + zc - DRIFT
        above = above if above > 0.0 else 0.0
        above = above if above < SUM_MAX else SUM_MAX
        below = down - zc - DRIFT
        below = below if below > 0.0 else 0.0
        below = below if below < SUM_MAX else SUM_MAX
        again = same + 1.0 if v == last else 0.0
        f = base + season
        miss = v - f
        wide = spread if spread > least else least
        r = abs(miss / wide)
        x = size if size > r else r
        x = x if x > FLOOR else FLOOR
        start = q if q > x else x
        quantile = q if warm else start
        part = quantile / x
        over = x > quantile
        tail = TAIL * (part * part) if over else 1.0 - (1.0 - TAIL) / part
        tail = tail if warm else 1.0
        learned = quantile * (1.0 + RATE * (1.0 - TAIL)) if over else quantile * (1.0 - RATE * TAIL)
        learned = learned if learned > FLOOR else FLOOR
        learned = learned if warm else quantile
        far = above if above > below else below
        flags = FAR if size > Z_FAR else 0.0
        flags += DRIFTED if far > SUM_FAR else 0.0
        flags += JUMPED if jump > JUMP_FAR else 0.0
        flags += STUCK if again >= SAME_LONG else 0.0
        flags += UNLIKE if r > R_FAR else 0.0
        flags += RARE if tail < RARE_SHARE else 0.0
        flags = flags if warm else 0.0
        block[np.uint64(_COUNT) * w + at] = count + 1.0 if good else count
        block[np.uint64(_LEVEL) * w + at] = level + gain * held if good else level
        block[np.uint64(_SCALE) * w + at] = scale + gain * (abs(held) - scale) if good else scale
        block[np.uint64(_UP) * w + at] = above if good else up
        block[np.uint64(_DOWN) * w + at] = below if good else down
        block[np.uint64(_LAST) * w + at] = v
        block[np.uint64(_SAME) * w + at] = again if good else same
        block[np.uint64(_BASE) * w + at] = base + gain * miss if good else base
        block[np.uint64(_SPREAD) * w + at] = spread + gain * (abs(miss) - spread) if good else spread
        block[np.uint64(_Q) * w + at] = learned if good else q
        block[np.uint64(_NOW) * w + at] = season + SEASON * miss if good else season
        block[np.uint64(_TAIL) * w + at] = tail if good else FAULT
        block[np.uint64(_FLAGS) * w + at] = flags if good else 0.0


@njit(cache=True, error_model="numpy")
def features(state: Floats, first_step: int, value: Floats, tail: Floats, flags: Floats) -> None:
    """The kernel: `value`, `tail` and `flags` are (blocks, steps · LANES) f64, step after step; a fault has tail NaN.

    `first_step` is the number of the first of these steps, 0 for the first ever: it tells the season.
    """
    w = LANES
    steps = value.shape[1] // w
    for b in range(len(value)):
        block = state[b]
        for step in range(steps):
            here, to = step * w, step * w + w
            season = _SEASON + (first_step + step) % SEASONS
            block[_IN * w : _IN * w + w] = value[b, here:to]
            block[_NOW * w : _NOW * w + w] = block[season * w : season * w + w]
            _update(block)
            block[season * w : season * w + w] = block[_NOW * w : _NOW * w + w]
            tail[b, here:to] = block[_TAIL * w : _TAIL * w + w]
            flags[b, here:to] = block[_FLAGS * w : _FLAGS * w + w]
