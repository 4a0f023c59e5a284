"""What a gateway signs: header, run records, readings, envelope; one encoding (docs/spec/frame.md)."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from lading import cbor
from lading.cose import Signer, encode_sign1, sig_structure
from lading.errors import MalformedError
from lading.fields import TIME_MS_MAX
from lading.totals import TOTALS_BYTES, Reading, Totals
from lading.tree import ZERO_HASH, leaf_hash, root

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

ENVELOPE_BYTES = 7 + 2 + HEADER_BYTES + 2 + 64
TIMES_TAG, VALUES_TAG, FLAGS_TAG = bytes.fromhex("d846"), bytes.fromhex("d84e"), bytes.fromhex("d845")
RUN_HEAD = bytes.fromhex("8558cf")
WITHHELD_HEAD = b"\x81" + RUN_HEAD[1:]  # the record alone
SALT_HEAD = b"\x50"
NO_FLAGS = b"\xf6"
ARRAY_MAJOR, BYTES_MAJOR = 4, 2


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
        parts = [b"\x82", self.envelope, cbor.head(ARRAY_MAJOR, len(self.runs))]
        for run in self.runs:
            parts += _run_parts(run)
        return b"".join(parts)


def _run_parts(run: Run) -> list[bytes]:
    if run.is_withheld:
        return [WITHHELD_HEAD, run.record.encode()]
    n = len(run.readings)
    first = run.record.first_time_ms
    flags = NO_FLAGS
    if any(reading.flags for reading in run.readings):
        flags = _column(FLAGS_TAG, struct.pack(f"<{n}H", *(reading.flags for reading in run.readings)))
    return [
        RUN_HEAD,
        run.record.encode(),
        SALT_HEAD,
        run.salt,
        _column(TIMES_TAG, struct.pack(f"<{n}I", *(reading.time_ms - first for reading in run.readings))),
        _column(VALUES_TAG, struct.pack(f"<{n}i", *(reading.value for reading in run.readings))),
        flags,
    ]


def _column(tag: bytes, data: bytes) -> bytes:
    return tag + cbor.head(BYTES_MAJOR, len(data)) + data


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
    "make_run",
    "reading_leaf",
    "readings_root",
    "runs_root",
    "seal",
    "withhold",
]
