"""What the detectors find: NAB, SKAB and the cold rooms, by their own scorers, from the folder where they lie.

python -m benchmarks.accuracy --bench FOLDER, with nab/, skab/ and coldroom/ below it as their README files describe.
The data are not part of the project: without the folder nothing is measured. Prints docs/detection.md's figures.
"""

import argparse
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from anomaly.detectors.rows import HOLD_ROWS
from anomaly.tables.files import find_csvs
from anomaly.tables.scoring import score_file

THRESHOLD = 0.5  # the one threshold for all sets
SAMPLES = 300
CHANGE_HOLD = 58  # rows


def main() -> None:
    """Score all three sets and print a table."""
    bench = folder_of_sets("python -m benchmarks.accuracy", __doc__)
    nab, skab = (module(bench / name / f"{name}_score.py") for name in ("nab", "skab"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        windowed("NAB", nab, bench / "nab/data", bench / "nab/labels/combined_windows.json", out / "nab")
        windowed(
            "cold rooms", nab, bench / "coldroom/data", bench / "coldroom/labels/windows.json", out / "rooms"
        )
        for hold in (HOLD_ROWS, CHANGE_HOLD):
            experiments(skab, bench / "skab/data", out / f"skab-{hold}", hold)


def folder_of_sets(program: str, description: str | None) -> Path:
    """What the command line names."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="the folder of the sets")
    bench: Path = parser.parse_args().bench
    if not (bench / "nab" / "nab_score.py").exists():
        parser.exit(2, f"found no nab/nab_score.py in {bench}, wanted the sets' folder as --bench\n")
    return bench


def module(path: Path) -> ModuleType:
    """A scorer, which lies with its set."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def score_all(data: Path, out: Path, hold: int = HOLD_ROWS) -> None:
    """As `lading anomaly score` does."""
    for path in find_csvs(data, out):
        target = out / path.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        score_file(path, target, hold=hold, explain=False, tick=lambda _: None)


def windowed(name: str, nab: ModuleType, data: Path, windows: Path, out: Path) -> None:
    """The three profiles at each's best threshold and at THRESHOLD, and how much the choice of files matters."""
    score_all(data, out)
    files = nab.load_corpus(str(data), str(windows))
    scores = nab.load_scores(files, str(out))
    for label, threshold in (("best threshold", None), (f"threshold {THRESHOLD}", THRESHOLD)):
        found = nab.evaluate(files, scores, threshold)
        figures = " / ".join(f"{found[profile]['score']:.1f}" for profile in nab.PROFILES)
        one = found["standard"]
        print(
            f"{name}, {label}: {figures}; found {one['found']}/{one['windows']}, false rows {one['false_rows']}"
        )
    fixed = nab.evaluate(files, scores, THRESHOLD)["standard"]["files"].values()
    total, count = np.array([f["total"] for f in fixed]), np.array([f["windows"] for f in fixed])
    spread = resampled(len(total), lambda at: 50 * (total[at].sum() + count[at].sum()) / count[at].sum())
    print(f"{name}, files drawn anew: standard deviation {spread:.1f}")


def experiments(skab: ModuleType, data: Path, out: Path, hold: int) -> None:
    """AP, F1 with false alarm rate, and changepoints, at the best F1's threshold and at THRESHOLD."""
    score_all(data, out, hold)
    corpus = skab.load_corpus(str(data))
    scores = skab.load_scores(corpus, str(out))
    for label, threshold in (("best threshold", None), (f"threshold {THRESHOLD}", THRESHOLD)):
        found = skab.evaluate(corpus, scores, threshold)
        changes = " / ".join(f"{found['changepoints'][profile]:.1f}" for profile in skab.PROFILES)
        print(
            f"SKAB, --hold {hold}, {label}: AP {found['AP']:.3f}, F1 {found['F1']:.3f} at FAR {found['FAR']:.1f} %, "
            f"changepoints {changes}"
        )
    names = list(corpus)
    spread = resampled(len(names), lambda at: _precision(skab, corpus, scores, [names[i] for i in at]))
    print(f"SKAB, files drawn anew: standard deviation of AP {spread:.3f}")


def _precision(skab: ModuleType, corpus: Any, scores: Any, names: list[str]) -> float:
    drawn = {f"{i} {name}": corpus[name] for i, name in enumerate(names)}
    said = {f"{i} {name}": scores[name] for i, name in enumerate(names)}
    return float(skab.evaluate(drawn, said, THRESHOLD)["AP"])


def resampled(count: int, measure: Callable[[Any], float]) -> float:
    """Standard deviation of a figure over files drawn with replacement."""
    rng = np.random.default_rng(0)
    return float(np.std([measure(rng.integers(0, count, count)) for _ in range(SAMPLES)]))


if __name__ == "__main__":
    main()
