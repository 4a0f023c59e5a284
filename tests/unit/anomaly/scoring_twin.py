"""Legs with something to see, and the naive twin of the scoring: reading by reading, from docs/spec/anomaly.md."""

import random
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from anomaly.detectors.episodes import HOLD_ROWS, LOWER, RAISE
from anomaly.detectors.scorer import DETECTORS, Scorer
from lading.cose import KeySigner
from lading.frame import CLOSED, IDLE, Frame
from lading.limits import ChannelLimits, Limits
from lading.quantities import INVALID, Quantity
from lading.totals import Reading
from tests.legs import GATEWAY, Leg, make_leg, make_order

T0 = 1_700_000_000_000
STEP_MS = 60_000
UNSCORED = (Quantity.LATITUDE, Quantity.LONGITUDE)


def wild_readings(seed: int, count: int, level: int = 5_000) -> list[Reading]:
    """Noise, now and then off for half an hour, each time by more, faults, and a day without data."""
    rng = random.Random(seed)
    readings, gap_ms = [], 0
    for i in range(count):
        value = level + rng.randint(-80, 80)
        if i % 331 >= 300:
            value += 100_000 * (i % 331 - 299) * (1 + i // 331) ** 2
        flags = 1 if i % 97 == 50 else 2 if i % 211 == 60 else 0
        gap_ms += 86_400_000 if i == count // 3 else 0
        readings.append(Reading(i, T0 + gap_ms + STEP_MS * i, value, flags))
    return readings


def wild_leg(
    seed: int = 1,
    *,
    count: int = 1_500,
    frames: int = 20,
    reference: str = "leg-1",
    closed: bool = True,
    gateway: KeySigner = GATEWAY,
) -> Leg:
    """A leg with three channels, one of them a latitude."""
    kinds = {1: Quantity.TEMPERATURE, 2: Quantity.HUMIDITY, 7: Quantity.LATITUDE}
    limits = Limits(tuple(ChannelLimits(channel, kind, -90_000, 90_000) for channel, kind in kinds.items()))
    readings = {channel: wild_readings(seed + channel, count) for channel in kinds}
    begin = make_order(limits, reference=reference, gateway=gateway)
    times = [reading.time_ms for reading in readings[1]]
    rng = random.Random(seed)
    cuts = sorted(times[i] for i in rng.sample(range(count - 1), frames - 1))
    return make_leg(begin, readings, cuts, times[-1], closed=closed, gateway=gateway)


@dataclass
class TwinChannel:
    """One channel's state, in the plainest form."""

    scorer: Scorer = field(default_factory=lambda: Scorer(1))
    up: dict[str, tuple[int, int, bytes]] | None = None
    peak: float = 0.0
    detector: int = 0
    quiet: int = 0
    readings: list[tuple[Reading, float, int]] = field(default_factory=list)


def twin(frames: Iterable[Frame]) -> list[list[object]]:
    """What is said of frames of one leg, as plain lists: episodes, and scores of each part."""
    channels: dict[tuple[int, int], TwinChannel] = {}
    said: list[list[object]] = []
    ranges: list[list[int]] = []
    part, longest = 0, 0
    for frame in frames:
        seq = frame.header.frame_seq
        if ranges and ranges[-1][1] + 1 == seq:
            ranges[-1][1] = seq
        else:
            ranges.append([seq, seq])
        for run in frame.runs:
            key = (run.record.channel, run.record.quantity)
            if key[1] in UNSCORED:
                continue
            channel = channels.setdefault(key, TwinChannel())
            for reading in run.readings:
                said += take(channel, key, reading, frame.header.hash)
        longest += max((len(run.readings) for run in frame.runs), default=0)
        is_closing = frame.header.leg_state == CLOSED
        for key, channel in sorted(channels.items()):
            if is_closing and channel.up:
                said.append(episode(channel, key, "ended"))
        if longest >= 1_024 or len(ranges) >= 64 or is_closing:
            sums = [sums_of(key, channel) for key, channel in sorted(channels.items()) if channel.readings]
            said.append(["scores", part, is_closing, [tuple(one) for one in ranges], sums])
            part, longest, ranges = part + 1, 0, []
            for channel in channels.values():
                channel.readings.clear()
    return said


def take(channel: TwinChannel, key: tuple[int, int], reading: Reading, frame: bytes) -> list[list[object]]:
    """One reading: what it makes known."""
    is_valid = not reading.flags & INVALID
    value = reading.value / 1000.0 if is_valid else float("nan")
    scored = channel.scorer.score(np.zeros(1, np.int64), np.array([reading.time_ms]), np.array([value]))
    score, detector = float(scored.score[0]), int(scored.detector[0])
    channel.readings.append((reading, score, detector))
    moment = (reading.time_ms, reading.seq, frame)
    if not scored.closed[0]:
        return []
    if channel.up is None:
        if score < RAISE:
            return []
        channel.up = dict.fromkeys(("begin", "peak", "last"), moment)
        channel.peak, channel.detector, channel.quiet = score, detector, 0
        return [episode(channel, key, "begun")]
    if score > channel.peak:
        channel.peak, channel.detector, channel.up["peak"] = score, detector, moment
    if score >= LOWER:
        channel.up["last"], channel.quiet = moment, 0
        return []
    channel.quiet += int(scored.closed[0])
    if channel.quiet < HOLD_ROWS:
        return []
    ended = episode(channel, key, "ended")
    channel.up = None
    return [ended]


def episode(channel: TwinChannel, key: tuple[int, int], state: str) -> list[object]:
    """The episode that is up."""
    assert channel.up is not None
    score = int(channel.peak * 1_000_000)
    return ["episode", *key, state, DETECTORS[channel.detector], score, *channel.up.values()]


def sums_of(key: tuple[int, int], channel: TwinChannel) -> tuple[object, ...]:
    """A channel's scores in short."""
    digest = 14695981039346656037
    for _, score, detector in channel.readings:
        for word in (struct.unpack(">Q", struct.pack(">d", score))[0], detector):
            digest = (digest ^ word) * 1099511628211 % 2**64
    greatest = max(score for _, score, _ in channel.readings)
    seq = next(reading.seq for reading, score, _ in channel.readings if score == greatest)
    invalid = sum(1 for reading, _, _ in channel.readings if reading.flags & INVALID)
    first = channel.readings[0][0].seq
    counts = first, len(channel.readings), invalid, int(greatest * 1_000_000), seq
    return (*key, *counts, digest.to_bytes(8, "big"))


def idle(frames: Sequence[Frame]) -> list[Frame]:
    """Those that belong to no leg."""
    return [frame for frame in frames if frame.header.leg_state == IDLE]
