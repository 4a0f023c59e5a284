"""One channel of a leg, reading by reading: what the stretch rules of docs/spec/verdict.md need, in bounded state.

A place is where a reading lies: its time, its number in the leg (seq − first_seq) and its frame's number in
the leg (frame_seq − the first frame's). NONE stands for no place.
"""

from typing import NamedTuple

from lading.limits import OFF_U32, ChannelLimits
from lading.quantities import CLOCK, FAULT, INVALID
from lading.totals import Reading

NONE = -1
FINDINGS_MAX = 64
FINDINGS_ALL_CHANNELS_MAX = 256
MINUTE_MS = 60_000

ABOVE, BELOW, GAP, RATE, STUCK, FAULTS, CLOCKS = STRETCH_RULES = (
    "excursion_above",
    "excursion_below",
    "gap",
    "rate",
    "stuck",
    "fault",
    "clock",
)


class Place(NamedTuple):
    """Where a reading lies in the leg."""

    time_ms: int
    nth: int
    frame: int


NOWHERE = Place(NONE, NONE, NONE)


class Stretch(NamedTuple):
    """What a rule found on an interval, or (in `more`) how many it found beyond those that are listed."""

    rule: str
    first: Place
    last: Place
    measured: int


class Summary(NamedTuple):
    """What a run of readings is like, whatever the limits: enough to pass over one in which nothing happens."""

    flags: int  # of all readings together
    last_flags: int
    least: int
    greatest: int
    first_value: int
    last_value: int
    first_ms: int
    last_ms: int
    step_ms: int  # longest time between neighbours
    rate: int  # greatest change between neighbours, scaled to a minute
    same_ms: int  # longest time at one value
    head_ms: int  # time of the last of the equal values that the run begins with
    tail: int  # position of the first of the equal values that the run ends with
    tail_ms: int  # and its time


def findings_max(channel_count: int) -> int:
    """How many findings of one rule and channel are listed one by one."""
    return min(FINDINGS_MAX, FINDINGS_ALL_CHANNELS_MAX // channel_count)


PLACES = (
    "last",
    "first_valid",
    "valid",
    "above",
    "below",
    "rate",
    "stuck",
    "fault",
    "clock",
    "peak_above",
    "peak_below",
)
FIGURES = (
    "last_flags",
    "value",
    "above_held_ms",
    "below_held_ms",
    "rate_most",
    "fault_count",
    "clock_count",
    "peak_above_value",
    "peak_below_value",
)


class ChannelTrack:
    """What is going on in one channel after the readings so far. Fields that hold a place have NOWHERE for none."""

    __slots__ = (*PLACES, *FIGURES, "count_max", "limits", "listed", "more")

    last: Place  # the last reading
    first_valid: Place
    valid: Place  # the last valid reading, and its value
    value: int

    def __init__(self, limits: ChannelLimits, channel_count: int) -> None:
        self.limits = limits
        self.count_max = findings_max(channel_count)
        self.last = NOWHERE  # the last reading
        self.last_flags = 0
        self.first_valid = NOWHERE
        self.valid = NOWHERE  # the last valid reading
        self.value = 0  # and its value
        self.above = NOWHERE  # the first reading of the stretch above that is going on
        self.above_held_ms = 0
        self.below = NOWHERE
        self.below_held_ms = 0
        self.rate = NOWHERE  # the first reading of the stretch of steep neighbours; it goes on to `valid`
        self.rate_most = 0
        self.stuck = NOWHERE  # the first of the equal values that go on to `valid`
        self.fault = NOWHERE  # the first of the readings with FAULT that go on to `last`
        self.fault_count = 0
        self.clock = NOWHERE
        self.clock_count = 0
        self.peak_above = NOWHERE
        self.peak_above_value = limits.peak_upper
        self.peak_below = NOWHERE
        self.peak_below_value = limits.peak_lower
        self.listed: list[Stretch] = []  # ended stretches beyond their limit, oldest first
        self.more: dict[str, Stretch] = {}  # by rule: those that are not listed, together

    def take(self, reading: Reading, nth: int, frame: int) -> None:
        """The channel's next reading, the `nth` in the leg, in the leg's frame number `frame`."""
        here = Place(reading.time_ms, nth, frame)
        flags = reading.flags
        if self.last is not NOWHERE and not self.last_flags & INVALID:
            self._hold(reading.time_ms - self.last.time_ms)
        if not flags & INVALID:
            self._take_valid(reading.value, here)
        if flags & FAULT or self.fault_count:
            self._flagged_fault(bool(flags & FAULT), here)
        if flags & CLOCK or self.clock_count:
            self._flagged_clock(bool(flags & CLOCK), here)
        self.last = here
        self.last_flags = flags

    def pass_over(self, run: Summary, count: int, nth: int, frame: int) -> bool:
        """Take a run of `count` readings from `nth` on at once, if nothing happens in it; else change nothing."""
        if not self._is_calm(run):
            return False
        goes_on = self.valid is not NOWHERE and run.first_value == self.value
        if self.valid is NOWHERE:
            self.first_valid = Place(run.first_ms, nth, frame)
        if run.tail or not goes_on:
            self.stuck = Place(run.tail_ms, nth + run.tail, frame)
        self.valid = self.last = Place(run.last_ms, nth + count - 1, frame)
        self.value, self.last_flags = run.last_value, run.last_flags
        return True

    def _is_calm(self, run: Summary) -> bool:
        """True when every reading is valid and inside, near the one before, and no rule of stretches sees anything."""
        limits = self.limits
        inside = max(limits.lower, self.peak_below_value) <= run.least and run.greatest <= min(
            limits.upper, self.peak_above_value
        )
        if not inside or run.flags & INVALID or self.fault_count or self.clock_count:
            return False
        if self.above is not NOWHERE or self.below is not NOWHERE or self.rate is not NOWHERE:
            return False
        step_ms, rate, same_ms = run.step_ms, run.rate, run.same_ms
        if self.valid is not NOWHERE:
            dt_ms = run.first_ms - self.valid.time_ms
            if dt_ms <= 0:
                return False
            step_ms = max(step_ms, dt_ms)
            rate = max(rate, abs(run.first_value - self.value) * MINUTE_MS // dt_ms)
            until_ms = run.head_ms if run.first_value == self.value else self.valid.time_ms
            same_ms = max(same_ms, until_ms - self.stuck.time_ms)
        return (
            step_ms <= min(limits.hold_ms, limits.gap_max_ms)
            and not is_over(rate, limits.rate_max)
            and not is_over(same_ms, limits.stuck_max_ms)
        )

    def _hold(self, dt_ms: int) -> None:
        """The last reading was valid: its value held, and lengthens the stretch it is in."""
        if self.above is not NOWHERE:
            self.above_held_ms += min(dt_ms, self.limits.hold_ms)
        if self.below is not NOWHERE:
            self.below_held_ms += min(dt_ms, self.limits.hold_ms)

    def _take_valid(self, value: int, here: Place) -> None:
        if self.valid is NOWHERE:
            self.first_valid = self.stuck = here
        else:
            self._compare(value, here)
        self._excursions(value, here)
        if value > self.peak_above_value:
            self.peak_above, self.peak_above_value = here, value
        if value < self.peak_below_value:
            self.peak_below, self.peak_below_value = here, value
        self.valid = here
        self.value = value

    def _compare(self, value: int, here: Place) -> None:
        """With the valid reading before: gap, rate of change, unchanged value."""
        dt_ms = here.time_ms - self.valid.time_ms
        if is_over(dt_ms, self.limits.gap_max_ms):
            self._add(Stretch(GAP, self.valid, here, dt_ms))
        near = 0 < dt_ms <= self.limits.hold_ms
        rate = abs(value - self.value) * MINUTE_MS // dt_ms if near else 0
        if is_over(rate, self.limits.rate_max):
            if self.rate is NOWHERE:
                self.rate = self.valid
            self.rate_most = max(self.rate_most, rate)
        elif self.rate is not NOWHERE:
            self._add(Stretch(RATE, self.rate, self.valid, self.rate_most))
            self.rate, self.rate_most = NOWHERE, 0
        if not near or value != self.value:
            self._end_stuck()
            self.stuck = here

    def _end_stuck(self) -> None:
        same_ms = self.valid.time_ms - self.stuck.time_ms
        if is_over(same_ms, self.limits.stuck_max_ms):
            self._add(Stretch(STUCK, self.stuck, self.valid, same_ms))

    def _excursions(self, value: int, here: Place) -> None:
        limits = self.limits
        if value > limits.upper:
            if self.above is NOWHERE:
                self.above = here
        elif self.above is not NOWHERE:
            if is_over(self.above_held_ms, limits.above_stretch_max_ms):
                self._add(Stretch(ABOVE, self.above, here, self.above_held_ms))
            self.above, self.above_held_ms = NOWHERE, 0
        if value < limits.lower:
            if self.below is NOWHERE:
                self.below = here
        elif self.below is not NOWHERE:
            if is_over(self.below_held_ms, limits.below_stretch_max_ms):
                self._add(Stretch(BELOW, self.below, here, self.below_held_ms))
            self.below, self.below_held_ms = NOWHERE, 0

    def _flagged_fault(self, flagged: bool, here: Place) -> None:
        if not flagged:
            self._add(Stretch(FAULTS, self.fault, self.last, self.fault_count))
            self.fault, self.fault_count = NOWHERE, 0
            return
        if not self.fault_count:
            self.fault = here
        self.fault_count += 1

    def _flagged_clock(self, flagged: bool, here: Place) -> None:
        if not flagged:
            self._add(Stretch(CLOCKS, self.clock, self.last, self.clock_count))
            self.clock, self.clock_count = NOWHERE, 0
            return
        if not self.clock_count:
            self.clock = here
        self.clock_count += 1

    def _add(self, stretch: Stretch) -> None:
        """List an ended stretch, or count it once the rule's list is full."""
        rule = stretch.rule
        if rule in self.more:
            more = self.more[rule]
            self.more[rule] = Stretch(rule, more.first, stretch.last, more.measured + 1)
        elif sum(listed.rule == rule for listed in self.listed) < self.count_max:
            self.listed.append(stretch)
        else:
            self.more[rule] = Stretch(rule, stretch.first, stretch.last, 1)

    def places(self) -> list[Place]:
        """Every place whose frame hash a finding may still need."""
        own = [getattr(self, name) for name in PLACES]
        listed = [place for stretch in self.listed for place in (stretch.first, stretch.last)]
        return [place for place in own + listed if place is not NOWHERE]

    def going_on(self) -> list[Stretch]:
        """Stretches beyond their limit that no reading has ended yet."""
        limits = self.limits
        found = []
        if self.above is not NOWHERE and is_over(self.above_held_ms, limits.above_stretch_max_ms):
            found.append(Stretch(ABOVE, self.above, self.last, self.above_held_ms))
        if self.below is not NOWHERE and is_over(self.below_held_ms, limits.below_stretch_max_ms):
            found.append(Stretch(BELOW, self.below, self.last, self.below_held_ms))
        if self.rate is not NOWHERE:
            found.append(Stretch(RATE, self.rate, self.valid, self.rate_most))
        if self.valid is not NOWHERE and is_over(
            self.valid.time_ms - self.stuck.time_ms, limits.stuck_max_ms
        ):
            found.append(Stretch(STUCK, self.stuck, self.valid, self.valid.time_ms - self.stuck.time_ms))
        if self.fault_count:
            found.append(Stretch(FAULTS, self.fault, self.last, self.fault_count))
        if self.clock_count:
            found.append(Stretch(CLOCKS, self.clock, self.last, self.clock_count))
        return found


def is_over(figure: int, limit: int) -> bool:
    """A limit is broken by a greater figure; one that is off never is."""
    return figure > limit != OFF_U32
