"""Proofs for any frame or reading: from the log's bytes and the index to the anchored super-root."""

from dataclasses import dataclass

from anchoring.batches import batched_frames
from anchoring.index import Index
from anchoring.trees import tree_proof
from lading.batch import AnchorRecord, BatchRecord
from lading.batchlog import TenantOf, frames_of
from lading.decoding import decode_frame, decode_header, decode_records
from lading.errors import ProofError, ServiceError
from lading.frame import Frame, Run, reading_leaf
from lading.log import Log
from lading.tree import check_inclusion, leaf_hash


@dataclass(frozen=True, slots=True)
class FrameProof:
    """That a frame is leaf `leaf_index` of a batch, and the batch in an interval. `anchor` None: not sent yet."""

    frame: bytes
    leaf_index: int
    siblings: tuple[bytes, ...]
    batch: BatchRecord
    anchor: AnchorRecord | None

    def check(self) -> None:
        """ProofError unless both paths lead to the root. The caller compares the root with the chain's."""
        leaf = self.batch.leaf
        check_inclusion(
            decode_header(self.frame).hash, self.leaf_index, leaf.frame_count, self.siblings, leaf.frames_root
        )
        if self.anchor is not None:
            batch, anchor = self.batch, self.anchor
            check_inclusion(
                leaf.hash, batch.batch_index, anchor.batch_count, batch.siblings, anchor.super_root
            )


@dataclass(frozen=True, slots=True)
class ReadingProof:
    """That a reading is in a frame: reading leaf to readings root, run record to runs root, and the frame's proof."""

    channel: int
    seq: int
    leaf: bytes
    reading_index: int
    reading_siblings: tuple[bytes, ...]
    run_record: bytes
    run_index: int
    run_siblings: tuple[bytes, ...]
    frame_proof: FrameProof

    def check(self) -> None:
        """ProofError unless all paths lead up."""
        header, records = decode_records(self.frame_proof.frame)
        record = records[self.run_index]
        check_inclusion(
            leaf_hash(self.leaf),
            self.reading_index,
            record.count,
            self.reading_siblings,
            record.readings_root,
        )
        check_inclusion(
            leaf_hash(self.run_record), self.run_index, header.run_count, self.run_siblings, header.runs_root
        )
        self.frame_proof.check()


class Prover:
    """Makes proofs from the log and the index."""

    def __init__(self, log: Log, index: Index, tenant_of: TenantOf) -> None:
        self._log = log
        self._index = index
        self._tenant_of = tenant_of

    def proof_of_frame(self, gateway_id: bytes, frame_seq: int) -> FrameProof:
        """ProofError `not_anchored` when the frame is in no interval yet."""
        place = self._index.place(gateway_id, frame_seq)
        if place is None:
            raise ProofError(
                "not_anchored", f"frame {frame_seq} of {gateway_id.hex()[:16]}… is in no interval yet"
            )
        batch = self._index.batches(place.interval)[place.batch_index]
        frames = [record.value for record in frames_of(self._log, batch, self._tenant_of)]
        hashes = [frame.hash for frame in batched_frames([(batch.tenant_name, frame) for frame in frames])]
        if len(hashes) != batch.leaf.frame_count:
            raise ServiceError(
                "batch_log", f"{len(hashes)} frames at {batch.positions}, wanted {batch.leaf.frame_count}"
            )
        proof = FrameProof(
            frames[place.leaf_index],
            place.leaf_index,
            tree_proof(hashes, place.leaf_index),
            batch,
            self._index.anchor(place.interval),
        )
        proof.check()
        return proof

    def proof_of_reading(self, gateway_id: bytes, frame_seq: int, channel: int, seq: int) -> ReadingProof:
        """ProofError `no_reading` when the frame does not hold it."""
        frame_proof = self.proof_of_frame(gateway_id, frame_seq)
        frame = decode_frame(frame_proof.frame)
        run_index, run = _run_of(frame, channel)
        at = seq - run.record.first_seq
        if not 0 <= at < run.record.count:
            raise ProofError("no_reading", f"frame {frame_seq} holds no reading {seq} of channel {channel}")
        leaves = [reading_leaf(run.salt, channel, reading) for reading in run.readings]
        proof = ReadingProof(
            channel,
            seq,
            leaves[at],
            at,
            tree_proof([leaf_hash(leaf) for leaf in leaves], at),
            run.record.encode(),
            run_index,
            tree_proof([leaf_hash(other.record.encode()) for other in frame.runs], run_index),
            frame_proof,
        )
        proof.check()
        return proof


def _run_of(frame: Frame, channel: int) -> tuple[int, Run]:
    for index, run in enumerate(frame.runs):
        if run.record.channel == channel:
            return index, run
    raise ProofError("no_reading", f"frame {frame.header.frame_seq} has no channel {channel}")
