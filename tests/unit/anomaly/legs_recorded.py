"""Legs from the cold-room recordings and from the simulation, as readings by channel."""

import gzip
import os
import random
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.simulation import CHANNELS, Channel, CompressorFailure, Reefer, SensorFault, Stories
from lading.limits import ChannelLimits, Limits
from lading.profiles import load
from lading.quantities import FAULT
from lading.totals import Reading

FAULTS_MILLI = (-127_000, 327_670)
"""The logger's error codes."""
RECORDED = {
    27: "temperature", 29: "air", 30: "air", 32: "air", 33: "humidity", 35: "battery"
}  # fmt: skip
"""Sensors of the recordings by role; 35 is a current, which no quantity is for: volts serve the test."""
T0 = 1_700_000_000_000
HOUR = 3_600_000


def bench_folder() -> Path:
    """Where the recordings lie; fails in CI when they are not there, skips elsewhere."""
    default = Path(__file__).resolve().parents[3] / ".." / "shared" / "bench"
    folder = Path(os.environ.get("LADING_BENCH", default)) / "coldroom" / "raw"
    if not folder.is_dir():
        reason = f"no recordings at {folder}: set LADING_BENCH"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def recorded(path: Path) -> tuple[Limits, dict[int, list[Reading]]]:
    """A day of the cold rooms: broken lines left out, error codes as faults, times that do not increase dropped."""
    rows: dict[int, dict[int, int]] = defaultdict(dict)
    for line in gzip.decompress(path.read_bytes()).decode("utf-8", "replace").splitlines()[1:]:
        fields = line.split(",")
        if len(fields) != 3 or "\0" in line or int(fields[2]) not in RECORDED:
            continue
        time = datetime.fromisoformat(fields[0]).replace(tzinfo=UTC)
        time_ms = int(time.timestamp() * 1000)
        rows[int(fields[2])][time_ms] = round(float(fields[1]) * 1000)
    readings = {
        channel: [
            Reading(seq, time_ms, value, FAULT if value in FAULTS_MILLI else 0)
            for seq, (time_ms, value) in enumerate(sorted(own.items()))
        ]
        for channel, own in rows.items()
    }
    return load("fresh-food-0-5").limits({channel: RECORDED[channel] for channel in readings}), readings


def simulated(seed: int) -> tuple[Limits, dict[int, list[Reading]]]:
    """A reefer's ten hours, with a failed compressor for three and a failed sensor for one."""
    stories = Stories(
        [
            CompressorFailure(T0 + 3 * HOUR, T0 + 6 * HOUR),
            SensorFault(T0 + 5 * HOUR, T0 + 6 * HOUR, channel=int(Channel.PRODUCT)),
        ]
    )
    reefer = Reefer(random.Random(seed), T0, stories=stories)
    readings: dict[int, list[Reading]] = {channel: [] for channel in CHANNELS}
    for time_ms in range(T0 + 60_000, T0 + 10 * HOUR, 180_000):
        for sample in reefer.sample(time_ms):
            own = readings[sample.channel]
            own.append(Reading(len(own), time_ms, sample.value_milli, sample.flags))
    roles = {1: "air", 2: "air", 4: "door", 6: "shock"}
    limits = load("vaccine-2-8").limits({c: roles.get(c, CHANNELS[c].name.lower()) for c in CHANNELS})
    return _tightened(limits), readings


def _tightened(limits: Limits) -> Limits:
    """The profile with stretches of half an hour, so that ten hours hold findings of many kinds."""
    air = [limits.channel(1), limits.channel(2)]
    short = [
        ChannelLimits(
            own.channel,
            own.quantity,
            own.lower,
            own.upper,
            own.hold_ms,
            above_stretch_max_ms=1_800_000,
            above_total_max_ms=3_600_000,
            gap_max_ms=1_200_000,
            rate_max=50,
            mkt_max=5000,
            stuck_max_ms=600_000,
        )
        for own in air
    ]
    return Limits((*short, *limits.channels[2:]))
