"""Twins that join several views into one score."""

import math

from anomaly.detectors import cusum, ensemble, features, gauss, robust, sustained, tail
from tests.naive_detectors.days import Profile, Recall
from tests.naive_detectors.levels import Robust, Sustained
from tests.naive_detectors.rarities import Conformal, Gauss
from tests.naive_detectors.shapes import Codebook
from tests.naive_detectors.tables import Gather
from tests.naive_detectors.twin import clip, in_order, ln, log10


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
        """Score · 8 + detector, and 64 for each five minutes of a row that became known, so that all are compared."""
        row = self.gather.step(time_ms, value)
        if row is None:
            return self.said
        self.said = self.row(*row, pace)
        return self.said + 64 * math.floor(self.recall.scale + 0.5)

    def row(self, time_ms: int, value: float, pace: float) -> float:
        share = self.ranks.share(self.recall.step(time_ms, value, pace), pace)
        growth = self.rescale(self.recall.scale, self.recall.longer)
        coarse, fine = (
            tail.rarity(book.step(time_ms, value, pace), pace)
            for book, tail in zip((self.coarse, self.fine), self.tails[:2], strict=True)
        )
        deviation = self.sustained.step(time_ms, value, pace)
        unit = self.sustained.unit() / growth
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

    def rescale(self, scale: float, longer: float) -> float:
        """What has fewer rows where they are longer; by how much a step is greater."""
        self.profile.scale = scale
        self.sustained.readings = math.floor(sustained.READINGS / scale + 0.5)
        self.sustained.warm = max(sustained.WARM_READINGS / scale, sustained.WARM_READINGS / 2)
        for one in self.tails:
            one.warm = max(gauss.WARM / scale, gauss.WARM / 2)
        if not ensemble.LONG <= longer <= ensemble.HOUR:
            return 1.0
        self.coarse.block = self.fine.block = 1
        return math.sqrt(math.sqrt(scale))

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
