"""What the log has of each gateway: the state file's index, with the newest frames' heads in memory.

The log is the truth. `follow` takes over what it has beyond the state: after a kill between the two writes, or
from another process that shares both files.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from ingest.admission import Peeked, peek
from ingest.state import State
from lading import topics
from lading.assignment import read_assignment
from lading.deadletter import DeadLetter
from lading.errors import ServiceError
from lading.fast import Head
from lading.frame import IDLE, decode_records
from lading.log import Log, Record
from lading.tree import sha256

READ_RECORDS = 1_000
HEADS_CACHED_BYTES = 100 * 1024 * 1024
HEAD_OVERHEAD_BYTES = 500  # of the Python objects around a head in memory
LEGS_CACHED_MAX = 4_096

_NEVER = 2**62  # a next offset past every record
_FOLLOWED = (topics.ASSIGNMENTS, topics.FRAMES, topics.CLONES, topics.DEAD)
_log = structlog.get_logger()


class Newest(NamedTuple):
    """A gateway's taken frame of the greatest number."""

    frame_seq: int
    hash: bytes
    head: Head


def dead_digest(letter: DeadLetter) -> bytes:
    """What makes two dead letters the same one: code and message."""
    return sha256(letter.code.encode() + b"\0" + letter.data)


class Known:
    """Lookups and appends of one turn, inside the state's transaction."""

    def __init__(self, log: Log, state: State, heads_cached_bytes: int = HEADS_CACHED_BYTES) -> None:
        self._log = log
        self._state = state
        self._newest: OrderedDict[bytes, Newest] = OrderedDict()
        self._newest_bytes = 0
        self._newest_bytes_max = heads_cached_bytes
        self._legs: OrderedDict[tuple[bytes, bytes], tuple[bytes, bytes]] = OrderedDict()
        self._version = -1
        self._turn: dict[tuple[bytes, int], bytes] = {}
        self._turn_gateways: set[bytes] = set()

    def begin(self) -> None:
        """A turn begins: forget what another process may have changed, follow the log."""
        self._turn.clear()
        self._turn_gateways.clear()
        version = self._state.data_version()
        if version != self._version:
            self.forget()
        self._version = version
        self.follow()

    def forget(self) -> None:
        """What was cached may be ahead of what was committed."""
        self._newest.clear()
        self._newest_bytes = 0
        self._turn.clear()
        self._turn_gateways.clear()

    # Frames.

    def hash_of(self, gateway: bytes, frame_seq: int) -> bytes | None:
        """The hash of the taken frame of this number."""
        newest = self._newest_of(gateway)
        if newest is None or frame_seq > newest.frame_seq or frame_seq < 0:
            return None
        if frame_seq == newest.frame_seq:
            return newest.hash
        data = self._turn.get((gateway, frame_seq))
        if data is not None:
            frame = peek(data)
            return frame.hash if frame else None
        place = self._state.place(gateway, frame_seq)
        return None if place is None else place.hash

    def bytes_of(self, gateway: bytes, frame_seq: int) -> bytes | None:
        """The taken frame of this number."""
        data = self._turn.get((gateway, frame_seq))
        if data is not None or self.hash_of(gateway, frame_seq) is None:
            return data
        place = self._state.place(gateway, frame_seq)
        return None if place is None else self._read_at(place.partition, place.offset).value

    def head_of(self, gateway: bytes, frame_seq: int) -> Head | None:
        """Header and run records of the taken frame of this number."""
        newest = self._newest_of(gateway)
        if newest is None or frame_seq > newest.frame_seq or frame_seq < 0:
            return None
        if frame_seq == newest.frame_seq:
            return newest.head
        data = self.bytes_of(gateway, frame_seq)
        return None if data is None else _head(data)

    def next_names(self, gateway: bytes, frame_seq: int) -> bytes | None:
        """The previous_hash in the taken frame after this number."""
        newest = self._newest_of(gateway)
        if newest is None or frame_seq >= newest.frame_seq:
            return None
        data = self.bytes_of(gateway, frame_seq + 1)
        frame = peek(data) if data else None
        return frame.previous_hash if frame else None

    def add(self, frame: Peeked, data: bytes, head: Head) -> None:
        """A frame is taken in this turn."""
        self._turn[frame.gateway, frame.frame_seq] = data
        self._turn_gateways.add(frame.gateway)
        newest = self._newest_of(frame.gateway)
        if newest is None or frame.frame_seq > newest.frame_seq:
            self._put(frame.gateway, Newest(frame.frame_seq, frame.hash, head))

    def _newest_of(self, gateway: bytes) -> Newest | None:
        newest = self._newest.get(gateway)
        if newest is None:
            seq = self._state.newest(gateway)
            place = None if seq is None else self._state.place(gateway, seq)
            if seq is None or place is None:
                return None
            newest = Newest(seq, place.hash, _head(self._read_at(place.partition, place.offset).value))
            self._put(gateway, newest)
        return newest

    def _put(self, gateway: bytes, newest: Newest) -> None:
        old = self._newest.pop(gateway, None)
        self._newest[gateway] = newest
        self._newest_bytes += _size(newest) - (_size(old) if old else 0)
        while self._newest_bytes > self._newest_bytes_max and len(self._newest) > 1:
            oldest = next(iter(self._newest))
            if oldest in self._turn_gateways:
                break  # the state does not have its frames yet
            self._newest_bytes -= _size(self._newest.pop(oldest))

    def _read_at(self, partition: int, offset: int) -> Record:
        positions = dict.fromkeys(self._log.end(topics.FRAMES), _NEVER)
        for record in self._log.read(topics.FRAMES, {**positions, partition: offset}, len(positions)):
            if (record.partition, record.offset) == (partition, offset):
                return record
        raise ServiceError("log_hole", f"{topics.FRAMES}: nothing at {partition}:{offset}")

    # Limits.

    def limits_of(self, frame: Peeked) -> tuple[bytes, bytes] | None:
        """(hash, document) of the limits that the frame's leg was begun with."""
        if frame.leg_state == IDLE:
            return None
        key = (frame.gateway, frame.leg_id)
        leg = self._legs.get(key)
        if leg is None:
            leg = self._state.limits_of(*key)
        if leg is not None:
            self._legs[key] = leg
            self._legs.move_to_end(key)
            if len(self._legs) > LEGS_CACHED_MAX:
                self._legs.popitem(last=False)
        return leg

    def add_order(self, data: bytes) -> None:
        """An order that the log has, or will have at the turn's end."""
        order = read_assignment(data)
        limits = (order.limits.hash, order.limits.encode()) if order.limits else None
        digest = sha256(order.encode_payload())
        self._state.add_order(order.gateway, order.order_seq, order.leg_id, limits, digest)

    # The log.

    def append(self, topic: str, items: list[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """Append, and note that the state has followed so far (unless another process wrote in between)."""
        if not items:
            return []
        places = self._log.append(topic, items)
        followed = self._state.positions(topic)
        for partition, offset in sorted(places):
            if followed.get(partition, 0) == offset:
                followed[partition] = offset + 1
        self._state.set_positions(topic, followed)
        return places

    def follow(self) -> None:
        """Take over what the log has and the state has not."""
        for topic in _FOLLOWED:
            at = self._state.positions(topic)
            if all(at.get(partition, 0) >= end for partition, end in self._log.end(topic).items()):
                continue
            count = 0
            while records := self._log.read(topic, at, READ_RECORDS):
                self._apply(topic, records)
                for record in records:
                    at[record.partition] = record.offset + 1
                count += len(records)
            self._state.set_positions(topic, at)
            self.forget()
            _log.info("log_followed", topic=topic, records=count)

    def _apply(self, topic: str, records: Sequence[Record]) -> None:
        if topic == topics.ASSIGNMENTS:
            for record in records:
                self.add_order(record.value)
        elif topic == topics.CLONES:
            self._state.add_seen(sha256(record.value) for record in records)
        elif topic == topics.DEAD:
            self._state.add_seen(dead_digest(DeadLetter.decode(record.value)) for record in records)
        else:
            for record in records:
                frame = peek(record.value)
                assert frame is not None, f"no frame in the log at {record.partition}:{record.offset}"
                place = (frame.gateway, frame.frame_seq, frame.hash, record.partition, record.offset)
                self._state.add_frames([place])
                self._state.remove_waiting(frame.gateway, frame.frame_seq)


def _head(data: bytes) -> Head:
    header, records = decode_records(data)
    return Head(header.encoded, b"".join(record.encode() for record in records))


def _size(newest: Newest) -> int:
    return len(newest.head.header) + len(newest.head.records) + HEAD_OVERHEAD_BYTES
