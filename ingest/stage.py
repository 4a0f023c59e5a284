"""The stage's driver: messages in, each frame once in the log, the rest in the dead letters, durable on return.

Order of writing: the log first, then the state. Whoever opens the state next follows what the log has beyond it
(`Known.begin`), so a kill between the two neither loses a frame nor writes it twice. Processes that share a log
share one state file, and take turns.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ingest.admission import (
    Action,
    Decision,
    Past,
    Peeked,
    check_gateway,
    check_validity,
    decide,
    envelope,
    open_head,
    peek,
)
from ingest.checking import check_bytes, check_signatures, why_not_following
from ingest.known import HEADS_CACHED_BYTES, Known, dead_digest
from ingest.orders import check_order
from ingest.raw import key_of
from ingest.state import GAP, LIMITS, State, Waiting
from ingest.turn import Candidate, Outcome, Ready, Turn
from lading import topics
from lading.clone import Clone
from lading.cose import PublicKey
from lading.deadletter import DeadLetter
from lading.errors import LadingError, MalformedError, RejectedError
from lading.fields import U64_MAX
from lading.gateways import GatewayEntry, Gateways
from lading.limits import Limits
from lading.log import WatchedLog, wall_ms
from lading.signatures import Signatures
from lading.tree import sha256

MESSAGES_MAX = 100_000
WAITING_OF_GATEWAY_MAX = 64
WAITING_MAX = 10_000
WAITING_MS = 600_000
OVERDUE_A_STEP = 1_000
VERIFY_THREADS = 2

_FOREVER_MS = 2**62


class Ingest:
    """Admission with its state. `operators` are the keys that may order, by tenant id.

    `is_replayed`: messages come from the log, which has them again (`State`). `follow_ms`: how long a turn may go
    without asking what others have written to the log. 0 where others share the state; more where it is one process's,
    which sees by its own appends whether somebody wrote between them.
    """

    def __init__(
        self,
        log: WatchedLog,
        state: Path | str,
        gateways: Gateways,
        operators: Mapping[bytes, PublicKey],
        *,
        now_ms: Callable[[], int] = wall_ms,
        waiting_of_gateway_max: int = WAITING_OF_GATEWAY_MAX,
        waiting_max: int = WAITING_MAX,
        waiting_ms: int = WAITING_MS,
        heads_cached_bytes: int = HEADS_CACHED_BYTES,
        verify_threads: int = VERIFY_THREADS,
        follow_ms: int = 0,
        is_replayed: bool = False,
        signatures: Signatures | None = None,
    ) -> None:
        self.state = State(state, is_replayed=is_replayed)
        self._gateways = gateways
        self._operators = operators
        self._now_ms = now_ms
        self._waiting_of_gateway_max = waiting_of_gateway_max
        self._waiting_max = waiting_max
        self._waiting_ms = waiting_ms
        self._known = Known(log, self.state, heads_cached_bytes, follow_ms)
        self._signatures = signatures or Signatures()
        self._pool = ThreadPoolExecutor(verify_threads, "verify")
        with self._turn():
            pass

    def close(self) -> None:
        """Close the state file and the threads."""
        self._pool.shutdown()
        self.state.close()

    def take(
        self, messages: Sequence[tuple[str, bytes]], *, read: Mapping[str, dict[int, int]] | None = None
    ) -> list[Outcome]:
        """Take (MQTT topic, payload) messages: everything they cause is durable on return.

        `read`: how far the topics of the log that they come from have been read; kept with what they cause.
        ServiceError: nothing is promised of these messages, and they may be given again.
        """
        assert len(messages) <= MESSAGES_MAX, f"{len(messages)} messages at once"
        with self._turn() as turn:
            self._take_all(turn, messages)
            for topic, positions in (read or {}).items():
                self.state.set_positions(topic, positions)
        return [turn.outcomes[index] for index in range(len(messages))]

    def step(self) -> int:
        """Release frames that have waited long enough, the gap before them left open. How many were looked at."""
        with self._turn() as turn:
            due = self.state.overdue(turn.now_ms - self._waiting_ms, OVERDUE_A_STEP)
            excess = self.state.waiting_count() - self._waiting_max
            if not due and excess > 0:
                due = self.state.overdue(_FOREVER_MS, min(excess, OVERDUE_A_STEP))
            self._process(turn, [Candidate.of(waiting, is_overdue=True) for waiting in due])
        return len(due)

    def retry(self, letter: DeadLetter) -> Outcome:
        """Put a dead letter through again: it is taken now, or refused and written anew."""
        with self._turn() as turn:
            self.state.forget_seen(dead_digest(letter))
            self._take_all(turn, [(letter.origin, letter.data)])
        return turn.outcomes[0]

    @contextmanager
    def _turn(self) -> Iterator[Turn]:
        """Inside the state's transaction: the log is followed first, and written before the state is."""
        try:
            with self.state.transaction():
                now_ms = self._now_ms()
                followed = self._known.begin(now_ms)
                turn = Turn(now_ms, waiting_of=self.state.waiting_gateways())
                for gateway in sorted(followed & turn.waiting_of):
                    self._try_again(turn, gateway, LIMITS, GAP)
                yield turn
                self._process(turn, [])
                self._write(turn)
        except BaseException:
            self._known.forget()
            raise

    def _take_all(self, turn: Turn, messages: Sequence[tuple[str, bytes]]) -> None:
        candidates: list[Candidate] = []
        for index, (topic, data) in enumerate(messages):
            parts = topic.split("/")
            kind = parts[4] if len(parts) == 5 and topic.startswith(f"{topics.ROOT}/") else ""
            if kind == "frames":
                candidates.append(Candidate(data, topic, parts[2], turn.now_ms, index))
            elif kind == "assignment":
                turn.outcomes[index] = self._take_order(turn, topic, data)
            else:
                error = MalformedError("topic", f"{topic[:200]!r} carries neither frames nor orders")
                turn.outcomes[index] = self._refuse(turn, topic, data, error)
        self._process(turn, candidates)

    def _process(self, turn: Turn, candidates: list[Candidate]) -> None:
        """Rounds: what is taken may let a frame that waited follow, which may let the next."""
        candidates = candidates + turn.again
        while candidates:
            turn.again = []
            for item in self._check(turn, candidates):
                self._admit(turn, item)
            candidates = turn.again

    # Checks that need no past, over all candidates at once.

    def _check(self, turn: Turn, candidates: Iterable[Candidate]) -> list[Ready]:
        """The candidates whose size, gateway, bytes, times and signature are good, by gateway and frame_seq."""
        found: list[tuple[Candidate, Peeked, GatewayEntry]] = []
        entries: dict[bytes, GatewayEntry | None] = {}
        for candidate in candidates:
            try:
                frame = open_head(candidate.data)
                if frame.gateway not in entries:
                    entries[frame.gateway] = self._gateways.find(frame.gateway)
                entry = check_gateway(frame, entries[frame.gateway], candidate.tenant)
            except LadingError as exc:
                self._refuse_candidate(turn, candidate, exc)
                continue
            if self._known.hash_of(frame.gateway, frame.frame_seq) == frame.hash:
                self._drop(turn, candidate, frame)
            else:
                found.append((candidate, frame, entry))
        found.sort(key=lambda item: (item[1].gateway, item[1].frame_seq))
        return self._check_signed(turn, self._check_bytes(turn, found))

    def _check_bytes(
        self, turn: Turn, found: list[tuple[Candidate, Peeked, GatewayEntry]]
    ) -> list[tuple[Ready, GatewayEntry]]:
        hashes = {frame.hash for _, frame, _ in found}
        before = {
            (frame.gateway, frame.frame_seq - 1)
            for _, frame, _ in found
            if frame.frame_seq and frame.previous_hash not in hashes
        }
        heads = [head for place in sorted(before) if (head := self._known.head_of(*place)) is not None]
        limits = dict(leg for _, frame, _ in found if (leg := self._known.limits_of(frame)) is not None)
        sounds = check_bytes([candidate.data for candidate, _, _ in found], heads, limits)
        ready: list[tuple[Ready, GatewayEntry]] = []
        for (candidate, frame, entry), sound in zip(found, sounds, strict=True):
            try:
                if isinstance(sound, LadingError):
                    raise sound
                check_validity(frame, sound.head.records, entry)
                ready.append((Ready(candidate, frame, sound), entry))
            except LadingError as exc:
                self._refuse_candidate(turn, candidate, exc)
        return ready

    def _check_signed(self, turn: Turn, found: list[tuple[Ready, GatewayEntry]]) -> list[Ready]:
        claims = [(entry.public, item.sound.digest, item.sound.signature) for item, entry in found]
        ready: list[Ready] = []
        for (item, _), error in zip(
            found, check_signatures(claims, self._signatures, self._pool), strict=True
        ):
            if error is None:
                ready.append(item)
            else:
                self._refuse_candidate(turn, item.candidate, error)
        return ready

    # One frame and its past.

    def _admit(self, turn: Turn, item: Ready) -> None:
        frame, candidate = item.frame, item.candidate
        rival = self._rival(turn, frame)
        past = self._past(frame, rival)
        decision = decide(frame, past, is_overdue=candidate.is_overdue)
        if decision.action == Action.TAKE:
            decision = self._check_fold(item, decision)
        match decision.action:
            case Action.TAKE:
                self._take(turn, item, decision, rival)
            case Action.WAIT:
                self._wait(turn, item, decision)
            case Action.DROP:
                self._drop(turn, candidate, frame)
            case Action.REFUSE:
                self._refuse_frame(turn, item, decision, rival)

    def _past(self, frame: Peeked, rival: Waiting | None) -> Past:
        leg = self._known.limits_of(frame)
        return Past(
            self._known.hash_of(frame.gateway, frame.frame_seq),
            rival.hash if rival else None,
            self._known.hash_of(frame.gateway, frame.frame_seq - 1),
            self._known.next_names(frame.gateway, frame.frame_seq),
            leg[0] if leg else None,
        )

    def _rival(self, turn: Turn, frame: Peeked) -> Waiting | None:
        """Another frame that waits under the same number."""
        if frame.gateway not in turn.waiting_of:
            return None
        waiting = self.state.waiting(frame.gateway, frame.frame_seq)
        return waiting if waiting and waiting.hash != frame.hash else None

    def _check_fold(self, item: Ready, decision: Decision) -> Decision:
        """The batched check's word, or the pure check's where that had not all at hand."""
        if item.sound.follows:
            return decision
        before = self._known.head_of(item.frame.gateway, item.frame.frame_seq - 1)
        error = why_not_following(item.candidate.data, item.frame, before, self._limits(item.frame))
        return decision if error is None else Decision(Action.REFUSE, error.code, error.text)

    def _limits(self, frame: Peeked) -> Limits | None:
        leg = self._known.limits_of(frame)
        return Limits.decode(leg[1]) if leg else None

    # What becomes of it.

    def _take(self, turn: Turn, item: Ready, decision: Decision, rival: Waiting | None) -> None:
        frame, candidate = item.frame, item.candidate
        turn.frames.append((frame, candidate.data))
        turn.codes["taken"] += 1
        if decision.code:
            turn.codes[f"taken_{decision.code}"] += 1
        self._known.add(frame, candidate.data, item.sound.head)
        turn.note(candidate, Outcome("taken", decision.code, frame.gateway, frame.frame_seq, frame.sent_ms))
        if frame.gateway in turn.waiting_of:
            self.state.remove_waiting(frame.gateway, frame.frame_seq)
            following = (
                self.state.waiting(frame.gateway, frame.frame_seq + 1) if frame.frame_seq < U64_MAX else None
            )
            if following:
                turn.again.append(Candidate.of(following, is_overdue=False))
        if rival:
            self._refuse_equivocation(turn, rival.origin, rival.data, candidate.data)
        self._recheck_next(turn, item)

    def _recheck_next(self, turn: Turn, item: Ready) -> None:
        """The frame after a late one was taken with the gap open. Now its totals can be checked; too late to refuse."""
        gateway, seq = item.frame.gateway, item.frame.frame_seq + 1
        if self._known.next_names(gateway, item.frame.frame_seq) is None:
            return
        data = self._known.bytes_of(gateway, seq)
        assert data is not None
        frame = open_head(data)
        error = why_not_following(data, frame, item.sound.head, self._limits(frame))
        if error is not None:
            text = f"frame {seq} is in the log, taken when the one before was missing: {error.text}"
            self._refuse(turn, "log", data, RejectedError(error.code, text))

    def _wait(self, turn: Turn, item: Ready, decision: Decision) -> None:
        frame, candidate = item.frame, item.candidate
        turn.waiting_of.add(frame.gateway)
        self.state.add_waiting(
            Waiting(
                frame.gateway,
                frame.frame_seq,
                frame.hash,
                decision.code,
                candidate.since_ms,
                candidate.origin,
                candidate.data,
            )
        )
        turn.codes[f"waiting_{decision.code}"] += candidate.index is not None
        turn.note(candidate, Outcome("waiting", decision.code, frame.gateway, frame.frame_seq))
        if self.state.waiting_count(frame.gateway) > self._waiting_of_gateway_max:
            first = self.state.waiting_of(frame.gateway, GAP, 1) or self.state.waiting_of(
                frame.gateway, LIMITS, 1
            )
            turn.again += [Candidate.of(waiting, is_overdue=True) for waiting in first]

    def _try_again(self, turn: Turn, gateway: bytes, *reasons: str) -> None:
        """What a gateway's frames waited for may be there now."""
        for reason in reasons:
            waiting = self.state.waiting_of(gateway, reason, self._waiting_of_gateway_max + 1)
            turn.again += [Candidate.of(item, is_overdue=False) for item in waiting]

    def _drop(self, turn: Turn, candidate: Candidate, frame: Peeked) -> None:
        turn.codes["duplicate"] += candidate.index is not None
        turn.note(candidate, Outcome("dropped", "duplicate", frame.gateway, frame.frame_seq))

    def _refuse_frame(self, turn: Turn, item: Ready, decision: Decision, rival: Waiting | None) -> None:
        candidate, frame = item.candidate, item.frame
        if decision.code == "equivocation":
            other = self._known.bytes_of(frame.gateway, frame.frame_seq) or (rival.data if rival else None)
            assert other is not None
            self._refuse_equivocation(turn, candidate.origin, candidate.data, other)
            turn.note(candidate, Outcome("refused", decision.code, frame.gateway, frame.frame_seq))
        else:
            self._refuse_candidate(turn, candidate, RejectedError(decision.code, decision.reason))
        if frame.gateway in turn.waiting_of and not rival:
            self.state.remove_waiting(frame.gateway, frame.frame_seq)

    def _refuse_equivocation(self, turn: Turn, origin: str, data: bytes, other: bytes) -> None:
        """Both envelopes are the proof; the one that came second, or does not fit, is a dead letter."""
        frame, rival = open_head(data), open_head(other)
        proof = Clone.of(envelope(data), envelope(other)).encode()
        if self._is_new(turn, sha256(proof)):
            turn.clones.append((frame.gateway, proof))
        text = f"frame {frame.frame_seq} is also {rival.hash.hex()}, signed by the same key"
        self._refuse(turn, origin, data, RejectedError("equivocation", text), envelope(other))

    def _refuse_candidate(self, turn: Turn, candidate: Candidate, error: LadingError) -> None:
        frame = peek(candidate.data)
        outcome = self._refuse(turn, candidate.origin, candidate.data, error)
        if frame:
            outcome = outcome._replace(gateway=frame.gateway, frame_seq=frame.frame_seq)
            if candidate.index is None:
                self.state.remove_waiting(frame.gateway, frame.frame_seq)
        turn.note(candidate, outcome)

    def _refuse(
        self, turn: Turn, origin: str, data: bytes, error: LadingError, related: bytes | None = None
    ) -> Outcome:
        """Into the dead letters, once: the same message refused again for the same reason is only counted."""
        letter = DeadLetter(error.code, error.text, origin, turn.now_ms, data, related)
        turn.codes[error.code] += 1
        if self._is_new(turn, dead_digest(letter)):
            turn.dead.append(letter)
        return Outcome("refused", error.code)

    def _is_new(self, turn: Turn, digest: bytes) -> bool:
        if digest in turn.digests or self.state.is_seen(digest):
            return False
        turn.digests.add(digest)
        return True

    # Orders.

    def _take_order(self, turn: Turn, topic: str, data: bytes) -> Outcome:
        if not data:
            return Outcome("dropped", "cleared")  # a retained order was taken back
        try:
            order = check_order(topic, data, self._operators, self._gateways)
            known = self.state.order(order.gateway, order.order_seq)
            if known not in (None, sha256(order.encode_payload())):
                raise RejectedError("assignment", f"order {order.order_seq} was another one before")
        except LadingError as exc:
            return self._refuse(turn, topic, data, exc)
        if known is not None:
            return Outcome("dropped", "duplicate", order.gateway)
        self._known.add_order(data)
        turn.orders.append((order.gateway, data))
        turn.codes["orders"] += 1
        self._try_again(turn, order.gateway, LIMITS)
        return Outcome("taken", "order", order.gateway)

    def _write(self, turn: Turn) -> None:
        """The log, then the state: the transaction commits after this."""
        self._known.append(topics.ASSIGNMENTS, turn.orders)
        places = self._known.append(topics.FRAMES, [(frame.gateway, data) for frame, data in turn.frames])
        self._known.append(topics.CLONES, turn.clones)
        dead = [(key_of(letter.origin, letter.data), letter.encode()) for letter in turn.dead]
        self._known.append(topics.DEAD, dead)
        self.state.add_frames(
            (frame.gateway, frame.frame_seq, frame.hash, *place)
            for (frame, _), place in zip(turn.frames, places, strict=True)
        )
        self.state.add_seen(turn.digests)
        for code, count in turn.codes.items():
            self.state.count(code, count)
