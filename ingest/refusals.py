"""What is refused: into the dead letters once, and two frames of one number into the clone proofs."""

from ingest.admission import envelope, open_head, peek
from ingest.known import dead_digest
from ingest.state import State
from ingest.turn import Candidate, Outcome, Turn
from lading.clone import Clone
from lading.deadletter import DeadLetter
from lading.errors import LadingError, RejectedError
from lading.tree import sha256


class Refusals:
    """Refuses within a turn; the state has what was refused before."""

    def __init__(self, state: State) -> None:
        self._state = state

    def refuse(
        self, turn: Turn, origin: str, data: bytes, error: LadingError, related: bytes | None = None
    ) -> Outcome:
        """Into the dead letters, once: the same message refused again for the same reason is only counted."""
        letter = DeadLetter(error.code, error.text, origin, turn.now_ms, data, related)
        turn.codes[error.code] += 1
        if self._is_new(turn, dead_digest(letter)):
            turn.dead.append(letter)
        return Outcome("refused", error.code)

    def refuse_candidate(self, turn: Turn, candidate: Candidate, error: LadingError) -> None:
        """A frame, which then waits no longer."""
        frame = peek(candidate.data)
        outcome = self.refuse(turn, candidate.origin, candidate.data, error)
        if frame:
            outcome = outcome._replace(gateway=frame.gateway, frame_seq=frame.frame_seq)
            if candidate.index is None:
                self._state.remove_waiting(frame.gateway, frame.frame_seq)
        turn.note(candidate, outcome)

    def refuse_equivocation(self, turn: Turn, origin: str, data: bytes, other: bytes) -> None:
        """Both envelopes are the proof; the one that came second, or does not fit, is a dead letter."""
        frame, rival = open_head(data), open_head(other)
        proof = Clone.of(envelope(data), envelope(other)).encode()
        if self._is_new(turn, sha256(proof)):
            turn.clones.append((frame.gateway, proof))
        text = f"frame {frame.frame_seq} is also {rival.hash.hex()}, signed by the same key"
        self.refuse(turn, origin, data, RejectedError("equivocation", text), envelope(other))

    def _is_new(self, turn: Turn, digest: bytes) -> bool:
        if digest in turn.digests or self._state.is_seen(digest):
            return False
        turn.digests.add(digest)
        return True
