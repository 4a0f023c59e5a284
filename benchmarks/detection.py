"""Detectors: features of a fleet, and the whole ensemble, against river, pysad, numpy and plain Python.

Peers that are not installed are left out; `make bench-peers` installs them.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from anomaly.detectors import cusum, robust, tail
from anomaly.detectors import features as fleet
from anomaly.detectors.features import LANES
from anomaly.detectors.scorer import STATE_BYTES, Scorer
from benchmarks.measure import Result, Work, compare
from tests.naive_detectors.ensembles import Ensemble, Features

Floats = npt.NDArray[np.float64]
CHANNELS, STEPS = 100_000, 12  # a reading every 5 minutes: an hour of each
PEER_READINGS, SLOW_PEER_READINGS = 20_000, 2_000
ENSEMBLE_CHANNELS, ENSEMBLE_STEPS = 1_000, 200
GROWTH = (1_000, 10_000, 100_000, 1_000_000)
GROWTH_QUICK = (1_000, 100_000)
STEP_MS = 300_000
LAGS = 10


def run(*, quick: bool) -> list[Result]:
    """Features at 100,000 channels, and the ensemble."""
    value = series(PEER_READINGS).tolist()
    return [_features(value, quick), _ensemble(value, quick)]


def series(count: int) -> Floats:
    """A noisy wave with spikes."""
    rng = np.random.default_rng(1)
    value = 4 + np.sin(np.arange(count) / 46) + rng.normal(0, 0.3, count)
    value[::997] += 6
    return value


def _features(value: list[float], quick: bool) -> Result:
    columns = np.random.default_rng(2).normal(4, 1, (STEPS, CHANNELS))
    works = {
        "lading features": _fleet(CHANNELS),
        "numpy, all channels at once": Work(
            lambda state: [state.step(row) for row in columns],
            columns.size,
            lambda: (NumpyFeatures(CHANNELS),),
        ),
        "pure Python": Work(lambda: each(Features().step, value), len(value)),
    }
    works |= _river_features(value) | _detector_peers(value)
    data = f"{CHANNELS} channels, {STEPS} readings of each a call; one by one peers {len(value)} readings; one thread"
    result = compare("features", "readings/s", data, works, quick=quick)
    notes: dict[str, float] = {"state, bytes a channel": 8.0 * fleet.WIDTH}
    for channels in GROWTH_QUICK if quick else GROWTH:
        notes[f"ns a reading at {channels} channels"] = ns_a_reading(_fleet(channels))
    return replace(result, notes=notes)


def _ensemble(value: list[float], quick: bool) -> Result:
    works = {
        "lading ensemble": _scorer(ENSEMBLE_CHANNELS, ENSEMBLE_STEPS),
        "pure Python": Work(lambda: each(Ensemble().step, value), len(value)),
    }
    works |= _detector_peers(value)
    data = (
        f"{ENSEMBLE_CHANNELS} channels, {ENSEMBLE_STEPS} readings of each a call; "
        f"one by one peers {len(value)} readings; one thread"
    )
    result = compare("ensemble", "readings/s", data, works, quick=quick)
    notes: dict[str, float] = {"state, bytes a channel": float(STATE_BYTES)}
    for channels in GROWTH_QUICK[:1] if quick else GROWTH[:3]:
        notes[f"ns a reading at {channels} channels"] = ns_a_reading(_scorer(channels, 20))
    return replace(result, notes=notes)


def ns_a_reading(work: Work) -> float:
    """The least of three runs after one to warm up, in the process's own time."""
    state = work.prepare()
    work.run(*state)
    times = []
    for _ in range(3):
        begin = time.process_time()
        work.run(*state)
        times.append(time.process_time() - begin)
    return min(times) / work.units * 1e9


def _fleet(channels: int) -> Work:
    blocks = -(-channels // LANES)
    value = np.random.default_rng(2).normal(4, 1, (blocks, STEPS * LANES))
    state, share, flags = np.zeros((blocks, fleet.WIDTH * LANES)), np.empty_like(value), np.empty_like(value)
    return Work(lambda: fleet.features(state, 0, value, share, flags), value.size)


def _scorer(channels: int, steps: int) -> Work:
    """Batches as a stream brings them: of each channel some readings after one another."""
    scorer = Scorer(channels)
    slot = np.repeat(np.arange(channels), steps)
    value = np.resize(series(channels * steps), channels * steps)
    time_ms = np.tile(np.arange(steps) * STEP_MS, channels)
    calls = [0]

    def score() -> None:
        scorer.score(slot, time_ms + calls[0] * steps * STEP_MS, value)
        calls[0] += 1

    for _ in range(400 // steps):  # past learning: a day and more of each
        score()
    return Work(score, len(value))


def each(step: Callable[[int, float], float], value: list[float]) -> None:
    """One reading at a time."""
    for i, one in enumerate(value):
        step(i * STEP_MS, one)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def _river_features(value: list[float]) -> dict[str, Work]:
    """What gives the same in river: means and variances, drift, seasons, a tail probability."""
    river = _module("river")
    if river is None:
        return {}
    anomaly, drift, stats, time_series = (
        importlib.import_module(f"river.{name}") for name in ("anomaly", "drift", "stats", "time_series")
    )

    def loop() -> None:
        mean, var, page, gauss = (
            stats.EWMean(0.005),
            stats.EWVar(0.005),
            drift.PageHinkley(),
            anomaly.GaussianScorer(),
        )
        seasons = time_series.HoltWinters(0.1, 0.1, 0.1, 16)
        for i, x in enumerate(value):
            mean.update(x)
            var.update(x)
            page.update(x)
            if i > 32:
                seasons.forecast(1)
            seasons.learn_one(x)
            gauss.score_one(None, x)
            gauss.learn_one(None, x)

    return {"river, EW, Page-Hinkley, Holt-Winters, Gaussian": Work(loop, len(value))}


def _detector_peers(value: list[float]) -> dict[str, Work]:
    """Single detectors of river and pysad, with their defaults."""
    works: dict[str, Work] = {}
    some = value[:SLOW_PEER_READINGS]
    if _module("river") is not None:
        anomaly = importlib.import_module("river.anomaly")

        def gaussian() -> None:
            scorer = anomaly.GaussianScorer()
            for x in value:
                scorer.score_one(None, x)
                scorer.learn_one(None, x)

        def trees() -> None:
            scorer = anomaly.HalfSpaceTrees(limits={"v": (0, 12)})
            for x in some:
                scorer.score_one({"v": x})
                scorer.learn_one({"v": x})

        works["river GaussianScorer"] = Work(gaussian, len(value))
        works["river HalfSpaceTrees"] = Work(trees, len(some))
    if _module("pysad") is not None:
        models = importlib.import_module("pysad.models")

        def loda() -> None:
            model = models.LODA()
            for i in range(len(some) - LAGS):
                model.fit_score_partial(np.array(some[i : i + LAGS]))

        works["pysad LODA, 10 lags"] = Work(loda, len(some) - LAGS)
    return works


class NumpyFeatures:
    """The same features with numpy: a step of every channel at once."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.level, self.scale, self.up, self.down, self.last, self.same, self.base, self.spread, self.q = (
            np.zeros((9, channels))
        )
        self.seasons = np.zeros((fleet.SEASONS, channels))

    def step(self, value: Floats) -> tuple[Floats, Floats]:
        """Tail and flags of one reading a channel, none of them a fault."""
        if self.count == 0:
            self.level, self.base, self.last = value.copy(), value.copy(), value.copy()
        warm, gain = self.count >= fleet.WARM, max(robust.GAIN, 1 / (self.count + 1))
        least = np.maximum(np.abs(self.level) * robust.SCALE_SHARE_MIN, robust.SCALE_MIN)
        unit = np.maximum(self.scale, least)
        d = value - self.level
        z, jump = d / unit, np.abs(value - self.last) / unit
        held = np.clip(d, -robust.CLIP * unit, robust.CLIP * unit) if warm else d
        self.level += gain * held
        self.scale += gain * (np.abs(held) - self.scale)
        near = np.clip(z, -cusum.STEP_MAX, cusum.STEP_MAX) * warm
        self.up = np.clip(self.up + near - cusum.DRIFT, 0, cusum.SUM_MAX)
        self.down = np.clip(self.down - near - cusum.DRIFT, 0, cusum.SUM_MAX)
        self.same = np.where(value == self.last, self.same + 1, 0)
        self.last = value
        season = self.seasons[self.count % fleet.SEASONS]
        miss = value - self.base - season
        r = np.abs(miss) / np.maximum(self.spread, least)
        self.base += gain * miss
        self.spread += gain * (np.abs(miss) - self.spread)
        season += fleet.SEASON * miss
        x = np.maximum(np.maximum(np.abs(z), r), tail.FLOOR)
        self.count += 1
        if not warm:
            self.q = np.maximum(self.q, x)
            return np.ones_like(x), np.zeros_like(x)
        part, over = self.q / x, x > self.q
        share = np.where(over, tail.TAIL * part * part, 1 - (1 - tail.TAIL) / part)
        self.q *= np.where(over, 1 + tail.RATE * (1 - tail.TAIL), 1 - tail.RATE * tail.TAIL)
        flags = (np.abs(z) > fleet.Z_FAR) * fleet.FAR + (r > fleet.R_FAR) * fleet.UNLIKE
        flags += (np.maximum(self.up, self.down) > fleet.SUM_FAR) * fleet.DRIFTED + (
            share < fleet.RARE_SHARE
        ) * fleet.RARE
        flags += (jump > fleet.JUMP_FAR) * fleet.JUMPED + (self.same >= fleet.SAME_LONG) * fleet.STUCK
        return share, flags
