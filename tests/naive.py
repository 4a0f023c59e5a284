"""Twins written from the specification pages alone: slow, plain, and sharing no code with what they check."""

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from lading.limits import ChannelLimits
from lading.totals import Reading

OFF = 2**32 - 1


class Said(NamedTuple):
    """A finding without its frame hashes."""

    rule: str
    severity: str
    channel: int | None
    first_ms: int
    last_ms: int
    measured: int
    limit: int | None
    first_seq: int
    last_seq: int


def valid(reading: Reading) -> bool:
    """Neither FAULT nor CLOCK."""
    return reading.flags in (0, 4)


def held_ms(readings: Sequence[Reading], limits: ChannelLimits) -> list[int]:
    """How long each reading's value holds: millisecond by millisecond until the next one or the hold limit."""
    held = []
    for i, reading in enumerate(readings):
        until = readings[i + 1].time_ms if i + 1 < len(readings) else reading.time_ms
        moments = range(reading.time_ms, min(until, reading.time_ms + limits.hold_ms))
        held.append(len(moments) if valid(reading) else 0)
    return held


def side_totals(readings: Sequence[Reading], limits: ChannelLimits) -> dict[str, int]:
    """Known, unknown, above and below time of a whole channel."""
    held = held_ms(readings, limits)
    known = sum(held)
    return {
        "known_ms": known,
        "unknown_ms": (readings[-1].time_ms - readings[0].time_ms if readings else 0) - known,
        "above_ms": sum(h for h, r in zip(held, readings, strict=True) if r.value > limits.upper),
        "below_ms": sum(h for h, r in zip(held, readings, strict=True) if r.value < limits.lower),
    }


def groups(marks: Sequence[bool]) -> list[tuple[int, int]]:
    """First and last position of each run of true marks."""
    found = []
    for i, mark in enumerate(marks):
        if mark and (i == 0 or not marks[i - 1]):
            found.append((i, next((j for j in range(i, len(marks)) if not marks[j]), len(marks)) - 1))
    return found


def excursions(readings: Sequence[Reading], limits: ChannelLimits, above: bool) -> list[Said]:
    """Stretches outside one limit whose held time is beyond the stretch limit."""
    limit = limits.above_stretch_max_ms if above else limits.below_stretch_max_ms
    measured = [i for i, reading in enumerate(readings) if valid(reading)]
    marks = [
        readings[i].value > limits.upper if above else readings[i].value < limits.lower for i in measured
    ]
    held = held_ms(readings, limits)
    found = []
    for first, last in groups(marks):
        total = sum(held[measured[k]] for k in range(first, last + 1))
        end = readings[measured[last + 1]] if last + 1 < len(measured) else readings[-1]
        if limit != OFF and total > limit:
            begin = readings[measured[first]]
            rule = "excursion_above" if above else "excursion_below"
            if above:
                rule = {3: "door", 4: "light", 5: "shock"}.get(limits.quantity, rule)
            found.append(_said(rule, "breach", limits, begin, end, total, limit))
    return found


def peaks(readings: Sequence[Reading], limits: ChannelLimits) -> list[Said]:
    """The first reading that is the extreme, where that is beyond the peak limit."""
    good = [reading for reading in readings if valid(reading)]
    found = []
    if good:
        high = max(good, key=lambda reading: (reading.value, -reading.seq))
        low = min(good, key=lambda reading: (reading.value, reading.seq))
        if high.value > limits.peak_upper:
            rule = {3: "door", 4: "light", 5: "shock"}.get(limits.quantity, "peak_above")
            found.append(_said(rule, "breach", limits, high, high, high.value, limits.peak_upper))
        if low.value < limits.peak_lower:
            found.append(_said("peak_below", "breach", limits, low, low, low.value, limits.peak_lower))
    return found


def gaps(readings: Sequence[Reading], limits: ChannelLimits, begin_ms: int, end_ms: int) -> list[Said]:
    """Times without a valid reading beyond the limit, the leg's begin and end being sides too."""
    edge = Reading(readings[0].seq if readings else 0, begin_ms, 0)
    tail = Reading(readings[-1].seq if readings else 0, end_ms, 0)
    line = [edge, *(reading for reading in readings if valid(reading)), tail]
    found = []
    for before, after in itertools.pairwise(line):
        time_ms = after.time_ms - before.time_ms
        if limits.gap_max_ms != OFF and time_ms > limits.gap_max_ms:
            found.append(_said("gap", "breach", limits, before, after, time_ms, limits.gap_max_ms))
    return found


def rates(readings: Sequence[Reading], limits: ChannelLimits) -> list[Said]:
    """Stretches of neighbours that change faster than the limit."""
    good = [reading for reading in readings if valid(reading)]
    per_minute = [
        abs(b.value - a.value) * 60000 // (b.time_ms - a.time_ms)
        if b.time_ms - a.time_ms <= limits.hold_ms
        else 0
        for a, b in itertools.pairwise(good)
    ]
    steep = [limits.rate_max != OFF and rate > limits.rate_max for rate in per_minute]
    return [
        _said(
            "rate",
            "notice",
            limits,
            good[i],
            good[j + 1],
            max(per_minute[i : j + 1]),
            limits.rate_max,
        )
        for i, j in groups(steep)
    ]


def stuck(readings: Sequence[Reading], limits: ChannelLimits) -> list[Said]:
    """Stretches of one value, neighbours near one another, that last beyond the limit."""
    good = [reading for reading in readings if valid(reading)]
    same = [
        a.value == b.value and b.time_ms - a.time_ms <= limits.hold_ms for a, b in itertools.pairwise(good)
    ]
    found = []
    for i, j in groups(same):
        time_ms = good[j + 1].time_ms - good[i].time_ms
        if limits.stuck_max_ms != OFF and time_ms > limits.stuck_max_ms:
            found.append(_said("stuck", "notice", limits, good[i], good[j + 1], time_ms, limits.stuck_max_ms))
    return found


def flagged(readings: Sequence[Reading], limits: ChannelLimits) -> list[Said]:
    """Stretches of FAULT and of CLOCK."""
    found = []
    for rule, bit in (("fault", 1), ("clock", 2)):
        for i, j in groups([bool(reading.flags & bit) for reading in readings]):
            found.append(_said(rule, "notice", limits, readings[i], readings[j], j - i + 1, None))
    return found


def totals_rules(readings: Sequence[Reading], limits: ChannelLimits) -> list[Said]:
    """Cumulative time and unknown time."""
    sums = side_totals(readings, limits)
    figures = [
        ("cumulative_above", sums["above_ms"], limits.above_total_max_ms),
        ("cumulative_below", sums["below_ms"], limits.below_total_max_ms),
        ("unknown_total", sums["unknown_ms"], limits.unknown_total_max_ms),
    ]
    return [
        _said(rule, "breach", limits, readings[0], readings[-1], figure, limit)
        for rule, figure, limit in figures
        if limit != OFF and figure > limit
    ]


def findings(
    channels: Mapping[int, Sequence[Reading]], limits: Sequence[ChannelLimits], closing_ms: int | None
) -> list[Said]:
    """Every channel's findings but `mkt`, unbounded, sorted. `closing_ms`: sent_ms of the closing frame, if any."""
    clocked = [
        reading.time_ms for own in channels.values() for reading in own if reading.flags not in (2, 3, 6, 7)
    ]
    if not clocked:
        raise AssertionError("the twin wants one reading with a clock")
    begin_ms, end_ms = min(clocked), max([*clocked, closing_ms or 0])
    found: list[Said] = []
    for own in limits:
        readings = channels[own.channel]
        found += excursions(readings, own, above=True) + excursions(readings, own, above=False)
        found += peaks(readings, own) + gaps(readings, own, begin_ms, end_ms)
        found += rates(readings, own) + stuck(readings, own) + flagged(readings, own)
        found += totals_rules(readings, own)
    return sorted(found, key=lambda s: (s.rule, s.channel, s.first_ms, s.last_ms, s.first_seq))


def _said(
    rule: str,
    severity: str,
    limits: ChannelLimits,
    first: Reading,
    last: Reading,
    measured: int,
    limit: int | None,
) -> Said:
    return Said(
        rule, severity, limits.channel, first.time_ms, last.time_ms, measured, limit, first.seq, last.seq
    )


def reading_line(head: str, reading: Reading) -> str:
    """docs/spec/series.md: a reading as line protocol, by decimal arithmetic."""
    fields = []
    if valid(reading):
        exact = Decimal(reading.value) / 1000
        fields.append(f"value={exact.normalize():f}")
    if reading.flags:
        fields.append(f"flags={reading.flags}i")
    return f"{head} {','.join(fields)} {reading.time_ms}\n"
