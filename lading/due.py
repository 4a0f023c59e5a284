"""What a leg's signed totals make due by its tiers (docs/spec/settlement.md): every figure, and their sum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lading.tiers import METRICS_OF_LEG, VALUE_OFFSET, Metric, Tier
from lading.totals import EMPTY, Totals

_EXTREMES = (Metric.MAX_VALUE, Metric.MIN_VALUE)


@dataclass(frozen=True, slots=True)
class LegTerms:
    """What one leg owes by: its times, the most that it may cost, and its tiers. `due_ms` 0: no time was agreed.

    `heard_least_ms`: silence begins no earlier, however early a frame shown was sent; 0 in the first version's terms.
    `since_ms`: a channel whose readings begin before it reaches none of its tiers: of covers.
    """

    begin_ms: int
    due_ms: int
    deadline_s: int
    most: int
    tiers: tuple[Tier, ...]
    heard_least_ms: int
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """The frame that counts of a leg: its totals by channel, when it was sent, and whether it closes the leg.

    `uncertainties`: of the channels with a calibration certificate that the terms accept, in thousandths of their
    unit; None where the terms ask for none.
    """

    totals: Mapping[int, Totals]
    sent_ms: int
    is_closing: bool
    uncertainties: Mapping[int, int] | None = None


class Line(NamedTuple):
    """One tier with what the evidence says: it is reached where `figure` is above `bound`."""

    tier: Tier
    figure: int
    bound: int

    @property
    def is_reached(self) -> bool:
        """Whether the tier's amount is due."""
        return self.figure > self.bound


def lines(leg: LegTerms, seen: Seen | None) -> tuple[Line, ...]:
    """Each tier that counts, in order. None: no frame was seen, so only the leg's own metrics count."""
    return tuple(
        _line(leg, tier, seen) for tier in leg.tiers if seen is not None or tier.metric in METRICS_OF_LEG
    )


def due(leg: LegTerms, seen: Seen | None) -> int:
    """The leg's penalty: the reached tiers' amounts, at most what the leg may cost."""
    return min(leg.most, sum(line.tier.amount for line in lines(leg, seen) if line.is_reached))


def reached_bits(leg: LegTerms, seen: Seen | None) -> int:
    """Bit i: tier i is reached, as the escrow's events say it."""
    places = {tier: place for place, tier in enumerate(leg.tiers)}
    return sum(1 << places[line.tier] for line in lines(leg, seen) if line.is_reached)


def _line(leg: LegTerms, tier: Tier, seen: Seen | None) -> Line:
    metric = Metric(tier.metric)
    if metric in METRICS_OF_LEG:
        return Line(tier, _figure_of_leg(leg, metric, seen), tier.threshold)
    assert seen is not None
    totals = seen.totals.get(tier.channel, EMPTY)
    if totals.count and totals.first_ms < leg.since_ms:
        return Line(tier, 0, tier.threshold)
    if seen.uncertainties is not None and tier.channel not in seen.uncertainties:
        return Line(tier, _figure_uncalibrated(leg, metric, seen.sent_ms), tier.threshold)
    if metric is Metric.MKT:
        return Line(tier, totals.mkt_weight_sum, tier.threshold * totals.known_ms)
    margin = seen.uncertainties[tier.channel] if seen.uncertainties and metric in _EXTREMES else 0
    return Line(tier, _figure(leg, metric, totals, seen.sent_ms), tier.threshold + margin)


def _figure_of_leg(leg: LegTerms, metric: Metric, seen: Seen | None) -> int:
    deadline_ms = leg.deadline_s * 1000
    is_closed = seen is not None and seen.is_closing
    if metric is Metric.LATE_MS:
        return max((seen.sent_ms if is_closed and seen else deadline_ms) - leg.due_ms, 0)
    heard_ms = leg.begin_ms if seen is None else max(seen.sent_ms, leg.heard_least_ms)
    return 0 if is_closed else max(deadline_ms - heard_ms, 0)


def _figure_uncalibrated(leg: LegTerms, metric: Metric, sent_ms: int) -> int:
    """A channel without a certificate counts as one without any reading: nothing is known from begin to frame."""
    unknown = (Metric.LONGEST_GAP_MS, Metric.UNKNOWN_MS, Metric.UNCOVERED_MS)
    return max(sent_ms - leg.begin_ms, 0) if metric in unknown else 0


def _figure(leg: LegTerms, metric: Metric, totals: Totals, sent_ms: int) -> int:
    if metric is Metric.UNCOVERED_MS:
        if totals.count == 0:
            return max(sent_ms - leg.begin_ms, 0)
        return max(totals.first_ms - leg.begin_ms, 0) + max(sent_ms - totals.last_ms, 0)
    if metric in _EXTREMES:
        value = totals.max_value if metric is Metric.MAX_VALUE else -totals.min_value
        return value + VALUE_OFFSET if totals.valid_count else 0
    figure: int = getattr(totals, metric.name.lower())
    return figure
