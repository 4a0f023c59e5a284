"""The stage: frames, orders, clone proofs and anchors in, verdicts out, one durable step at a time."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import structlog

from anomaly.frames import WITHHELD, frame_at, header_at, read_frames
from anomaly.legs import Legs, is_newest, start, widen
from anomaly.meters import count_verdicts
from anomaly.records import take_or_tell, within_bytes
from anomaly.saying import Said, is_news, said
from anomaly.state import Leg, LegKey, Spot, State
from lading import topics
from lading.assignment import BEGIN, open_assignment, read_assignment
from lading.batch import AnchorRecord, BatchRecord
from lading.clone import Clone
from lading.cose import PublicKey
from lading.errors import MalformedError, RejectedError
from lading.frame import IDLE, Header
from lading.log import Log, Record, WatchedLog, require_ends
from lading.rules import Fork, FrameView, LegTrack, SignedAs, find_fork, is_missing, save
from lading.verdict import Verdict, VerdictRecord

GROUP = "anomaly"
RECORDS_MAX = 1_000
CHANNELS_CACHED_MAX = 10_000
CHANNELS_KEPT_AT_ONCE = 4_096
PROVISIONAL_MS = 600_000
READ_TOPICS = (topics.ASSIGNMENTS, topics.CLONES, topics.BATCHES, topics.ANCHORS, topics.FRAMES)
_TOPICS = (*READ_TOPICS, topics.VERDICTS)

_log = structlog.get_logger()


class Anomaly:
    """Judges legs by the rules. `operators` are the keys that may order, by tenant id.

    Each `step` reads what is new, judges the legs it touches, appends verdicts to the log and then commits state
    and offsets together. Killed anywhere, it goes on with the same verdicts, each written once. How far it has read
    is told to the log at most every `commit_s`, for others to see: the state knows it.
    """

    def __init__(
        self,
        log: WatchedLog,
        state: Path | str,
        operators: Mapping[bytes, PublicKey],
        *,
        records_max: int = RECORDS_MAX,
        channels_cached_max: int = CHANNELS_CACHED_MAX,
        provisional_ms: int = PROVISIONAL_MS,
        commit_s: float = 0.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._operators = operators
        self._records_max = records_max
        self._provisional_ms = provisional_ms
        self._commit_s = commit_s
        self._monotonic_s = monotonic_s
        self._commit_due_s = 0.0
        self._is_committed = True
        self._state = State(state)
        self._legs = Legs(self._state, channels_cached_max)
        self._fresh: dict[tuple[int, int], FrameView] = {}  # this step's frames by leg number and frame_seq
        self._must_recover = True
        self._recover()

    @property
    def state(self) -> State:
        """The open state file."""
        return self._state

    def close(self) -> None:
        """Close the state file."""
        self._state.close()

    def step(self, ends: Mapping[str, Mapping[int, int]] | None = None) -> int:
        """Take what is new in the log, at most `records_max` of each topic. How many records that were; 0: idle.

        `ends`: those of READ_TOPICS, where the caller has just asked for them.
        """
        try:
            if self._must_recover:
                self._recover()
            with self._state.transaction():
                handled, touched = self._take(ends or self._log.ends(READ_TOPICS))
                self._judge_all(sorted(touched))
        except BaseException:
            self._legs.forget()  # they may be ahead of what was committed
            self._must_recover = True  # an append that failed may have left verdicts
            raise
        finally:
            self._fresh.clear()
        self._is_committed = self._is_committed and not handled
        if not self._is_committed and self._monotonic_s() >= self._commit_due_s:
            self._log.commit(GROUP, topics.FRAMES, self._state.positions(topics.FRAMES))
            self._is_committed, self._commit_due_s = True, self._monotonic_s() + self._commit_s
        self._legs.evict(self._legs.at_hand())
        return handled

    def positions(self) -> dict[str, dict[int, int]]:
        """The next offsets to read."""
        return {topic: self._state.positions(topic) for topic in READ_TOPICS}

    # What is new

    def _take(self, ends: Mapping[str, Mapping[int, int]]) -> tuple[int, set[int]]:
        """Read every topic that has more: how many records, and the numbers of the legs they touch."""
        handled = 0
        touched: set[int] = set()
        for topic, take in (
            (topics.ASSIGNMENTS, self._take_order),
            (topics.CLONES, self._take_clone),
            (topics.BATCHES, self._take_batch),
            (topics.ANCHORS, self._take_anchor),
        ):
            for record in self._read(topic, ends[topic]):
                handled += 1
                touched.update(take_or_tell(topic, record, partial(take, record)))
        records = self._read(topics.FRAMES, ends[topics.FRAMES])
        for record, read in zip(records, read_frames([record.value for record in records]), strict=True):
            take_frame = partial(self._take_frame, record, read)
            touched.update(take_or_tell(topics.FRAMES, record, take_frame))
        return handled + len(records), touched

    def _read(self, topic: str, ends: Mapping[int, int]) -> list[Record]:
        positions = self._state.positions(topic)
        if all(positions.get(partition, 0) >= end for partition, end in ends.items()):
            return []
        records = within_bytes(self._log.read(topic, positions, self._records_max))
        for record in records:
            positions[record.partition] = record.offset + 1
        if records:
            self._state.set_positions(topic, positions)
        return records

    def _take_order(self, record: Record) -> Iterable[int]:
        tenant = read_assignment(record.value).tenant
        if tenant not in self._operators:
            raise RejectedError("operator", f"no operator's key for tenant {tenant.hex()[:16]}…")
        order = open_assignment(record.value, self._operators[tenant])
        if order.action != BEGIN or order.limits is None:
            return ()
        key = LegKey(order.leg_id, order.gateway, order.limits.hash)
        if not self._state.add_order(key, order.order_seq, record.value):
            return ()
        leg = self._legs.find(key)
        if leg is None:
            return ()
        start(leg, order)
        return (leg.no,)

    def _take_clone(self, record: Record) -> Iterable[int]:
        headers = Clone.decode(record.value).headers()
        return self._add_signed(headers[0].gateway_id, headers)

    def _add_signed(self, gateway: bytes, headers: Iterable[Header]) -> Iterable[int]:
        self._state.add_signed(gateway, [SignedAs.of(header) for header in headers])
        return self._state.legs_of(gateway)

    def _take_batch(self, record: Record) -> Iterable[int]:
        batch = BatchRecord.decode(record.value)
        self._state.add_batch(batch.leaf.tenant, batch.leaf.batch_seq, batch.interval, batch.positions)
        return self._waiting(self._state.finalize_batches())

    def _take_anchor(self, record: Record) -> Iterable[int]:
        anchor = AnchorRecord.decode(record.value)
        if anchor.state != "finalized":
            return ()
        self._state.add_finalized(anchor.interval)
        return self._waiting(self._state.finalize_batches())

    def _waiting(self, tenants: Iterable[bytes]) -> list[int]:
        return [no for tenant in tenants for no in self._state.legs_waiting(tenant)]

    def _take_frame(self, record: Record, read: Callable[[], FrameView]) -> Iterable[int]:
        frame = read()
        header = frame.header
        if header.leg_state == IDLE:
            return ()
        leg = self._legs.find_or_add(LegKey(header.leg_id, header.gateway_id, header.limits_hash))
        if leg.track is not None and not leg.track.is_of_leg(frame):
            raise RejectedError("limits", f"frame {header.frame_seq} has other channels than its leg")
        known = None if is_newest(leg, header) else self._state.frame(leg.no, header.frame_seq)
        if known is None:
            self._state.add_frame(
                leg.no, header.frame_seq, Spot(record.partition, record.offset, header.hash)
            )
            widen(leg, header)
            self._fresh[(leg.no, header.frame_seq)] = frame
        elif known.hash != header.hash:
            return self._add_signed(header.gateway_id, (header, header_at(self._log, known)))
        return (leg.no,)

    # Judging

    def _judge_all(self, numbers: Iterable[int]) -> None:
        """Judge and keep legs, a bounded number of channels at a time: an anchor may touch every leg there is."""
        legs: list[Leg] = []
        items: list[tuple[bytes, bytes]] = []
        channels = 0
        for no in numbers:
            leg = self._legs.by_no(no)
            item = self._judge(leg)
            legs.append(leg)
            items += [item] if item else []
            channels += leg.channel_count
            if channels >= CHANNELS_KEPT_AT_ONCE:
                self._keep(legs, items)
                legs, items, channels = [], [], 0
        self._keep(legs, items)

    def _judge(self, leg: Leg) -> tuple[bytes, bytes] | None:
        """Join what can be joined; the log's key and record when the verdict is news."""
        if leg.track is None or leg.first_seq is None:
            return None
        fork = self._fork(leg, leg.first_seq)
        joined = leg.track.last
        if joined and (
            leg.track.first_frame_seq != leg.first_seq or (fork and joined.frame_seq >= fork.frame_seq)
        ):
            leg.track = LegTrack(leg.track.begin)
        try:
            stray = self._join(leg, leg.track, leg.first_seq, fork)
        except MalformedError as exc:
            if exc.code != WITHHELD:
                raise
            _log.warning("leg_erased", leg=leg.key.leg.hex(), reason=exc.text)
            return None  # what was said of it while its readings were there is the last word
        if stray is not None:
            self._drop(leg, stray)
            return self._judge(leg)
        missing = is_missing(leg.track, leg.first_seq, leg.end_seq, fork)
        ended = leg.track.state(fork, missing) in ("closed", "forked")
        final = ended and self._is_final(leg, leg.track)
        leg.waiting = ended and not final
        return self._say(leg, leg.track.verdict(fork, missing, final))

    def _fork(self, leg: Leg, first_seq: int) -> Fork | None:
        """The leg's fork by the proofs so far; the leg's own frame is one more that was signed."""
        signed = self._state.signed(leg.key.gateway, first_seq, leg.end_seq + 1)
        own = [self._state.frame(leg.no, seq) for seq in {one.frame_seq for one in signed}]
        known = {one.hash for one in signed}
        signed += [SignedAs.of(header_at(self._log, spot)) for spot in own if spot and spot.hash not in known]
        return find_fork(signed, first_seq, leg.end_seq)

    def _join(self, leg: Leg, track: LegTrack, first_seq: int, fork: Fork | None) -> int | None:
        """Take every frame that follows, from this step or read again from the log.

        The number of a frame that is not of the leg ends it: such a frame came before the leg's order.
        """
        end_seq = fork.frame_seq - 1 if fork else leg.end_seq
        seq = track.last.frame_seq + 1 if track.last else first_seq
        while seq <= end_seq and not track.closed:
            spot = None if (leg.no, seq) in self._fresh else self._state.frame(leg.no, seq)
            frame = frame_at(self._log, spot) if spot else self._fresh.get((leg.no, seq))
            if frame is None:
                break
            if not track.is_of_leg(frame):
                return seq
            if not track.follows(frame):
                break
            track.join(frame)
            seq += 1
        return None

    def _drop(self, leg: Leg, seq: int) -> None:
        _log.error("frame_not_of_leg", leg=leg.key.leg.hex(), frame_seq=seq)
        self._state.drop_frame(leg.no, seq)
        self._fresh.pop((leg.no, seq), None)
        leg.first_seq, leg.last_seq = self._state.frame_bounds(leg.no)
        leg.closing_seq = None if leg.closing_seq == seq else leg.closing_seq

    def _is_final(self, leg: Leg, track: LegTrack) -> bool:
        if track.last is None:
            return True
        until = self._state.final_until(track.begin.tenant)
        tops = self._state.frame_tops(leg.no, track.first_frame_seq, track.last.frame_seq)
        return all(at < until.get(partition, 0) for partition, at in tops.items())

    def _say(self, leg: Leg, verdict: Verdict) -> tuple[bytes, bytes] | None:
        now, earlier = said(verdict), Said.decode(leg.said)
        if not is_news(verdict, now, earlier, leg.said_ms, self._provisional_ms):
            return None
        leg.said, leg.said_ms = now.encode(), verdict.horizon.last_ms
        if self._state.is_emitted(verdict.id):
            return None
        record = VerdictRecord(verdict, self._state.latest(leg.key)).encode()
        self._state.add_emitted(leg.key, verdict.id)
        return leg.key.gateway, record

    # Keeping

    def _keep(self, legs: list[Leg], items: list[tuple[bytes, bytes]]) -> None:
        """Append verdicts, then keep their legs. What the log has past the kept position `_recover` finds again."""
        if items:
            places = self._log.append(topics.VERDICTS, items)
            count_verdicts(record for _, record in items)
            ends = {partition: offset + 1 for partition, offset in sorted(places)}
            self._state.set_positions(topics.VERDICTS, ends)
        for leg in legs:
            leg.snapshot = save(leg.track) if leg.track else None
        self._state.save_legs(legs)
        for leg in legs:
            leg.snapshot = None
        self._legs.evict(legs)

    def _recover(self) -> None:
        """Require the log that the state is of, and learn what verdicts it has beyond the state."""
        with self._state.transaction():
            ends = self._log.ends(_TOPICS)
            for topic in _TOPICS:
                require_ends(topic, ends[topic], self._state.positions(topic))
            while records := self._read(topics.VERDICTS, ends[topics.VERDICTS]):
                for record in records:
                    verdict = VerdictRecord.decode(record.value).verdict
                    key = LegKey(verdict.leg_id, verdict.gateway_id, verdict.limits_hash)
                    self._state.add_emitted(key, verdict.id)
        self._must_recover = False


def lag(log: Log) -> int:
    """Frames in the log that the stage has not taken yet."""
    taken = log.committed(GROUP, topics.FRAMES)
    return sum(end - taken.get(partition, 0) for partition, end in log.end(topics.FRAMES).items())
