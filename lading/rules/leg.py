"""The rules over one leg, frame by frame: bounded state, the verdict at any time (docs/spec/verdict.md)."""

from collections.abc import Iterator
from typing import NamedTuple

from lading.assignment import Assignment
from lading.frame import CLOSED
from lading.quantities import CLOCK
from lading.rules.findings import Channel, Span, channel_findings
from lading.rules.track import NONE, ChannelTrack, Place
from lading.rules.view import FrameView, RunView
from lading.totals import EMPTY, Totals
from lading.tree import ZERO_HASH
from lading.verdict import Finding, Horizon, LegState, Verdict

NO_FRAMES = Horizon(0, 0, ZERO_HASH, 0)
_HASHES_MIN = 256


class Fork(NamedTuple):
    """Two signed frames with one frame_seq: hashes ascending, and the lesser and greater sent_ms."""

    frame_seq: int
    hashes: tuple[bytes, bytes]
    first_ms: int
    last_ms: int


class LastFrame(NamedTuple):
    """What the rules keep of the newest frame."""

    frame_seq: int
    hash: bytes
    leg_state: int
    sent_ms: int


class LegTrack:
    """A leg's contiguous frames so far: joined in frame_seq order, whatever the order they came in."""

    def __init__(self, begin: Assignment) -> None:
        assert begin.limits is not None, "a leg begins with limits"
        self.begin = begin
        self._leg_id = begin.leg_id
        self.limits = begin.limits
        count = len(self.limits.channels)
        self.tracks = {limits.channel: ChannelTrack(limits, count) for limits in self.limits.channels}
        self._totals: dict[int, Totals | bytes] = dict.fromkeys(self.tracks, EMPTY)
        self._shape = [(limits.channel, limits.quantity) for limits in self.limits.channels]
        self.first_seqs: dict[int, int] = dict.fromkeys(self.tracks, 0)
        self.first_frame_seq = 0
        self.first_sent_ms = 0
        self.last: LastFrame | None = None
        self.begin_ms = NONE  # least and greatest time of a reading without CLOCK
        self.end_ms = NONE
        self.hashes: dict[int, bytes] = {}  # frame number in the leg to frame hash, where a place needs it
        self._hashes_max = _HASHES_MIN

    @property
    def closed(self) -> bool:
        """True once the closing frame is joined."""
        return self.last is not None and self.last.leg_state == CLOSED

    def is_of_leg(self, frame: FrameView) -> bool:
        """True for a frame of this leg, from its gateway, under its limits."""
        header = frame.header
        named = (header.leg_id, header.gateway_id, header.limits_hash)
        if named != (self._leg_id, self.begin.gateway, self.limits.hash):
            return False
        return [(run.channel, run.quantity) for run in frame.runs] == self._shape

    def follows(self, frame: FrameView) -> bool:
        """True for the frame that comes next; the first must be a beginning: its totals count its own readings."""
        header = frame.header
        if self.last is None:
            return all(run.totals_count == run.reading_count for run in frame.runs)
        wanted = (self.last.frame_seq + 1, self.last.hash)
        if self.closed or (header.frame_seq, header.previous_hash) != wanted:
            return False
        return all(map(self._goes_on, frame.runs))

    def _goes_on(self, run: RunView) -> bool:
        """True when the run's sequence numbers and times come right after the channel's last reading."""
        last = self.tracks[run.channel].last
        if run.first_seq != self.first_seqs[run.channel] + last.nth + 1:
            return False
        if not run.reading_count:
            return True
        first_ms = run.summary.first_ms if run.summary else run.readings()[0].time_ms
        return first_ms > last.time_ms

    def join(self, frame: FrameView) -> None:
        """Take the next frame, which `is_of_leg` and `follows`."""
        header = frame.header
        if self.last is None:
            self.first_frame_seq, self.first_sent_ms = header.frame_seq, header.sent_ms
            self.first_seqs = {run.channel: run.first_seq for run in frame.runs}
        number = header.frame_seq - self.first_frame_seq
        self.hashes[number] = header.hash
        for run in frame.runs:
            self._totals[run.channel] = run.totals
            if run.reading_count:
                self._take_run(run, number)
        self.last = LastFrame(header.frame_seq, header.hash, header.leg_state, header.sent_ms)
        if len(self.hashes) > self._hashes_max:
            self.drop_hashes()

    def _take_run(self, run: RunView, number: int) -> None:
        track = self.tracks[run.channel]
        first = run.first_seq - self.first_seqs[run.channel]
        summary = run.summary
        if summary and track.pass_over(summary, run.reading_count, first, number):
            self._reach(summary.first_ms)
            self._reach(summary.last_ms)
            return
        for nth, reading in enumerate(run.readings(), first):
            track.take(reading, nth, number)
            if not reading.flags & CLOCK:
                self._reach(reading.time_ms)

    def _reach(self, time_ms: int) -> None:
        """A reading without CLOCK at this time."""
        if time_ms > self.end_ms:
            self.end_ms = time_ms
        if not 0 <= self.begin_ms <= time_ms:
            self.begin_ms = time_ms

    def totals(self, channel: int) -> Totals:
        """The channel's totals in the newest frame."""
        totals = self._totals[channel]
        return Totals.decode(totals) if isinstance(totals, bytes) else totals

    def totals_bytes(self, channel: int) -> bytes:
        """The same, encoded."""
        totals = self._totals[channel]
        return totals if isinstance(totals, bytes) else totals.encode()

    def set_totals(self, channel: int, totals: bytes) -> None:
        """Totals that a checkpoint kept."""
        self._totals[channel] = totals

    def drop_hashes(self) -> None:
        """Forget the hashes that no place needs: what keeps a leg's state bounded."""
        assert self.last is not None
        needed = {place.frame for place in self._places()} | {0, self.last.frame_seq - self.first_frame_seq}
        self.hashes = {number: value for number, value in self.hashes.items() if number in needed}
        self._hashes_max = max(_HASHES_MIN, 2 * len(self.hashes))

    def _places(self) -> Iterator[Place]:
        for track in self.tracks.values():
            yield from track.places()

    def verdict(self, fork: Fork | None, missing: bool, final: bool) -> Verdict:
        """What the rules say now.

        `fork`: the proof that ends the leg's judged frames, all of which are before it. `missing`: the leg has
        frames that do not join. `final`: every joined frame is in a finalized anchor.
        """
        state = self.state(fork, missing)
        found = [*self._channel_findings(), *self._late(), *_clone(fork)]
        return Verdict(
            leg_id=self._leg_id,
            gateway_id=self.begin.gateway,
            limits_hash=self.limits.hash,
            state=state,
            final=final and state in ("closed", "forked"),
            horizon=self._horizon(),
            findings=tuple(sorted(found, key=lambda finding: finding.order)),
            totals=tuple((c.channel, c.quantity, self.totals(c.channel)) for c in self.limits.channels),
        )

    def state(self, fork: Fork | None, missing: bool) -> LegState:
        """What there is of the leg."""
        if self.closed:
            return "closed"
        if missing:
            return "incomplete"
        return "forked" if fork else "open"

    def _horizon(self) -> Horizon:
        if self.last is None:
            return NO_FRAMES
        return Horizon(self.first_frame_seq, self.last.frame_seq, self.last.hash, max(self.end_ms, 0))

    def _channel_findings(self) -> Iterator[Finding]:
        if self.last is None:
            return
        span = self._span(self.last)
        for channel, track in self.tracks.items():
            scene = Channel(track, self.totals(channel), self.first_seqs[channel])
            yield from channel_findings(scene, span, self.hashes.__getitem__)

    def _span(self, last: LastFrame) -> Span:
        begin_ms = self.begin_ms if self.begin_ms != NONE else self.first_sent_ms
        end_ms = max(self.end_ms, last.sent_ms) if self.closed else max(self.end_ms, begin_ms)
        return Span(begin_ms, max(end_ms, begin_ms), last.frame_seq - self.first_frame_seq)

    def _late(self) -> Iterator[Finding]:
        due_ms = self.begin.due_ms
        if self.last is None or not due_ms:
            return
        reached_ms = self.last.sent_ms if self.closed else self.end_ms
        if reached_ms > due_ms:
            seq, figure = self.last.frame_seq, reached_ms - due_ms
            yield Finding("late", "breach", None, due_ms, reached_ms, figure, 0, seq, seq, (self.last.hash,))


def _clone(fork: Fork | None) -> Iterator[Finding]:
    if fork:
        seq, when = fork.frame_seq, (fork.first_ms, fork.last_ms)
        yield Finding("clone", "breach", None, *when, seq, None, seq, seq, fork.hashes)
