"""What one turn of the stage works on: candidates on the way in, and what will be written at its end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.admission import Peeked
from ingest.checking import Sound
from ingest.state import Waiting
from lading.deadletter import DeadLetter


class Outcome(NamedTuple):
    """What became of a message: action `taken`, `waiting`, `dropped` or `refused`, and the code that says why.

    `sent_ms`: when a frame that was taken was signed, by its gateway's clock.
    """

    action: str
    code: str = ""
    gateway: bytes | None = None
    frame_seq: int | None = None
    sent_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A frame's bytes on the way in. `index`: its message in this turn; None when it waited."""

    data: bytes
    origin: str
    tenant: str | None
    since_ms: int
    index: int | None
    is_overdue: bool = False

    @staticmethod
    def of(waiting: Waiting, *, is_overdue: bool) -> "Candidate":
        """A frame that waited, anew."""
        return Candidate(waiting.data, waiting.origin, None, waiting.since_ms, None, is_overdue)


class Ready(NamedTuple):
    """A candidate whose bytes and signature are good."""

    candidate: Candidate
    frame: Peeked
    sound: Sound


@dataclass
class Turn:
    """What one turn will write."""

    now_ms: int
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    frames: list[tuple[Peeked, bytes]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    clones: list[tuple[bytes, bytes]] = field(default_factory=list)
    orders: list[tuple[bytes, bytes]] = field(default_factory=list)
    digests: set[bytes] = field(default_factory=set)
    waiting_of: set[bytes] = field(default_factory=set)
    codes: Counter[str] = field(default_factory=Counter)
    again: list[Candidate] = field(default_factory=list)

    def note(self, candidate: Candidate, outcome: Outcome) -> None:
        """A message's outcome; of a frame that had waited nobody asks."""
        if candidate.index is not None:
            self.outcomes[candidate.index] = outcome

    def drop(self, candidate: Candidate, frame: Peeked) -> None:
        """A frame that was taken before; one that had waited was counted when it came."""
        self.codes["duplicate"] += candidate.index is not None
        self.note(candidate, Outcome("dropped", "duplicate", frame.gateway, frame.frame_seq))
