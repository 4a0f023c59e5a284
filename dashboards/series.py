"""What a plot shows of a channel: stretches outside the limits, unknown time, faults, and few enough points.

The rules are those of docs/spec/totals.md: a value holds until the next reading, for at most the hold limit.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

from dashboards.model import ChannelSeries
from lading.limits import ChannelLimits
from lading.quantities import INVALID


class Span(NamedTuple):
    """A stretch of time."""

    first_ms: int
    last_ms: int


Point = tuple[int, int]  # time_ms, value in thousandths


@dataclass(frozen=True)
class Track:
    """A channel's readings under its limits; each figure is worked out once, when it is first asked for."""

    series: ChannelSeries
    limits: ChannelLimits

    @cached_property
    def held(self) -> list[tuple[int, int, int]]:
        """(from, until, value) of each valid reading; the last reading of all holds for no time."""
        series, hold_ms = self.series, self.limits.hold_ms
        columns = zip(
            series.times_ms, following(series.times_ms), series.values_milli, series.flags, strict=True
        )
        return [
            (time, after if after - time <= hold_ms else time + hold_ms, value)
            for time, after, value, flags in columns
            if not flags & INVALID
        ]

    @cached_property
    def above(self) -> list[Span]:
        """Time above the upper limit; adds up to the totals' above_ms."""
        upper = self.limits.upper
        return joined([Span(first, last) for first, last, value in self.held if value > upper])

    @cached_property
    def below(self) -> list[Span]:
        """Time below the lower limit; adds up to the totals' below_ms."""
        lower = self.limits.lower
        return joined([Span(first, last) for first, last, value in self.held if value < lower])

    @cached_property
    def unknown(self) -> list[Span]:
        """Time without a valid value; adds up to the totals' unknown_ms."""
        times = self.series.times_ms
        if len(times) == 0:
            return []
        begins = [times[0], *(last for _, last, _ in self.held)]
        ends = [*(first for first, _, _ in self.held), times[-1]]
        return [Span(first, last) for first, last in zip(begins, ends, strict=True) if first < last]

    def at_least(self, bound: int) -> list[Span]:
        """Held time of values of at least `bound`."""
        return joined([Span(first, last) for first, last, value in self.held if value >= bound])

    def flagged(self, flag: int) -> list[Span]:
        """From each reading with the flag to the next one."""
        series = self.series
        columns = zip(series.times_ms, following(series.times_ms), series.flags, strict=True)
        return joined([Span(time, after) for time, after, flags in columns if flags & flag])


def following(times_ms: Sequence[int]) -> Iterable[int]:
    """The time of the reading after each; of the last one its own."""
    return itertools.chain(itertools.islice(times_ms, 1, None), times_ms[-1:])


def joined(spans: Iterable[Span]) -> list[Span]:
    """Ascending spans, with those that touch made one."""
    return coalesced(spans, lambda before, after: before.last_ms >= after.first_ms)


def coalesced(spans: Iterable[Span], close: Callable[[Span, Span], bool]) -> list[Span]:
    """Ascending spans, with neighbours that are `close` made one."""
    found: list[Span] = []
    for span in spans:
        if found and close(found[-1], span):
            found[-1] = Span(found[-1].first_ms, max(span.last_ms, found[-1].last_ms))
        else:
            found.append(span)
    return found


@dataclass(frozen=True, slots=True)
class Columns:
    """A time axis cut into columns of equal width, each about a pixel wide."""

    first_ms: int
    last_ms: int
    count: int

    def of(self, time_ms: int) -> int:
        """Column that holds a time."""
        return (time_ms - self.first_ms) * self.count // max(1, self.last_ms - self.first_ms)

    def thinned(self, spans: Iterable[Span]) -> list[Span]:
        """Spans with those made one that no pixel parts; so at most one a column."""
        return coalesced(spans, lambda before, after: self.of(before.last_ms) == self.of(after.first_ms))


def segments(track: Track, columns: Columns) -> list[list[Point]]:
    """The valid readings as lines, broken at unknown time that is wider than a column.

    Of each column a line keeps the first, lowest, highest and last reading, so it looks as all of them would,
    and no spike is lost (the M4 aggregation of Jugel et al., VLDB 2014).
    """
    first_ms, count, length_ms = columns.first_ms, columns.count, max(1, columns.last_ms - columns.first_ms)
    placed = [((time - first_ms) * count // length_ms, time, value) for time, _, value in track.held]
    breaks = _breaks(track, columns)
    found: list[list[Point]] = []
    for begin, end in itertools.pairwise([0, *breaks, len(placed)]):
        corners = [
            _corners(list(group)) for _, group in itertools.groupby(placed[begin:end], key=itemgetter(0))
        ]
        found.append([(time, value) for kept in corners for _, time, value in kept])
    return [line for line in found if line]


def _breaks(track: Track, columns: Columns) -> list[int]:
    """Indices of the readings before which the line is broken."""
    return [
        i
        for i, (before, after) in enumerate(itertools.pairwise(track.held), 1)
        if before[1] < after[0] and columns.of(before[0]) != columns.of(after[0])
    ]


def _corners(group: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    if len(group) <= 4:
        return group
    value = itemgetter(2)
    return sorted({group[0], min(group, key=value), max(group, key=value), group[-1]})
