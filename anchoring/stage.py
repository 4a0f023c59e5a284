"""The stage's driver: cuts intervals, writes their batches to the log, anchors them, follows the anchors.

The log decides what an interval is: once its batch records are there, their positions, roots and transaction intent
follow from them. Everything before that write may be lost and is done again; everything after it is repeated as it
was. The index and the outbox can be lost too: the index is rebuilt from the log, and the registry takes an interval
only once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from anchoring.batches import INTERVAL_FRAMES_MAX, BatchedFrame, batched_frames, roll, super_root
from anchoring.index import Index
from anchoring.intervals import Interval, Waiting
from anchoring.registry import Registry
from lading import topics
from lading.batch import AnchorRecord, AnchorState, BatchRecord
from lading.batchlog import TenantOf, records_between
from lading.chain import RevertedError
from lading.errors import ServiceError
from lading.intents import IS_FINALIZED, IS_SAFE, MINED
from lading.log import Log, Record, require_ends, require_reached
from lading.sending import Sender, is_refused
from lading.tree import ZERO_HASH

READ_RECORDS = 10_000
_log = structlog.get_logger()
_STATES: dict[str, AnchorState] = {MINED: "mined", IS_SAFE: "safe", IS_FINALIZED: "finalized"}

Announce = Callable[[AnchorRecord, list[str]], None]
Positions = tuple[tuple[int, int, int], ...]


class Anchoring:
    """One process anchors: it holds the only sender of the anchoring key.

    `announce(anchor, tenants)` is given the newest finalized anchor, at the start and whenever there is a newer one.
    `restored_interval`: the newest interval of a log that was put back from a backup (docs/operations.md).
    """

    def __init__(
        self,
        log: Log,
        registry: Registry,
        sender: Sender,
        index: Index,
        tenant_of: TenantOf,
        interval_ms: int,
        frames_max: int,
        announce: Announce | None = None,
        restored_interval: int | None = None,
    ) -> None:
        assert 1 <= frames_max <= INTERVAL_FRAMES_MAX
        self.index = index
        self._log = log
        self._registry = registry
        self._sender = sender
        self._tenant_of = tenant_of
        self._interval_ms = interval_ms
        self._frames_max = frames_max
        self._announce = announce
        self._announced = 0
        self._restored_interval = restored_interval
        for topic in (topics.FRAMES, topics.BATCHES, topics.ANCHORS):
            require_reached(log, topic, index.positions(topic))

    def step(self, now_ms: int) -> list[AnchorRecord]:
        """Cut if due, send, follow; the anchor records that were written."""
        self._catch_up()
        while self._is_due(now_ms):
            self._cut(now_ms)
        self._sender.step(now_ms)
        while self._queue_next():
            self._sender.step(now_ms)
        written = self._report()
        self._tell()
        return written

    # Intervals

    def _is_due(self, now_ms: int) -> bool:
        waiting = sum(last - first + 1 for first, last in self._uncut().values())
        cut_ms = self.index.cut_ms()
        is_time = cut_ms is None or now_ms - cut_ms >= self._interval_ms
        return waiting >= self._frames_max or (waiting > 0 and is_time)

    def _uncut(self) -> dict[int, tuple[int, int]]:
        """Frames in no interval yet: partition → (first, last)."""
        taken = self.index.positions(topics.FRAMES)
        ends = self._log.end(topics.FRAMES)
        require_ends(topics.FRAMES, ends, taken)
        return {
            partition: (taken.get(partition, 0), end - 1)
            for partition, end in sorted(ends.items())
            if end > taken.get(partition, 0)
        }

    def _cut(self, now_ms: int) -> None:
        """Write the next interval's batch records, then take them into the index."""
        ranges = _at_most(self._frames_max, self._uncut())
        frames = self._frames(ranges)
        positions = tuple((partition, first, last) for partition, (first, last) in sorted(ranges.items()))
        self._append_batches(self._roll(self._next_interval(), positions, frames))
        self.index.set_cut_ms(now_ms)
        self._take_intervals(frames)

    def _roll(self, number: int, positions: Positions, frames: Sequence[BatchedFrame]) -> list[BatchRecord]:
        heads = {name: self.index.head(name) for name in {frame.tenant_name for frame in frames}}
        return roll(number, positions, frames, heads)

    def _append_batches(self, records: Sequence[BatchRecord]) -> None:
        self._log.append(topics.BATCHES, [(record.leaf.tenant, record.encode()) for record in records])

    def _next_interval(self) -> int:
        """One more than the log's newest; after a restore, past those that are on the chain and lost here."""
        newest, head = self.index.interval_last(), self._registry.head()
        if head > newest and newest != self._restored_interval:
            raise ServiceError(
                "anchors_ahead",
                f"the registry's newest interval is {head}, the log's {newest}: wanted the log that they are of",
            )
        if head > newest:
            _log.warning("intervals_lost", first=newest + 1, last=head)
        return max(newest, head) + 1

    def _frames(self, ranges: Mapping[int, tuple[int, int]]) -> list[BatchedFrame]:
        found = records_between(self._log, topics.FRAMES, ranges)
        return batched_frames([(self._tenant_of(record.key), record.value) for record in found])

    def _catch_up(self) -> None:
        """Take in what the log has and the index has not: after a crash, or with a new index."""
        self._take_intervals(None)
        self._take_anchors()

    def _take_intervals(self, frames: Sequence[BatchedFrame] | None) -> None:
        """`frames`: those of the one interval that was just cut; None: read them back."""
        at = self.index.positions(topics.BATCHES)
        position = dict(at)
        waiting = Waiting()
        while True:
            found = self._log.read(topics.BATCHES, at, READ_RECORDS)
            taken = self.index.interval_last()
            for record in found:
                at[record.partition] = record.offset + 1
                if not self._is_taken(record, taken):
                    waiting.add(record)
            while (interval := waiting.pop_whole()) is not None:
                self._check_next(interval)
                position |= interval.positions
                known = frames or self._frames(interval.ranges)
                self.index.add_interval(interval.records, known, position)
            if not found and not self._complete(waiting.first()):
                return

    def _is_taken(self, record: Record, taken: int) -> bool:
        """Whether the index has it: an append that was told as failed may leave a record twice."""
        batch = BatchRecord.decode(record.value)
        if batch.interval > taken:
            return False
        if batch not in self.index.batches(batch.interval):
            raise ServiceError("batch_log", f"interval {batch.interval} again, wanted {taken + 1}")
        return True

    def _complete(self, interval: Interval | None) -> bool:
        """The log ends within an interval: append what a crash, or an append that failed, left out of it."""
        if interval is None:
            return False
        self._check_next(interval)
        records = self._roll(interval.number, interval.records[0].positions, self._frames(interval.ranges))
        if any(record not in records for record in interval.records):
            raise ServiceError(
                "batch_log",
                f"interval {interval.number} is incomplete in the log and not what its frames give now",
            )
        missing = [record for record in records if record not in interval.records]
        _log.warning("interval_completed", interval=interval.number, records=len(missing))
        self._append_batches(missing)
        return True

    def _check_next(self, interval: Interval) -> None:
        """Two processes that cut at once would show here: nothing is anchored from such a log."""
        taken = self.index.positions(topics.FRAMES)
        expected = self.index.interval_last() + 1
        is_next = all(first == taken.get(partition, 0) for partition, (first, _) in interval.ranges.items())
        if interval.number < expected or not is_next:  # a restore may pass over some
            raise ServiceError(
                "batch_log",
                f"interval {interval.number} of {interval.ranges}, wanted {expected} or more after {taken}",
            )

    # The chain

    def _queue_next(self) -> bool:
        """Queue the first interval whose transaction is not on its way, once the one before it is mined."""
        for interval in self.index.unfinished():
            intent = self._sender.newest(_purpose(interval))
            if intent is None or is_refused(intent):
                if self._queue(interval):
                    return True
            elif intent.state not in _STATES:
                return False
        return False

    def _queue(self, interval: int) -> bool:
        """Queue an interval; False when it is on the chain already, sent from an outbox that was lost."""
        records = self.index.batches(interval)
        data = self._registry.anchor_call(interval, super_root(records), records)
        try:
            self._sender.attempt(_purpose(interval), self._registry.address, data)
        except RevertedError as exc:
            if not self._registry.has(interval, super_root(records), len(records)):
                raise ServiceError(
                    "anchor_refused", f"interval {interval}: {self._registry.named(exc)}"
                ) from exc
            return False
        return True

    def _report(self) -> list[AnchorRecord]:
        """Write the anchor records that have changed."""
        changed = []
        for interval in self.index.unfinished():
            record = self._record(interval)
            if record is not None and record != self.index.anchor(interval):
                changed.append(record)
        self._log.append(topics.ANCHORS, [(r.interval.to_bytes(8, "big"), r.encode()) for r in changed])
        self._take_anchors()
        return changed

    def _record(self, interval: int) -> AnchorRecord | None:
        intent = self._sender.newest(_purpose(interval))
        if intent is None or is_refused(intent):  # perhaps anchored from an outbox that was lost
            return self._found(interval)
        records = self.index.batches(interval)
        pending = AnchorRecord(
            interval,
            super_root(records),
            len(records),
            self._sender.chain.chain_id,
            self._registry.address,
            intent.tx_hash,
            0,
            ZERO_HASH,
            0,
            0,
            "pending",
        )
        block = self._sender.chain.block(intent.block_number) if intent.state in _STATES else None
        if block is None or block.hash != intent.block_hash:
            return pending
        return replace(
            pending,
            block_number=block.number,
            block_hash=block.hash,
            block_time_ms=block.time_s * 1000,
            gas_used=intent.gas_used,
            state=_STATES[intent.state],
        )

    def _found(self, interval: int) -> AnchorRecord | None:
        """What the chain tells; final once it was seen in the same block before."""
        found, before = self._registry.find(interval), self.index.anchor(interval)
        is_seen = found is not None and before is not None and found.block_hash == before.block_hash
        if found is None or is_seen or found.state != "finalized":
            return found
        return found if self._sender.finality.look().is_final_at_once else replace(found, state="safe")

    def _take_anchors(self) -> None:
        position = self.index.positions(topics.ANCHORS)
        while found := self._log.read(topics.ANCHORS, position, READ_RECORDS):
            for record in found:
                position[record.partition] = record.offset + 1
            self.index.add_anchors(found, position)

    def _tell(self) -> None:
        newest = self.index.newest_finalized()
        if self._announce is not None and newest is not None and newest.interval > self._announced:
            self._announce(newest, self.index.tenants())
            self._announced = newest.interval


def _at_most(frames_max: int, ranges: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """The first `frames_max` positions, partitions ascending."""
    left, found = frames_max, {}
    for partition, (first, last) in sorted(ranges.items()):
        if left:
            found[partition] = (first, min(last, first + left - 1))
            left -= found[partition][1] - first + 1
    return found


def _purpose(interval: int) -> str:
    return f"anchor/{interval}"
