"""Twins that hold a reading to the level and scale of its channel's past."""

from collections import deque

from anomaly.detectors import change, cusum, level, robust, shift, spread, sustained
from tests.naive_detectors.twin import NONE, clip, in_order


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


class Sustained:
    """The last readings on one side."""

    def __init__(self) -> None:
        self.count, self.middle, self.step_mean, self.spread, self.previous = 0, 0.0, 0.0, 0.0, 0.0
        self.last: deque[float] = deque(maxlen=sustained.READINGS)
        self.readings, self.warm = sustained.READINGS, sustained.WARM_READINGS

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
        if self.count <= self.warm:
            return NONE
        last = list(self.last)[-self.readings :]
        above = all(one > self.middle for one in last)
        below = all(one < self.middle for one in last)
        return min(abs(one - self.middle) for one in last) if above or below else 0.0


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
