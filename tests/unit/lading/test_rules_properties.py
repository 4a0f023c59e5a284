"""The rules against a twin written from the page, and what must not matter: cuts, order, duplicates, restarts."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from lading.limits import OFF_HIGH, OFF_LOW, OFF_U32, ChannelLimits, Limits
from lading.quantities import Quantity
from lading.rules import LegTrack, judge, load, save, view
from lading.totals import Reading
from lading.verdict import Verdict
from tests import naive
from tests.legs import Leg, make_leg, make_order

T0 = 1_700_000_000_000


@dataclass(frozen=True)
class Story:
    """Limits and readings of a leg, not yet cut into frames."""

    limits: tuple[ChannelLimits, ...]
    readings: dict[int, list[Reading]]
    end_ms: int

    def cut(self, cuts_ms: list[int], closed: bool) -> Leg:
        """The leg in frames."""
        cuts = sorted({min(cut, self.end_ms) for cut in cuts_ms})
        return make_leg(make_order(Limits(self.limits)), self.readings, cuts, self.end_ms, closed=closed)


def times(off: int = OFF_U32) -> st.SearchStrategy[int]:
    """A limit in ms, or off."""
    return st.one_of(st.just(off), st.integers(0, 400))


@st.composite
def channel_limits(draw: st.DrawFn, channel: int) -> ChannelLimits:
    """Limits that readings between −9 and 9 cross often."""
    low, high = sorted((draw(st.integers(-6, 6)), draw(st.integers(-6, 6))))
    return ChannelLimits(
        channel,
        draw(st.sampled_from([Quantity.TEMPERATURE, Quantity.HUMIDITY, Quantity.DOOR, Quantity.SHOCK])),
        lower=draw(st.sampled_from([low, OFF_LOW])),
        upper=draw(st.sampled_from([high, OFF_HIGH])),
        hold_ms=draw(st.integers(1, 250)),
        above_stretch_max_ms=draw(times()),
        above_total_max_ms=draw(times()),
        below_stretch_max_ms=draw(times()),
        below_total_max_ms=draw(times()),
        peak_lower=draw(st.sampled_from([low - 2, OFF_LOW])),
        peak_upper=draw(st.sampled_from([high + 2, OFF_HIGH])),
        gap_max_ms=draw(times()),
        unknown_total_max_ms=draw(times()),
        rate_max=draw(st.one_of(st.just(OFF_U32), st.integers(0, 20_000))),
        stuck_max_ms=draw(times()),
    )


@st.composite
def channel_readings(draw: st.DrawFn, least: int) -> list[Reading]:
    """Readings with steps of 1 to 150 ms, faults and clock trouble among them."""
    count = draw(st.integers(least, 25))
    steps = draw(st.lists(st.integers(1, 150), min_size=count, max_size=count))
    values = draw(st.lists(st.integers(-9, 9), min_size=count, max_size=count))
    flags = draw(st.lists(st.sampled_from([0, 0, 0, 0, 4, 1, 2, 3]), min_size=count, max_size=count))
    first_seq, at_ms, found = draw(st.integers(0, 2**40)), T0, []
    for i in range(count):
        at_ms += steps[i]
        found.append(Reading(first_seq + i, at_ms, values[i], 0 if least and i == 0 else flags[i]))
    return found


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """One to three channels; the first has a reading with a clock."""
    channels = range(1, draw(st.integers(1, 3)) + 1)
    limits = tuple(draw(channel_limits(channel)) for channel in channels)
    readings = {channel: draw(channel_readings(1 if channel == 1 else 0)) for channel in channels}
    last_ms = max(own[-1].time_ms for own in readings.values() if own)
    return Story(limits, readings, last_ms + draw(st.integers(0, 500)))


cuts = st.lists(st.integers(T0, T0 + 4000), max_size=6)


def without_hashes(verdict: Verdict) -> list[naive.Said]:
    """Findings as the twin gives them."""
    return [
        naive.Said(
            f.rule,
            f.severity,
            f.channel,
            f.first_ms,
            f.last_ms,
            f.measured,
            f.limit,
            f.first_seq,
            f.last_seq,
        )
        for f in verdict.findings
    ]


@given(stories(), cuts, st.booleans())
@settings(max_examples=150, deadline=None)
def test_findings_equal_the_twin(story: Story, cuts_ms: list[int], closed: bool) -> None:
    """Every finding, figure and reading number is what the page says, whatever the frames."""
    leg = story.cut(cuts_ms, closed)
    verdict = judge(leg.begin, leg.frames, [], final=False)
    closing_ms = leg.frames[-1].header.sent_ms if closed else None
    assert without_hashes(verdict) == naive.findings(story.readings, story.limits, closing_ms)


@given(stories(), cuts, cuts, st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_cut_into_frames_changes_nothing(
    story: Story, one: list[int], other: list[int], closed: bool
) -> None:
    """Findings but for their hashes, totals and the horizon's time are those of the readings."""
    verdicts = [
        judge(leg.begin, leg.frames, [], final=False)
        for leg in (story.cut(one, closed), story.cut(other, closed))
    ]
    assert without_hashes(verdicts[0]) == without_hashes(verdicts[1])
    assert verdicts[0].totals == verdicts[1].totals
    assert verdicts[0].horizon.last_ms == verdicts[1].horizon.last_ms


@given(stories(), cuts, st.data())
@settings(max_examples=60, deadline=None)
def test_order_and_duplicates_change_no_byte(story: Story, cuts_ms: list[int], data: st.DataObject) -> None:
    """Some of the frames, in any order, some twice: the same bytes as in order."""
    leg = story.cut(cuts_ms, closed=True)
    some = data.draw(st.lists(st.sampled_from(leg.frames), max_size=10))
    shuffled = data.draw(st.permutations([*some, *some[:3]]))
    in_order = sorted({frame.header.frame_seq for frame in some})
    wanted = judge(leg.begin, [leg.frames[seq] for seq in in_order], [], final=True)
    assert judge(leg.begin, shuffled, [], final=True).encoded == wanted.encoded
    assert Verdict.decode(wanted.encoded) == wanted


@given(stories(), cuts, st.booleans())
@settings(max_examples=60, deadline=None)
def test_frame_by_frame_with_restarts_gives_the_same_bytes(
    story: Story, cuts_ms: list[int], closed: bool
) -> None:
    """Saved and loaded after every frame, the state goes on as if it had never stopped."""
    leg = story.cut(cuts_ms, closed)
    track = LegTrack(leg.begin)
    for i, frame in enumerate(map(view, leg.frames)):
        assert track.is_of_leg(frame)
        assert track.follows(frame)
        track.join(frame)
        track = load(leg.begin, save(track))
        wanted = judge(leg.begin, leg.frames[: i + 1], [], final=False)
        assert track.verdict(None, missing=False, final=False).encoded == wanted.encoded
