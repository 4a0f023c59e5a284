"""The kernel equals its twin, and passing over a run leaves the state that taking its readings leaves."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.frames import read_frames
from anomaly.kernels import FIELDS, summarize_runs
from lading.limits import OFF_HIGH, OFF_LOW, OFF_U32, ChannelLimits, Limits
from lading.rules import LegTrack, Summary, save, summarize, view
from lading.totals import Reading
from tests.legs import make_leg, make_order
from tests.unit.lading.test_rules_properties import T0, Story, channel_readings, cuts, stories


@given(st.lists(channel_readings(0), max_size=4))
@settings(max_examples=100, deadline=None)
def test_kernel_equals_twin(runs: list[list[Reading]]) -> None:
    """Every field of every run, however runs lie beside one another, empty ones among them."""
    readings = [reading for run in runs for reading in run]
    starts = np.cumsum([0, *(len(run) for run in runs)]).astype(np.int64)
    out = np.zeros((len(runs), FIELDS), np.int64)
    summarize_runs(
        starts,
        np.array([reading.time_ms for reading in readings], np.int64),
        np.array([reading.value for reading in readings], np.int32),
        np.array([reading.flags for reading in readings], np.uint16),
        out,
    )
    for run, row in zip(runs, out.tolist(), strict=True):
        assert not run or Summary._make(row) == summarize(run)


def test_kernel_holds_the_greatest_values() -> None:
    """The whole range of a value in a millisecond: no overflow."""
    readings = [Reading(0, 0, -(2**31)), Reading(1, 1, 2**31 - 1)]
    out = np.zeros((1, FIELDS), np.int64)
    columns = (np.array([0, 1], np.int64), np.array([-(2**31), 2**31 - 1], np.int32), np.zeros(2, np.uint16))
    summarize_runs(np.array([0, 2], np.int64), *columns, out)
    assert Summary._make(out[0].tolist()) == summarize(readings)


@st.composite
def calm_stories(draw: st.DrawFn) -> Story:
    """Readings that are often calm: few values, few flags, limits at the edge of what happens."""
    limits = ChannelLimits(
        1,
        draw(st.sampled_from([1, 2])),
        lower=draw(st.sampled_from([-2, OFF_LOW])),
        upper=draw(st.sampled_from([2, OFF_HIGH])),
        hold_ms=draw(st.sampled_from([40, 60])),
        above_stretch_max_ms=0,
        below_stretch_max_ms=0,
        peak_upper=draw(st.sampled_from([2, OFF_HIGH])),
        gap_max_ms=draw(st.sampled_from([40, OFF_U32])),
        rate_max=draw(st.sampled_from([60_000, 3_000, OFF_U32])),
        stuck_max_ms=draw(st.sampled_from([60, 150, OFF_U32])),
    )
    count = draw(st.integers(1, 30))
    steps = draw(st.lists(st.sampled_from([20, 20, 20, 40, 41, 61]), min_size=count, max_size=count))
    values = draw(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, -3]), min_size=count, max_size=count))
    flags = draw(st.lists(st.sampled_from([0] * 12 + [1, 2, 4]), min_size=count, max_size=count))
    times = np.cumsum([T0, *steps])[1:].tolist()
    rows = zip(times, values, flags, strict=True)
    return Story((limits,), {1: [Reading(i, *row) for i, row in enumerate(rows)]}, times[-1])


@given(st.one_of(calm_stories(), stories()), cuts, st.booleans())
@settings(max_examples=200, deadline=None)
def test_bulk_frames_leave_the_same_state(story: Story, cuts_ms: list[int], closed: bool) -> None:
    """Frame by frame the saved state is byte for byte that of the readings taken one by one."""
    leg = story.cut([min(cut, story.end_ms - (cut - T0) % 600) for cut in cuts_ms], closed)
    bulk, single = LegTrack(leg.begin), LegTrack(leg.begin)
    for frame, make in zip(leg.frames, read_frames([frame.encode() for frame in leg.frames]), strict=True):
        found = make()
        assert bulk.is_of_leg(found)
        assert bulk.follows(found)
        bulk.join(found)
        single.join(view(frame))
        assert save(bulk) == save(single)


def test_calm_runs_are_passed_over() -> None:
    """The point of it: an hour of ordinary readings is not looked at one by one."""
    limits = Limits(
        (ChannelLimits(1, 1, 2000, 8000, gap_max_ms=900_000, rate_max=5000, stuck_max_ms=900_000),)
    )
    readings = [Reading(i, T0 + 60_000 * i, 5000 + i % 7) for i in range(60)]
    leg = make_leg(make_order(limits), {1: readings}, [T0 + 1_800_000], T0 + 3_600_000)
    track = LegTrack(leg.begin).tracks[1]
    for first in (0, 30):
        run = readings[first : first + 30]
        assert track.pass_over(summarize(run), 30, first, 0)
