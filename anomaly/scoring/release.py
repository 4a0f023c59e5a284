"""Which scores these are: a fingerprint of what the detectors and the episodes say of a built-in series."""

from functools import cache
from hashlib import sha256

import numpy as np

from anomaly.detectors.arith import Floats, Ints
from anomaly.detectors.episodes import Episodes
from anomaly.detectors.scorer import DETECTORS, Scorer

PROBE_READINGS = 2_000
PROBE_STEP_MS = 300_000  # so that the probe is a week, and what has days in it shows
RELEASE_BYTES = 8


@cache
def release() -> str:
    """16 hex digits. Whatever changes a score of the probe, be it code, constants or a CPU, changes it."""
    slot, time_ms, value = probe()
    scorer, episodes = Scorer(1), Episodes(1)
    scored = scorer.score(slot, time_ms, value)
    found = episodes.take(slot, np.arange(len(value)), np.where(np.isnan(value), np.nan, scored.score))
    said = [scored.score.astype("<f8").tobytes(), scored.detector.tobytes(), scorer.row(0), episodes.row(0)]
    text = f"{DETECTORS} {[(one.begin_ms, one.peak_ms, one.end_ms) for one in found]}"
    return sha256(b"".join(said) + text.encode()).hexdigest()[: 2 * RELEASE_BYTES]


def probe() -> tuple[Ints, Ints, Floats]:
    """A channel with noise, days, a spike, a shift, a stuck stretch, faults and a gap. Slot, time in ms, value."""
    count = np.arange(PROBE_READINGS)
    time_ms = 1_700_000_000_000 + PROBE_STEP_MS * count
    time_ms[1500:] += 7 * 3_600_000
    noise, seed = np.empty(PROBE_READINGS), 1
    for i in range(PROBE_READINGS):
        seed = (seed * 1_103_515_245 + 12_345) % 2**31
        noise[i] = seed // 2**16 % 512 / 512.0
    day = np.abs(time_ms // PROBE_STEP_MS % 288 - 144) / 64.0
    value = 4.0 + day + noise
    value[700] += 25.0
    value[1000:1080] += 5.0
    value[1300:1340] = value[1300]
    value[1400:1404] = np.nan
    value[1900:] -= np.arange(PROBE_READINGS - 1900) / 16.0
    return np.zeros(PROBE_READINGS, np.int64), time_ms, value
