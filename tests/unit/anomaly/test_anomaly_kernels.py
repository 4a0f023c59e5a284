"""The kernel equals its twin, and passing over a run leaves the state that taking its readings leaves."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.frames import read_frames
from anomaly.kernels import FIELDS, summarize_runs
from lading.limits import OFF_HIGH, OFF_LOW, OFF_U32, ChannelLimits, Limits
from lading.rules import LegTrack, Summary, save, summarize, view
from lading.rules.track import FIGURES, NOWHERE, PLACES, ChannelTrack
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


LIMITS = st.builds(
    ChannelLimits,
    channel=st.just(1),
    quantity=st.just(2),
    lower=st.sampled_from([-2, OFF_LOW]),
    upper=st.sampled_from([2, OFF_HIGH]),
    hold_ms=st.sampled_from([20, 40]),
    above_stretch_max_ms=st.just(0),
    below_stretch_max_ms=st.just(0),
    peak_lower=st.sampled_from([-3, OFF_LOW]),
    peak_upper=st.sampled_from([2, OFF_HIGH]),
    gap_max_ms=st.sampled_from([20, 40, OFF_U32]),
    rate_max=st.sampled_from([3_000, 6_000, OFF_U32]),
    stuck_max_ms=st.sampled_from([40, 100, OFF_U32]),
)
READINGS = {
    "same": (st.just(20), st.just(1), st.just(0)),
    "calm": (st.just(20), st.sampled_from([0, 1]), st.sampled_from([0, 0, 4])),
    "wild": (
        st.sampled_from([20, 40, 41]),
        st.sampled_from([0, 1, 2, 3, -3, -4]),
        st.sampled_from([0, 0, 1, 2]),
    ),
}
"""By kind of run: step in ms, value, flags."""


@st.composite
def runs(draw: st.DrawFn) -> list[list[Reading]]:
    """Runs of one to four readings, most of them calm."""
    found: list[list[Reading]] = []
    seq, at_ms = 0, T0
    for kind in draw(st.lists(st.sampled_from(["same", "same", "calm", "calm", "wild"]), max_size=12)):
        run = []
        for step_ms, value, flags in draw(st.lists(st.tuples(*READINGS[kind]), min_size=1, max_size=4)):
            at_ms += step_ms
            run.append(Reading(seq, at_ms, value, flags))
            seq += 1
        found.append(run)
    return found


def state(track: ChannelTrack) -> dict[str, object]:
    """Everything a track holds, and which of its places are none."""
    held = {name: getattr(track, name) for name in (*PLACES, *FIGURES, "listed", "more")}
    return held | {f"{name} is none": held[name] is NOWHERE for name in PLACES}


@given(LIMITS, runs())
@settings(max_examples=300, deadline=None)
def test_passing_over_is_taking_one_by_one(limits: ChannelLimits, runs: list[list[Reading]]) -> None:
    """Whether runs are passed over or not, the state is that of the readings taken one by one."""
    bulk, single = ChannelTrack(limits, 1), ChannelTrack(limits, 1)
    for number, run in enumerate(runs):
        passed = bulk.pass_over(summarize(run), len(run), run[0].seq, number)
        for reading in run:
            single.take(reading, reading.seq, number)
            if not passed:
                bulk.take(reading, reading.seq, number)
        assert state(bulk) == state(single)


@given(stories(), cuts, st.booleans())
@settings(max_examples=60, deadline=None)
def test_bulk_frames_leave_the_same_state(story: Story, cuts_ms: list[int], closed: bool) -> None:
    """Frames read in bulk: the saved state is byte for byte that of decoded frames."""
    leg = story.cut(cuts_ms, closed)
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
