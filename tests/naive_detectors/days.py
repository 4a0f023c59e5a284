"""Twins that hold a reading to what came at its place in earlier periods or days."""

import itertools
import math

from anomaly.detectors import cycle, daily, gather, profile, recall
from tests.naive_detectors.twin import NONE, in_order


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


class Recall:
    """Rows of the last days, by their place in time."""

    def __init__(self) -> None:
        self.rows: list[float | None] = []
        self.times: list[int] = []
        self.interval, self.period, self.anchor_ms, self.place = 0.0, 0, 0, 0
        self.longer, self.scale, self.near = 0.0, 1.0, recall.NEAR
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
        self.longer = longer = self.interval / gather.ROW_MS
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
