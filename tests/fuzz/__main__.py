"""`python -m tests.fuzz --seconds N [--target T]`: every decoder under coverage-guided fuzzing, a process each.

An input that crashes one is kept below --keep, to be replayed by `python -m tests.fuzz --target T --replay FILE`.
"""

import argparse
import sys
from pathlib import Path

from tests.fuzz.running import fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="for each target")
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one; may be said again")
    parser.add_argument(
        "--keep", type=Path, default=Path("build/fuzz-crashes"), help="where crashing inputs go"
    )
    parser.add_argument("--replay", type=Path, help="run one input through --target and stop")
    given = parser.parse_args()
    if given.replay:
        for name in given.target or TARGETS:
            TARGETS[name].check(given.replay.read_bytes())
        return 0
    failed = 0
    for name in given.target or TARGETS:
        outcome = fuzz(name, given.seconds, given.keep)
        failed += not outcome.ok
        print(f"{name:15} {'passed' if outcome.ok else 'FAILED'}  {outcome.runs} inputs", flush=True)
        if not outcome.ok:
            print(outcome.output, flush=True)
    print(f"{len(given.target or TARGETS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
