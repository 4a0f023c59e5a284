"""Erasing readings: values, times and salts go from the archive and the embedded log; what was signed stays.

A run is what is erased, and all runs of a leg go at once. Frames keep their headers, signatures and run records, so
proofs of every other leg, and of the erased one's totals, hold as before. Done again after a kill, it finishes.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ingest.archive import FRAMES_SUFFIX, Archive, only_writer, read_frames
from ingest.raw import RawMessage
from lading import topics
from lading.batch import BatchRecord
from lading.deadletter import DeadLetter
from lading.decoding import decode_frame, decode_header
from lading.errors import LadingError, MalformedError, ServiceError
from lading.frame import IDLE, Frame, Header, withhold
from lading.log import Log, Record, SqliteLog
from lading.tree import leaf_hash, sha256
from lading.verdict import Verdict, VerdictRecord

RECORD_NAME = "erasures.jsonl"
READ_RECORDS = 1_000

LegAt = tuple[bytes, bytes]  # leg id, gateway id


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes: whole legs, and frames of no leg whose readings all lie before a time."""

    legs: frozenset[LegAt]
    idle_before_ms: int | None = None

    def takes(self, header: Header, frame: Frame) -> bool:
        """Whether a frame's readings go."""
        if header.leg_state != IDLE:
            return (header.leg_id, header.gateway_id) in self.legs
        last_ms = max((run.record.last_time_ms for run in frame.runs if run.record.count), default=0)
        return self.idle_before_ms is not None and last_ms < self.idle_before_ms


@dataclass(frozen=True, slots=True)
class Erasure:
    """One line of the erasure record. `runs_hash`: over the records of all runs; `previous`: of the line before."""

    erased_ms: int
    by: str
    reason: str
    legs: tuple[str, ...]
    batches: tuple[str, ...]
    runs: int
    readings: int
    runs_hash: str
    previous: str


@dataclass(frozen=True, slots=True)
class Found:
    """What would go from one batch: its records as they will be, and the runs."""

    batch: BatchRecord
    records: tuple[Record, ...]
    changed: Mapping[tuple[int, int], bytes]
    runs: tuple[bytes, ...]
    readings: int


def finished(log: Log) -> dict[LegAt, Verdict]:
    """The final verdict of each leg that has one: only then nothing will be asked of its readings again."""
    newest: dict[LegAt, Verdict] = {}
    for record in _all(log, topics.VERDICTS):
        verdict = VerdictRecord.decode(record.value).verdict
        newest[verdict.leg_id, verdict.gateway_id] = verdict
    return {leg: verdict for leg, verdict in newest.items() if verdict.final}


def find(log: Log, folder: Path, choice: Choice) -> Iterator[Found]:
    """Batch by batch what the choice takes and is still there. ServiceError while the archive is behind."""
    done = log.committed("archive", topics.BATCHES)
    for record in _all(log, topics.BATCHES):
        batch = BatchRecord.decode(record.value)
        if record.offset >= done.get(record.partition, 0):
            raise ServiceError("archive_behind", f"{batch.location} is not archived yet, wanted all to be")
        found = _in_batch(batch, folder, choice)
        if found.runs:
            yield found


def _in_batch(batch: BatchRecord, folder: Path, choice: Choice) -> Found:
    path = (folder / batch.location).with_suffix(FRAMES_SUFFIX)
    records: list[Record] = []
    changed: dict[tuple[int, int], bytes] = {}
    runs: list[bytes] = []
    readings = 0
    for partition, offset, data in read_frames(path):
        header, value = decode_header(data), data
        if header.leg_state == IDLE or (header.leg_id, header.gateway_id) in choice.legs:
            frame = decode_frame(data, may_withhold=True)
            gone = [run.record for run in frame.runs if run.readings]
            if gone and choice.takes(header, frame):
                value = withhold(frame).encode()
                changed[partition, offset] = value
                runs += [record.encode() for record in gone]
                readings += sum(record.count for record in gone)
        records.append(Record(partition, offset, header.gateway_id, value, 0))
    return Found(batch, tuple(records), changed, tuple(runs), readings)


def erase(
    log: Log, folder: Path, archive: Archive, choice: Choice, *, now_ms: int, by: str, reason: str
) -> Erasure | None:
    """Erase; None when nothing is left to erase. The record of it is durable before anything goes."""
    with only_writer(folder):
        seen = survey(find(log, folder, choice))
        if not seen.runs:
            return None
        legs = tuple(sorted({leg.hex() for leg, _ in choice.legs}))
        amounts = (seen.locations, seen.runs, seen.readings, seen.runs_hash)
        line = Erasure(now_ms, by, reason, legs, *amounts, newest_hash(folder))
        _append(folder / RECORD_NAME, line)
        if isinstance(log, SqliteLog):
            _withhold_messages(log, choice)
        for one in find(log, folder, choice):
            if isinstance(log, SqliteLog):
                log.replace(topics.FRAMES, one.changed)
            archive.write(one.batch, one.records)
    return line


def _withhold_messages(log: SqliteLog, choice: Choice) -> None:
    """The same in what came in and what was refused: such a message is kept, with its frame's runs withheld."""
    for record in _all(log, topics.RAW):
        raw = RawMessage.decode(record.value)
        if (data := _withheld(raw.data, choice)) is not None:
            log.replace(topics.RAW, {(record.partition, record.offset): replace(raw, data=data).encode()})
    for record in _all(log, topics.DEAD):
        letter = DeadLetter.decode(record.value)
        if (data := _withheld(letter.data, choice)) is not None:
            log.replace(topics.DEAD, {(record.partition, record.offset): replace(letter, data=data).encode()})


def _withheld(data: bytes, choice: Choice) -> bytes | None:
    """A message's frame without its readings; None where it is none, not chosen, or has none left."""
    try:
        frame = decode_frame(data, may_withhold=True)
    except LadingError:
        return None
    has_readings = any(run.readings for run in frame.runs)
    return withhold(frame).encode() if has_readings and choice.takes(frame.header, frame) else None


@dataclass(frozen=True, slots=True)
class Survey:
    """How much would go."""

    locations: tuple[str, ...]
    runs: int
    readings: int
    runs_hash: str


def survey(found: Iterable[Found]) -> Survey:
    """Add up, keeping one batch in memory."""
    locations: list[str] = []
    runs = readings = 0
    digest = hashlib.sha256()
    for one in found:
        locations.append(one.batch.location)
        runs += len(one.runs)
        readings += one.readings
        for run in one.runs:
            digest.update(leaf_hash(run))
    return Survey(tuple(locations), runs, readings, digest.hexdigest())


def newest_hash(folder: Path) -> str:
    """SHA-256 of the erasure record's last line, hex; of nothing before the first."""
    lines = _lines(folder)
    return sha256(lines[-1]).hex() if lines else sha256(b"").hex()


def erasures(folder: Path) -> list[Erasure]:
    """Every erasure, oldest first. MalformedError when a line does not name the one before it."""
    found: list[Erasure] = []
    previous = sha256(b"").hex()
    for number, line in enumerate(_lines(folder), 1):
        try:
            document = json.loads(line)
            one = Erasure(**document | {key: tuple(document[key]) for key in ("legs", "batches")})
        except (ValueError, KeyError, TypeError) as exc:
            raise MalformedError("erasures", f"line {number}: {exc}") from exc
        if one.previous != previous:
            raise MalformedError(
                "erasures", f"line {number} does not follow line {number - 1}: changed or cut"
            )
        previous = sha256(line).hex()
        found.append(one)
    return found


def _lines(folder: Path) -> list[bytes]:
    """The whole lines. What a kill or a full disk left of one more was not begun: nothing of it is erased."""
    path = folder / RECORD_NAME
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _append(path: Path, line: Erasure) -> None:
    with path.open("ab") as file:
        file.truncate(sum(len(whole) + 1 for whole in _lines(path.parent)))
        file.write(json.dumps(asdict(line)).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _all(log: Log, topic: str) -> Iterable[Record]:
    positions: dict[int, int] = {}
    while records := log.read(topic, positions, READ_RECORDS):
        for record in records:
            positions[record.partition] = record.offset + 1
            yield record
