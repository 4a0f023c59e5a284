"""What a plot shows of a channel: stretches outside the limits, unknown time, faults, and few enough points.

The rules are those of docs/spec/totals.md: a value holds until the next reading, for at most the hold limit.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dashboards.model import ChannelSeries
from lading.limits import ChannelLimits
from lading.quantities import is_valid


class Span(NamedTuple):
    """A stretch of time."""

    first_ms: int
    last_ms: int


Point = tuple[int, int]  # time_ms, value in thousandths


def held(series: ChannelSeries, hold_ms: int) -> Iterator[tuple[Span, int]]:
    """(time for which it held, value) of each valid reading; the last one of all holds for no time."""
    following = itertools.chain(itertools.islice(series.times_ms, 1, None), series.times_ms[-1:])
    for time, after, value, flags in zip(
        series.times_ms, following, series.values_milli, series.flags, strict=True
    ):
        if is_valid(flags):
            yield Span(time, min(after, time + hold_ms)), value


def spans_where(series: ChannelSeries, hold_ms: int, holds: Callable[[int], bool]) -> list[Span]:
    """Held time of the values for which `holds`, joined where they touch."""
    return joined(span for span, value in held(series, hold_ms) if holds(value))


def spans_above(series: ChannelSeries, limits: ChannelLimits) -> list[Span]:
    """Time above the upper limit; adds up to the totals' above_ms."""
    return spans_where(series, limits.hold_ms, lambda value: value > limits.upper)


def spans_below(series: ChannelSeries, limits: ChannelLimits) -> list[Span]:
    """Time below the lower limit; adds up to the totals' below_ms."""
    return spans_where(series, limits.hold_ms, lambda value: value < limits.lower)


def spans_unknown(series: ChannelSeries, hold_ms: int) -> list[Span]:
    """Time without a valid value; adds up to the totals' unknown_ms."""
    return joined(_unknown(series, hold_ms))


def _unknown(series: ChannelSeries, hold_ms: int) -> Iterator[Span]:
    times = series.times_ms
    for (time, after), flags in zip(itertools.pairwise(times), series.flags, strict=False):
        known_until = min(after, time + hold_ms) if is_valid(flags) else time
        if known_until < after:
            yield Span(known_until, after)


def spans_flagged(series: ChannelSeries, flag: int) -> list[Span]:
    """From each reading with the flag to the next one."""
    times = series.times_ms
    following = itertools.chain(itertools.islice(times, 1, None), times[-1:])
    return joined(
        Span(time, after)
        for time, after, flags in zip(times, following, series.flags, strict=True)
        if flags & flag
    )


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


def segments(series: ChannelSeries, hold_ms: int, columns: Columns) -> list[list[Point]]:
    """The valid readings as lines, broken at unknown time that is wider than a column.

    Of each column a line keeps the first, lowest, highest and last reading, so it looks as all of them would,
    and no spike is lost (the M4 aggregation of Jugel et al., VLDB 2014).
    """
    found: list[list[Point]] = []
    for line in _lines(series, hold_ms, columns):
        found.append([])
        for _, group in itertools.groupby(line, key=lambda point: columns.of(point[0])):
            found[-1].extend(_corners(list(group)))
    return found


def _lines(series: ChannelSeries, hold_ms: int, columns: Columns) -> Iterator[list[Point]]:
    line: list[Point] = []
    known_until: int | None = None
    for span, value in held(series, hold_ms):
        parted = known_until is not None and known_until < span.first_ms
        if parted and columns.of(line[-1][0]) != columns.of(span.first_ms):
            yield line
            line = []
        line.append((span.first_ms, value))
        known_until = span.last_ms
    if line:
        yield line


def _corners(points: list[Point]) -> list[Point]:
    if len(points) <= 4:
        return points
    lowest = min(points, key=lambda point: point[1])
    highest = max(points, key=lambda point: point[1])
    return sorted({points[0], lowest, highest, points[-1]})
