"""Channels from the archive, each batch shown to be anchored before one of its readings is used.

Of a batch these must agree: its files, the batch record in the log, the one before it, and the anchor of its interval.
Readings are taken from the signed frames; the columns beside them must say the same. ProofError names the file.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anomaly.forecast.series import READINGS_MAX, Collector, Source
from lading import lanes, topics, tree
from lading.batch import AnchorRecord, BatchRecord
from lading.decoding import decode_frame
from lading.errors import MalformedError, ProofError, ServiceError
from lading.fast import Checked, check_frames
from lading.log import Log, Record
from lading.tree import ZERO_HASH

FRAMES_SUFFIX = ".frames"
CHUNK_FRAMES = 1_024
RECORDS_A_READ = 1_000
BATCHES_MAX = 10_000_000
_COLUMNS = ("channel", "seq", "time_ms", "value", "flags")

Confirm = Callable[[AnchorRecord], None]
"""Asks a chain whether it has the anchor; ProofError where not."""
Tell = Callable[[int, int, str], None]
"""Batches done, of how many, the file."""


@dataclass
class Ledger:
    """What the log says of batches and anchors."""

    batches: list[BatchRecord] = field(default_factory=list)  # by tenant id, then batch_seq
    anchors: dict[int, AnchorRecord] = field(default_factory=dict)

    @staticmethod
    def read(log: Log) -> "Ledger":
        """Everything that the log has of them."""
        batches = {
            (record.leaf.tenant, record.leaf.batch_seq): record
            for record in (BatchRecord.decode(one.value) for one in _all(log, topics.BATCHES))
        }
        anchors = (AnchorRecord.decode(one.value) for one in _all(log, topics.ANCHORS))
        return Ledger([batches[key] for key in sorted(batches)], {one.interval: one for one in anchors})

    def anchored(self) -> list[BatchRecord]:
        """Batches whose interval's anchor is in a block."""
        states = {interval: anchor.state for interval, anchor in self.anchors.items()}
        return [one for one in self.batches if states.get(one.interval, "pending") != "pending"]


def load(log: Log, folder: Path, collector: Collector, tell: Tell, confirm: Confirm | None = None) -> Source:
    """Read every anchored batch of the log from the archive's folder. ProofError, or ServiceError `archive`."""
    ledger = Ledger.read(log)
    batches = ledger.anchored()
    if not batches:
        raise ServiceError("archive", f"{folder}: no batch of the log is anchored yet, wanted one or more")
    confirmed: set[int] = set()
    previous: dict[bytes, tuple[int, bytes]] = {}
    for done, batch in enumerate(batches):
        path = folder / batch.location
        tell(done, len(batches), batch.location)
        _require_follows(path, batch, previous)
        anchor = ledger.anchors[batch.interval]
        _require_included(path, batch, anchor)
        if confirm is not None and batch.interval not in confirmed:
            confirm(anchor)
            confirmed.add(batch.interval)
        _read_batch(path, batch, collector)
    tell(len(batches), len(batches), "")
    leaves = [batch.leaf.hash for batch in batches]
    return Source("archive", tree.root(leaves), len(batches), sum(one.leaf.frame_count for one in batches))


def _all(log: Log, topic: str) -> Iterator[Record]:
    at: dict[int, int] = {}
    for _ in range(BATCHES_MAX // RECORDS_A_READ):
        found = log.read(topic, at, RECORDS_A_READ)
        if not found:
            return
        yield from found
        for record in found:
            at[record.partition] = record.offset + 1
    raise ServiceError("archive", f"{topic}: more than {BATCHES_MAX} records")


def _require_follows(path: Path, batch: BatchRecord, previous: dict[bytes, tuple[int, bytes]]) -> None:
    """No batch of the tenant is left out before it."""
    seq, leaf = previous.get(batch.leaf.tenant, (0, ZERO_HASH))
    if (batch.leaf.batch_seq, batch.leaf.previous) != (seq + 1, leaf):
        raise ProofError(
            "archive_batch",
            f"{path}: batch {batch.leaf.batch_seq} after {batch.leaf.previous.hex()}, "
            f"wanted batch {seq + 1} after {leaf.hex()}",
        )
    previous[batch.leaf.tenant] = batch.leaf.batch_seq, batch.leaf.hash


def _require_included(path: Path, batch: BatchRecord, anchor: AnchorRecord) -> None:
    if batch.batch_count != anchor.batch_count:
        raise ProofError(
            "archive_anchor",
            f"{path}: one of {batch.batch_count} batches, "
            f"the anchor of interval {anchor.interval} has {anchor.batch_count}",
        )
    try:
        tree.check_inclusion(
            batch.leaf.hash, batch.batch_index, batch.batch_count, batch.siblings, anchor.super_root
        )
    except ProofError as exc:
        raise ProofError("archive_anchor", f"{path}: not in interval {anchor.interval}: {exc.text}") from exc


def _read_batch(path: Path, batch: BatchRecord, collector: Collector) -> None:
    frames_path = path.with_suffix(FRAMES_SUFFIX)
    frames = _frames(frames_path)
    hashes: list[lanes.Rows] = []
    columns: list[list[np.ndarray]] = []
    for at in range(0, len(frames), CHUNK_FRAMES):
        checked = _check(frames_path, frames[at : at + CHUNK_FRAMES])
        hashes.append(checked.hashes)
        columns.append([getattr(checked.columns, name) for name in _COLUMNS])
        collector.add(checked)
    found = lanes.tree_root(np.concatenate(hashes)) if hashes else b""
    if (len(frames), found) != (batch.leaf.frame_count, batch.leaf.frames_root):
        raise ProofError(
            "archive_file",
            f"{frames_path}: {len(frames)} frames under {found.hex()}, "
            f"wanted {batch.leaf.frame_count} under {batch.leaf.frames_root.hex()}",
        )
    _require_same(path, [np.concatenate(parts) for parts in zip(*columns, strict=True)])


def _check(path: Path, frames: list[bytes]) -> Checked:
    """Frames with their readings; those whose readings were erased keep their header's place."""
    checked = check_frames(frames)
    for i in np.flatnonzero(~checked.whole):
        try:
            header = decode_frame(frames[i], may_withhold=True).header
        except MalformedError as exc:
            raise ProofError("archive_file", f"{path}: frame {i} of a chunk does not decode: {exc}") from exc
        checked.hashes[i] = np.frombuffer(header.hash, np.uint8)
    return checked


def _frames(path: Path) -> list[bytes]:
    found: list[bytes] = _table(path, ["frame"]).column("frame").to_pylist()
    if None in found:
        raise ProofError("archive_file", f"{path}: a row without a frame")
    return found


def _require_same(path: Path, columns: list[np.ndarray]) -> None:
    """The columns for queries are what the frames say."""
    table = _table(path, list(_COLUMNS))
    for name, wanted in zip(_COLUMNS, columns, strict=True):
        found = table.column(name).to_numpy()
        if len(found) != len(wanted):
            raise ProofError(
                "archive_file", f"{path}: {len(found)} readings, wanted {len(wanted)} of its frames"
            )
        differing = np.flatnonzero(found != wanted)
        if len(differing):
            row = int(differing[0])
            raise ProofError(
                "archive_file", f"{path}: {name} {found[row]} in row {row}, wanted {wanted[row]} of its frame"
            )


def _table(path: Path, names: list[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > READINGS_MAX:
                raise ProofError(
                    "archive_file", f"{path}: {file.metadata.num_rows} rows, wanted at most {READINGS_MAX}"
                )
            return file.read(columns=names)
    except FileNotFoundError as exc:
        raise ProofError("archive_file", f"{path}: missing, wanted the file of an anchored batch") from exc
    except (pa.ArrowException, OSError, KeyError, ValueError) as exc:
        raise ProofError(
            "archive_file", f"{path}: {str(exc)[:200]}, wanted Parquet as the archive writes it"
        ) from exc
