"""The stage in a process of its own, to be killed: `python -m tests.unit.anomaly.child FOLDER`. Says `idle` at rest."""

import sys
from pathlib import Path

from tests.unit.anomaly.harness import Bench

IDLE_STEPS = 3


def main() -> None:
    """Step in tiny bites until there is nothing new."""
    stage = Bench(Path(sys.argv[1])).stage(records_max=2, channels_cached_max=4, provisional_ms=0)
    idle = 0
    print("ready", flush=True)
    while idle < IDLE_STEPS:
        idle = 0 if stage.step() else idle + 1
    print("idle", flush=True)


if __name__ == "__main__":
    main()
