"""Forecasts of the cold rooms by cross-validation: train on all sensors but one, judge on that one.

    python -m benchmarks.forecast [--data FOLDER] [--upper 8.5] [--seed 1] [--by sensor|span] [--json]

The data is not part of this project: a folder with one folder of csv files a sensor (SENSOR/SENSOR_SPAN.csv.gz).
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from anomaly.forecast import backtest, judging, learning, report, samples, series
from anomaly.forecast.backtest import Channel
from anomaly.forecast.calls import CALL_ABOVE
from anomaly.forecast.series import Series
from anomaly.forecast.serving import Forecaster
from anomaly.forecast.training import Plan, train
from benchmarks.measure import machine

DATA = Path(__file__).parents[2] / "shared" / "bench" / "coldroom" / "data"
PROBATION, PROBATION_ROWS_MAX = 0.15, 750
SHOWN_FALSE_A_WEEK = (0.3, 3.0)


def folds(found: list[Series], by: str) -> Iterator[tuple[str, list[Series], list[Series]]]:
    """What is held out, what is learned from, what is judged on."""

    def group(one: Series) -> str:
        path = Path(one.key[0])
        return path.parent.name if by == "sensor" else path.name.split(".")[0].rsplit("_", 1)[1]

    for name in sorted({group(one) for one in found}):
        yield name, [one for one in found if group(one) != name], [one for one in found if group(one) == name]


def forecaster_of(learned: list[Series], plan: Plan) -> Forecaster:
    """Trained on all rows of these series."""
    shape = learning.Recipe().shape()
    rows = samples.join([samples.of_grid(one.grid(shape.step_ms), shape) for one in learned])
    weights = train(rows, shape, plan, lambda *_: None)
    return Forecaster("cross-validation", shape, weights)


def run(data: Path, upper: float, plan: Plan, by: str) -> dict[str, Any]:
    """All folds, and all channels together."""
    found, _ = series.of_csvs(data)
    channels: list[Channel] = []
    document: dict[str, Any] = {"machine": machine(), "plan": asdict(plan), "by": by, "folds": {}}
    shape = learning.Recipe().shape()
    for name, learned, judged in folds(found, by):
        result = backtest.backtest(forecaster_of(learned, plan), judged, upper, CALL_ABOVE, plan.seed)
        channels += result.channels
        losses = {
            f"{one.block}/{one.method}/{one.horizon_ms // 60_000}": one.figure.value for one in result.ahead
        }
        covered = {f"{one.block}/{one.level:g}": one.figure.value for one in result.covered}
        document["folds"][name] = {"pinball": losses, "coverage": covered}
        print(f"{name}: {len(judged)} series", file=sys.stderr, flush=True)
    for what, judged_on in (
        ("calls", channels),
        ("calls_after_probation", [_later(one) for one in channels]),
    ):
        levels = (CALL_ABOVE, *backtest.SWEEP)
        document[what] = [backtest.early(judged_on, level, shape, plan.seed)._asdict() for level in levels]
    return document


def _later(one: Channel) -> Channel:
    """Without the rows that the labels leave out: the first 15 %, at most 750."""
    first = min(int(PROBATION * len(one.risk)), PROBATION_ROWS_MAX)
    risk = np.where(np.arange(len(one.risk)) < first, np.nan, one.risk)
    return replace(one, risk=risk, excursions=[event for event in one.excursions if event.begin >= first])


def show(document: dict[str, Any]) -> None:
    """As text."""
    folds_found = list(document["folds"].values())
    for block in ("value", "above"):
        for method in ("model", "last_value", "seasonal", "smoothed"):
            names = [name for name in folds_found[0]["pinball"] if name.startswith(f"{block}/{method}/")]
            means = [np.mean([fold["pinball"][name] for name in names]) for fold in folds_found]
            figure = judging.median(np.array(means), 1)
            spread = f"{min(means):.3f} to {max(means):.3f}"
            print(f"pinball {block:6} {method:11} median of folds {figure.value:.3f}  ({spread})")
    for name in folds_found[0]["coverage"]:
        shares = [fold["coverage"][name] for fold in folds_found]
        print(
            f"coverage {name:12} mean of folds {np.mean(shares):.3f}  ({min(shares):.3f} to {max(shares):.3f})"
        )
    for what in ("calls", "calls_after_probation"):
        print(f"{what}: the threshold that ships, then others")
        for n, one in enumerate(document[what]):
            if n == 0 or SHOWN_FALSE_A_WEEK[0] <= one["false_a_week"] <= SHOWN_FALSE_A_WEEK[1]:
                print("  " + report.lines(backtest.Early(**one)))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--upper", type=float, default=8.5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=Plan().steps)
    parser.add_argument("--by", choices=("sensor", "span"), default="sensor")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    if not options.data.exists():
        parser.error(f"{options.data}: found nothing, wanted the cold rooms' folder")
    document = run(options.data, options.upper, Plan(options.seed, options.steps), options.by)
    if options.json:
        json.dump(document, sys.stdout, indent=2, default=lambda one: one._asdict())
        print()
    else:
        show(document)


if __name__ == "__main__":
    main()
