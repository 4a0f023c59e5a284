"""Twins of the detectors, one reading at a time in plain Python, written from the formulas in their docstrings.

Bits are compared, so sums are added in the formula's order. Constants are the detectors' own: settings, not results.
"""

import itertools
import math
from collections import deque
from typing import Protocol

from anomaly.detectors import (
    change,
    codebook,
    conformal,
    cross,
    cusum,
    cycle,
    daily,
    ensemble,
    features,
    gather,
    gauss,
    level,
    profile,
    recall,
    robust,
    rows,
    shift,
    spread,
    sustained,
    tail,
)

NONE = -1.0


class Twin(Protocol):
    """One channel."""

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        """Surprise of one reading; never a fault."""


def ln(x: float) -> float:
    """By the series of artanh to the fifteenth power, after splitting off the power of two."""
    mantissa, power = math.frexp(x)  # in [½, 1)
    mantissa, power = 2 * mantissa, power - 1
    if mantissa > 1.4142135623730951:
        mantissa, power = mantissa / 2, power + 1
    t = (mantissa - 1) / (mantissa + 1)
    series = 0.0
    for odd in range(15, 0, -2):
        series = 1 / odd + t * t * series
    return power * 0.6931471805599453 + 2 * t * series


def log10(x: float) -> float:
    """Decimal."""
    return ln(x) * 0.4342944819032518


def in_order(numbers: list[float]) -> float:
    """Their sum, added from the first on."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def clip(x: float, limit: float) -> float:
    """Within ± limit."""
    return min(max(x, -limit), limit)


class Robust:
    """Level and scale."""

    def __init__(self) -> None:
        self.count, self.level, self.scale = 0, 0.0, 0.0

    def usable_scale(self) -> float:
        return max(self.scale, abs(self.level) * robust.SCALE_SHARE_MIN, robust.SCALE_MIN)

    def deviation(self, value: float, pace: float = 1.0) -> float:
        self.count += 1
        if self.count == 1:
            self.level = value
            return 0.0
        scale, d = self.usable_scale(), value - self.level
        z = clip(d / scale, robust.SURPRISE_MAX)
        gain = pace * max(robust.GAIN, 1 / self.count)
        if self.count > robust.WARM_READINGS:
            d = clip(d, robust.CLIP * scale)
        self.level += gain * d
        self.scale += gain * (abs(d) - self.scale)
        return z

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        z = self.deviation(value, pace)
        return NONE if self.count == 1 else abs(z)


class Tail:
    """Pareto tail of surprises."""

    def __init__(self) -> None:
        self.count, self.q, self.a = 0, 0.0, tail.EXCESS_BEGIN

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        if value < 0:
            return 0.0
        x = max(value, tail.FLOOR)
        self.count += 1
        if self.count <= tail.WARM_READINGS:
            self.q = max(self.q, x)
            return 0.0
        q, rate = self.q, pace * tail.RATE
        if x <= q:
            self.q = max(q * (1 - rate * tail.TAIL), tail.FLOOR)
            return min(tail.LOG_TAIL * (x / q), tail.CAP)
        excess = ln(x / q)
        score = tail.LOG_TAIL + excess * 0.4342944819032518 / max(self.a, tail.EXCESS_MIN)
        self.q = q * (1 + rate * (1 - tail.TAIL))
        self.a += pace * tail.EXCESS_RATE * (min(excess, tail.EXCESS_MAX) - self.a)
        return min(score, tail.CAP)


class Conformal:
    """Weights of eighths of octaves."""

    def __init__(self) -> None:
        self.buckets = [0.0] * conformal.BUCKETS
        self.octaves = [0.0] * conformal.OCTAVES
        self.base, self.weight, self.total, self.zeros = 0, 1.0, 0.0, 0.0

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        share = self.share(value, pace)
        return -log10(share) if share < 1 else 0.0

    def share(self, value: float, pace: float) -> float:
        if value < 0:
            return 1.0
        part, added = 1.0, pace * self.weight
        if value > 0 and self.total == self.zeros:
            self.base = self.number(value) - conformal.BUCKETS // 2
        if value > 0:
            here = min(max(self.number(value) - self.base, 0), conformal.BUCKETS - 1)
            part = (self.weight + self.above(here, 1 - self.within(value))) / (self.weight + self.total)
            self.buckets[here] += added
            self.octaves[here // conformal.PARTS] += added
            self.total += added
            self.fit(here)
        else:
            self.zeros += added
            self.total += added
        self.grow()
        return min(part, 1.0)

    def grow(self) -> None:
        """What comes weighs more than what was."""
        self.weight *= 1 + conformal.GROWTH
        if self.weight > 2.0**40:
            self.buckets = [weight * 2.0**-40 for weight in self.buckets]
            self.octaves = [weight * 2.0**-40 for weight in self.octaves]
            self.weight, self.total, self.zeros = (
                x * 2.0**-40 for x in (self.weight, self.total, self.zeros)
            )

    @staticmethod
    def number(x: float) -> int:
        """The eighth of an octave, counted as the bits of a float count it: by exponent and mantissa."""
        mantissa, power = math.frexp(x)
        if power < -1021:  # numbers too small to have a mantissa that begins with 1
            return math.floor(math.ldexp(x, 1025))
        return 8 * (power - 1 + 1023) + int(16 * mantissa) - 8

    @staticmethod
    def within(x: float) -> float:
        """How far in its bucket: what the mantissa holds behind the three bits that tell eight parts."""
        mantissa, power = math.frexp(x)
        if power < -1021:
            return math.ldexp(x, 1025) % 1
        return 16 * mantissa % 1

    def above(self, here: int, share: float) -> float:
        """Octave by octave, then bucket by bucket, and a share of its own."""
        octave = here // conformal.PARTS + 1
        return (
            in_order(self.octaves[octave:] + self.buckets[here + 1 : octave * conformal.PARTS])
            + share * self.buckets[here]
        )

    def fit(self, here: int) -> None:
        """Move the range by four octaves."""
        filled = self.total - self.zeros
        by = conformal.MOVE * conformal.PARTS
        if here == conformal.BUCKETS - 1 and self.buckets[-1] > filled / 512:
            self.base += by
            self.buckets = [in_order(self.buckets[: by + 1]), *self.buckets[by + 1 :], *[0.0] * by]
        elif (
            here == 0
            and self.buckets[0] > filled / 2
            and in_order(self.octaves[-conformal.MOVE :]) <= filled / 512
        ):
            self.base -= by
            keep = conformal.BUCKETS - by - 1
            self.buckets = [0.0] * by + self.buckets[:keep] + [in_order(self.buckets[: keep - 1 : -1])]
        else:
            return
        parts = conformal.PARTS
        self.octaves = [in_order(self.buckets[i : i + parts]) for i in range(0, conformal.BUCKETS, parts)]


class Shift:
    """Mean of the last readings against the level before this one."""

    def __init__(self) -> None:
        self.long = Robust()
        self.last: deque[float] = deque(maxlen=shift.READINGS)

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        level, scale = self.long.level, self.long.usable_scale()
        self.long.deviation(value, pace)
        self.last.append(value)
        if self.long.count <= shift.READINGS:
            return NONE
        total = 0.0
        for one in self.ring_order():
            total += one
        return min(abs(total / shift.READINGS - level) / scale, robust.SURPRISE_MAX)

    def ring_order(self) -> list[float]:
        """As they lie in a ring: the place of a reading is its number modulo READINGS."""
        begin = self.long.count % shift.READINGS
        ordered = list(self.last)
        return ordered[-begin:] + ordered[:-begin] if begin else ordered


class Cusum:
    """Two sums of what is over the drift."""

    def __init__(self) -> None:
        self.long, self.up, self.down = Robust(), 0.0, 0.0

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        z = clip(self.long.deviation(value, pace), cusum.STEP_MAX)
        if self.long.count <= robust.WARM_READINGS:
            return NONE
        self.up = min(max(self.up + z - cusum.DRIFT, 0.0), cusum.SUM_MAX)
        self.down = min(max(self.down - z - cusum.DRIFT, 0.0), cusum.SUM_MAX)
        return max(self.up, self.down)


class Cycle:
    """Mean difference at each lag."""

    def __init__(self) -> None:
        self.past: list[float] = []
        self.means = dict.fromkeys(range(1, cycle.LAGS + 1), 0.0)

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        padding = [value if not self.past else self.past[0]] * cycle.LAGS
        known = padding + self.past
        period = min(range(cycle.LAG_MIN, cycle.LAGS - cycle.NEAR + 1), key=lambda lag: self.means[lag])
        residual = min(abs(value - known[-period - near]) for near in range(-cycle.NEAR, cycle.NEAR + 1))
        for lag in self.means:
            self.means[lag] += pace * cycle.GAIN * (abs(value - known[-lag]) - self.means[lag])
        self.past.append(value)
        return NONE if len(self.past) <= cycle.WARM_READINGS else residual


class Spread:
    """Two histograms."""

    def __init__(self) -> None:
        self.long = Robust()
        self.p = [1 / spread.BINS] * spread.BINS
        self.q = [1 / spread.BINS] * spread.BINS

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        slow = pace * max(spread.LONG, 1 / (self.long.count + spread.BINS))
        z = self.long.deviation(value, pace)
        here = sum(z > edge for edge in spread.EDGES)
        hits = [float(k == here) for k in range(spread.BINS)]
        self.p = [p + spread.SHORT * (hit - p) for p, hit in zip(self.p, hits, strict=True)]
        out = 0.0
        for p, q in zip(self.p, self.q, strict=True):
            out += (p - q) * (p - q) / (q + spread.SHARE_MIN)
        self.q = [q + slow * (hit - q) for q, hit in zip(self.q, hits, strict=True)]
        return NONE if self.long.count <= spread.WARM_READINGS else out


class Daily:
    """Means by time of day, each day's joining once the clock is past."""

    def __init__(self) -> None:
        self.means: dict[int, float] = {}
        self.waiting: list[tuple[int, float]] = []
        self.now: int | None = None
        self.values: list[float] = []
        self.smooth = 0.0

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        now = time_ms // daily.BIN_MS
        if now != self.now and self.now is not None:
            total = 0.0
            for one in self.values:
                total += one
            self.waiting.append((self.now, total / len(self.values)))
            self.values = []
            for number, mean in [entry for entry in self.waiting if entry[0] < now - daily.NEAR]:
                at = number % daily.BINS
                before = self.means.get(at)
                self.means[at] = mean if before is None else before + daily.BLEND * (mean - before)
            self.waiting = [entry for entry in self.waiting if now - daily.NEAR <= entry[0] <= now]
        self.now = now
        self.values.append(value)
        near = [(now + k) % daily.BINS for k in range(-daily.NEAR, daily.NEAR + 1)]
        residuals = [abs(value - self.means[at]) for at in near if at in self.means]
        if not residuals:
            return NONE
        self.smooth += daily.SMOOTH * (min(residuals) - self.smooth)
        return self.smooth


class Sustained:
    """The last readings on one side."""

    def __init__(self) -> None:
        self.count, self.middle, self.step_mean, self.spread, self.previous = 0, 0.0, 0.0, 0.0, 0.0
        self.last: deque[float] = deque(maxlen=sustained.READINGS)
        self.readings = sustained.READINGS

    def unit(self) -> float:
        return max(self.step_mean, abs(self.middle) * sustained.STEP_SHARE_MIN, sustained.STEP_MIN)

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        self.count += 1
        if self.count == 1:
            self.middle = self.previous = value
        gain = pace * max(sustained.GAIN, 1 / self.count)
        self.step_mean += gain * (abs(value - self.previous) - self.step_mean)
        self.previous = value
        off = abs(value - self.middle)
        if self.count > sustained.CLIP_FROM:
            off = min(off, sustained.CLIP * self.spread + sustained.STEP_MIN)
        self.spread += gain * (off - self.spread)
        sign = (value > self.middle) - (value < self.middle)
        self.middle += sustained.STRIDE * gain * self.spread * sign
        self.last.append(value)
        if self.count <= sustained.WARM_READINGS:
            return NONE
        last = list(self.last)[-self.readings :]
        above = all(one > self.middle for one in last)
        below = all(one < self.middle for one in last)
        return min(abs(one - self.middle) for one in last) if above or below else 0.0


class Profile:
    """Means of half hours."""

    def __init__(self) -> None:
        self.means: dict[int, float] = {}
        self.counts: dict[int, int] = {}
        self.smooth, self.scale = 0.0, 1.0

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        here = time_ms % profile.DAY_MS * profile.SLOTS // profile.DAY_MS
        near = [(here + k) % profile.SLOTS for k in (-1, 0, 1)]
        residuals = [abs(value - self.means[at]) for at in near if at in self.means]
        self.counts[here] = self.counts.get(here, 0) + 1
        mean = self.means.get(here, 0.0)
        self.means[here] = mean + pace * max(profile.GAIN, 1 / self.counts[here]) * (value - mean)
        if residuals:
            self.smooth += profile.SMOOTH * self.scale * (min(residuals) - self.smooth)
        return self.smooth


class Gauss:
    """Moments of the surprises."""

    def __init__(self) -> None:
        self.count, self.mean, self.variance = 0, 0.0, 0.0

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        """A surprise, held below what squares to an infinity."""
        return self.rarity(min(value, 1e100), pace)

    def rarity(self, x: float, pace: float) -> float:
        if x < 0:
            return 0.0
        self.count += 1
        d, out = x - self.mean, 0.0
        if self.count > gauss.WARM:
            scale = max(math.sqrt(self.variance), gauss.SCALE_SHARE_MIN * self.mean, gauss.SCALE_MIN)
            out = self.decades(d / scale)
        gain = pace * max(1 / self.count, 1 / gauss.MEMORY)
        self.mean += gain * d
        self.variance = (1 - gain) * (self.variance + gain * (d * d))
        return out

    @staticmethod
    def decades(z: float) -> float:
        if z >= 0:
            return min(gauss.LOG2 + z * (gauss.A + z * gauss.B), gauss.DECADES_MAX)
        half = max(1 + z / 2, 0.0)
        return gauss.LOG2 * half * half


class Codebook:
    """Shapes of the last blocks' extremes, and prototypes of them."""

    def __init__(self, block: int = codebook.BLOCK, limit: float = codebook.LIMIT) -> None:
        self.block, self.limit = block, limit
        self.values: list[float] = []
        self.shape: deque[float] = deque(maxlen=codebook.BLOCKS)
        self.blocks, self.judged, self.usual, self.weight = 0, 0, 0.0, 1.0
        self.mean: float | None = None
        self.book: list[list[float]] = []
        self.uses: list[float] = []
        self.said = NONE

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        value = clip(value, codebook.VALUE_MAX)
        self.mean = value if self.mean is None else self.mean
        self.values.append(value)
        if len(self.values) == self.block:
            self.mean = (self.mean + in_order(self.values) / self.block) / 2
            most, least = max(self.values), min(self.values)
            self.shape.append(most if abs(most - self.mean) >= abs(least - self.mean) else least)
            self.values = []
            self.blocks += 1
            if self.blocks > codebook.BLOCKS:
                self.said = self.judge(list(self.shape), pace)
        return self.said

    def judge(self, shape: list[float], pace: float) -> float:
        if not self.book:
            self.book, self.uses = [list(shape)], [1.0]
        squares = [in_order([(x - y) * (x - y) for x, y in zip(shape, p, strict=True)]) for p in self.book]
        place = squares.index(min(squares))
        d = math.sqrt(squares[place])
        self.judged += 1
        self.weight *= codebook.GROWTH
        if d > self.limit * self.usual and self.judged > codebook.TRUST_FROM:
            self.add(shape)
        else:
            share = pace * codebook.LEARN
            self.book[place] = [p + share * (x - p) for x, p in zip(shape, self.book[place], strict=True)]
            self.uses[place] += self.weight
        held = min(d, codebook.CLIP * self.usual) if self.judged > codebook.CLIP_FROM else d
        self.usual += pace * max(codebook.MEMORY, 1 / self.judged) * (held - self.usual)
        if self.weight > codebook.WEIGHT_MAX:
            self.weight *= codebook.SCALE_DOWN
            self.uses = [uses * codebook.SCALE_DOWN for uses in self.uses]
        return d

    def add(self, shape: list[float]) -> None:
        """In a new place, or in that of the least used."""
        if len(self.book) < codebook.PROTOTYPES:
            self.book.append(list(shape))
            self.uses.append(self.weight)
        else:
            place = self.uses.index(min(self.uses))
            self.book[place], self.uses[place] = list(shape), self.weight


class Gather:
    """Readings to rows."""

    def __init__(self) -> None:
        self.last_ms: int | None = None
        self.open: list[tuple[int, float]] = []

    def step(self, time_ms: int, value: float) -> tuple[int, float] | None:
        """The row that becomes known with this reading."""
        closed = None
        is_first, interval = self.last_ms is None, time_ms - (self.last_ms or 0)
        self.last_ms = time_ms
        taken = time_ms - self.open[0][0] if self.open else 0
        if taken >= gather.GAP * gather.ROW_MS or taken < 0:
            if gather.SOON * interval >= gather.ROW_MS:
                self.open = []
            else:
                closed = self.close()
        self.open.append((time_ms, clip(value, gather.VALUE_MAX)))
        if closed is None and (
            is_first or time_ms - self.open[0][0] + gather.SOON * interval >= gather.ROW_MS
        ):
            closed = self.close()
        return closed

    def close(self) -> tuple[int, float]:
        begin_ms, mean = self.open[0][0], in_order([value for _, value in self.open]) / len(self.open)
        self.open = []
        return begin_ms, mean


class Recall:
    """Rows of the last days, by their place in time."""

    def __init__(self) -> None:
        self.rows: list[float | None] = []
        self.times: list[int] = []
        self.interval, self.period, self.anchor_ms, self.place = 0.0, 0, 0, 0
        self.scale, self.near = 1.0, recall.NEAR
        self.smooth = 0.0

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        self.wait(time_ms)
        residuals = self.residuals(value)
        if residuals:
            mean = in_order(residuals) / len(residuals)
            self.smooth += recall.SMOOTH * self.scale * (mean - self.smooth)
        self.rows.append(value)
        return self.smooth

    def wait(self, time_ms: int) -> None:
        """Intervals until the median is known; then places."""
        self.times.append(time_ms)
        if len(self.times) == recall.INTERVALS + 1:
            self.settle(time_ms)
        elif self.period:
            place = math.floor((time_ms - self.anchor_ms) / self.interval + 0.5)
            if place < self.place:
                self.anchor_ms, self.place = time_ms, 0
                return
            if place == self.place:
                self.rows.pop()
            self.rows += [None] * min(place - self.place - 1, recall.RING)
            self.place = place

    def settle(self, time_ms: int) -> None:
        intervals = sorted(b - a for a, b in itertools.pairwise(self.times))
        self.interval = max(float(intervals[recall.INTERVALS // 2]), 1.0)
        period = math.floor(recall.DAY_MS / self.interval + 0.5)
        self.period = period if period >= recall.ROWS_MIN else 0
        longer = self.interval / gather.ROW_MS
        self.scale = min(longer, recall.SCALE_MAX) if longer >= recall.SCALE_FROM else 1.0
        self.near = math.floor(recall.NEAR / self.scale + 0.5)
        self.anchor_ms = time_ms

    def residuals(self, value: float) -> list[float]:
        """The least difference on each day that is known."""
        found = []
        for day in range(1, recall.DAYS + 1):
            back = len(self.rows) - day * self.period
            if not self.period or back < self.near or day * self.period + self.near > recall.RING:
                break
            near = self.rows[back - self.near : back + self.near + 1]
            known = [abs(value - row) for row in near if row is not None and math.isfinite(row)]
            if known:
                found.append(min(known))
        return found


class Level:
    """Off the long-run level, in units of how the channel wanders."""

    def __init__(self) -> None:
        self.count = 0
        self.now = self.mu = self.s = self.w = self.d = 0.0
        self.said = NONE
        self.block: list[float] = []
        self.block_means: list[float] = []

    def least(self) -> float:
        return max(abs(self.mu) * level.SCALE_SHARE_MIN, level.SCALE_MIN)

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        self.count += 1
        if self.count == 1:
            self.now = self.mu = value
        self.now += (value - self.now) / level.SOFT
        e, off, least = self.now - self.mu, abs(value - self.mu), self.least()
        scale = max(self.s + level.SPREAD * self.w + level.DRIFT * self.d, least)
        surprise, size = min(abs(e) / scale, level.SURPRISE_MAX), abs(e)
        if self.count > level.WARM_READINGS:
            e = clip(e, level.CLIP * scale)
            size = min(size, level.CLIP * max(self.s, least))
            off = min(off, level.CLIP * max(self.w, least))
        rate = pace * max(level.GAIN, 1 / self.count)
        self.mu += rate * e
        self.s += rate * (size - self.s)
        self.w += rate * (off - self.w)
        self.wander(value)
        self.said = surprise if self.count > level.WARM_READINGS else NONE
        return self.said

    def wander(self, value: float) -> None:
        """Block by block."""
        self.block.append(value)
        if len(self.block) < level.BLOCK:
            return
        self.block_means.append(in_order(self.block) / level.BLOCK)
        self.block = []
        steps = len(self.block_means) - 1
        if steps:
            moved = abs(self.block_means[-1] - self.block_means[-2])
            if steps > level.WARM_BLOCKS:
                moved = min(moved, level.CLIP * self.d)
            self.d += max(1 / steps, level.BLOCK * level.GAIN) * (moved - self.d)


class Change:
    """Two windows."""

    def __init__(self) -> None:
        self.level = Level()
        self.values: list[float] = []
        self.s, self.changes = 0.0, 0

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        self.level.step(time_ms, value, pace)
        self.values.append(value)
        if len(self.values) < change.NEW + change.OLD:
            return NONE
        old, new = self.values[-change.NEW - change.OLD : -change.NEW], self.values[-change.NEW :]
        c = abs(in_order(new) / change.NEW - in_order(old) / change.OLD)
        least = self.level.least()
        scale = max(self.s + change.SPREAD * self.level.w + change.DRIFT * self.level.d, least)
        surprise = min(c / scale, change.SURPRISE_MAX)
        self.changes += 1
        if self.changes > change.WARM_CHANGES:
            c = min(c, change.CLIP * max(self.s, least))
        self.s += pace * max(change.GAIN, 1 / self.changes) * (c - self.s)
        return surprise if self.changes > change.WARM_CHANGES else NONE


class Alarms:
    """When one begins."""

    def __init__(self, gate: float) -> None:
        self.gate, self.since, self.armed, self.last = gate, 0, True, 0.0

    def begins(self, score: float, *, is_quiet: bool, renewed: bool = False) -> bool:
        self.since += 1
        self.armed = self.armed or score < rows.REARM * self.gate
        far = renewed and score >= (1 + self.last) / 2
        if score < self.gate or (is_quiet and self.last) or not (self.armed or far):
            return False
        self.since, self.armed, self.last = 0, False, score
        return True


def one_column(times: list[int], scores: list[float], new: list[int], hold: int) -> list[float]:
    """Two bands."""
    alarms, said, out = Alarms(rows.RAISE), [], []
    for i, score in enumerate(scores):
        if new[i]:
            is_soon = bool(said) and 0 <= times[i] - times[said[-1][0]] < rows.QUIET_MS
            is_quiet = is_soon or alarms.since + 1 < rows.QUIET_NEW
            if alarms.begins(score, is_quiet=is_quiet, renewed=True):
                said.append((i, 0.5 + score * 0.5))
        up = said and i - said[-1][0] < hold
        out.append(said[-1][1] if up else score * 0.49)
    return out


def several_columns(table: list[list[float]], hold: int) -> list[float]:
    """The furthest level; 0 where a change begins."""
    twins, alarms, out = [Change() for _ in table[0]], Alarms(rows.C_RAISE), []
    said, last = (-hold, 0.0), [0 for _ in table[0]]
    for i, values in enumerate(table):
        furthest, most = 0.0, 0.0
        for j, value in enumerate(values):
            if math.isfinite(value):
                last[j] = i
                most = max(most, twins[j].step(0, value))
            if i - last[j] <= rows.MISSED_ROWS:
                furthest = max(furthest, twins[j].level.said)
        score = furthest / (furthest + rows.H_HALF) if any(map(math.isfinite, values)) else 0.0
        if score >= rows.UPPER:
            said = (i, score)
        out.append(max(score, said[1]) if i - said[0] < hold else score)
        if alarms.begins(most, is_quiet=alarms.since + 1 < rows.QUIET_ROWS):
            out[-1] = 0.0
    return out


class Cross:
    """Rows of `columns` values, None for a fault."""

    def __init__(self, columns: int) -> None:
        self.long = [Robust() for _ in range(columns)]
        self.weights = [[0.0] * columns for _ in range(columns)]

    def row(self, values: list[float | None], pace: float = 1.0) -> list[float]:
        z = [
            0.0 if value is None else clip(long.deviation(value, pace), cross.Z_MAX)
            for value, long in zip(values, self.long, strict=True)
        ]
        power = 0.0
        for one in z:
            power += one * one
        out = []
        for j, value in enumerate(values):
            if value is None:
                out.append(math.nan)
                continue
            others = [i for i in range(len(z)) if i != j]
            e = z[j]
            for i in others:
                e -= self.weights[j][i] * z[i]
            gain = cross.RATE * pace * e / (1 + (power - z[j] * z[j]))
            for i in others:
                self.weights[j][i] += gain * z[i]
            there = sum(v is not None for v in values)
            out.append(NONE if there < 2 or self.long[j].count <= cross.WARM_ROWS else abs(e))
        return out


class Ensemble:
    """Decades of three views of rows, less what is small."""

    def __init__(self) -> None:
        self.gather = Gather()
        self.coarse = Codebook(ensemble.COARSE_BLOCK, ensemble.COARSE_LIMIT)
        self.fine = Codebook(ensemble.FINE_BLOCK, ensemble.FINE_LIMIT)
        self.recall, self.ranks = Recall(), Conformal()
        self.sustained, self.profile = Sustained(), Profile()
        self.tails = [Gauss() for _ in range(3)]
        self.said = 0.0

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        """Score · 8 + detector, and 64 where a row became known, so that all are compared."""
        row = self.gather.step(time_ms, value)
        if row is None:
            return self.said
        self.said = self.row(*row, pace)
        return self.said + 64

    def row(self, time_ms: int, value: float, pace: float) -> float:
        coarse, fine = (
            tail.rarity(book.step(time_ms, value, pace), pace)
            for book, tail in zip((self.coarse, self.fine), self.tails[:2], strict=True)
        )
        share = self.ranks.share(self.recall.step(time_ms, value, pace), pace)
        self.profile.scale = self.recall.scale
        self.sustained.readings = math.floor(sustained.READINGS / self.recall.scale + 0.5)
        deviation = self.sustained.step(time_ms, value, pace)
        unit = self.sustained.unit()
        stays = min(self.tails[2].rarity(deviation, pace), deviation / (ensemble.STEPS * unit))
        views = [
            0.5 * (coarse + fine),
            -log10(share) if share < 1 else 0.0,
            ensemble.SUSTAINED * max(stays, 0.0),
        ]
        effect = self.effect(self.profile.step(time_ms, value, pace) / unit)
        total = max(in_order(views) + effect, 0.0)
        score = total / (total + ensemble.HALF)
        return score * 8 + (views.index(max(views)) + 1 if score > 0 else 0)

    @staticmethod
    def effect(steps: float) -> float:
        """Octaves below full size, at most so many."""
        if steps >= ensemble.STEPS_FULL:
            return 0.0
        if steps < 0.5:
            return ensemble.EFFECT_MIN
        per_e = ensemble.PER_OCTAVE / 0.6931471805599453
        return max(per_e * ln(steps / ensemble.STEPS_FULL), ensemble.EFFECT_MIN)


class Features:
    """One channel of a fleet; the season goes by its own readings."""

    def __init__(self) -> None:
        self.long = Robust()
        self.up = self.down = self.last = self.base = self.spread = self.q = 0.0
        self.same = 0
        self.seasons = [0.0] * features.SEASONS

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        """tail · 64 + flags."""
        number = self.long.count
        new, warm = number == 0, number >= features.WARM
        if new:
            self.last = self.base = self.long.level = value
        level, unit = self.long.level, self.long.usable_scale()
        z, jump = (value - level) / unit, abs(value - self.last) / unit
        self.long.deviation(value)
        self.same = self.same + 1 if value == self.last else 0
        self.last = value
        held = clip(z, cusum.STEP_MAX) if warm else 0.0
        self.up = min(max(self.up + held - cusum.DRIFT, 0.0), cusum.SUM_MAX)
        self.down = min(max(self.down - held - cusum.DRIFT, 0.0), cusum.SUM_MAX)
        least = max(abs(level) * robust.SCALE_SHARE_MIN, robust.SCALE_MIN)
        r = self.season(number, value, least)
        share = self.share(max(abs(z), r, tail.FLOOR), warm)
        flags = (
            features.FAR * (abs(z) > features.Z_FAR)
            + features.DRIFTED * (max(self.up, self.down) > features.SUM_FAR)
            + features.JUMPED * (jump > features.JUMP_FAR)
            + features.STUCK * (self.same >= features.SAME_LONG)
            + features.UNLIKE * (r > features.R_FAR)
            + features.RARE * (share < features.RARE_SHARE)
        )
        return share * 64 + (flags if warm else 0.0)

    def season(self, number: int, value: float, least: float) -> float:
        """|r|, and learn base, season and spread."""
        gain = max(robust.GAIN, 1 / (number + 1))
        k = number % features.SEASONS
        miss = value - (self.base + self.seasons[k])
        r = abs(miss / max(self.spread, least))
        self.base += gain * miss
        self.spread += gain * (abs(miss) - self.spread)
        self.seasons[k] += features.SEASON * miss
        return r

    def share(self, x: float, warm: bool) -> float:
        """The tail, and learn its quantile; at first it is the greatest."""
        if not warm:
            self.q = max(self.q, x)
            return 1.0
        part = self.q / x
        if x > self.q:
            self.q = max(self.q * (1 + tail.RATE * (1 - tail.TAIL)), tail.FLOOR)
            return tail.TAIL * (part * part)
        self.q = max(self.q * (1 - tail.RATE * tail.TAIL), tail.FLOOR)
        return 1 - (1 - tail.TAIL) / part
