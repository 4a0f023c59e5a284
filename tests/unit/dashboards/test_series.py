"""What a plot shows is what the totals say: held time, unknown time, and no spike lost."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.model import ChannelSeries
from dashboards.series import Columns, Span, Track, segments
from lading.limits import ChannelLimits
from lading.quantities import CLOCK, FAULT, Quantity
from lading.totals import EMPTY, Reading, fold

LIMITS = ChannelLimits(1, Quantity.TEMPERATURE, 2_000, 8_000, hold_ms=1_000)


def channel(*readings: tuple[int, int, int]) -> ChannelSeries:
    """A temperature channel of (time_ms, value, flags)."""
    times, values, flags = zip(*readings, strict=True) if readings else ((), (), ())
    return ChannelSeries(1, Quantity.TEMPERATURE, "air", times, values, flags)


@st.composite
def histories(draw: st.DrawFn) -> ChannelSeries:
    """Readings with gaps, faults and clock trouble, inside and outside the limits."""
    steps = draw(st.lists(st.integers(1, 3_000), min_size=1, max_size=60))
    times = itertools.accumulate(steps)
    return channel(
        *(
            (time, draw(st.integers(0, 10_000)), draw(st.sampled_from((0, 0, 0, FAULT, CLOCK))))
            for time in times
        )
    )


def length_ms(spans: list[Span]) -> int:
    return sum(span.last_ms - span.first_ms for span in spans)


@given(histories())
def test_spans_add_up_to_the_totals(series: ChannelSeries) -> None:
    """What is shaded as outside or unknown is, to the millisecond, what the signed totals count."""
    rows = zip(series.times_ms, series.values_milli, series.flags, strict=True)
    totals = fold(EMPTY, LIMITS, [Reading(i, *row) for i, row in enumerate(rows)])
    track = Track(series, LIMITS)
    assert length_ms(track.above) == totals.above_ms
    assert length_ms(track.below) == totals.below_ms
    assert length_ms(track.unknown) == totals.unknown_ms


def test_a_stretch_is_where_it_was() -> None:
    """Above from 3000 to the reading back inside at 5000; a value holds for one second at most."""
    series = channel(
        (1_000, 5_000, 0), (2_000, 5_000, 0), (3_000, 9_000, 0), (4_000, 9_000, 0), (5_000, 5_000, 0)
    )
    assert Track(series, LIMITS).above == [Span(3_000, 5_000)]
    held = channel((0, 9_000, 0), (4_000, 5_000, 0))
    assert Track(held, LIMITS).above == [Span(0, 1_000)]
    assert Track(held, LIMITS).unknown == [Span(1_000, 4_000)]


def test_faults_are_flagged_until_the_next_good_reading() -> None:
    """A failed sensor's stretch runs to the reading that is a measurement again."""
    series = channel((0, 5_000, 0), (1_000, 32_767, FAULT), (2_000, 32_767, FAULT), (3_000, 5_000, 0))
    assert Track(series, LIMITS).flagged(FAULT) == [Span(1_000, 3_000)]
    assert Track(series, LIMITS).flagged(CLOCK) == []


def test_a_spike_survives() -> None:
    """One reading among 100,000 is on the line, at its time."""
    readings = [(i * 1_000, 5_000, 0) for i in range(100_000)]
    readings[61_803] = (61_803_000, 9_999, 0)
    points = [
        point
        for line in segments(Track(channel(*readings), LIMITS), Columns(0, 100_000_000, 1_000))
        for point in line
    ]
    assert (61_803_000, 9_999) in points
    assert len(points) <= 4 * 1_000


@given(histories(), st.integers(1, 40))
def test_a_column_keeps_its_corners(series: ChannelSeries, count: int) -> None:
    """Each column has the first, lowest, highest and last of its valid readings, few points, and no other values."""
    columns = Columns(series.times_ms[0], series.times_ms[-1], count)
    rows = zip(series.times_ms, series.values_milli, series.flags, strict=True)
    valid = [(time, value) for time, value, flags in rows if not flags]
    lines = segments(Track(series, LIMITS), columns)
    points = [point for line in lines for point in line]
    assert set(points) <= set(valid)
    assert points == sorted(points)
    for _, group in itertools.groupby(valid, key=lambda point: columns.of(point[0])):
        full = list(group)
        kept = [point for point in points if columns.of(point[0]) == columns.of(full[0][0])]
        assert (kept[0], kept[-1]) == (full[0], full[-1])
        assert {min(v for _, v in kept), max(v for _, v in kept)} == {
            min(v for _, v in full),
            max(v for _, v in full),
        }


def test_the_line_breaks_at_unknown_time() -> None:
    """No line is drawn through a silence or a broken sensor, as if something had been measured there."""
    series = channel(
        (0, 5_000, 0), (500, 5_100, 0), (5_000, 5_200, 0), (5_500, -127_000, FAULT), (6_000, 5_300, 0)
    )
    assert segments(Track(series, LIMITS), Columns(0, 6_000, 600)) == [
        [(0, 5_000), (500, 5_100)],
        [(5_000, 5_200)],
        [(6_000, 5_300)],
    ]


@pytest.mark.parametrize("count", [1, 7, 1_000])
def test_thinned_spans_are_bounded(count: int) -> None:
    """However a sensor flaps, a plot has at most one shape a column more than it has columns."""
    spans = [Span(i * 20, i * 20 + 10) for i in range(50_000)]
    assert len(Columns(0, 1_000_000, count).thinned(spans)) <= count + 1
