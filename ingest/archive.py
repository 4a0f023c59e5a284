"""The archive: two deterministic files a batch, whose positions in the log the batch record names.

`<dir>/<tenant>/<batch_seq, 8 digits>.parquet` holds the readings as columns, for queries. Beside it,
`….frames` (Parquet too) holds the frames as they were signed, in leaf order, so that proofs and evidence can be
made again after the log is gone. Both are written under another name, made durable and renamed; the offset is
committed after that, and writing them again gives the same bytes.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lading import lanes, topics
from lading.batch import BatchRecord
from lading.batchlog import TenantOf, frames_of
from lading.decoding import decode_frame, decode_header
from lading.errors import MalformedError, ServiceError
from lading.fast import header_hashes, walk_frames
from lading.frame import HEADER_BYTES, IDLE, RECORD_BYTES, SALT_BYTES
from lading.locks import held
from lading.log import Log, Record
from lading.walk import Bytes, Walked

GROUP = "archive"
BATCHES_A_STEP = 16
CHUNK_BYTES = 8 * 1024 * 1024
"""Frames of about so many bytes make one row group."""
FRAMES_SUFFIX = ".frames"

_REPEATED = pa.dictionary(pa.int32(), pa.string())  # of a frame, for each reading; in the file plain strings
READINGS_SCHEMA = pa.schema(
    [
        pa.field("gateway", _REPEATED, nullable=False),
        pa.field("leg", _REPEATED),
        pa.field("frame_seq", pa.uint64(), nullable=False),
        pa.field("channel", pa.uint16(), nullable=False),
        pa.field("quantity", pa.uint16(), nullable=False),
        pa.field("seq", pa.uint64(), nullable=False),
        pa.field("time_ms", pa.int64(), nullable=False),
        pa.field("value", pa.int32(), nullable=False),
        pa.field("flags", pa.uint16(), nullable=False),
        pa.field("salt", pa.binary(16), nullable=False),
    ]
)
FRAMES_SCHEMA = pa.schema(
    [
        pa.field("gateway", pa.string(), nullable=False),
        pa.field("frame_seq", pa.uint64(), nullable=False),
        pa.field("partition", pa.uint32(), nullable=False),
        pa.field("offset", pa.uint64(), nullable=False),
        pa.field("hash", pa.binary(32), nullable=False),
        pa.field("frame", pa.binary(), nullable=False),
    ]
)
_DICTIONARY = ["gateway", "leg", "channel", "quantity", "flags", "salt"]
_ENCODINGS = {
    "frame_seq": "DELTA_BINARY_PACKED",
    "seq": "DELTA_BINARY_PACKED",
    "time_ms": "DELTA_BINARY_PACKED",
    "value": "BYTE_STREAM_SPLIT",
}
_FRAMES_ENCODINGS = {"frame_seq": "DELTA_BINARY_PACKED", "offset": "DELTA_BINARY_PACKED"}


@dataclass(frozen=True, slots=True)
class Archived:
    """A batch that is in the archive."""

    location: str
    frames: int
    readings: int


class Archive:
    """Writes the batches that anchoring has cut, in their order."""

    def __init__(self, log: Log, folder: Path, tenant_of: TenantOf, *, group: str = GROUP) -> None:
        self._log = log
        self._folder = folder
        self._tenant_of = tenant_of
        self._group = group

    def step(self) -> list[Archived]:
        """Write what batches are new, at most a few; each batch's offset is committed once its files are durable."""
        with _only_one(self._folder) as is_mine:
            return self._step() if is_mine else []

    def _step(self) -> list[Archived]:
        at = self._log.committed(self._group, topics.BATCHES)
        written: list[Archived] = []
        for record in self._log.read(topics.BATCHES, at, BATCHES_A_STEP):
            written.append(self.write(BatchRecord.decode(record.value)))
            self._log.commit(self._group, topics.BATCHES, {record.partition: record.offset + 1})
        if written:
            pa.default_memory_pool().release_unused()  # else it keeps, batch after batch, the most that one needed
        return written

    def write(self, batch: BatchRecord, records: Iterable[Record] | None = None) -> Archived:
        """Write a batch's two files, whether they are there or not; from the log, or from `records` in leaf order.

        Frames whose readings were erased are kept as they are, and add no readings.
        """
        path = self._folder / batch.location
        readings_new, frames_new = (
            path.with_suffix(suffix + ".new") for suffix in (".parquet", FRAMES_SUFFIX)
        )
        frames, readings = 0, 0
        hashes: list[lanes.Rows] = []
        source = frames_of(self._log, batch, self._tenant_of) if records is None else records
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                _writer(readings_new, READINGS_SCHEMA, batch, _DICTIONARY, _ENCODINGS, 3) as readings_file,
                _writer(frames_new, FRAMES_SCHEMA, batch, ["gateway"], _FRAMES_ENCODINGS, 1) as frames_file,
            ):
                for chunk in _chunks(source):
                    walked, headers = _walk(chunk)
                    hashes.append(header_hashes(headers))
                    if len(walked.columns.value):
                        readings_file.write_table(_readings_table(walked))
                    frames_file.write_table(_frames_table(headers, chunk, hashes[-1]))
                    frames += len(chunk)
                    readings += len(walked.columns.value)
            _require_root(batch, np.concatenate(hashes))
            _place(frames_new, path.with_suffix(FRAMES_SUFFIX))
            _place(readings_new, path)
        except OSError as exc:
            raise ServiceError("archive_failed", f"{path}: {exc}") from exc
        return Archived(batch.location, frames, readings)


def read_frames(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(partition, offset, frame bytes) of a batch's `.frames` file, in leaf order."""
    with pq.ParquetFile(path) as file:
        for group in file.iter_batches(batch_size=1024, columns=["partition", "offset", "frame"]):
            yield from zip(*(group.column(name).to_pylist() for name in group.schema.names), strict=True)


@contextmanager
def only_writer(folder: Path, limit_s: float = 60.0) -> Iterator[None]:
    """Hold the archive against the stage that writes it, which goes on afterwards; ServiceError after the limit."""
    with _only_one(folder, limit_s) as is_mine:
        if not is_mine:
            raise ServiceError("archive_busy", f"{folder} is being written for {limit_s:.0f} s")
        yield


@contextmanager
def _only_one(folder: Path, wait_s: float = 0.0) -> Iterator[bool]:
    """Whether no other process writes this archive."""
    lock = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as exc:
        raise ServiceError("archive_failed", f"{folder}: {exc}") from exc
    with held(lock, wait_s) as is_mine:
        yield is_mine


def _writer(
    path: Path,
    schema: pa.Schema,
    batch: BatchRecord,
    dictionary: list[str],
    encodings: dict[str, str],
    level: int,
) -> pq.ParquetWriter:
    metadata = {
        b"lading:batch_leaf": batch.leaf.encoded.hex().encode(),
        b"lading:batch_hash": batch.leaf.hash.hex().encode(),
        b"lading:interval": str(batch.interval).encode(),
        b"lading:tenant": batch.tenant_name.encode(),
    }
    writer = pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=level,
        use_dictionary=dictionary,
        column_encoding=encodings,
        version="2.6",
        store_schema=False,
        data_page_version="1.0",
        write_statistics=True,
    )
    writer.add_key_value_metadata(metadata)
    return writer


def _chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    size = 0
    for record in records:
        chunk.append(record)
        size += len(record.value)
        if size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _walk(records: list[Record]) -> tuple[Walked, Bytes]:
    """The readings that are there, as columns, and the headers of all frames, one after the other."""
    walked = walk_frames([record.value for record in records])
    if walked.whole.all():
        return walked, walked.headers
    headers = []
    for record, is_whole in zip(records, walked.whole.tolist(), strict=True):
        if not is_whole:
            _require_withheld(record)
        headers.append(decode_header(record.value).encoded)
    shown = [record.value for record, whole in zip(records, walked.whole.tolist(), strict=True) if whole]
    return walk_frames(shown), np.frombuffer(b"".join(headers), np.uint8)


def _require_withheld(record: Record) -> None:
    try:
        decode_frame(record.value, may_withhold=True)
    except MalformedError as exc:
        place = f"{record.partition}:{record.offset}"
        raise ServiceError(
            "archive_frame", f"{topics.FRAMES} {place} is no frame that decodes: {exc}"
        ) from exc


def _require_root(batch: BatchRecord, hashes: lanes.Rows) -> None:
    found = (len(hashes), lanes.tree_root(hashes) if len(hashes) else b"")
    if found != (batch.leaf.frame_count, batch.leaf.frames_root):
        raise ServiceError(
            "archive_batch",
            f"{batch.location}: {found[0]} frames under {found[1].hex()}, "
            f"wanted {batch.leaf.frame_count} under {batch.leaf.frames_root.hex()}",
        )


def _place(path: Path, final: Path) -> None:
    _sync(path)
    path.replace(final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _readings_table(walked: Walked) -> pa.Table:
    """One row a reading: what is a frame's or a run's own is repeated, as dictionary indices."""
    run_frame = np.repeat(np.arange(len(walked.whole)), np.diff(walked.run_starts))
    run = np.repeat(np.arange(len(run_frame)), np.diff(walked.reading_starts))
    frame = run_frame[run]
    headers = walked.headers.reshape(-1, HEADER_BYTES)
    legs = [None if header[34] == IDLE else header[35:67].tobytes().hex() for header in headers]
    quantity = walked.records.reshape(-1, RECORD_BYTES)[:, 3:5].copy().view(">u2").reshape(-1)
    frame_seq = headers[:, 99:107].copy().view(">u8").reshape(-1)
    columns = walked.columns
    return pa.table(
        [
            _repeated(pa.array([_gateway(header) for header in headers]), frame),
            _repeated(pa.array(legs, pa.string()), frame),
            pa.array(frame_seq.astype(np.uint64)[frame]),
            pa.array(columns.channel),
            pa.array(quantity.astype(np.uint16)[run]),
            pa.array(columns.seq),
            pa.array(columns.time_ms),
            pa.array(columns.value),
            pa.array(columns.flags),
            _fixed(walked.salts, SALT_BYTES).take(pa.array(run)),
        ],
        schema=READINGS_SCHEMA,
    )


def _frames_table(headers: Bytes, records: list[Record], hashes: lanes.Rows) -> pa.Table:
    rows = headers.reshape(-1, HEADER_BYTES)
    return pa.table(
        [
            pa.array([_gateway(header) for header in rows]),
            pa.array(rows[:, 99:107].copy().view(">u8").reshape(-1).astype(np.uint64)),
            pa.array([record.partition for record in records], pa.uint32()),
            pa.array([record.offset for record in records], pa.uint64()),
            _fixed(hashes, 32),
            pa.array([record.value for record in records], pa.binary()),
        ],
        schema=FRAMES_SCHEMA,
    )


def _gateway(header: Bytes) -> str:
    return header[2:34].tobytes().hex()


def _fixed(rows: Bytes, width: int) -> pa.Array:
    data = np.ascontiguousarray(rows).reshape(-1)
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(data) // width, [None, pa.py_buffer(data)]
    )


def _repeated(values: pa.Array, indices: npt.NDArray[np.int64]) -> pa.DictionaryArray:
    """values[indices] without making each of them; the dictionary holds a value once."""
    distinct = values.dictionary_encode()
    own = distinct.indices.take(pa.array(indices))
    return pa.DictionaryArray.from_arrays(own, distinct.dictionary)
