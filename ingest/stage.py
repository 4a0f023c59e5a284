"""The stage's driver: messages in, each frame once in the log, the rest in the dead letters, durable on return.

Order of writing: the log first, then the state. Whoever opens the state next follows what the log has beyond it
(`Known.begin`), so a kill between the two neither loses a frame nor writes it twice. Processes that share a log
share one state file, and take turns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ingest.admission import Action, Decision, Past, Peeked, decide, open_head
from ingest.checking import why_not_following
from ingest.known import HEADS_CACHED_BYTES, Known, dead_digest
from ingest.orders import check_order
from ingest.raw import key_of
from ingest.refusals import Refusals
from ingest.screening import Screening
from ingest.state import GAP, LIMITS, State, Waiting
from ingest.turn import Candidate, Outcome, Ready, Turn
from lading import topics
from lading.cose import PublicKey
from lading.deadletter import DeadLetter
from lading.errors import LadingError, MalformedError, RejectedError
from lading.fields import U64_MAX
from lading.gateways import Gateways
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
        self._refusals = Refusals(self.state)
        self._screening = Screening(
            gateways, self._known, self._refusals, signatures or Signatures(), verify_threads
        )
        with self._turn():
            pass

    def close(self) -> None:
        """Close the state file and the threads."""
        self._screening.close()
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
                turn.outcomes[index] = self._refusals.refuse(turn, topic, data, error)
        self._process(turn, candidates)

    def _process(self, turn: Turn, candidates: list[Candidate]) -> None:
        """Rounds: what is taken may let a frame that waited follow, which may let the next."""
        candidates = candidates + turn.again
        while candidates:
            turn.again = []
            for item in self._screening.screen(turn, candidates):
                self._admit(turn, item)
            candidates = turn.again

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
                turn.drop(candidate, frame)
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
            self._refusals.refuse_equivocation(turn, rival.origin, rival.data, candidate.data)
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
            self._refusals.refuse(turn, "log", data, RejectedError(error.code, text))

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

    def _refuse_frame(self, turn: Turn, item: Ready, decision: Decision, rival: Waiting | None) -> None:
        candidate, frame = item.candidate, item.frame
        if decision.code == "equivocation":
            other = self._known.bytes_of(frame.gateway, frame.frame_seq) or (rival.data if rival else None)
            assert other is not None
            self._refusals.refuse_equivocation(turn, candidate.origin, candidate.data, other)
            turn.note(candidate, Outcome("refused", decision.code, frame.gateway, frame.frame_seq))
        else:
            self._refusals.refuse_candidate(turn, candidate, RejectedError(decision.code, decision.reason))
        if frame.gateway in turn.waiting_of and not rival:
            self.state.remove_waiting(frame.gateway, frame.frame_seq)

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
            return self._refusals.refuse(turn, topic, data, exc)
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
