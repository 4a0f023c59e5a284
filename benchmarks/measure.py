"""Times a subject and its peers in turns, in one run, so that what else the machine does falls on all alike."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

ROUNDS = 7
ROUNDS_QUICK = 3


@dataclass(frozen=True)
class Work:
    """A piece of work and how many units it does; the smaller work of a slow peer gives a rate all the same.

    `prepare` makes what one run works on, and is not timed.
    """

    run: Callable[..., Any]
    units: int
    prepare: Callable[[], tuple[Any, ...]] = tuple


@dataclass(frozen=True)
class Result:
    """Rates in units a second, median of the rounds; `best` the greatest. Ratios are medians of each round's ratio.

    `cpu` is per second of the process's own time, which tells what the machine does for others from what we do.
    """

    claim: str
    unit: str
    data: str
    rounds: int
    rates: Mapping[str, float]
    best: Mapping[str, float]
    cpu: Mapping[str, float]
    ratios: Mapping[str, float]
    notes: Mapping[str, float] = field(default_factory=dict)


def compare(claim: str, unit: str, data: str, works: Mapping[str, Work], *, quick: bool) -> Result:
    """Run each work once to warm up, then in turns; the first is the subject, the others its peers."""
    rounds = ROUNDS_QUICK if quick else ROUNDS
    for work in works.values():
        work.run(*work.prepare())
    rates: dict[str, list[float]] = {name: [] for name in works}
    cpu: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            wall_s, cpu_s = seconds(work)
            rates[name].append(work.units / wall_s)
            cpu[name].append(work.units / cpu_s)
    subject = next(iter(works))
    return Result(
        claim,
        unit,
        data,
        rounds,
        {name: statistics.median(found) for name, found in rates.items()},
        {name: max(found) for name, found in rates.items()},
        {name: statistics.median(found) for name, found in cpu.items()},
        {
            peer: statistics.median(a / b for a, b in zip(rates[subject], rates[peer], strict=True))
            for peer in works
            if peer != subject
        },
    )


def seconds(work: Work) -> tuple[float, float]:
    """How long one run takes, and how much processor time of this process."""
    prepared = work.prepare()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    work.run(*prepared)
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    flags: set[str] = set()
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            if name.strip() == "flags":
                flags = set(value.split())
    widest = next((name for name in ("avx512bw", "avx2", "sse2") if name in flags), "unknown")
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "vectors": widest,
        "sha_ni": str("sha_ni" in flags).lower(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{
            name: _version(name)
            for name in ("numba", "numpy", "cryptography", "pyarrow", "pymerkle", "orjson", "river", "pysad")
        },
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
