"""What a gateway signs: header, run records, readings, envelope; one encoding (docs/spec/frame.md)."""

import itertools
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from lading import cbor
from lading.cose import Signer, decode_sign1, encode_sign1, sig_structure
from lading.errors import MalformedError
from lading.fields import TIME_MS_MAX
from lading.quantities import FLAGS_KNOWN, is_quantity
from lading.totals import EMPTY, TOTALS_BYTES, Reading, Totals
from lading.tree import EMPTY_ROOT, ZERO_HASH, leaf_hash, root

READING_TYPE, RECORD_TYPE, HEADER_TYPE, VERSION = 1, 2, 3, 1
IDLE, OPEN, CLOSED = 0, 1, 2
HEADER_BYTES, RECORD_BYTES, READING_BYTES, SALT_BYTES = 221, 207, 41, 16
FRAME_BYTES_MAX = 2_097_152
FRAME_READINGS_MAX = 65_536
FRAME_RUNS_MAX = 256
NO_SALT = bytes(SALT_BYTES)  # of an empty run: nothing binds a salt there, so only one is allowed
SPAN_MS_MAX = 2**32 - 1  # a run's times are u32 deltas

_HEADER = struct.Struct(">BB32sB32s32sQ32sQQ32s32sH")
_RECORD = struct.Struct(">BHHQIQQ32s142s")
_READING = struct.Struct(">B16sHQQiH")

_ENVELOPE_BYTES = 7 + 2 + HEADER_BYTES + 2 + 64
_TIMES_TAG, _VALUES_TAG, _FLAGS_TAG = bytes.fromhex("d846"), bytes.fromhex("d84e"), bytes.fromhex("d845")
_RUN_HEAD = bytes.fromhex("8558cf")
_WITHHELD_HEAD = b"\x81" + _RUN_HEAD[1:]  # the record alone
_SALT_HEAD = b"\x50"
_NO_FLAGS = b"\xf6"
_ARRAY_MAJOR, _BYTES_MAJOR = 4, 2


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the signature binds of a run: 207 bytes."""

    channel: int
    quantity: int
    first_seq: int
    count: int
    first_time_ms: int
    last_time_ms: int
    readings_root: bytes
    totals: Totals

    def encode(self) -> bytes:
        """207 bytes."""
        return _RECORD.pack(
            RECORD_TYPE,
            self.channel,
            self.quantity,
            self.first_seq,
            self.count,
            self.first_time_ms,
            self.last_time_ms,
            self.readings_root,
            self.totals.encode(),
        )

    @staticmethod
    def decode(data: bytes) -> "RunRecord":
        """From exactly 207 bytes; fields are checked against the readings by `decode_frame`."""
        if len(data) != RECORD_BYTES:
            raise MalformedError("frame_encoding", f"run record of {len(data)} bytes, wanted {RECORD_BYTES}")
        kind, *fields, totals = _RECORD.unpack(data)
        if kind != RECORD_TYPE:
            raise MalformedError("frame_version", f"run record type {kind}, wanted {RECORD_TYPE}")
        values = [*fields, Totals.decode(totals)]
        return RunRecord(*values)


@dataclass(frozen=True, slots=True)
class Run:
    """The consecutive readings of one channel in a frame, with the salt that hides them; or neither: withheld."""

    record: RunRecord
    salt: bytes
    readings: tuple[Reading, ...]

    @property
    def is_withheld(self) -> bool:
        """Whether there were readings and they are not shown."""
        return len(self.readings) != self.record.count


class LegRef(NamedTuple):
    """Which leg a frame is of; zero hashes when idle."""

    state: int
    leg_id: bytes
    limits_hash: bytes


NO_LEG = LegRef(IDLE, ZERO_HASH, ZERO_HASH)


class AnchorSeen(NamedTuple):
    """The newest anchor the gateway has seen; interval 0 and a zero hash for none."""

    interval: int
    block_hash: bytes


NO_ANCHOR = AnchorSeen(0, ZERO_HASH)


@dataclass(frozen=True)
class Header:
    """The signed payload: 221 bytes."""

    gateway_id: bytes
    leg_state: int
    leg_id: bytes
    limits_hash: bytes
    frame_seq: int
    previous_hash: bytes
    sent_ms: int
    anchor_interval: int
    anchor_block_hash: bytes
    runs_root: bytes
    run_count: int

    @cached_property
    def encoded(self) -> bytes:
        """221 bytes."""
        return _HEADER.pack(
            HEADER_TYPE,
            VERSION,
            self.gateway_id,
            self.leg_state,
            self.leg_id,
            self.limits_hash,
            self.frame_seq,
            self.previous_hash,
            self.sent_ms,
            self.anchor_interval,
            self.anchor_block_hash,
            self.runs_root,
            self.run_count,
        )

    @cached_property
    def signed(self) -> bytes:
        """The Sig_structure: what is signed, and the frame's leaf in the batch tree. 240 bytes."""
        return sig_structure(self.encoded)

    @cached_property
    def hash(self) -> bytes:
        """Frame hash: the next frame's previous_hash, and the leaf hash in the batch tree."""
        return leaf_hash(self.signed)

    @staticmethod
    def decode(data: bytes) -> "Header":
        """From exactly 221 bytes, with every check that needs the header alone."""
        if len(data) != HEADER_BYTES:
            raise MalformedError("frame_encoding", f"header of {len(data)} bytes, wanted {HEADER_BYTES}")
        kind, version, *fields = _HEADER.unpack(data)
        if (kind, version) != (HEADER_TYPE, VERSION):
            raise MalformedError(
                "frame_version", f"type {kind} version {version}, wanted {HEADER_TYPE} and {VERSION}"
            )
        header = Header(*fields)
        problem = _header_problem(header)
        if problem:
            raise MalformedError("frame_field", problem)
        return header


def _header_problem(header: Header) -> str | None:
    if header.leg_state > CLOSED:
        return f"leg_state {header.leg_state}, wanted 0..2"
    idle = header.leg_state == IDLE
    if idle != (header.leg_id == ZERO_HASH) or idle != (header.limits_hash == ZERO_HASH):
        return f"leg_state {header.leg_state} with leg id {header.leg_id.hex()} and limits {header.limits_hash.hex()}"
    if (header.frame_seq == 0) != (header.previous_hash == ZERO_HASH):
        return f"frame_seq {header.frame_seq} with previous hash {header.previous_hash.hex()}"
    if header.sent_ms > TIME_MS_MAX:
        return f"sent_ms {header.sent_ms}, wanted at most {TIME_MS_MAX}"
    if (header.anchor_interval == 0) != (header.anchor_block_hash == ZERO_HASH):
        return f"anchor interval {header.anchor_interval} with block {header.anchor_block_hash.hex()}"
    if header.run_count > FRAME_RUNS_MAX or (not idle and not header.run_count):
        return f"{header.run_count} runs in leg_state {header.leg_state}"
    return None


@dataclass(frozen=True)
class Frame:
    """A signed header with its runs. Signature, chain and totals are checked by who knows key and past."""

    header: Header
    signature: bytes
    runs: tuple[Run, ...]

    @cached_property
    def envelope(self) -> bytes:
        """The COSE_Sign1 bytes."""
        return encode_sign1(self.header.encoded, self.signature)

    @cached_property
    def reading_count(self) -> int:
        """Readings over all runs."""
        return sum(run.record.count for run in self.runs)

    def encode(self) -> bytes:
        """The wire bytes."""
        parts = [b"\x82", self.envelope, cbor.head(_ARRAY_MAJOR, len(self.runs))]
        for run in self.runs:
            parts += _run_parts(run)
        return b"".join(parts)


def _run_parts(run: Run) -> list[bytes]:
    if run.is_withheld:
        return [_WITHHELD_HEAD, run.record.encode()]
    n = len(run.readings)
    first = run.record.first_time_ms
    flags = _NO_FLAGS
    if any(reading.flags for reading in run.readings):
        flags = _column(_FLAGS_TAG, struct.pack(f"<{n}H", *(reading.flags for reading in run.readings)))
    return [
        _RUN_HEAD,
        run.record.encode(),
        _SALT_HEAD,
        run.salt,
        _column(_TIMES_TAG, struct.pack(f"<{n}I", *(reading.time_ms - first for reading in run.readings))),
        _column(_VALUES_TAG, struct.pack(f"<{n}i", *(reading.value for reading in run.readings))),
        flags,
    ]


def _column(tag: bytes, data: bytes) -> bytes:
    return tag + cbor.head(_BYTES_MAJOR, len(data)) + data


def reading_leaf(salt: bytes, channel: int, reading: Reading) -> bytes:
    """The 41 bytes whose leaf hash the readings root is over."""
    return _READING.pack(READING_TYPE, salt, channel, *reading)


def readings_root(salt: bytes, channel: int, readings: Iterable[Reading]) -> bytes:
    """Root over the run's reading leaves; H("") when there is none."""
    return root([leaf_hash(reading_leaf(salt, channel, reading)) for reading in readings])


def runs_root(records: Iterable[RunRecord]) -> bytes:
    """Root over the run records."""
    return root([leaf_hash(record.encode()) for record in records])


def make_run(
    channel: int, quantity: int, next_seq: int, salt: bytes, readings: Sequence[Reading], totals: Totals
) -> Run:
    """A run of `readings` (consecutive from next_seq, perhaps none) with the totals after them."""
    record = RunRecord(
        channel,
        quantity,
        next_seq,
        len(readings),
        readings[0].time_ms if readings else 0,
        readings[-1].time_ms if readings else 0,
        readings_root(salt, channel, readings),
        totals,
    )
    return Run(record, salt if readings else NO_SALT, tuple(readings))


def seal(
    signer: Signer,
    leg: LegRef,
    frame_seq: int,
    previous_hash: bytes,
    sent_ms: int,
    anchor: AnchorSeen,
    runs: Sequence[Run],
) -> Frame:
    """Sign a frame over `runs`, channels ascending."""
    header = Header(
        signer.public.gateway_id,
        *leg,
        frame_seq,
        previous_hash,
        sent_ms,
        *anchor,
        runs_root(run.record for run in runs),
        len(runs),
    )
    problem = _header_problem(header)
    assert problem is None, problem
    return Frame(header, signer.sign(header.signed), tuple(runs))


def withhold(frame: Frame) -> Frame:
    """The frame without any reading or salt: its signature, its hash and all records stay."""
    runs = tuple(Run(run.record, NO_SALT, ()) for run in frame.runs)
    return Frame(frame.header, frame.signature, runs)


def decode_envelope(data: bytes) -> tuple[Header, bytes]:
    """(header, signature) of a frame's COSE_Sign1 alone, as clone proofs carry it."""
    payload, signature = decode_sign1(data)
    return Header.decode(payload), signature


class _Wire:
    """A position in a frame's bytes; reads only what the layout says is next."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def expect(self, wanted: bytes) -> None:
        found = self.take(len(wanted))
        if found != wanted:
            raise MalformedError(
                "frame_encoding", f"byte {self.at - len(wanted)}: found {found.hex()}, wanted {wanted.hex()}"
            )

    def take(self, count: int) -> bytes:
        found = self.data[self.at : self.at + count]
        if len(found) != count:
            raise MalformedError("frame_size", f"byte {self.at}: {count} bytes wanted, {len(found)} left")
        self.at += count
        return found

    def column(self, tag: bytes, code: str, count: int) -> tuple[int, ...]:
        """A typed array of exactly `count` items."""
        self.expect(tag)
        size = struct.calcsize(f"<{code}") * count
        self.expect_length(size)
        return struct.unpack(f"<{count}{code}", self.take(size))

    def expect_length(self, size: int) -> None:
        wanted = cbor.head(_BYTES_MAJOR, size)
        found = self.take(len(wanted))
        if found != wanted:
            raise MalformedError(
                "frame_readings", f"byte {self.at}: column head {found.hex()}, wanted {size} bytes"
            )


def decode_frame(data: bytes, *, may_withhold: bool = False) -> Frame:
    """The frame in `data`: exactly one encoding, roots recomputed, every `frame_*` refusal of the spec.

    `may_withhold`: runs may be without their readings, as in evidence and in logs that were erased.
    """
    if len(data) > FRAME_BYTES_MAX:
        raise MalformedError("frame_size", f"{len(data)} bytes, wanted at most {FRAME_BYTES_MAX}")
    wire = _Wire(data)
    wire.expect(b"\x82")
    header, signature = _decode_head(wire.take(_ENVELOPE_BYTES))
    runs = _decode_runs(wire, header, may_withhold=may_withhold)
    if wire.at != len(data):
        raise MalformedError(
            "frame_encoding", f"{len(data) - wire.at} bytes after the frame's end at {wire.at}"
        )
    if runs_root(run.record for run in runs) != header.runs_root:
        raise MalformedError("frame_root", "runs_root differs from the tree over the run records")
    return Frame(header, signature, runs)


def decode_header(data: bytes) -> Header:
    """The header of a frame's bytes; what follows its envelope is not looked at."""
    wire = _Wire(data)
    wire.expect(b"\x82")
    return _decode_head(wire.take(_ENVELOPE_BYTES))[0]


def decode_records(data: bytes) -> tuple[Header, tuple[RunRecord, ...]]:
    """Header and run records of bytes that `decode_frame` has taken before: readings are stepped over, not checked."""
    wire = _Wire(data)
    wire.expect(b"\x82")
    header, _ = _decode_head(wire.take(_ENVELOPE_BYTES))
    wire.expect(cbor.head(_ARRAY_MAJOR, header.run_count))
    return header, tuple(_step_over(wire) for _ in range(header.run_count))


def _step_over(wire: _Wire) -> RunRecord:
    if wire.data.startswith(_WITHHELD_HEAD, wire.at):
        wire.expect(_WITHHELD_HEAD)
        return RunRecord.decode(wire.take(RECORD_BYTES))
    wire.expect(_RUN_HEAD)
    record = RunRecord.decode(wire.take(RECORD_BYTES))
    wire.expect(_SALT_HEAD)
    wire.take(SALT_BYTES)
    for tag, width in ((_TIMES_TAG, 4), (_VALUES_TAG, 4), (_FLAGS_TAG, 2)):
        if width == 2 and wire.data[wire.at : wire.at + 1] == _NO_FLAGS:
            wire.at += 1
            break
        wire.expect(tag)
        wire.expect_length(width * record.count)
        wire.take(width * record.count)
    return record


def _decode_head(envelope: bytes) -> tuple[Header, bytes]:
    try:
        payload, signature = decode_sign1(envelope)
    except MalformedError as exc:
        raise MalformedError("frame_encoding", exc.text) from exc
    return Header.decode(payload), signature


def _decode_runs(wire: _Wire, header: Header, *, may_withhold: bool) -> tuple[Run, ...]:
    # A count that differs from run_count has another head, so the array's head is checked against the header's.
    head = cbor.head(_ARRAY_MAJOR, header.run_count)
    if wire.take(len(head)) != head:
        raise MalformedError(
            "frame_runs", f"array of runs does not begin {head.hex()} for {header.run_count} runs"
        )
    runs: list[Run] = []
    readings_left = FRAME_READINGS_MAX
    for _ in range(header.run_count):
        is_withheld = may_withhold and wire.data.startswith(_WITHHELD_HEAD, wire.at)
        decode = _decode_withheld if is_withheld else _decode_run
        run = decode(wire, header.leg_state, readings_left)
        if runs and run.record.channel <= runs[-1].record.channel:
            raise MalformedError(
                "frame_runs", f"channel {run.record.channel} after {runs[-1].record.channel}"
            )
        readings_left -= run.record.count
        runs.append(run)
    return tuple(runs)


def _decode_record(wire: _Wire, readings_left: int) -> RunRecord:
    record = RunRecord.decode(wire.take(RECORD_BYTES))
    if not is_quantity(record.quantity):
        raise MalformedError("frame_runs", f"channel {record.channel}: unknown quantity {record.quantity}")
    if record.count > readings_left:
        raise MalformedError("frame_readings", f"more than {FRAME_READINGS_MAX} readings")
    return record


def _decode_withheld(wire: _Wire, leg_state: int, readings_left: int) -> Run:
    """A run of which the record alone is shown: what the readings would say of it stays unchecked."""
    wire.expect(_WITHHELD_HEAD)
    record = _decode_record(wire, readings_left)
    span_ms = record.last_time_ms - record.first_time_ms
    if not record.count or span_ms < record.count - 1 or record.last_time_ms > TIME_MS_MAX:
        raise MalformedError(
            "frame_readings",
            f"channel {record.channel}: {record.count} withheld readings over {span_ms} ms to {record.last_time_ms}",
        )
    if record.first_seq + record.count >= 2**64:
        raise MalformedError("frame_readings", f"channel {record.channel}: sequence numbers pass 2^64")
    _check_totals(record, leg_state, ())
    return Run(record, NO_SALT, ())


def _decode_run(wire: _Wire, leg_state: int, readings_left: int) -> Run:
    wire.expect(_RUN_HEAD)
    record = _decode_record(wire, readings_left)
    wire.expect(_SALT_HEAD)
    salt = wire.take(SALT_BYTES)
    deltas = wire.column(_TIMES_TAG, "I", record.count)
    values = wire.column(_VALUES_TAG, "i", record.count)
    flags = _decode_flags(wire, record.count)
    readings = tuple(
        Reading(record.first_seq + i, record.first_time_ms + delta, value, flag)
        for i, (delta, value, flag) in enumerate(zip(deltas, values, flags, strict=True))
    )
    _check_times(record, salt, deltas)
    if readings_root(salt, record.channel, readings) != record.readings_root:
        raise MalformedError(
            "frame_root", f"channel {record.channel}: readings_root differs from the readings"
        )
    _check_totals(record, leg_state, readings)
    return Run(record, salt, readings)


def _decode_flags(wire: _Wire, count: int) -> tuple[int, ...]:
    if wire.data[wire.at : wire.at + 1] == _NO_FLAGS:
        wire.at += 1
        return (0,) * count
    flags = wire.column(_FLAGS_TAG, "H", count)
    if not any(flags):
        raise MalformedError("frame_encoding", f"byte {wire.at}: flags are present and all zero")
    if any(flag & ~FLAGS_KNOWN for flag in flags):
        raise MalformedError("frame_readings", "unknown flags")
    return flags


def _check_times(record: RunRecord, salt: bytes, deltas: Sequence[int]) -> None:
    last = deltas[-1] if deltas else 0
    if deltas and (deltas[0] or any(a >= b for a, b in itertools.pairwise(deltas))):
        raise MalformedError(
            "frame_readings", f"channel {record.channel}: times do not begin at 0 and increase strictly"
        )
    if record.last_time_ms != record.first_time_ms + last or record.last_time_ms > TIME_MS_MAX:
        raise MalformedError(
            "frame_readings",
            f"channel {record.channel}: last time {record.last_time_ms}, "
            f"the readings end at {record.first_time_ms + last}",
        )
    if not deltas and record.first_time_ms:
        raise MalformedError("frame_readings", f"channel {record.channel}: an empty run with times")
    if record.first_seq + record.count >= 2**64:
        raise MalformedError("frame_readings", f"channel {record.channel}: sequence numbers pass 2^64")
    if not deltas and (record.readings_root != EMPTY_ROOT or salt != NO_SALT):
        raise MalformedError(
            "frame_readings", f"channel {record.channel}: an empty run with a root or a salt"
        )


def _check_totals(record: RunRecord, leg_state: int, readings: Sequence[Reading]) -> None:
    totals = record.totals
    problem = None
    if leg_state == IDLE:
        problem = "an idle frame with totals" if totals != EMPTY else None
    elif totals.count == 0:
        problem = "readings without totals" if record.count or totals != EMPTY else None
    else:
        problem = _totals_problem(record, readings)
    if problem:
        raise MalformedError("frame_totals", f"channel {record.channel}: {problem}")


def _totals_problem(record: RunRecord, readings: Sequence[Reading]) -> str | None:
    totals = record.totals
    if not record.count <= totals.count or totals.valid_count > totals.count:
        return f"totals of {totals.count} readings, {totals.valid_count} valid, in a run of {record.count}"
    if totals.last_flags & ~FLAGS_KNOWN:
        return f"unknown flags {totals.last_flags:04x}"
    if totals.first_seq + totals.count != record.first_seq + record.count:
        return (
            f"totals end before reading {totals.first_seq + totals.count}, "
            f"the run before {record.first_seq + record.count}"
        )
    if (
        totals.first_ms > totals.last_ms
        or totals.known_ms + totals.unknown_ms != totals.last_ms - totals.first_ms
    ):
        return "known and unknown time are not the time between first and last reading"
    if readings and (totals.last_ms, totals.last_flags) != (readings[-1].time_ms, readings[-1].flags):
        return "totals do not end with the run's last reading"
    return None


__all__ = [
    "CLOSED",
    "IDLE",
    "NO_ANCHOR",
    "NO_LEG",
    "OPEN",
    "TOTALS_BYTES",
    "AnchorSeen",
    "Frame",
    "Header",
    "LegRef",
    "Reading",
    "Run",
    "RunRecord",
    "decode_envelope",
    "decode_frame",
    "decode_header",
    "decode_records",
    "make_run",
    "reading_leaf",
    "readings_root",
    "runs_root",
    "seal",
    "withhold",
]
