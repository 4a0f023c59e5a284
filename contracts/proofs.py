"""What the escrow takes as evidence: a signed frame and its way up to an anchored super-root, as ABI arguments."""

from typing import Any, Protocol

from contracts.ledger import Ledger
from lading import topics
from lading.batch import AnchorRecord, BatchRecord
from lading.batchlog import TenantOf, frames_of, records_between
from lading.decoding import decode_envelope, decode_frame, decode_header
from lading.errors import ServiceError
from lading.frame import Frame
from lading.log import Log
from lading.tiers import Tier, channels_of
from lading.tree import check_inclusion, leaf_hash, proof


class JudgedBy(Protocol):
    """Terms, as far as they decide which evidence is shown."""

    @property
    def tenant(self) -> bytes:
        """Whose batch the frame must be in."""

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """What the channels must be shown for."""


FrameProof = tuple[Any, ...]  # struct FrameProof of contracts/src/Settlement.sol


class Evidence:
    """Finds a frame and builds its proof."""

    def __init__(self, log: Log, ledger: Ledger, tenant_of: TenantOf) -> None:
        self._log = log
        self._ledger = ledger
        self._tenant_of = tenant_of

    def frame(self, frame_hash: bytes) -> Frame | None:
        """The frame itself; None where the log has none of this hash."""
        known = self._ledger.frame(frame_hash)
        if known is None:
            return None
        at = {known.partition: (known.offset, known.offset)}
        (record,) = records_between(self._log, topics.FRAMES, at)
        return decode_frame(record.value, may_withhold=True)

    def anchored(self, terms: JudgedBy, frame_hash: bytes) -> tuple[BatchRecord, AnchorRecord] | None:
        """The frame's batch and its finalized anchor; None while there is none."""
        frame = self._ledger.frame(frame_hash)
        batch = None if frame is None else self._ledger.batch_at(terms.tenant, frame.partition, frame.offset)
        anchor = None if batch is None else self._ledger.anchor(batch.interval)
        if batch is None or anchor is None or anchor.state != "finalized":
            return None
        return batch, anchor

    def frame_proof(
        self, terms: JudgedBy, frame_hash: bytes, batch: BatchRecord, anchor: AnchorRecord
    ) -> FrameProof:
        """The escrow's argument: header, signature, both paths, and the run records that the tiers name."""
        frames = [record.value for record in frames_of(self._log, batch, self._tenant_of)]
        hashes = [decode_header(frame).hash for frame in frames]
        if frame_hash not in hashes:
            raise ServiceError("batch_log", f"batch {batch.location} does not hold frame {frame_hash.hex()}")
        index = hashes.index(frame_hash)
        siblings = proof(hashes, index)
        check_inclusion(frame_hash, index, batch.leaf.frame_count, siblings, batch.leaf.frames_root)
        frame = decode_frame(frames[index], may_withhold=True)
        header, signature = decode_envelope(frame.envelope)
        return (
            header.encoded,
            signature[:32],
            signature[32:],
            index,
            siblings,
            batch.leaf.encoded,
            batch.batch_index,
            list(batch.siblings),
            batch.interval,
            anchor_argument(anchor),
            _runs(
                terms, [run.record.encode() for run in frame.runs], [run.record.channel for run in frame.runs]
            ),
        )


def anchor_argument(anchor: AnchorRecord) -> tuple[bytes, int, int]:
    """struct Anchor: what the registry's commitment is over."""
    return anchor.super_root, anchor.batch_count, anchor.block_time_ms // 1000


def _runs(terms: JudgedBy, records: list[bytes], channels: list[int]) -> list[tuple[bytes, int, list[bytes]]]:
    """The runs of the tiers' channels, ascending, each once."""
    hashes = [leaf_hash(record) for record in records]
    places = [channels.index(channel) for channel in channels_of(terms.tiers) if channel in channels]
    return [(records[place], place, proof(hashes, place)) for place in places]
