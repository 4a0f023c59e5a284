"""Rules and scores stay below a bound for 100,000 channels, whatever they have seen of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from anomaly.scoring.stage import BYTES_MAX
from lading import topics
from lading.frame import NO_ANCHOR, OPEN, LegRef, Run, seal
from lading.limits import ChannelLimits, Limits
from lading.quantities import Quantity
from lading.totals import Reading
from tests.legs import GATEWAY, Leg, make_leg, make_order
from tests.unit.anomaly.harness import Bench

T0 = 1_700_000_000_000
LEGS, CHANNELS, FRAMES = 6_250, 16, 2
MEGABYTES_MAX = 300  # of the rules
SCORED_MEGABYTES_MAX = 1.2 * BYTES_MAX / 1e6
"""Of the channels that are scored in memory: their rows, and those of the frames with which it is too much."""
MEASURE = """
import sys
from pathlib import Path
from anomaly import cli
from functools import partial
from anomaly.scoring.stage import Scores
from anomaly.stage import Anomaly
from anomaly.worker import Worker
from lading.log import SqliteLog
from tests.unit.anomaly.harness import OPERATORS
folder = Path(sys.argv[1])
log = SqliteLog(folder / "log.sqlite")
rules = Anomaly(log, folder / "state.sqlite", OPERATORS)
worker = Worker(rules, partial(Scores, log, rules.state))
while worker.judge() + worker.score():
    pass
worker.close()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


def template(limits: Limits) -> list[tuple[Run, ...]]:
    """The runs of each frame: ten readings in every channel."""
    readings = {
        channel: [Reading(i, T0 + 60_000 * i, 5000 + 7 * i % 50) for i in range(10 * FRAMES)]
        for channel in limits.by_channel
    }
    leg = make_leg(make_order(limits), readings, [T0 + 60_000 * 9], T0 + 60_000 * 19, closed=False)
    return [frame.runs for frame in leg.frames]


def fill(bench: Bench, legs: int) -> None:
    """Orders and frames of so many legs, frame by frame over the legs, so that none stays in a cache."""
    limits = Limits(
        tuple(
            ChannelLimits(n, Quantity.TEMPERATURE, 2000, 8000, gap_max_ms=900_000, rate_max=5000)
            for n in range(1, CHANNELS + 1)
        )
    )
    runs = template(limits)
    orders = [make_order(limits, reference=f"leg-{n}") for n in range(legs)]
    previous = [bytes([1]) * 32] * legs
    bench.log.append(topics.ASSIGNMENTS, [(order.gateway, Leg(order, ()).order) for order in orders])
    for number in range(FRAMES):
        items = []
        for n, order in enumerate(orders):
            leg = LegRef(OPEN, order.leg_id, limits.hash)
            frame_seq = 1 + FRAMES * n + number
            frame = seal(GATEWAY, leg, frame_seq, previous[n], T0, NO_ANCHOR, runs[number])
            previous[n] = frame.header.hash
            items.append((order.gateway, frame.encode()))
        bench.log.append(topics.FRAMES, items)


def peak_megabytes(folder: Path) -> float:
    """Greatest resident size of a process that judges what the folder's log holds.

    Not getrusage: its figure begins with the size of the process that started this one.
    """
    command = [sys.executable, "-c", MEASURE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=560)
    return int(done.stdout) / 1024


@pytest.mark.slow
def test_memory_for_100_000_channels(tmp_path: Path) -> None:
    """Two frames of each of 6,250 legs with 16 channels, more than its cache holds.

    A few legs are judged before by another process, so that the kernels are compiled, as they are once an installation:
    the compiler's memory is not the stage's.
    """
    for folder in (tmp_path / "few", tmp_path / "all"):
        folder.mkdir()
    fill(Bench(tmp_path / "few"), 2)
    peak_megabytes(tmp_path / "few")
    bench = Bench(tmp_path / "all")
    fill(bench, LEGS)
    peak = peak_megabytes(tmp_path / "all")
    assert len(bench.said()) == LEGS
    assert peak < MEGABYTES_MAX + SCORED_MEGABYTES_MAX
