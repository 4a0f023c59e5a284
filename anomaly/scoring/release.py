"""Which scores these are: a fingerprint of what the detectors and the episodes say of a built-in series."""

from functools import cache
from hashlib import sha256

import numpy as np

from anomaly.detectors.scorer import DETECTORS
from anomaly.scoring.block import Block, Readings

PROBE_READINGS = 2_000
PROBE_STEPS_MS = (300_000, 57_000, 900_000, 1_800_000)
"""Weeks of five minutes, of quarters and of halves of an hour, so that what has days in it shows; rows of several
readings."""
RELEASE_BYTES = 8


@cache
def release() -> str:
    """16 hex digits. Whatever changes a score of the probe, be it code, constants or a CPU, changes it.

    It also compiles the kernels, so that none is when frames come.
    """
    block = Block()
    said = [str(DETECTORS).encode()]
    for step_ms in PROBE_STEPS_MS:
        slot = block.take()
        found = block.score(probe(slot, step_ms))
        episodes = [(one.at, one.begin_ms, one.peak_ms, one.end_ms) for one in found.episodes]
        said += [found.score.astype("<f8").tobytes(), found.detector.tobytes(), *block.row(slot)]
        said.append(str(episodes).encode())
    return sha256(b"".join(said)).hexdigest()[: 2 * RELEASE_BYTES]


def probe(slot: int, step_ms: int) -> Readings:
    """A channel with noise, days, a spike, a shift, a stuck stretch, faults, two readings at once, a gap and a ramp."""
    count = np.arange(PROBE_READINGS)
    time_ms = 1_700_000_000_000 + step_ms * count
    time_ms[1500:] += 7 * 3_600_000
    time_ms[850] = time_ms[849] + step_ms // 10
    noise, seed = np.empty(PROBE_READINGS), 1
    for i in range(PROBE_READINGS):
        seed = (seed * 1_103_515_245 + 12_345) % 2**31
        noise[i] = seed // 2**16 % 512 / 512.0
    day = np.abs(time_ms // 300_000 % 288 - 144) / 64.0
    value = 4.0 + day + noise
    value[700] += 25.0
    value[1000:1080] += 5.0
    value[1300:1340] = value[1300]
    value[1400:1404] = np.nan
    value[1900:] -= np.arange(PROBE_READINGS - 1900) * 16.0
    starts = np.array([0, PROBE_READINGS], np.int64)
    runs = np.array([slot], np.int64), starts, np.zeros(1, np.bool_)
    return Readings(*runs, count.astype(np.uint64), time_ms, value)
