"""Hand-worked cases of every rule in docs/spec/verdict.md: it fires past its limit, and not at it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from lading.decoding import decode_frame
from lading.frame import CLOSED, NO_ANCHOR, Frame, LegRef, make_run, seal
from lading.limits import ChannelLimits, Limits
from lading.mkt import weight
from lading.quantities import CLOCK, FAULT, Quantity
from lading.rules import describe, judge
from lading.totals import EMPTY, Reading
from lading.verdict import Finding, Horizon, Verdict
from tests.legs import GATEWAY, SALT, Leg, fork_of, make_leg, make_order

T0 = 1_700_000_000_000
MINUTE = 60_000
TEMPERATURE = Quantity.TEMPERATURE


def series(*values: int, step_ms: int = MINUTE, flags: dict[int, int] | None = None) -> list[Reading]:
    """A reading every `step_ms` from T0 on; `flags` by position."""
    return [Reading(i, T0 + i * step_ms, value, (flags or {}).get(i, 0)) for i, value in enumerate(values)]


def verdict_of(
    limits: ChannelLimits,
    readings: Sequence[Reading],
    *,
    closed: bool = False,
    due_ms: int = 0,
    end_ms: int = 0,
) -> Verdict:
    """The verdict over one channel's readings in one frame."""
    end = end_ms or (readings[-1].time_ms if readings else T0)
    leg = make_leg(
        make_order(Limits((limits,)), due_ms=due_ms), {limits.channel: readings}, [], end, closed=closed
    )
    return judge(leg.begin, leg.frames, [], final=False)


def short(verdict: Verdict) -> list[tuple[str, int, int, int, int | None]]:
    """Rule, first and last ms since T0, measured, limit."""
    return [(f.rule, f.first_ms - T0, f.last_ms - T0, f.measured, f.limit) for f in verdict.findings]


def temperature(**limits: int) -> ChannelLimits:
    """Temperature between 2 and 8 °C, held for 2 minutes."""
    return ChannelLimits(1, TEMPERATURE, lower=2000, upper=8000, hold_ms=2 * MINUTE, **limits)


def test_a_clean_leg_has_no_finding() -> None:
    """Values at the limits themselves are inside."""
    verdict = verdict_of(
        temperature(above_stretch_max_ms=0, below_stretch_max_ms=0), series(8000, 2000, 5000)
    )
    assert (verdict.result, verdict.findings, verdict.state) == ("clean", (), "open")


@pytest.mark.parametrize(("limit_min", "count"), [(2, 1), (3, 0)])
def test_excursion_above_is_judged_past_its_limit(limit_min: int, count: int) -> None:
    """9 °C at minutes 1, 2 and 3 and back at 4: held 3 min, from the first outside to the one that ended it."""
    limits = temperature(above_stretch_max_ms=limit_min * MINUTE)
    verdict = verdict_of(limits, series(5000, 9000, 9000, 9000, 5000, 5000))
    wanted = [("excursion_above", MINUTE, 4 * MINUTE, 3 * MINUTE, 2 * MINUTE)]
    assert short(verdict) == wanted[:count]
    assert [(f.first_seq, f.last_seq) for f in verdict.findings] == [(1, 4)][:count]


def test_excursion_that_goes_on_ends_with_the_last_reading() -> None:
    """9 °C at minutes 1, 2 and 3, then nothing: 2 min are held so far."""
    verdict = verdict_of(temperature(above_stretch_max_ms=0), series(5000, 9000, 9000, 9000))
    assert short(verdict) == [("excursion_above", MINUTE, 3 * MINUTE, 2 * MINUTE, 0)]


def test_excursion_below_and_across() -> None:
    """From above straight to below: the reading below ends the one and begins the other."""
    limits = temperature(above_stretch_max_ms=0, below_stretch_max_ms=0)
    verdict = verdict_of(limits, series(9000, 1000, 5000))
    assert short(verdict) == [
        ("excursion_above", 0, MINUTE, MINUTE, 0),
        ("excursion_below", MINUTE, 2 * MINUTE, MINUTE, 0),
    ]


def test_unknown_time_neither_lengthens_nor_ends_a_stretch() -> None:
    """9 °C, 10 min silence, 9 °C, a fault of 1 min, 9 °C, back: held 2 + 1 + 1 min in one stretch."""
    times = [0, 10, 11, 12, 13]
    values = [9000, 9000, 1000, 9000, 5000]
    flags = [0, 0, FAULT, 0, 0]
    readings = [
        Reading(i, T0 + t * MINUTE, v, f)
        for i, (t, v, f) in enumerate(zip(times, values, flags, strict=True))
    ]
    verdict = verdict_of(temperature(above_stretch_max_ms=3 * MINUTE), readings)
    assert short(verdict) == [
        ("excursion_above", 0, 13 * MINUTE, 4 * MINUTE, 3 * MINUTE),
        ("fault", 11 * MINUTE, 11 * MINUTE, 1, None),
    ]


@pytest.mark.parametrize(("limit_min", "count"), [(1, 1), (2, 0)])
def test_cumulative_adds_stretches(limit_min: int, count: int) -> None:
    """Two stretches of a minute each above 8 °C are 2 min in all."""
    verdict = verdict_of(
        temperature(above_total_max_ms=limit_min * MINUTE), series(5000, 9000, 5000, 9000, 5000)
    )
    assert short(verdict) == [("cumulative_above", 0, 4 * MINUTE, 2 * MINUTE, MINUTE)][:count]


def test_cumulative_below() -> None:
    """A minute at 1 °C with none allowed."""
    verdict = verdict_of(temperature(below_total_max_ms=0), series(1000, 5000))
    assert short(verdict) == [("cumulative_below", 0, MINUTE, MINUTE, 0)]


@pytest.mark.parametrize(("peak", "count"), [(11_999, 1), (12_000, 0)])
def test_peak_names_the_first_reading_that_is_the_extreme(peak: int, count: int) -> None:
    """12 °C twice: the first of the two; the 11.999 °C before it is not the extreme."""
    verdict = verdict_of(temperature(peak_upper=peak), series(5000, 11_999, 12_000, 12_000))
    assert short(verdict) == [("peak_above", 2 * MINUTE, 2 * MINUTE, 12_000, peak)][:count]


def test_peak_below() -> None:
    """−0.501 °C where −0.5 °C is allowed; a fault's −127 °C is no measurement."""
    verdict = verdict_of(temperature(peak_lower=-500), series(5000, -501, -127_000, 5000, flags={2: FAULT}))
    assert short(verdict) == [
        ("fault", 2 * MINUTE, 2 * MINUTE, 1, None),
        ("peak_below", MINUTE, MINUTE, -501, -500),
    ]


@pytest.mark.parametrize(("limit", "count"), [(4_999, 1), (5_000, 0)])
def test_mean_kinetic_temperature(limit: int, count: int) -> None:
    """A constant 5 °C has a mean kinetic temperature of exactly 5 °C."""
    verdict = verdict_of(temperature(mkt_max=limit), series(5000, 5000, 5000))
    assert short(verdict) == [("mkt", 0, 2 * MINUTE, weight(5000), weight(limit))][:count]


def test_23_hours_at_5_and_1_at_25_degrees() -> None:
    """USP's way gives 7.76 °C: above 7.7, not above 7.8."""
    limits = {
        limit: ChannelLimits(1, TEMPERATURE, hold_ms=24 * 60 * MINUTE, mkt_max=limit)
        for limit in (7700, 7800)
    }
    readings = [
        Reading(0, T0, 5000),
        Reading(1, T0 + 23 * 60 * MINUTE, 25_000),
        Reading(2, T0 + 24 * 60 * MINUTE, 25_000),
    ]
    assert [f.rule for f in verdict_of(limits[7700], readings).findings] == ["mkt"]
    assert verdict_of(limits[7800], readings).findings == ()


@pytest.mark.parametrize(("limit_min", "count"), [(9, 1), (10, 0)])
def test_gap_between_valid_readings(limit_min: int, count: int) -> None:
    """A fault in the middle of ten minutes does not part the two valid readings."""
    readings = [
        Reading(0, T0, 5000),
        Reading(1, T0 + 5 * MINUTE, 0, FAULT),
        Reading(2, T0 + 10 * MINUTE, 5000),
    ]
    verdict = verdict_of(temperature(gap_max_ms=limit_min * MINUTE), readings)
    gaps = [line for line in short(verdict) if line[0] == "gap"]
    assert gaps == [("gap", 0, 10 * MINUTE, 10 * MINUTE, 9 * MINUTE)][:count]


def test_silence_until_the_leg_is_closed_is_a_gap() -> None:
    """The sensor's last valid reading is at minute 1, the leg is closed at minute 60."""
    limits = temperature(gap_max_ms=30 * MINUTE)
    open_leg = verdict_of(limits, series(5000, 5000), end_ms=T0 + 60 * MINUTE)
    assert open_leg.findings == ()
    closed_leg = verdict_of(limits, series(5000, 5000), closed=True, end_ms=T0 + 60 * MINUTE)
    assert short(closed_leg) == [("gap", MINUTE, 60 * MINUTE, 59 * MINUTE, 30 * MINUTE)]


def test_a_channel_that_never_speaks_is_a_gap_from_begin_to_end() -> None:
    """Channel 1 reports for 40 min; channel 2 has no reading at all, channel 3 only faults."""
    own = ChannelLimits(1, TEMPERATURE)
    silent, broken = (ChannelLimits(n, TEMPERATURE, gap_max_ms=30 * MINUTE) for n in (2, 3))
    readings = {
        1: series(5000, 5000, step_ms=40 * MINUTE),
        2: [],
        3: series(0, 0, step_ms=35 * MINUTE, flags={0: FAULT, 1: FAULT}),
    }
    leg = make_leg(make_order(Limits((own, silent, broken))), readings, [], T0 + 40 * MINUTE, closed=False)
    found = judge(leg.begin, leg.frames, [], final=False).findings
    gaps = [(f.channel, f.first_ms - T0, f.last_ms - T0, f.last_seq) for f in found if f.rule == "gap"]
    assert gaps == [(2, 0, 40 * MINUTE, 0), (3, 0, 40 * MINUTE, 1)]


@pytest.mark.parametrize(("limit_min", "count"), [(7, 1), (8, 0)])
def test_unknown_total(limit_min: int, count: int) -> None:
    """Ten minutes between two readings, held for two: eight unknown."""
    readings = [Reading(0, T0, 5000), Reading(1, T0 + 10 * MINUTE, 5000)]
    verdict = verdict_of(temperature(unknown_total_max_ms=limit_min * MINUTE), readings)
    assert short(verdict) == [("unknown_total", 0, 10 * MINUTE, 8 * MINUTE, 7 * MINUTE)][:count]


def test_door_light_and_shock_have_names_of_their_own() -> None:
    """A door open for 3 min where 2 are allowed; a shock of 3.001 g where 3 g is."""
    door = ChannelLimits(1, Quantity.DOOR, upper=500, hold_ms=60 * MINUTE, above_stretch_max_ms=2 * MINUTE)
    verdict = verdict_of(door, series(0, 1000, 1000, 1000, 0))
    assert short(verdict) == [("door", MINUTE, 4 * MINUTE, 3 * MINUTE, 2 * MINUTE)]
    shock = ChannelLimits(1, Quantity.SHOCK, peak_upper=3000)
    verdict = verdict_of(shock, series(0, 3001, 0))
    assert short(verdict) == [("shock", MINUTE, MINUTE, 3001, 3000)]
    light = ChannelLimits(1, Quantity.LIGHT, upper=100, above_stretch_max_ms=0, peak_upper=200)
    verdict = verdict_of(light, series(201, 0))
    assert short(verdict) == [("light", 0, 0, 201, 200), ("light", 0, MINUTE, MINUTE, 0)]


@pytest.mark.parametrize(("late_ms", "count"), [(1, 1), (0, 0)])
def test_late_when_closed_after_the_time_agreed(late_ms: int, count: int) -> None:
    """The closing frame's sent_ms counts, to the millisecond."""
    due = T0 + 30 * MINUTE
    verdict = verdict_of(temperature(), series(5000, 5000), closed=True, due_ms=due, end_ms=due + late_ms)
    assert short(verdict) == [("late", 30 * MINUTE, 30 * MINUTE + 1, 1, 0)][:count]
    assert all(f.channel is None and f.first_seq == 0 for f in verdict.findings)


def test_late_while_open_goes_by_the_readings() -> None:
    """Not closed: the last reading's time is compared, whatever the clock says."""
    assert (
        verdict_of(temperature(), series(5000, 5000), due_ms=T0 + MINUTE, end_ms=T0 + 90 * MINUTE).findings
        == ()
    )
    verdict = verdict_of(temperature(), series(5000, 5000), due_ms=T0 + MINUTE - 1)
    assert short(verdict) == [("late", MINUTE - 1, MINUTE, 1, 0)]


@pytest.mark.parametrize(("limit", "count"), [(1_999, 1), (2_000, 0)])
def test_rate_of_change(limit: int, count: int) -> None:
    """1 °C in 30 s and 2 °C in a minute are both 2 °C a minute: one stretch of neighbours."""
    readings = [
        Reading(0, T0, 5000),
        Reading(1, T0 + 30_000, 6000),
        Reading(2, T0 + 90_000, 4000),
        Reading(3, T0 + 150_000, 4000),
    ]
    verdict = verdict_of(temperature(rate_max=limit), readings)
    assert short(verdict) == [("rate", 0, 90_000, 2000, 1999)][:count]
    assert verdict.result == "clean"


def test_rate_is_not_judged_over_more_than_the_hold_limit() -> None:
    """A jump of 5 °C after three silent minutes says nothing of the sensor."""
    readings = [Reading(0, T0, 3000), Reading(1, T0 + 3 * MINUTE, 8000)]
    assert verdict_of(temperature(rate_max=0), readings).findings == ()


@pytest.mark.parametrize(("limit_min", "count"), [(2, 1), (3, 0)])
def test_stuck_value(limit_min: int, count: int) -> None:
    """One value at minutes 1 to 4: unchanged for 3 min, a fault in between or not."""
    readings = series(5000, 5100, 5100, 0, 5100, 5200, flags={3: FAULT})
    verdict = verdict_of(temperature(stuck_max_ms=limit_min * MINUTE), readings)
    stuck = [line for line in short(verdict) if line[0] == "stuck"]
    assert stuck == [("stuck", MINUTE, 4 * MINUTE, 3 * MINUTE, 2 * MINUTE)][:count]


def test_fault_and_clock_stretches() -> None:
    """Both flags are told apart, and count their readings."""
    flags = {1: FAULT, 2: FAULT | CLOCK, 3: CLOCK, 5: FAULT}
    verdict = verdict_of(temperature(), series(5000, 0, 0, 0, 5000, 0, flags=flags))
    assert short(verdict) == [
        ("clock", 2 * MINUTE, 3 * MINUTE, 2, None),
        ("fault", MINUTE, 2 * MINUTE, 2, None),
        ("fault", 5 * MINUTE, 5 * MINUTE, 1, None),
    ]
    assert {f.severity for f in verdict.findings} == {"notice"}


def test_more_findings_than_are_listed_become_one() -> None:
    """A sensor that fails 70 times: 64 findings and one that says six more."""
    values = series(*[5000] * 140, flags=dict.fromkeys(range(0, 140, 2), FAULT))
    found = verdict_of(temperature(), values).findings
    assert len(found) == 65
    assert found[-1] == Finding(
        "fault_more", "notice", 1, T0 + 128 * MINUTE, T0 + 138 * MINUTE, 6, 64, 128, 138
    )


def leg_of_three() -> Leg:
    """Three frames with a minute of 9 °C in the second, where none is allowed."""
    order = make_order(Limits((temperature(above_stretch_max_ms=0),)))
    readings = series(5000, 5000, 9000, 5000, 5000, 5000)
    return make_leg(order, {1: readings}, [T0 + MINUTE, T0 + 3 * MINUTE], T0 + 5 * MINUTE)


def states(leg: Leg, *frames: Frame) -> tuple[str, int, str]:
    """State, last frame of the horizon and result."""
    verdict = judge(leg.begin, frames, [], final=True)
    return verdict.state, verdict.horizon.last_frame_seq, verdict.result


def test_states_of_a_leg() -> None:
    """Closed, open, incomplete in the middle and at the beginning; the horizon stops at the hole."""
    leg = leg_of_three()
    first, second, third = leg.frames
    assert states(leg, first, second, third) == ("closed", 2, "breach")
    assert states(leg, second, first) == ("open", 1, "breach")
    assert states(leg, third, first) == ("incomplete", 0, "clean")
    assert states(leg, third, second) == ("incomplete", 0, "clean")
    assert states(leg) == ("open", 0, "clean")
    assert judge(leg.begin, [third], [], final=True).horizon == Horizon(0, 0, bytes(32), 0)
    assert judge(leg.begin, [third], [], final=True).totals == ((1, 1, EMPTY),)


def test_only_whole_legs_are_final() -> None:
    """`final` is what the caller knows of the anchors, and holds for closed or forked legs alone."""
    leg = leg_of_three()
    assert judge(leg.begin, leg.frames, [], final=True).final
    assert not judge(leg.begin, leg.frames, [], final=False).final
    assert not judge(leg.begin, leg.frames[:2], [], final=True).final
    assert judge(leg.begin, leg.frames, [fork_of(leg.frames[1])], final=True).final


@pytest.mark.parametrize(
    ("at", "state", "last", "result"),
    [(0, "forked", 0, ()), (1, "forked", 0, ()), (2, "forked", 1, ("excursion_above",))],
)
def test_frames_from_a_fork_on_are_not_judged(
    at: int, state: str, last: int, result: tuple[str, ...]
) -> None:
    """The clone is a breach itself; the excursion counts only if it is before the fork."""
    leg = leg_of_three()
    clone = fork_of(leg.frames[at])
    verdict = judge(leg.begin, leg.frames, [clone], final=False)
    assert (verdict.state, verdict.horizon.last_frame_seq) == (state, last)
    assert [f.rule for f in verdict.findings] == ["clone", *result]
    finding = verdict.findings[0]
    low, high = sorted(header.hash for header in clone.headers())
    assert (finding.measured, finding.frame_hashes) == (at, (low, high))
    assert (finding.first_ms, finding.last_ms) == (
        leg.frames[at].header.sent_ms,
        leg.frames[at].header.sent_ms + 1,
    )


def test_a_fork_right_after_a_closed_leg_counts_and_a_later_one_does_not() -> None:
    """The next frame of the gateway was signed twice: someone had the key when the leg ended."""
    leg = leg_of_three()
    after = make_leg(leg.begin, {1: []}, [T0 + MINUTE], T0 + 2 * MINUTE, first_frame_seq=3)
    verdict = judge(leg.begin, leg.frames, [fork_of(after.frames[0])], final=True)
    assert (verdict.state, verdict.final, [f.rule for f in verdict.findings]) == (
        "closed",
        True,
        ["clone", "excursion_above"],
    )
    later = judge(leg.begin, leg.frames, [fork_of(after.frames[1])], final=True)
    assert [f.rule for f in later.findings] == ["excursion_above"]


def test_two_frames_with_one_number_among_the_leg_are_a_fork_too() -> None:
    """The second signature need not have come as a proof."""
    leg = leg_of_three()
    other = make_leg(leg.begin, {1: series(5000, 5000)}, [T0 + MINUTE], T0 + 2 * MINUTE).frames[1]
    verdict = judge(leg.begin, [*leg.frames, other], [], final=False)
    assert (verdict.state, [f.rule for f in verdict.findings]) == ("forked", ["clone"])


def test_frames_of_other_legs_are_passed_over() -> None:
    """Another reference, another gateway's clone: nothing changes."""
    leg = leg_of_three()
    order = make_order(leg.begin.limits or Limits(()), reference="leg-2")
    other = make_leg(order, {1: series(9000, 9000, 9000)}, [], T0 + 3 * MINUTE)
    alone = judge(leg.begin, leg.frames, [], final=True)
    assert judge(leg.begin, [*other.frames, *leg.frames], [], final=True).encoded == alone.encoded


def test_findings_for_people() -> None:
    """One line with units; what was found, what was allowed."""
    limits = temperature(above_stretch_max_ms=60 * MINUTE)
    readings = series(*[5000] + [9000] * 192 + [5000])
    (finding,) = verdict_of(limits, readings).findings
    wanted = "temperature (channel 1) above 8.000 °C for 3 h 12 min in one stretch, allowed 1 h"
    assert describe(finding, limits) == wanted


def test_the_largest_verdict_fits() -> None:
    """256 channels that break every rule again and again, with the longest numbers there are: below 1 MiB."""
    limits = Limits(
        tuple(
            ChannelLimits(
                0xFF00 + n,
                TEMPERATURE,
                -1,
                1,
                hold_ms=70_000_000,
                above_stretch_max_ms=0,
                above_total_max_ms=0,
                below_stretch_max_ms=0,
                below_total_max_ms=0,
                peak_lower=-2,
                peak_upper=2,
                mkt_max=-50_000,
                gap_max_ms=65_000_000,
                unknown_total_max_ms=65_536,
                rate_max=0,
                stuck_max_ms=65_536,
            )
            for n in range(256)
        )
    )
    high, low = 2**31 - 1, -(2**31)
    pattern = [
        (high, 0),
        (high, 0),
        (low, 0),
        (low, 0),
        (0, FAULT),
        (0, CLOCK),
        (high, 0),
        (0, FAULT | CLOCK),
    ]
    steps = [68_000_000, 66_000_000, 67_000_000, 69_000_000, 66_000_000]
    values = pattern * 4
    readings = {
        own.channel: [
            Reading(2**63 + i, 2 * T0 + sum(steps[j % 5] for j in range(i)), *values[i])
            for i in range(len(values))
        ]
        for own in limits.channels
    }
    last_ms = readings[0xFF00][-1].time_ms
    cuts = [reading.time_ms for reading in readings[0xFF00][:-1]]
    leg = make_leg(make_order(limits, due_ms=1), readings, cuts[::8], last_ms + 66_000_000)
    verdict = judge(leg.begin, leg.frames, [], final=True)
    rules = {finding.rule for finding in verdict.findings}
    assert rules >= {"excursion_above_more", "excursion_below_more", "gap_more", "rate_more", "stuck_more"}
    assert rules >= {"fault_more", "clock_more", "peak_above", "peak_below", "mkt", "unknown_total", "late"}
    assert rules >= {"cumulative_above", "cumulative_below"}
    assert 500_000 < len(verdict.encoded) <= 1_048_576
    assert Verdict.decode(verdict.encoded) == verdict


@pytest.mark.parametrize(("first_seq", "time_ms"), [(2**63 + 2, T0 + 2), (1, T0 + 2), (3, T0 + 2), (2, T0)])
def test_a_frame_whose_run_does_not_go_on_is_not_judged(first_seq: int, time_ms: int) -> None:
    """Behind a gap a gateway may sign any numbers and times: the horizon ends before them, and all of it is encoded."""
    limits = temperature(gap_max_ms=0, stuck_max_ms=0, rate_max=0)
    leg = make_leg(
        make_order(Limits((limits,))), {1: series(5000, 9000, step_ms=1)}, [], T0 + 1, closed=False
    )
    (first,) = leg.frames
    totals = replace(first.runs[0].record.totals, first_seq=first_seq - 1, last_ms=time_ms)
    totals = replace(totals, first_ms=time_ms - totals.known_ms, last_flags=0)
    run = make_run(1, TEMPERATURE, first_seq, SALT, [Reading(first_seq, time_ms, 9000)], totals)
    header = first.header
    names = LegRef(CLOSED, header.leg_id, header.limits_hash)
    lie = seal(GATEWAY, names, header.frame_seq + 1, header.hash, T0 + 9, NO_ANCHOR, [run])
    assert decode_frame(lie.encode()) == lie
    verdict = judge(leg.begin, [first, lie], [], final=False)
    assert Verdict.decode(verdict.encoded) == verdict
    assert (verdict.state, verdict.horizon.last_frame_seq) == ("incomplete", header.frame_seq)
