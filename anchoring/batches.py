"""What an interval's batches are: a pure function of its frames, its positions and the batches before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from anchoring.trees import tree_proofs, tree_root
from lading.batch import BatchLeaf, BatchRecord, location
from lading.decoding import decode_records
from lading.names import tenant_id
from lading.tree import ZERO_HASH, sha256

try:
    from lading import fast
except ImportError:  # Numba is an extra
    fast = None  # type: ignore[assignment]

INTERVAL_FRAMES_MAX = 1_000_000
FRAMES_A_WALK = 4_096
_HEADER_AT = 10  # in a frame's bytes
_GATEWAY_AT = slice(_HEADER_AT + 2, _HEADER_AT + 34)
_FRAME_SEQ_AT = slice(_HEADER_AT + 99, _HEADER_AT + 107)


@dataclass(frozen=True, slots=True)
class BatchedFrame:
    """What a batch needs of a frame. Times in ms of its readings, or when it was signed if it holds none."""

    tenant_name: str
    gateway_id: bytes
    frame_seq: int
    hash: bytes
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Head:
    """A tenant's newest batch; sequence 0 and a zero hash before the first."""

    batch_seq: int = 0
    leaf_hash: bytes = ZERO_HASH


def batched_frame(tenant_name: str, data: bytes) -> BatchedFrame:
    """From a frame's bytes in the log, which ingest has checked."""
    header, records = decode_records(data)
    with_readings = [record for record in records if record.count]
    first = min((record.first_time_ms for record in with_readings), default=header.sent_ms)
    last = max((record.last_time_ms for record in with_readings), default=header.sent_ms)
    return BatchedFrame(tenant_name, header.gateway_id, header.frame_seq, header.hash, first, last)


def batched_frames(frames: Sequence[tuple[str, bytes]]) -> list[BatchedFrame]:
    """(tenant's name, bytes) of many frames: by columns where Numba is installed."""
    if fast is None or not frames:
        return [batched_frame(*frame) for frame in frames]
    chunks = [frames[at : at + FRAMES_A_WALK] for at in range(0, len(frames), FRAMES_A_WALK)]
    return [found for chunk in chunks for found in _walked_frames(chunk)]


def _walked_frames(frames: Sequence[tuple[str, bytes]]) -> list[BatchedFrame]:
    walked = fast.walk_frames([data for _, data in frames])
    if not walked.whole.all():
        return [batched_frame(*frame) for frame in frames]  # to say which and why
    hashes = fast.frame_hashes(walked).tobytes()
    times = zip(*(column.tolist() for column in fast.event_times(walked)), strict=True)
    return [
        BatchedFrame(
            name,
            data[_GATEWAY_AT],
            int.from_bytes(data[_FRAME_SEQ_AT], "big"),
            hashes[32 * row : 32 * row + 32],
            first_ms,
            last_ms,
        )
        for row, ((name, data), (first_ms, last_ms)) in enumerate(zip(frames, times, strict=True))
    ]


def roll(
    interval: int,
    positions: tuple[tuple[int, int, int], ...],
    frames: Sequence[BatchedFrame],
    heads: Mapping[str, Head],
) -> list[BatchRecord]:
    """The interval's batch records, one a tenant, in ascending order of the tenant id. `frames` in log order."""
    assert 0 < len(frames) <= INTERVAL_FRAMES_MAX
    by_tenant = groupby(
        sorted(frames, key=attrgetter("tenant_name")), key=attrgetter("tenant_name")
    )  # stable
    leaves = [(name, _leaf(name, list(group), heads.get(name, Head()))) for name, group in by_tenant]
    leaves.sort(key=lambda entry: entry[1].tenant)
    paths = tree_proofs([leaf.hash for _, leaf in leaves])
    return [
        BatchRecord(leaf, name, interval, positions, index, len(leaves), tuple(paths[index]))
        for index, (name, leaf) in enumerate(leaves)
    ]


def super_root(records: Sequence[BatchRecord]) -> bytes:
    """Root over an interval's batch leaves; the records in batch order."""
    assert [record.batch_index for record in records] == list(range(records[0].batch_count))
    return tree_root([record.leaf.hash for record in records])


def _leaf(tenant_name: str, frames: Sequence[BatchedFrame], head: Head) -> BatchLeaf:
    batch_seq = head.batch_seq + 1
    return BatchLeaf(
        tenant_id(tenant_name),
        batch_seq,
        tree_root([frame.hash for frame in frames]),
        len(frames),
        min(frame.first_ms for frame in frames),
        max(frame.last_ms for frame in frames),
        head.leaf_hash,
        sha256(location(tenant_name, batch_seq).encode()),
    )
