"""A leg's scores computed again from its frames, and held against what the log says of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from anomaly.scoring.engine import Engine
from anomaly.scoring.release import release
from anomaly.scoring.said import Said
from lading.episode import SCORE_MAX, ChannelScores, Episode, ScoredLeg, Scores

BATCH_FRAMES = 256
SHOWN_MAX = 64


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a record is not what the detectors compute: readings first_seq to last_seq of a channel."""

    channel: int | None  # None: frames, not readings
    first_seq: int
    last_seq: int
    text: str


@dataclass(slots=True)
class Replay:
    """What came of it. Nothing is identical where nothing was compared."""

    release: str
    frames: int = 0
    readings: int = 0
    episodes: int = 0  # records that were compared
    sheets: int = 0
    difference_count: int = 0
    differences: list[Difference] = field(default_factory=list)  # the first ones
    left: list[str] = field(default_factory=list)  # what could not be compared, and why

    @property
    def result(self) -> str:
        """`differs`, `incomplete` where something could not be compared, else `identical`."""
        if self.difference_count:
            return "differs"
        return "incomplete" if self.left else "identical"

    def add(self, difference: Difference) -> None:
        """One more."""
        self.difference_count += 1
        if len(self.differences) < SHOWN_MAX:
            self.differences.append(difference)


def replay(frames: Mapping[int, bytes], withheld: frozenset[int], recorded: Iterable[Said]) -> Replay:
    """`frames` are a leg's by frame_seq, `withheld` those of them without all readings; `recorded` what the log has."""
    scorings: dict[ScoredLeg, list[Said]] = defaultdict(list)
    for one in recorded:
        scorings[one.leg].append(one)
    done = Replay(release())
    if not scorings:
        done.left.append("the log has no scores of the leg")
    for leg, said in scorings.items():
        if leg.release == done.release:
            _compare(_compute(frames, withheld, leg, said, done), said, done)
        else:
            done.left.append(f"{len(said)} records are of release {leg.release}, this is {done.release}")
    return done


@dataclass(frozen=True, slots=True)
class _Computed:
    said: list[Said]
    is_cut: bool  # frames were missing: what comes behind is not known


def _compute(
    frames: Mapping[int, bytes], withheld: frozenset[int], leg: ScoredLeg, said: Sequence[Said], done: Replay
) -> _Computed:
    """Score the frames that were scored: those in the sheets' ranges, then all that follow."""
    wanted, missing = _wanted(frames, withheld, leg, said)
    if missing is not None:
        done.left.append(f"frame {missing} is not there with its readings: what follows was not compared")
    engine, found = Engine(), list[Said]()
    for at in range(0, len(wanted), BATCH_FRAMES):
        found += engine.take([frames[seq] for seq in wanted[at : at + BATCH_FRAMES]])
    done.frames += len(wanted)
    done.readings += engine.readings
    return _Computed(found, missing is not None)


def _wanted(
    frames: Mapping[int, bytes], withheld: frozenset[int], leg: ScoredLeg, said: Sequence[Said]
) -> tuple[list[int], int | None]:
    """The frames to score, and the first one that is missing."""
    sheets = sorted((one for one in said if isinstance(one, Scores)), key=lambda one: one.part)
    wanted: list[int] = []
    after = leg.first_frame_seq
    for sheet in sheets:
        for first, last in sheet.frames:
            for seq in range(max(first, after), last + 1):
                if seq not in frames or seq in withheld:
                    return wanted, seq
                wanted.append(seq)
            after = max(after, last + 1)
    if not any(sheet.closed for sheet in sheets):
        wanted += [seq for seq in sorted(frames) if seq >= after and seq not in withheld]
    return wanted, None


def _compare(computed: _Computed, said: Sequence[Said], done: Replay) -> None:
    sheets = {one.part: one for one in computed.said if isinstance(one, Scores)}
    episodes = {(*one.key[1:], one.state): one for one in computed.said if isinstance(one, Episode)}
    heard = set()
    for one in said:
        if isinstance(one, Scores):
            _compare_sheet(one, sheets.get(one.part), done, is_cut=computed.is_cut)
        else:
            heard.add((*one.key[1:], one.state))
            _compare_episode(one, episodes.get((*one.key[1:], one.state)), done, is_cut=computed.is_cut)
    for missing in _unsaid(computed.said, said):
        if (*missing.key[1:], missing.state) not in heard:
            done.add(_of(missing, f"computed, and not in the log: {_shown(missing)}"))


def _unsaid(computed: Sequence[Said], said: Sequence[Said]) -> list[Episode]:
    """Episodes that the log must have: those before the last sheet that it has."""
    last = max((one.part for one in said if isinstance(one, Scores)), default=-1)
    ends = [at for at, one in enumerate(computed) if isinstance(one, Scores) and one.part <= last]
    return [one for one in computed[: max(ends, default=0)] if isinstance(one, Episode)]


def _compare_episode(recorded: Episode, computed: Episode | None, done: Replay, *, is_cut: bool) -> None:
    if computed is None and is_cut:
        return
    done.episodes += 1
    if computed is None:
        done.add(_of(recorded, f"in the log, and not computed: {_shown(recorded)}"))
    elif recorded != computed:
        done.add(_of(recorded, f"recorded {_shown(recorded)}, computed {_shown(computed)}"))


def _of(one: Episode, text: str) -> Difference:
    return Difference(one.channel, one.begin.seq, one.last.seq, f"{one.state} episode: {text}")


def _shown(one: Episode) -> str:
    """What may differ, at the reading it is about."""
    readings = f"readings {one.begin.seq} to {one.last.seq}"
    return f"{one.detector} {one.score / SCORE_MAX:.6f} at reading {one.peak.seq}, {readings}, {one.reason!r}"


def _compare_sheet(recorded: Scores, computed: Scores | None, done: Replay, *, is_cut: bool) -> None:
    if computed is None and is_cut:
        return
    done.sheets += 1
    first, last = recorded.frames[0][0], recorded.frames[-1][1]
    if computed is None or (recorded.frames, recorded.closed) != (computed.frames, computed.closed):
        found = "nothing" if computed is None else f"frames {computed.frames}, closed: {computed.closed}"
        text = f"part {recorded.part}: recorded frames {recorded.frames}, closed: {recorded.closed}; computed {found}"
        done.add(Difference(None, first, last, text))
        return
    ours = {one[:2]: one for one in computed.channels}
    theirs = {one[:2]: one for one in recorded.channels}
    for key in sorted(ours.keys() | theirs.keys()):
        _compare_channel(theirs.get(key), ours.get(key), done)


def _compare_channel(recorded: ChannelScores | None, computed: ChannelScores | None, done: Replay) -> None:
    if recorded == computed:
        return
    one = recorded or computed
    assert one is not None
    text = f"recorded {_sums(recorded)}, computed {_sums(computed)}"
    done.add(Difference(one.channel, one.first_seq, one.first_seq + one.readings - 1, text))


def _sums(one: ChannelScores | None) -> str:
    if one is None:
        return "nothing"
    counts = f"{one.readings} readings from {one.first_seq}, {one.invalid} of them invalid"
    return f"{one.score / SCORE_MAX:.6f} at reading {one.seq} (digest {one.digest.hex()}, {counts})"
