"""Whether detection depends on how often a sensor speaks: NAB and the cold rooms thinned out, filled in and cut.

python -m benchmarks.rates --bench FOLDER, as for benchmarks.accuracy. Each variant keeps every series' windows and the
time that does not count, in its own rows, and is scored by NAB's metric at threshold 0.5: standard profile, and in
brackets at the best threshold. Where rows are thinned out, the mean over all rows to begin with, and their deviation.
"""

import copy
import csv
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from anomaly.detectors.arith import Floats, Ints
from anomaly.detectors.rows import RowScorer
from benchmarks.accuracy import THRESHOLD, folder_of_sets, module

ROWS_MIN = 300  # that a thinned series must have, to be scored: two weeks of hours
THINNED = (2, 3, 4, 5, 6, 8, 12)  # rows of 10, 15, 20, 25, 30, 40 and 60 minutes, where they were of five
CYCLE_MS, CYCLE = 510_000, 0.6  # of a compressor, as in the rooms' raw days: °C
NOISE = 0.1
DAY_MS = 86_400_000


class Series(NamedTuple):
    """Times, values, and of each row which row of the source it stands for."""

    time_ms: Ints
    value: Floats
    source: Ints


Variant = Callable[[Ints, Floats], Series]
Corpus = list[tuple[Any, Ints, Floats]]  # the scorer's file, times, values


def cut(rows: int) -> Variant:
    """Without its first rows."""
    return lambda time_ms, value: Series(time_ms[rows:], value[rows:], np.arange(rows, len(value)))


def every(step: int, first: int = 0) -> Variant:
    """A sensor that speaks less often."""
    return lambda time_ms, value: Series(
        time_ms[first::step], value[first::step], np.arange(first, len(value), step)
    )


def lost(share: float) -> Variant:
    """Readings that never came."""

    def made(time_ms: Ints, value: Floats) -> Series:
        kept = np.flatnonzero(np.random.default_rng(5).random(len(value)) >= share)
        return Series(time_ms[kept], value[kept], kept)

    return made


def doubled(step: int, share: float) -> Variant:
    """A sensor that speaks less often, and now and then again after a minute."""

    def made(time_ms: Ints, value: Floats) -> Series:
        kept = np.arange(0, len(value), step)
        again = kept[np.random.default_rng(5).random(len(kept)) < share]
        source = np.sort(np.concatenate([kept, again]))
        later = np.diff(source, prepend=-1) == 0
        return Series(time_ms[source] + 60_000 * later, value[source], source)

    return made


def means(count: int, first: int = 0) -> Variant:
    """A sensor that speaks less often, and says the mean."""

    def made(time_ms: Ints, value: Floats) -> Series:
        last = np.arange(first + count - 1, len(value), count)
        taken = value[first : first + len(last) * count]
        return Series(time_ms[last], taken.reshape(-1, count).mean(axis=1), last)

    return made


def all_of(make: Callable[[int, int], Variant], count: int) -> list[Variant]:
    """One for each row to begin with."""
    return [make(count, first) for first in range(count)]


def filled(count: int) -> Variant:
    """A sensor that speaks more often: the course between rows is a line, with a compressor's cycle and noise on it."""

    def made(time_ms: Ints, value: Floats) -> Series:
        rng = np.random.default_rng(3)
        step = float(np.median(np.diff(time_ms))) / count
        times = (time_ms[:, None] + np.arange(count) * step).ravel().astype(np.int64)
        phase = np.cumsum(np.full(len(times), step / CYCLE_MS) * (1 + 0.1 * rng.normal(size=len(times))))
        line = np.interp(times + step / 2, time_ms + step * count / 2, value)
        wave = CYCLE * np.sin(2 * np.pi * phase) + rng.normal(0, NOISE, len(times))
        return Series(times, line + wave, np.repeat(np.arange(len(value)), count))

    return made


VARIANTS: dict[str, list[Variant]] = {
    "as it is": [cut(0)],
    "without its first 37 rows": [cut(37)],
    "without its first 75 rows": [cut(75)],
    "10 % of rows lost": [lost(0.1)],
    "a third of rows lost": [lost(1 / 3)],
    "every third row, a tenth of them twice": [doubled(3, 0.1)],
    **{f"one row of {count}": all_of(every, count) for count in THINNED},
    **{f"means of {count} rows": all_of(means, count) for count in THINNED},
}
ROOMS = {"three a row": [filled(3)], "five a row": [filled(5)], "eighteen a row": [filled(18)]}
"""Of degrees, so for the cold rooms alone: minutes, and the 17 s of the room's own logger."""


def main() -> None:
    """A line a variant and set."""
    bench = folder_of_sets("python -m benchmarks.rates", __doc__)
    nab = module(bench / "nab" / "nab_score.py")
    _measure(nab, "NAB", bench / "nab/data", bench / "nab/labels/combined_windows.json", VARIANTS)
    rooms = bench / "coldroom"
    _measure(nab, "cold rooms", rooms / "data", rooms / "labels/windows.json", VARIANTS | ROOMS)


def _measure(
    nab: ModuleType, name: str, data: Path, windows: Path, variants: dict[str, list[Variant]]
) -> None:
    corpus = [(file, *_read(nab, data / file.name)) for file in nab.load_corpus(str(data), str(windows))]
    for label, alike in variants.items():
        found = np.array([_scored(nab, corpus, variant) for variant in alike])
        fixed, best, series, false_days = found.mean(axis=0)
        spread = f" ± {found[:, 0].std(ddof=1):.1f}" if len(found) > 1 else ""
        false = f"a false alarm in {false_days:.1f} days"
        print(f"{name}, {label}: {fixed:.1f}{spread} ({best:.1f}), {series:.0f} series, {false}", flush=True)


def _scored(nab: ModuleType, corpus: Corpus, variant: Variant) -> tuple[float, float, int, float]:
    """Score at THRESHOLD, at the best one, how many series there are, and days a false alarm."""
    files, scores, time_ms = [], {}, 0
    for file, times, value in corpus:
        series = variant(times, value)
        if len(series.value) >= ROWS_MIN:
            files.append(_relabelled(nab, file, series.source))
            scored = RowScorer(1).score(series.time_ms, np.ascontiguousarray(series.value)[:, None])
            scores[file.name] = scored.said
            time_ms += int(series.time_ms[-1] - series.time_ms[0])
    fixed, best = (nab.evaluate(files, scores, threshold)["standard"] for threshold in (THRESHOLD, None))
    return fixed["score"], best["score"], len(files), time_ms / DAY_MS / max(fixed["false_rows"], 1)


def _read(nab: ModuleType, path: Path) -> tuple[Ints, Floats]:
    with nab.open_text(str(path)) as handle:
        rows = list(csv.reader(handle))[1:]
    time_ms = np.array([row[0] for row in rows], "datetime64[ms]").astype(np.int64)
    return time_ms, np.array([float(row[1]) for row in rows])


def _relabelled(nab: ModuleType, file: Any, source: npt.NDArray[np.int64]) -> Any:
    """The scorer's file in other rows: its windows, what a detection in them earns, and what one outside costs."""
    found = copy.copy(file)
    found.n, window = len(source), file.window[source]
    left = [k for k in range(file.n_windows) if (window == k).any()]
    found.n_windows = len(left)
    found.window, found.earns, found.costs = np.full(found.n, -1), np.zeros(found.n), np.ones(found.n)
    for number, k in enumerate(left):
        rows = np.flatnonzero(window == k)
        first, last = int(rows[0]), int(rows[-1])
        width = last - first + 1
        within, later = np.arange(first, last + 1), np.arange(last + 1, found.n)
        found.window[within] = number
        found.earns[within] = nab.pay(-(last - within + 1) / width) / nab.pay(-1.0)
        found.costs[later] = -nab.pay((later - last) / max(width - 1, 1))
    found.counts = file.counts[source]
    return found


if __name__ == "__main__":
    main()
