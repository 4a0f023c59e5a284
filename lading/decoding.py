"""Frame bytes to frames: one encoding, every refusal of docs/spec/frame.md."""

import itertools
import struct
from collections.abc import Sequence

from lading import cbor
from lading.cose import decode_sign1
from lading.errors import MalformedError
from lading.fields import TIME_MS_MAX
from lading.frame import (
    ARRAY_MAJOR,
    BYTES_MAJOR,
    ENVELOPE_BYTES,
    FLAGS_TAG,
    FRAME_BYTES_MAX,
    FRAME_READINGS_MAX,
    IDLE,
    NO_FLAGS,
    NO_SALT,
    RECORD_BYTES,
    RUN_HEAD,
    SALT_BYTES,
    SALT_HEAD,
    TIMES_TAG,
    VALUES_TAG,
    WITHHELD_HEAD,
    Frame,
    Header,
    Run,
    RunRecord,
    readings_root,
    runs_root,
)
from lading.quantities import FLAGS_KNOWN, is_quantity
from lading.totals import EMPTY, Reading
from lading.tree import EMPTY_ROOT


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
        wanted = cbor.head(BYTES_MAJOR, size)
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
    header, signature = _decode_head(wire.take(ENVELOPE_BYTES))
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
    return _decode_head(wire.take(ENVELOPE_BYTES))[0]


def decode_records(data: bytes) -> tuple[Header, tuple[RunRecord, ...]]:
    """Header and run records of bytes that `decode_frame` has taken before: readings are stepped over, not checked."""
    wire = _Wire(data)
    wire.expect(b"\x82")
    header, _ = _decode_head(wire.take(ENVELOPE_BYTES))
    wire.expect(cbor.head(ARRAY_MAJOR, header.run_count))
    return header, tuple(_step_over(wire) for _ in range(header.run_count))


def _step_over(wire: _Wire) -> RunRecord:
    if wire.data.startswith(WITHHELD_HEAD, wire.at):
        wire.expect(WITHHELD_HEAD)
        return RunRecord.decode(wire.take(RECORD_BYTES))
    wire.expect(RUN_HEAD)
    record = RunRecord.decode(wire.take(RECORD_BYTES))
    wire.expect(SALT_HEAD)
    wire.take(SALT_BYTES)
    for tag, width in ((TIMES_TAG, 4), (VALUES_TAG, 4), (FLAGS_TAG, 2)):
        if width == 2 and wire.data[wire.at : wire.at + 1] == NO_FLAGS:
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
    head = cbor.head(ARRAY_MAJOR, header.run_count)
    if wire.take(len(head)) != head:
        raise MalformedError(
            "frame_runs", f"array of runs does not begin {head.hex()} for {header.run_count} runs"
        )
    runs: list[Run] = []
    readings_left = FRAME_READINGS_MAX
    for _ in range(header.run_count):
        is_withheld = may_withhold and wire.data.startswith(WITHHELD_HEAD, wire.at)
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
    wire.expect(WITHHELD_HEAD)
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
    wire.expect(RUN_HEAD)
    record = _decode_record(wire, readings_left)
    wire.expect(SALT_HEAD)
    salt = wire.take(SALT_BYTES)
    deltas = wire.column(TIMES_TAG, "I", record.count)
    values = wire.column(VALUES_TAG, "i", record.count)
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
    if wire.data[wire.at : wire.at + 1] == NO_FLAGS:
        wire.at += 1
        return (0,) * count
    flags = wire.column(FLAGS_TAG, "H", count)
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
