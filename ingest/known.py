"""What the log has of each gateway: the state file's index, with the newest frames' heads in memory.

The log is the truth. `follow` takes over what it has beyond the state: after a kill between the two writes, or
from another process that shares both files.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import structlog

from ingest.admission import Peeked, peek
from ingest.state import State
from lading import topics
from lading.assignment import read_assignment
from lading.cose import sig_structure
from lading.deadletter import DeadLetter
from lading.decoding import decode_records
from lading.errors import ServiceError
from lading.fast import Head
from lading.frame import HEADER_BYTES, IDLE
from lading.log import Record, WatchedLog, require_ends
from lading.tree import leaf_hash, sha256

READ_RECORDS = 1_000
HEADS_CACHED_BYTES = 40 * 1024 * 1024
HEAD_OVERHEAD_BYTES = 250  # of what Python keeps around a head
LEGS_CACHED_MAX = 20_000
DOCUMENTS_CACHED_MAX = 512

K = TypeVar("K")
V = TypeVar("V")
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

    def __init__(
        self,
        log: WatchedLog,
        state: State,
        heads_cached_bytes: int = HEADS_CACHED_BYTES,
        follow_ms: int = 0,
    ) -> None:
        self._log = log
        self._state = state
        self._follow_ms = follow_ms
        self._followed_ms: int | None = None  # when the log was asked last; None: it must be
        self._newest: dict[bytes, bytes] = {}  # header ‖ run records: the one that came last at the end
        self._at_hand: dict[bytes, Newest] = {}  # of this turn, unpacked
        self._newest_bytes = 0
        self._newest_bytes_max = heads_cached_bytes
        self._legs: dict[tuple[bytes, bytes], bytes] = {}  # hash of the limits of (gateway, leg)
        self._documents: dict[bytes, bytes] = {}
        self._version = -1
        self._turn: dict[tuple[bytes, int], bytes] = {}
        self._turn_gateways: set[bytes] = set()
        self._partitions: frozenset[int] = frozenset()  # those that are followed

    def begin(self, now_ms: int) -> set[bytes]:
        """A turn begins: forget what another process may have changed, follow the log if it is time.

        Gateways of which the log had more than the state.
        """
        self._turn.clear()
        self._turn_gateways.clear()
        self._at_hand.clear()
        version = self._state.data_version()
        if version != self._version:
            self.forget()
        self._version = version
        if self._followed_ms is not None and abs(now_ms - self._followed_ms) < self._follow_ms:
            return set()
        gateways = self.follow()
        self._followed_ms = now_ms
        return gateways

    def forget(self) -> None:
        """What was cached may be ahead of what was committed."""
        self._newest.clear()
        self._at_hand.clear()
        self._legs.clear()
        self._newest_bytes = 0
        self._turn.clear()
        self._turn_gateways.clear()
        self._followed_ms = None

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
        newest = self._at_hand.get(gateway)
        if newest is not None:
            return newest
        packed = self._newest.get(gateway)
        if packed is not None:
            newest = self._at_hand[gateway] = _unpack(packed)
        else:
            seq = self._state.newest(gateway)
            place = None if seq is None else self._state.place(gateway, seq)
            if seq is None or place is None:
                return None
            newest = Newest(seq, place.hash, _head(self._read_at(place.partition, place.offset).value))
            self._put(gateway, newest)
        return newest

    def _put(self, gateway: bytes, newest: Newest) -> None:
        old = self._newest.pop(gateway, None)
        self._at_hand[gateway] = newest
        self._newest[gateway] = packed = newest.head.header + newest.head.records
        self._newest_bytes += _size(packed) - (_size(old) if old else 0)
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
        limits_hash = self._legs.get(key)
        if limits_hash is None:
            limits_hash = self._state.limits_hash_of(*key)
            if limits_hash is None:
                return None
            _remember(self._legs, key, limits_hash, LEGS_CACHED_MAX)
        document = self._documents.get(limits_hash)
        if document is None:
            document = self._state.limits_document(limits_hash)
            _remember(self._documents, limits_hash, document, DOCUMENTS_CACHED_MAX)
        return limits_hash, document

    def add_order(self, data: bytes) -> None:
        """An order that the log has, or will have at the turn's end."""
        order = read_assignment(data)
        limits = (order.limits.hash, order.limits.encode()) if order.limits else None
        digest = sha256(order.encode_payload())
        self._state.add_order(order.gateway, order.order_seq, order.leg_id, limits, digest)

    # The log.

    def append(self, topic: str, items: list[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """Append, and note that the state has followed so far (unless another process wrote in between).

        What is malformed may lie in a partition that another worker follows.
        """
        if not items:
            return []
        places = self._log.append(topic, items)
        followed = self._state.positions(topic)
        for partition, offset in sorted(places):
            if partition not in self._partitions:
                continue
            if followed.get(partition, 0) == offset:
                followed[partition] = offset + 1
            else:
                self._followed_ms = None
        self._state.set_positions(topic, followed)
        return places

    def follow(self) -> set[bytes]:
        """Take over what the log has and the state has not; of which gateways that was."""
        gateways: set[bytes] = set()
        for topic, ends in self._log.ends(_FOLLOWED).items():
            at = self._state.positions(topic)
            self._partitions = frozenset(ends)
            require_ends(topic, ends, at)
            if all(at.get(partition, 0) >= end for partition, end in ends.items()):
                continue
            count = 0
            while records := self._log.read(topic, at, READ_RECORDS):
                self._apply(topic, records)
                gateways.update(record.key for record in records)
                for record in records:
                    at[record.partition] = record.offset + 1
                count += len(records)
            self._state.set_positions(topic, at)
            self.forget()
            _log.info("log_followed", topic=topic, records=count)
        return gateways

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


def _remember(cache: dict[K, V], key: K, value: V, count_max: int) -> None:
    """Keep a value; a full cache begins anew."""
    if len(cache) >= count_max:
        cache.clear()
    cache[key] = value


def _head(data: bytes) -> Head:
    header, records = decode_records(data)
    return Head(header.encoded, b"".join(record.encode() for record in records))


def _unpack(packed: bytes) -> Newest:
    header = packed[:HEADER_BYTES]
    frame_seq = int.from_bytes(header[99:107], "big")
    return Newest(frame_seq, leaf_hash(sig_structure(header)), Head(header, packed[HEADER_BYTES:]))


def _size(packed: bytes) -> int:
    return len(packed) + HEAD_OVERHEAD_BYTES
