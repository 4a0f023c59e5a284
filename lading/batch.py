"""Batches, intervals and anchors (docs/spec/batch.md)."""

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

from lading import fields
from lading.cbor import encode, open_document
from lading.errors import MalformedError
from lading.fields import TIME_MS_MAX, U32_MAX, U64_MAX
from lading.names import tenant_id
from lading.tree import PROOF_HASHES_MAX, ZERO_HASH, leaf_hash, sha256

TYPE, VERSION = 4, 1
BATCH_LEAF_BYTES = 158
BATCH_RECORD_BYTES_MAX = 1_048_576
ANCHOR_RECORD_BYTES_MAX = 4_096
PARTITIONS_MAX = 1_024
LOCATION_BYTES_MAX = 256
BATCH_TAG, ANCHOR_TAG = "lading/batch/1", "lading/anchor/1"

AnchorState = Literal["pending", "mined", "safe", "finalized"]
ANCHOR_STATES: tuple[AnchorState, ...] = ("pending", "mined", "safe", "finalized")

_LEAF = struct.Struct(">BB32sQ32sIQQ32s32s")


def location(tenant: str, batch_seq: int) -> str:
    """The archive file's name."""
    return f"{tenant}/{batch_seq:08d}.parquet"


@dataclass(frozen=True)
class BatchLeaf:
    """A tenant's frames of one interval: 158 bytes, a leaf of the super-root."""

    tenant: bytes
    batch_seq: int
    frames_root: bytes
    frame_count: int
    first_event_ms: int
    last_event_ms: int
    previous: bytes
    location_hash: bytes

    @cached_property
    def encoded(self) -> bytes:
        """158 bytes."""
        return _LEAF.pack(
            TYPE,
            VERSION,
            self.tenant,
            self.batch_seq,
            self.frames_root,
            self.frame_count,
            self.first_event_ms,
            self.last_event_ms,
            self.previous,
            self.location_hash,
        )

    @cached_property
    def hash(self) -> bytes:
        """Leaf hash: `previous` of the tenant's next batch."""
        return leaf_hash(self.encoded)

    @staticmethod
    def decode(data: bytes) -> "BatchLeaf":
        """From exactly 158 bytes; MalformedError `batch`."""
        if len(data) != BATCH_LEAF_BYTES:
            raise MalformedError("batch", f"{len(data)} bytes, wanted {BATCH_LEAF_BYTES}")
        kind, version, *values = _LEAF.unpack(data)
        leaf = BatchLeaf(*values)
        if (kind, version) != (TYPE, VERSION):
            raise MalformedError("batch", f"type {kind} version {version}, wanted {TYPE} and {VERSION}")
        if leaf.batch_seq == 0 or (leaf.batch_seq == 1) != (leaf.previous == ZERO_HASH):
            raise MalformedError("batch", f"batch {leaf.batch_seq} after {leaf.previous.hex()}")
        if leaf.frame_count == 0 or not leaf.first_event_ms <= leaf.last_event_ms <= TIME_MS_MAX:
            raise MalformedError(
                "batch", f"{leaf.frame_count} frames from {leaf.first_event_ms} to {leaf.last_event_ms} ms"
            )
        return leaf


@dataclass(frozen=True)
class BatchRecord:
    """What anchoring writes to the log of a batch: positions are (partition, first offset, last offset), inclusive."""

    leaf: BatchLeaf
    tenant_name: str
    interval: int
    positions: tuple[tuple[int, int, int], ...]
    batch_index: int
    batch_count: int
    siblings: tuple[bytes, ...]

    @property
    def location(self) -> str:
        """The archive file's name, whose hash is in the leaf."""
        return location(self.tenant_name, self.leaf.batch_seq)

    def encode(self) -> bytes:
        """Document `lading/batch/1`."""
        positions = [list(position) for position in self.positions]
        return encode(
            [
                BATCH_TAG,
                self.leaf.encoded,
                self.tenant_name,
                self.interval,
                positions,
                self.location,
                self.batch_index,
                self.batch_count,
                list(self.siblings),
            ]
        )

    @staticmethod
    def decode(data: bytes) -> "BatchRecord":
        """From the document; the names must be what the leaf commits to."""
        leaf_bytes, tenant, interval, positions, place, index, count, siblings = open_document(
            data, BATCH_TAG, 9, BATCH_RECORD_BYTES_MAX
        )
        record = BatchRecord(
            BatchLeaf.decode(fields.fixed(leaf_bytes, "leaf", BATCH_LEAF_BYTES)),
            fields.text(tenant, "tenant", 64),
            fields.uint(interval, "interval"),
            _positions(positions),
            fields.uint(index, "batch index", U32_MAX),
            fields.uint(count, "batch count", U32_MAX),
            fields.hashes(siblings, "siblings", PROOF_HASHES_MAX),
        )
        if tenant_id(record.tenant_name) != record.leaf.tenant:
            raise MalformedError("batch", f"tenant {record.tenant_name} is not the leaf's")
        if place != record.location or sha256(record.location.encode()) != record.leaf.location_hash:
            raise MalformedError("batch", f"location {str(place)[:80]!r} is not the leaf's")
        if not record.interval or not record.positions or record.batch_index >= record.batch_count:
            raise MalformedError(
                "batch",
                f"interval {record.interval}, {len(record.positions)} positions, "
                f"batch {record.batch_index} of {record.batch_count}",
            )
        return record


def _positions(value: Any) -> tuple[tuple[int, int, int], ...]:
    found: list[tuple[int, int, int]] = []
    for item in fields.items(value, "positions", PARTITIONS_MAX):
        partition, first, last = (
            fields.uint(number, "position") for number in fields.items(item, "position", 3, count=3)
        )
        if first > last or (found and partition <= found[-1][0]):
            raise MalformedError("batch", f"positions {partition}:{first}-{last} are not ascending")
        found.append((partition, first, last))
    return tuple(found)


@dataclass(frozen=True)
class AnchorRecord:
    """An interval's record on chain. Pending: block fields are 0 and zero bytes."""

    interval: int
    super_root: bytes
    batch_count: int
    chain_id: int
    registry: bytes
    tx_hash: bytes
    block_number: int
    block_hash: bytes
    block_time_ms: int
    gas_used: int
    state: AnchorState

    def encode(self) -> bytes:
        """Document `lading/anchor/1`."""
        return encode(
            [
                ANCHOR_TAG,
                self.interval,
                self.super_root,
                self.batch_count,
                self.chain_id,
                self.registry,
                self.tx_hash,
                self.block_number,
                self.block_hash,
                self.block_time_ms,
                self.gas_used,
                self.state,
            ]
        )

    @staticmethod
    def decode(data: bytes) -> "AnchorRecord":
        """From the document."""
        interval, root, count, chain_id, registry, tx, number, block, time, gas, state = open_document(
            data, ANCHOR_TAG, 12, ANCHOR_RECORD_BYTES_MAX
        )
        record = AnchorRecord(
            fields.uint(interval, "interval"),
            fields.fixed(root, "super-root"),
            fields.uint(count, "batch count", U32_MAX),
            fields.uint(chain_id, "chain id", U64_MAX),
            fields.fixed(registry, "registry", 20),
            fields.fixed(tx, "transaction hash"),
            fields.uint(number, "block number"),
            fields.fixed(block, "block hash"),
            fields.time_ms(time, "block time"),
            fields.uint(gas, "gas used"),
            cast(AnchorState, fields.choice(state, "state", ANCHOR_STATES)),
        )
        pending = (record.block_number, record.block_hash, record.block_time_ms, record.gas_used) == (
            0,
            ZERO_HASH,
            0,
            0,
        )
        if record.interval == 0 or record.batch_count == 0 or pending != (record.state == "pending"):
            raise MalformedError(
                "anchor", f"interval {record.interval} {record.state} in block {record.block_number}"
            )
        return record
