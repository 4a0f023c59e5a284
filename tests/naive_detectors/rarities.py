"""Twins that say how rare a surprise is among those before it."""

import math

from anomaly.detectors import conformal, gauss, tail
from tests.naive_detectors.twin import in_order, ln, log10


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


class Gauss:
    """Moments of the surprises."""

    def __init__(self) -> None:
        self.count, self.mean, self.variance = 0, 0.0, 0.0
        self.warm = gauss.WARM

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        """A surprise, held below what squares to an infinity."""
        return self.rarity(min(value, 1e100), pace)

    def rarity(self, x: float, pace: float) -> float:
        if x < 0:
            return 0.0
        self.count += 1
        d, out = x - self.mean, 0.0
        if self.count > self.warm:
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
