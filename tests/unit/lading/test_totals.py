"""Promises: the fold is the specification's, does not depend on how a leg is cut, and legs add up."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading import mkt
from lading.errors import RejectedError
from lading.limits import ChannelLimits
from lading.quantities import CLOCK, FAULT, INVALID
from lading.totals import EMPTY, Reading, Totals, add_legs, fold

MINUTE = 60_000
LIMITS = ChannelLimits(1, 1, lower=2_000, upper=8_000, hold_ms=10 * MINUTE)


@st.composite
def legs(draw: st.DrawFn) -> list[Reading]:
    """A leg's readings: irregular times, values around the limits, faults and clock flags."""
    steps = draw(st.lists(st.integers(1, 30 * MINUTE), min_size=0, max_size=40))
    time_ms, readings = draw(st.integers(0, 2**40)), []
    first_seq = draw(st.integers(0, 2**40))
    for index, step in enumerate(steps):
        time_ms += step
        value = draw(st.integers(-5_000, 15_000) | st.sampled_from([2_000, 8_000]))
        flags = draw(st.sampled_from([0, 0, 0, 0, FAULT, CLOCK, FAULT | CLOCK]))
        readings.append(Reading(first_seq + index, time_ms, value, flags))
    return readings


def by_intervals(limits: ChannelLimits, readings: list[Reading]) -> dict[str, int]:
    """The totals from a list of intervals, written from the page's words rather than from its loop."""
    valid = [not reading.flags & INVALID for reading in readings]
    held = []  # (index, held ms, unknown ms) of the time after each reading but the last
    for i in range(len(readings) - 1):
        dt = readings[i + 1].time_ms - readings[i].time_ms
        known = min(dt, limits.hold_ms) if valid[i] else 0
        held.append((i, known, dt - known))
    good = [reading for reading, ok in zip(readings, valid, strict=True) if ok]

    def stretches(outside: list[bool]) -> list[int]:
        """Held time of each stretch: ended only by a valid reading back inside."""
        found = [0]
        for i, known, _ in held:
            if valid[i] and not outside[i]:
                found.append(0)
            elif valid[i]:
                found[-1] += known
        if readings and valid[-1] and not outside[-1]:
            found.append(0)
        return found

    above = stretches([reading.value > limits.upper for reading in readings])
    below = stretches([reading.value < limits.lower for reading in readings])
    return {
        "count": len(readings),
        "valid_count": len(good),
        "min_value": min((r.value for r in good), default=0),
        "max_value": max((r.value for r in good), default=0),
        "longest_gap_ms": max((b.time_ms - a.time_ms for a, b in itertools.pairwise(good)), default=0),
        "known_ms": sum(known for _, known, _ in held),
        "unknown_ms": sum(unknown for _, _, unknown in held),
        "above_ms": sum(above),
        "above_longest_ms": max(above),
        "above_current_ms": above[-1],
        "below_ms": sum(below),
        "below_longest_ms": max(below),
        "below_current_ms": below[-1],
        "mkt_weight_sum": sum(mkt.weight(readings[i].value) * known for i, known, _ in held),
    }


@given(legs())
def test_fold_equals_a_twin_over_intervals(readings: list[Reading]) -> None:
    """Every total equals what intervals and stretches give when counted one by one."""
    totals = fold(EMPTY, LIMITS, readings)
    expected = by_intervals(LIMITS, readings)
    assert {name: getattr(totals, name) for name in expected} == expected
    assert totals.known_ms + totals.unknown_ms == totals.last_ms - totals.first_ms


@given(legs(), st.lists(st.integers(0, 40), max_size=5))
def test_any_cut_into_frames_gives_the_same_totals(readings: list[Reading], cuts: list[int]) -> None:
    """Folding frame by frame, through the encoded totals, equals folding the leg at once."""
    totals, start = EMPTY, 0
    for end in [*sorted(min(cut, len(readings)) for cut in cuts), len(readings)]:
        totals = Totals.decode(fold(totals, LIMITS, readings[start:end]).encode())
        start = end
    assert totals == fold(EMPTY, LIMITS, readings)


@given(legs(), st.integers(0, 40))
def test_legs_add_up_to_the_whole_but_for_the_hand_over(readings: list[Reading], cut: int) -> None:
    """Sums over two legs differ from the whole by the one interval between them; stretches are bounded."""
    cut = min(cut, len(readings))
    one, other = fold(EMPTY, LIMITS, readings[:cut]), fold(EMPTY, LIMITS, readings[cut:])
    whole, sums = fold(EMPTY, LIMITS, readings), add_legs([one, other])
    between = fold(EMPTY, LIMITS, readings[cut - 1 : cut + 1]) if 0 < cut < len(readings) else EMPTY
    for name in ("known_ms", "unknown_ms", "above_ms", "below_ms", "mkt_weight_sum"):
        assert getattr(whole, name) == getattr(sums, name) + getattr(between, name)
    assert (whole.count, whole.valid_count) == (sums.count, sums.valid_count)
    parts = one.above_longest_ms + other.above_longest_ms + between.above_ms
    assert sums.above_longest_ms <= whole.above_longest_ms <= parts
    assert whole.longest_gap_ms >= sums.longest_gap_ms


@given(legs())
def test_totals_have_one_encoding(readings: list[Reading]) -> None:
    """142 bytes there and back."""
    totals = fold(EMPTY, LIMITS, readings)
    assert len(totals.encode()) == 142
    assert Totals.decode(totals.encode()) == totals


def test_unknown_time_neither_ends_nor_lengthens_a_stretch() -> None:
    """By hand: above for 5 min, a fault, 5 h of silence, above for 5 min more: one stretch of 10 min + hold."""
    t = 1_700_000_000_000
    readings = [
        Reading(0, t, 9_000),
        Reading(1, t + 5 * MINUTE, -127_000, FAULT),
        Reading(2, t + 305 * MINUTE, 9_000),
        Reading(3, t + 310 * MINUTE, 5_000),
    ]
    totals = fold(EMPTY, LIMITS, readings)
    assert totals.above_longest_ms == 10 * MINUTE
    assert totals.unknown_ms == 300 * MINUTE
    assert totals.longest_gap_ms == 305 * MINUTE
    assert totals.min_value == 5_000


@pytest.mark.parametrize(("seq", "time_ms"), [(12, 2_000), (10, 2_000), (11, 1_000), (11, 999)])
def test_a_skipped_number_or_a_time_that_stands_is_refused(seq: int, time_ms: int) -> None:
    """Sequence numbers go up by one and times strictly."""
    with pytest.raises(RejectedError, match="totals"):
        fold(EMPTY, LIMITS, [Reading(10, 1_000, 0), Reading(seq, time_ms, 0)])


def test_table_is_the_published_formula() -> None:
    """The committed table equals the formula computed with 60 digits, and the float formula within rounding."""
    assert list(mkt.table()) == mkt.make_table()
    for index in range(0, 2001, 50):
        celsius = -100 + index / 10
        weight = math.exp(-10_000 * (1 / (celsius + 273.15) - 1 / 273.15)) * 2**32
        assert mkt.table()[index] == pytest.approx(weight, rel=1e-9, abs=0.51)


@given(st.integers(-120_000, 120_000))
def test_weight_between_entries_is_close_to_the_formula(value: int) -> None:
    """Linear between entries errs by less than 0.001 °C above −60 °C; values past the table are clamped."""
    clamped = min(max(value, -100_000), 100_000)
    exact = math.exp(-10_000 * (1 / (clamped / 1000 + 273.15) - 1 / 273.15)) * 2**32
    slope = 10_000 / (clamped / 1000 + 273.15) ** 2  # relative change of the weight for a degree
    if clamped >= -60_000:
        assert abs(mkt.weight(value) - exact) / exact / slope < 0.001


def test_mkt_by_hand_23_h_at_5_and_1_h_at_25() -> None:
    """USP <1079.2>'s formula by hand gives 7.76 °C."""
    hour = 3_600_000
    limits = ChannelLimits(1, 1, hold_ms=hour)
    readings = [Reading(i, i * hour, 5_000 if i < 23 else 25_000) for i in range(24)]
    readings.append(Reading(24, 24 * hour, 5_000))
    totals = fold(EMPTY, limits, readings)
    celsius = mkt.mean_kinetic_celsius(totals.mkt_weight_sum, totals.known_ms)
    assert celsius == pytest.approx(7.76, abs=0.005)
    mean = Fraction(sum(math.exp(-10_000 / (c + 273.15)) for c in [5] * 23 + [25])) / 24
    assert celsius == pytest.approx(-10_000 / math.log(mean) - 273.15, abs=0.001)
