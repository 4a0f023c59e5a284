"""From tracks and totals to findings: names, severities, sequence numbers, frame hashes (docs/spec/verdict.md)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from lading.fields import U64_MAX
from lading.limits import OFF_HIGH, ChannelLimits
from lading.mkt import weight
from lading.quantities import Quantity
from lading.rules.track import (
    ABOVE,
    BELOW,
    CLOCKS,
    FAULTS,
    GAP,
    NOWHERE,
    RATE,
    STUCK,
    ChannelTrack,
    Place,
    Stretch,
    is_over,
)
from lading.totals import Totals
from lading.verdict import Finding, Severity

NOTICES = (RATE, STUCK, FAULTS, CLOCKS)
MORE = "_more"
TOTALS_RULES = ("cumulative_above", "cumulative_below", "unknown_total", "mkt")
PEAK_ABOVE, PEAK_BELOW = "peak_above", "peak_below"
_NAMES = {Quantity.DOOR: "door", Quantity.LIGHT: "light", Quantity.SHOCK: "shock"}
"""What `excursion_above` and `peak_above` are called for these quantities."""


class Channel(NamedTuple):
    """One channel as its findings need it. `first_seq` is the sequence number of place index 0."""

    track: ChannelTrack
    totals: Totals
    first_seq: int


class Span(NamedTuple):
    """The leg's time: from the first reading of any channel to its end; frames by number."""

    begin_ms: int
    end_ms: int
    last_frame: int


HashOf = Callable[[int], bytes]


def rule_name(rule: str, quantity: int) -> str:
    """The rule's name for a quantity: doors, light and shock have their own."""
    return (
        _NAMES.get(Quantity(quantity), rule) if rule in (ABOVE, PEAK_ABOVE) and quantity in _NAMES else rule
    )


def channel_findings(channel: Channel, span: Span, hash_of: HashOf) -> Iterator[Finding]:
    """Everything the rules say of one channel, in no order."""
    track = channel.track
    for stretch in (*track.listed, *track.going_on(), *_silences(track, span)):
        yield _stretch_finding(channel, stretch, hash_of)
    for stretch in track.more.values():
        yield _more_finding(channel, stretch)
    yield from _peak_findings(channel, hash_of)
    yield from totals_findings(track.limits, channel.totals, hash_of(span.last_frame))


def _silences(track: ChannelTrack, span: Span) -> Iterator[Stretch]:
    """Gaps before the first and after the last valid reading: the leg's begin and end are their other sides."""
    begin = Place(span.begin_ms, 0, 0)
    end = Place(span.end_ms, max(track.last.nth, 0), span.last_frame)
    inner = (track.first_valid, track.valid) if track.valid is not NOWHERE else None
    for first, last in ((begin, inner[0]), (inner[1], end)) if inner else ((begin, end),):
        if is_over(last.time_ms - first.time_ms, track.limits.gap_max_ms):
            yield Stretch(GAP, first, last, last.time_ms - first.time_ms)


def _stretch_finding(channel: Channel, stretch: Stretch, hash_of: HashOf) -> Finding:
    limits = channel.track.limits
    first, last = stretch.first, stretch.last
    limit = {
        ABOVE: limits.above_stretch_max_ms,
        BELOW: limits.below_stretch_max_ms,
        GAP: limits.gap_max_ms,
        RATE: limits.rate_max,
        STUCK: limits.stuck_max_ms,
    }.get(stretch.rule)
    frames = (first.frame,) if first.frame == last.frame else (first.frame, last.frame)
    return Finding(
        rule_name(stretch.rule, limits.quantity),
        _severity(stretch.rule),
        limits.channel,
        first.time_ms,
        last.time_ms,
        stretch.measured,
        limit,
        channel.first_seq + first.nth,
        channel.first_seq + last.nth,
        tuple(hash_of(frame) for frame in frames),
    )


def _more_finding(channel: Channel, stretch: Stretch) -> Finding:
    return Finding(
        rule_name(stretch.rule, channel.track.limits.quantity) + MORE,
        _severity(stretch.rule),
        channel.track.limits.channel,
        stretch.first.time_ms,
        stretch.last.time_ms,
        stretch.measured,
        channel.track.count_max,
        channel.first_seq + stretch.first.nth,
        channel.first_seq + stretch.last.nth,
    )


def _peak_findings(channel: Channel, hash_of: HashOf) -> Iterator[Finding]:
    track, limits = channel.track, channel.track.limits
    for rule, place, value, limit in (
        (PEAK_ABOVE, track.peak_above, track.peak_above_value, limits.peak_upper),
        (PEAK_BELOW, track.peak_below, track.peak_below_value, limits.peak_lower),
    ):
        if place is not NOWHERE:
            seq = channel.first_seq + place.nth
            name = rule_name(rule, limits.quantity)
            when = (place.time_ms, place.time_ms)
            yield Finding(
                name, "breach", limits.channel, *when, value, limit, seq, seq, (hash_of(place.frame),)
            )


def totals_findings(limits: ChannelLimits, totals: Totals, last_hash: bytes) -> Iterator[Finding]:
    """What follows from a channel's totals alone. `last_hash`: of the frame that they are in."""
    figures = [
        ("cumulative_above", totals.above_ms, limits.above_total_max_ms),
        ("cumulative_below", totals.below_ms, limits.below_total_max_ms),
        ("unknown_total", totals.unknown_ms, limits.unknown_total_max_ms),
    ]
    found = [(rule, figure, limit) for rule, figure, limit in figures if is_over(figure, limit)]
    if limits.mkt_max != OFF_HIGH and totals.mkt_weight_sum > weight(limits.mkt_max) * totals.known_ms:
        mean = min(totals.mkt_weight_sum // totals.known_ms, U64_MAX) if totals.known_ms else U64_MAX
        found.append(("mkt", mean, weight(limits.mkt_max)))
    for rule, figure, limit in found:
        seqs = (totals.first_seq, totals.first_seq + totals.count - 1)
        when = (totals.first_ms, totals.last_ms)
        yield Finding(rule, "breach", limits.channel, *when, figure, limit, *seqs, (last_hash,))


def proven(limits: ChannelLimits, totals: Totals) -> dict[str, bool]:
    """By rule, whether the totals tell that it has a finding: which ones, the readings alone can say.

    Of `gap` they tell those between two valid readings: there may be others.
    """
    if not totals.valid_count:
        return {}
    above = is_over(totals.above_longest_ms, limits.above_stretch_max_ms)
    peak_above = totals.max_value > limits.peak_upper
    found = {
        rule_name(ABOVE, limits.quantity): above,
        BELOW: is_over(totals.below_longest_ms, limits.below_stretch_max_ms),
        PEAK_BELOW: totals.min_value < limits.peak_lower,
        GAP: is_over(totals.longest_gap_ms, limits.gap_max_ms),
    }
    peak_name = rule_name(PEAK_ABOVE, limits.quantity)
    return found | {peak_name: peak_above or found.get(peak_name, False)}


def _severity(rule: str) -> Severity:
    return "notice" if rule in NOTICES else "breach"
