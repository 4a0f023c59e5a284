"""The file that proves a leg's history (docs/spec/evidence.md): decoding here, the checks in `lading.verify`."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lading import fields
from lading.assignment import ASSIGNMENT_BYTES_MAX, Assignment, read_assignment
from lading.batch import ANCHOR_RECORD_BYTES_MAX, BATCH_LEAF_BYTES, AnchorRecord, BatchLeaf
from lading.cbor import encode, open_document
from lading.clone import CLONE_BYTES_MAX, Clone
from lading.cose import KEY_BYTES, PublicKey
from lading.decoding import decode_frame
from lading.errors import LadingError, MalformedError, RejectedError
from lading.fields import U32_MAX
from lading.frame import FRAME_BYTES_MAX, Frame
from lading.names import tenant_id
from lading.payout import Settled, decode_settled
from lading.settlement import SETTLEMENT_BYTES_MAX
from lading.tree import PROOF_HASHES_MAX, sha256
from lading.verdict import VERDICT_BYTES_MAX, Verdict

TAG = "lading/evidence/1"
EVIDENCE_BYTES_MAX = 268_435_456
FRAMES_MAX = 1_048_576
BATCHES_MAX = 1_048_576
CLONES_MAX = 1_024
SETTLEMENTS_MAX = 64
DIGEST_BYTES = 32

_PLACEHOLDER = bytes(DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class FrameProof:
    """A frame as leaf `leaf_index` of batch `batch_index` in the file."""

    frame: Frame
    batch_index: int
    leaf_index: int
    siblings: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BatchProof:
    """A batch leaf as leaf `index` of `count` under anchor `anchor_index` in the file."""

    leaf: BatchLeaf
    anchor_index: int
    index: int
    count: int
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class Evidence:
    """All that a verifier needs. Assignments are kept as signed messages: the signature is over their bytes."""

    tenant_name: str
    gateway: PublicKey
    operator: PublicKey
    begin_message: bytes
    end_message: bytes | None
    exported_ms: int
    frames: tuple[FrameProof, ...]
    batches: tuple[BatchProof, ...]
    anchors: tuple[AnchorRecord, ...]
    verdict: Verdict
    clones: tuple[Clone, ...]
    settlements: tuple[Settled, ...]

    @cached_property
    def begin(self) -> Assignment:
        """The order that began the leg."""
        return read_assignment(self.begin_message)

    @cached_property
    def end(self) -> Assignment | None:
        """The order that ended it, if there was one."""
        return read_assignment(self.end_message) if self.end_message else None

    def encode(self) -> bytes:
        """Document `lading/evidence/1`, sealed with its digest."""
        return seal(
            [
                TAG,
                self.tenant_name,
                self.gateway.encode(),
                self.operator.encode(),
                self.begin_message,
                self.end_message,
                self.exported_ms,
                [[p.frame.encode(), p.batch_index, p.leaf_index, list(p.siblings)] for p in self.frames],
                [[b.leaf.encoded, b.anchor_index, b.index, b.count, list(b.siblings)] for b in self.batches],
                [anchor.encode() for anchor in self.anchors],
                self.verdict.encoded,
                [clone.encode() for clone in self.clones],
                [settlement.encode() for settlement in self.settlements],
            ]
        )

    @staticmethod
    def decode(data: bytes) -> "Evidence":
        """From the document; MalformedError unless all in it decodes, is used and in order, and the digest fits."""
        items = open_document(data, TAG, 14, EVIDENCE_BYTES_MAX)
        digest = fields.fixed(items.pop(), "digest")
        if sha256(data[:-DIGEST_BYTES]) != digest:
            raise MalformedError(
                "digest", "the file's digest does not fit its bytes: changed, cut or damaged"
            )
        try:
            evidence = _from_items(items)
        except RejectedError as exc:
            raise MalformedError(exc.code, exc.text) from exc
        _check_order(evidence)
        return evidence


def seal(items: Sequence[Any]) -> bytes:
    """The document of `items` with the digest of every byte before it."""
    return (unsealed := encode([*items, _PLACEHOLDER])[:-DIGEST_BYTES]) + sha256(unsealed)


def _from_items(items: list[Any]) -> Evidence:
    (
        tenant,
        gateway,
        operator,
        begin,
        end,
        exported,
        frames,
        batches,
        anchors,
        verdict,
        clones,
        settlements,
    ) = items
    name = fields.text(tenant, "tenant name", 64)
    tenant_id(name)
    evidence = Evidence(
        name,
        PublicKey.decode(fields.fixed(gateway, "gateway key", KEY_BYTES)),
        PublicKey.decode(fields.fixed(operator, "operator key", KEY_BYTES)),
        fields.blob(begin, "begin", ASSIGNMENT_BYTES_MAX),
        None if end is None else fields.blob(end, "end", ASSIGNMENT_BYTES_MAX),
        fields.time_ms(exported, "exported"),
        tuple(_frame(i, item) for i, item in enumerate(fields.items(frames, "frames", FRAMES_MAX))),
        tuple(_batch(i, item) for i, item in enumerate(fields.items(batches, "batches", BATCHES_MAX))),
        tuple(
            AnchorRecord.decode(fields.blob(item, "anchor", ANCHOR_RECORD_BYTES_MAX))
            for item in fields.items(anchors, "anchors", BATCHES_MAX)
        ),
        Verdict.decode(fields.blob(verdict, "verdict", VERDICT_BYTES_MAX)),
        tuple(
            Clone.decode(fields.blob(item, "clone", CLONE_BYTES_MAX))
            for item in fields.items(clones, "clones", CLONES_MAX)
        ),
        tuple(
            decode_settled(fields.blob(item, "settlement", SETTLEMENT_BYTES_MAX))
            for item in fields.items(settlements, "settlements", SETTLEMENTS_MAX)
        ),
    )
    _ = evidence.begin, evidence.end
    return evidence


def _frame(at: int, item: Any) -> FrameProof:
    data, batch, leaf, siblings = fields.items(item, f"frame {at}", 4, count=4)
    try:
        frame = decode_frame(fields.blob(data, "frame", FRAME_BYTES_MAX), may_withhold=True)
    except LadingError as exc:
        raise MalformedError(exc.code, f"frame {at} of the file: {exc.text}") from exc
    return FrameProof(
        frame,
        fields.uint(batch, "batch index", U32_MAX),
        fields.uint(leaf, "leaf index", U32_MAX),
        fields.hashes(siblings, "siblings", PROOF_HASHES_MAX),
    )


def _batch(at: int, item: Any) -> BatchProof:
    data, anchor, index, count, siblings = fields.items(item, f"batch {at}", 5, count=5)
    return BatchProof(
        BatchLeaf.decode(fields.fixed(data, "batch leaf", BATCH_LEAF_BYTES)),
        fields.uint(anchor, "anchor index", U32_MAX),
        fields.uint(index, "index", U32_MAX),
        fields.uint(count, "count", U32_MAX),
        fields.hashes(siblings, "siblings", PROOF_HASHES_MAX),
    )


def _check_order(evidence: Evidence) -> None:
    """Every batch and anchor is listed once, in order, and used; frames in order."""
    _ascending("frames", [proof.frame.header.frame_seq for proof in evidence.frames])
    _ascending("batches", [batch.leaf.batch_seq for batch in evidence.batches])
    _ascending("anchors", [anchor.interval for anchor in evidence.anchors])
    _ascending("clones", [(c.headers()[0].frame_seq, c.first, c.second) for c in evidence.clones])
    _ascending("settlements", [settlement.encode() for settlement in evidence.settlements])
    if not evidence.frames:
        raise MalformedError("evidence", "no frames")
    _all_used("batches", {proof.batch_index for proof in evidence.frames}, len(evidence.batches))
    _all_used("anchors", {batch.anchor_index for batch in evidence.batches}, len(evidence.anchors))


def _ascending(what: str, keys: Sequence[Any]) -> None:
    if any(a >= b for a, b in itertools.pairwise(keys)):
        raise MalformedError("evidence", f"{what} are not in order, each once")


def _all_used(what: str, used: set[int], count: int) -> None:
    if used != set(range(count)):
        raise MalformedError("evidence", f"{count} {what}, of which {len(used & set(range(count)))} are used")
