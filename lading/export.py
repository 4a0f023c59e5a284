"""Make a leg's evidence file from the log: its frames with their ways up to anchored roots, and all around them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lading import topics
from lading.assignment import BEGIN, END, Assignment, open_assignment
from lading.batch import AnchorRecord, BatchRecord
from lading.batchlog import frames_of, records_between
from lading.clone import Clone
from lading.cose import PublicKey
from lading.decoding import decode_frame, decode_header
from lading.errors import MalformedError, RejectedError, ServiceError
from lading.evidence import BatchProof, Evidence, FrameProof
from lading.frame import CLOSED, Frame
from lading.gateways import Gateways
from lading.log import Log, Record
from lading.paid import is_over
from lading.payout import Settled, decode_settled
from lading.rules import judge
from lading.tree import levels, siblings
from lading.verdict import Verdict, VerdictRecord

PREFIX_HEX_MIN = 8


@dataclass(frozen=True, slots=True)
class Order:
    """An order with the message that the operator signed."""

    assignment: Assignment
    message: bytes


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch that holds frames of the leg: their leaf indices, and the paths' tree."""

    record: BatchRecord
    frames: dict[int, Frame]
    levels: list[list[bytes]]


def records(log: Log, topic: str) -> Iterator[Record]:
    """Every record of a topic, as it is now."""
    ends = {partition: (0, end - 1) for partition, end in log.end(topic).items() if end}
    return records_between(log, topic, ends)


def orders(log: Log, operator: PublicKey) -> list[Order]:
    """Every order in the log that the operator signed."""
    found = []
    for record in records(log, topics.ASSIGNMENTS):
        try:
            found.append(Order(open_assignment(record.value, operator), record.value))
        except (MalformedError, RejectedError):
            continue  # another tenant's operator, or none
    return found


def meant(begun: Sequence[Assignment], text: str) -> list[Assignment]:
    """The begin orders of the legs that a reference, a leg id in hex or the beginning of one means."""
    named = [order for order in begun if order.reference == text]
    digits = text.lower().removeprefix("0x")
    if not named and len(digits) >= PREFIX_HEX_MIN:
        named = [order for order in begun if order.leg_id.hex().startswith(digits)]
    return named


def find_leg(begun: list[Order], text: str) -> bytes:
    """The leg that a reference, a leg id in hex or the unique beginning of one means; ServiceError `leg_unknown`."""
    named = {order.leg_id for order in meant([order.assignment for order in begun], text)}
    if len(named) != 1:
        shown = ", ".join(sorted(leg.hex()[:16] for leg in named)[:8]) or "no leg that was begun"
        wanted = f"wanted one leg: its reference, or {PREFIX_HEX_MIN} and more digits of its id"
        raise ServiceError("leg_unknown", f"{text!r} means {shown}, {wanted}")
    return named.pop()


def export_leg(
    log: Log,
    gateways: Gateways,
    operator: PublicKey,
    leg_id: bytes,
    now_ms: int,
    gateway_id: bytes | None = None,
) -> bytes:
    """The evidence file of a leg, as far as its frames are anchored. ServiceError says what is not there yet.

    `gateway_id` is needed where the operator began the leg at several gateways.
    """
    begin, end = _orders_of(orders(log, operator), leg_id, gateway_id)
    entry = gateways.find(begin.assignment.gateway)
    if entry is None:
        raise ServiceError("gateway_unknown", f"gateway {begin.assignment.gateway.hex()} is not enrolled")
    anchors = _anchors(log)
    batches = list(_batches(log, gateways, begin.assignment, entry.tenant, anchors))
    if not batches:
        raise ServiceError("not_anchored", f"no frame of leg {leg_id.hex()[:16]}… is anchored yet")
    batches, proofs = _used(batches, _frame_proofs(batches))
    used = [anchors[batch.record.interval] for batch in batches]
    clones = _clones(log, begin.assignment.gateway, [proof.frame.header.frame_seq for proof in proofs])
    final = all(anchor.state == "finalized" for anchor in used)
    return Evidence(
        tenant_name=entry.tenant,
        gateway=entry.public,
        operator=operator,
        begin_message=begin.message,
        end_message=end.message if end else None,
        exported_ms=now_ms,
        frames=proofs,
        batches=tuple(_batch_proof(batch.record, at) for at, batch in enumerate(batches)),
        anchors=tuple(used),
        verdict=_verdict(log, begin.assignment, [proof.frame for proof in proofs], clones, final=final),
        clones=clones,
        settlements=_settlements(log, begin.assignment),
    ).encode()


def _orders_of(
    all_orders: list[Order], leg_id: bytes, gateway_id: bytes | None
) -> tuple[Order, Order | None]:
    """The begin and end of a leg at one gateway; one that was sent again counts by its least order_seq."""
    of_leg = [
        order
        for order in all_orders
        if order.assignment.leg_id == leg_id and gateway_id in (None, order.assignment.gateway)
    ]
    begins = [order for order in of_leg if order.assignment.action == BEGIN]
    if not begins:
        at = "" if gateway_id is None else f" at gateway {gateway_id.hex()}"
        raise ServiceError("leg_unknown", f"the operator began no leg {leg_id.hex()}{at}")
    begun_at = sorted({order.assignment.gateway.hex() for order in begins})
    if len(begun_at) > 1:
        raise ServiceError("leg_gateway", f"the leg was begun at gateways {', '.join(begun_at)}, wanted one")
    begin = min(begins, key=lambda order: order.assignment.order_seq)
    ends = [
        order
        for order in of_leg
        if order.assignment.action == END
        and order.assignment.gateway == begin.assignment.gateway
        and order.assignment.order_seq > begin.assignment.order_seq
    ]
    return begin, min(ends, key=lambda order: order.assignment.order_seq, default=None)


def _anchors(log: Log) -> dict[int, AnchorRecord]:
    """The newest record of every interval that is in a block."""
    found = {}
    for record in records(log, topics.ANCHORS):
        anchor = AnchorRecord.decode(record.value)
        found[anchor.interval] = anchor
    return {interval: anchor for interval, anchor in found.items() if anchor.state != "pending"}


def _batches(
    log: Log, gateways: Gateways, begin: Assignment, tenant: str, anchors: dict[int, AnchorRecord]
) -> Iterator[_Batch]:
    """The anchored batches that hold frames of the leg, by batch_seq."""

    def tenant_of(gateway_id: bytes) -> str:
        entry = gateways.find(gateway_id)
        if entry is None:
            raise ServiceError("gateway_unknown", f"gateway {gateway_id.hex()} is not enrolled")
        return entry.tenant

    found = {}
    for record in records(log, topics.BATCHES):
        batch = BatchRecord.decode(record.value)
        if batch.tenant_name == tenant and batch.interval in anchors:
            found[batch.leaf.batch_seq] = batch
    for _, batch in sorted(found.items()):
        frames = list(frames_of(log, batch, tenant_of))
        mine = {
            at: decode_frame(record.value, may_withhold=True)
            for at, record in enumerate(frames)
            if _is_of_leg(record, begin)
        }
        if mine:
            tree = levels([decode_header(record.value).hash for record in frames])
            _check_batch(batch, tree)
            yield _Batch(batch, mine, tree)


def _check_batch(batch: BatchRecord, tree: list[list[bytes]]) -> None:
    """The frames are those that were anchored: not so, where a gateway went to another tenant since."""
    if tree[-1] != [batch.leaf.frames_root]:
        raise ServiceError(
            "batch_log",
            f"batch {batch.location} holds other frames than the gateways of {batch.tenant_name} now have there",
        )


def _is_of_leg(record: Record, begin: Assignment) -> bool:
    return record.key == begin.gateway and decode_header(record.value).leg_id == begin.leg_id


def _frame_proofs(batches: list[_Batch]) -> tuple[FrameProof, ...]:
    """The leg's frames by frame_seq, each once, up to its first closing one."""
    found: dict[int, FrameProof] = {}
    for number, batch in enumerate(batches):
        for at, frame in batch.frames.items():
            proof = FrameProof(frame, number, at, tuple(siblings(batch.levels, at)))
            found.setdefault(frame.header.frame_seq, proof)
    closing = min(
        (seq for seq, proof in found.items() if proof.frame.header.leg_state == CLOSED), default=None
    )
    return tuple(proof for seq, proof in sorted(found.items()) if closing is None or seq <= closing)


def _used(
    batches: list[_Batch], proofs: tuple[FrameProof, ...]
) -> tuple[list[_Batch], tuple[FrameProof, ...]]:
    """Only the batches that a frame needs: one that came twice needs one."""
    needed = sorted({proof.batch_index for proof in proofs})
    place = {old: new for new, old in enumerate(needed)}
    return [batches[at] for at in needed], tuple(
        replace(proof, batch_index=place[proof.batch_index]) for proof in proofs
    )


def _verdict(
    log: Log, begin: Assignment, frames: list[Frame], clones: tuple[Clone, ...], *, final: bool
) -> Verdict:
    """By the rules; over erased readings it is the one that was said when they were there."""
    if not any(run.is_withheld for frame in frames for run in frame.runs):
        return judge(begin, frames, clones, final=final)
    said = [VerdictRecord.decode(record.value).verdict for record in records(log, topics.VERDICTS)]
    wanted = (begin.leg_id, begin.gateway, begin.limits.hash if begin.limits else b"")
    own = [one for one in said if (one.leg_id, one.gateway_id, one.limits_hash) == wanted]
    if not own:
        raise ServiceError(
            "verdict_unknown", "readings of the leg were erased, and the log has no verdict of it"
        )
    return own[-1]


def _batch_proof(record: BatchRecord, anchor_index: int) -> BatchProof:
    return BatchProof(record.leaf, anchor_index, record.batch_index, record.batch_count, record.siblings)


def _clones(log: Log, gateway_id: bytes, frame_seqs: list[int]) -> tuple[Clone, ...]:
    """The proofs of forks in the leg or right after it, in the file's order."""
    found = {}
    for record in records(log, topics.CLONES):
        if record.key == gateway_id:
            clone = Clone.decode(record.value)
            seq = clone.headers()[0].frame_seq
            if frame_seqs[0] <= seq <= frame_seqs[-1] + 1:
                found[seq, clone.first, clone.second] = clone
    return tuple(clone for _, clone in sorted(found.items()))


def _settlements(log: Log, begin: Assignment) -> tuple[Settled, ...]:
    """What agreements and covers paid over this leg: not over another gateway's or tenant's of the same id."""
    found = {record.value for record in records(log, topics.SETTLEMENTS)}
    decoded = [decode_settled(value) for value in sorted(found)]
    return tuple(settlement for settlement in decoded if is_over(settlement, begin))
