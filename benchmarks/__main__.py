"""Runs the benchmarks and prints a table, or one JSON document."""

import argparse
import json
import sys
from dataclasses import asdict

from benchmarks import checking, decoding, detection, end_to_end, log, scoring, signing, trees
from benchmarks.measure import Result, machine

BENCHMARKS = {
    "trees": trees.run,
    "decoding": decoding.run,
    "checking": checking.run,
    "signing": signing.run,
    "detection": detection.run,
    "scoring": scoring.run,
    "end_to_end": end_to_end.run,
    "log": log.run,
}


def main() -> None:
    """Run those named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all if none")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="less data and fewer rounds")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    results: list[Result] = []
    for name in options.names or BENCHMARKS:
        found = BENCHMARKS[name](quick=options.quick)
        results += found
        for result in found if not options.json else ():
            show(result)
    document = {
        "machine": machine(),
        "quick": options.quick,
        "results": [asdict(result) for result in results],
    }
    if options.json:
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        print(", ".join(f"{name} {value}" for name, value in machine().items()))


def show(result: Result) -> None:
    """A result as lines of text."""
    print(
        f"{result.claim}: {result.data}; median of {result.rounds} rounds, in brackets best, and by cpu time"
    )
    for name, rate in result.rates.items():
        ratio = ""
        if name in result.ratios:
            by_cpu = next(iter(result.cpu.values())) / result.cpu[name]
            ratio = f"   {result.ratios[name]:.1f} times slower, {by_cpu:.1f} by cpu time"
        figures = f"{number(rate):>9} ({number(result.best[name])}; cpu {number(result.cpu[name])})"
        print(f"  {name:<34}{figures} {result.unit}{ratio}")
    for name, value in result.notes.items():
        print(f"  {name:<40}{value:>9.1f}")
    print(flush=True)


def number(value: float) -> str:
    """Three figures and a unit prefix."""
    for limit, prefix in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {prefix}"
    return f"{value:.3g}"


if __name__ == "__main__":
    main()
