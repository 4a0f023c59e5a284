"""The verdict over a set of frames: what a verifier computes at once (docs/spec/verdict.md, "What is judged")."""

from collections.abc import Iterable
from typing import NamedTuple

from lading.assignment import Assignment
from lading.clone import Clone
from lading.frame import CLOSED, Frame, Header
from lading.rules.leg import Fork, LegTrack
from lading.rules.view import FrameView, view
from lading.verdict import Verdict


class SignedAs(NamedTuple):
    """What a fork needs of a signed header."""

    frame_seq: int
    hash: bytes
    sent_ms: int

    @staticmethod
    def of(header: Header) -> "SignedAs":
        """From a header."""
        return SignedAs(header.frame_seq, header.hash, header.sent_ms)


def judge(begin: Assignment, frames: Iterable[Frame], clones: Iterable[Clone], *, final: bool) -> Verdict:
    """The verdict over a leg's frames, in any order, duplicates allowed, and the clone proofs of its gateway.

    Signatures, roots and totals are checked by the caller; frames of other legs are passed over.
    `final`: every frame is in a finalized anchor.
    """
    track = LegTrack(begin)
    of_leg = _of_leg(track, map(view, frames))
    if not of_leg:
        return track.verdict(None, missing=False, final=False)
    first_seq, last_seq = of_leg[0].header.frame_seq, of_leg[-1].header.frame_seq
    signed = [SignedAs.of(header) for clone in clones for header in _own(clone, begin.gateway)]
    signed += [SignedAs.of(frame.header) for frame in of_leg]
    fork = find_fork(signed, first_seq, last_seq)
    for frame in of_leg:
        if (fork and frame.header.frame_seq >= fork.frame_seq) or not track.follows(frame):
            break
        track.join(frame)
    return track.verdict(fork, is_missing(track, first_seq, last_seq, fork), final)


def _of_leg(track: LegTrack, frames: Iterable[FrameView]) -> list[FrameView]:
    """The leg's distinct frames by frame_seq, up to its first closing one."""
    by_hash = {frame.header.hash: frame for frame in frames if track.is_of_leg(frame)}
    ordered = sorted(by_hash.values(), key=lambda frame: (frame.header.frame_seq, frame.header.hash))
    closing = [frame.header.frame_seq for frame in ordered if frame.header.leg_state == CLOSED]
    return [frame for frame in ordered if not closing or frame.header.frame_seq <= closing[0]]


def _own(clone: Clone, gateway: bytes) -> tuple[Header, ...]:
    headers = clone.headers()
    return headers if headers[0].gateway_id == gateway else ()


def find_fork(signed: Iterable[SignedAs], first_seq: int, last_seq: int) -> Fork | None:
    """The first frame_seq from first_seq to right after last_seq under which two frames were signed."""
    by_seq: dict[int, dict[bytes, SignedAs]] = {}
    for one in signed:
        if first_seq <= one.frame_seq <= last_seq + 1:
            by_seq.setdefault(one.frame_seq, {})[one.hash] = one
    forked = [seq for seq, found in by_seq.items() if len(found) > 1]
    if not forked:
        return None
    seq = min(forked)
    low, high = sorted(by_seq[seq])[:2]
    sent = sorted(by_seq[seq][value].sent_ms for value in (low, high))
    return Fork(seq, (low, high), sent[0], sent[1])


def is_missing(track: LegTrack, first_seq: int, last_seq: int, fork: Fork | None) -> bool:
    """True when the leg has frames, or a fork, that the joined frames do not reach."""
    reached = track.last.frame_seq if track.last else first_seq - 1
    return not track.closed and reached < (fork.frame_seq - 1 if fork else last_seq)
