"""Tiers and the figures that they compare (docs/spec/settlement.md)."""

from dataclasses import dataclass
from enum import IntEnum

from lading.abi_words import Kind

TIERS_MAX = 32
TIER_KINDS: tuple[Kind, ...] = (16, 8, 128, 128)
VALUE_OFFSET = 1 << 31


class Metric(IntEnum):
    """The figures that tiers compare. Values, in thousandths, are shifted by 2^31; the least one is turned over."""

    ABOVE_MS = 1
    ABOVE_LONGEST_MS = 2
    BELOW_MS = 3
    BELOW_LONGEST_MS = 4
    MKT = 5  # the weight sum, compared with threshold · known_ms
    LONGEST_GAP_MS = 6
    UNKNOWN_MS = 7
    LATE_MS = 8  # of the leg
    SILENCE_MS = 9  # of the leg
    MAX_VALUE = 10
    MIN_VALUE = 11
    UNCOVERED_MS = 12  # from the planned begin to the frame, without the time the channel's readings span


METRICS_OF_LEG = (Metric.LATE_MS, Metric.SILENCE_MS)


@dataclass(frozen=True, slots=True)
class Tier:
    """Where the metric's figure is above `threshold`, `amount` is due. `channel` is 0 for a metric of the leg."""

    channel: int
    metric: int
    threshold: int
    amount: int


def channels_of(tiers: tuple[Tier, ...]) -> list[int]:
    """The channels that tiers name, ascending, each once: whose run records a settling frame must show."""
    return sorted({tier.channel for tier in tiers if tier.metric not in METRICS_OF_LEG})
