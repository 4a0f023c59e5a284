"""Rules and scores in a process of its own, to be killed: `python -m … FOLDER`. Says `idle` at rest."""

import sys
from functools import partial
from pathlib import Path

from anomaly.scoring.stage import Scores
from anomaly.worker import Worker
from tests.unit.anomaly.harness import Bench

IDLE_STEPS = 3


def main() -> None:
    """Step in tiny bites until there is nothing new."""
    bench = Bench(Path(sys.argv[1]))
    rules = bench.stage(records_max=2, channels_cached_max=4, provisional_ms=0)
    bounds = {"records_max": 2, "channels_cached_max": 3, "keep_readings": 500, "keep_s": 0.01}
    worker = Worker(rules, partial(Scores, bench.log, rules.state, **bounds))
    idle = 0
    print("ready", flush=True)
    while idle < IDLE_STEPS:
        idle = 0 if worker.judge() + worker.score() else idle + 1
    print("idle", flush=True)


if __name__ == "__main__":
    main()
