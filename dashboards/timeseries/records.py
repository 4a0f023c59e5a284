"""Batches, anchors, settlements and dead letters as points."""

from dashboards.timeseries import schema
from dashboards.timeseries.lines import EARLIEST_MS, NS_A_MS, Value, is_in_range, line, log_ns
from dashboards.timeseries.names import Names
from dashboards.timeseries.readings import channel_tags
from lading.batch import AnchorRecord, BatchRecord
from lading.deadletter import DeadLetter
from lading.episode import SCORE_MAX, Episode
from lading.log import Record
from lading.paid import leg_of
from lading.payout import Settled
from lading.topics import ROOT


def batch_line(record: Record, batch: BatchRecord) -> bytes:
    """A batch."""
    values: dict[str, Value] = {
        "interval": batch.interval,
        "batch_seq": batch.leaf.batch_seq,
        "frames": batch.leaf.frame_count,
        "last_event_ms": batch.leaf.last_event_ms,
    }
    return line(schema.BATCH, {"tenant": batch.tenant_name}, values, log_ns(record.time_ms, record.offset))


def anchor_line(record: Record, anchor: AnchorRecord, last_event_ms: int | None) -> bytes:
    """A state of an interval's anchor; `last_event_ms`: the interval's newest reading, where its batches are known."""
    is_mined = anchor.state != "pending" and last_event_ms is not None
    values: dict[str, Value] = {
        "interval": anchor.interval,
        "gas_used": anchor.gas_used,
        "block_number": anchor.block_number,
        "lag_s": (anchor.block_time_ms - (last_event_ms or 0)) / 1000 if is_mined else None,
        "tx": anchor.tx_hash.hex(),
    }
    return line(schema.ANCHOR, {"state": anchor.state}, values, log_ns(record.time_ms, record.offset))


def settlement_line(record: Record, settlement: Settled, names: Names) -> bytes:
    """What an agreement or a cover paid. The tenant is that of the gateway in its terms."""
    of = names.leg(leg_of(settlement).gateway_id, settlement.leg_id)
    values: dict[str, Value] = {
        "amount": settlement.amount,
        "gas_used": settlement.gas_used,
        "agreement": settlement.claim.hex(),
        "tx": settlement.tx_hash.hex(),
        "block_number": settlement.block_number,
    }
    tags = {"tenant": of.tenant, "leg": of.leg, "kind": settlement.kind}
    return line(schema.SETTLEMENT, tags, values, log_ns(record.time_ms, record.offset))


def dead_line(record: Record, letter: DeadLetter, names: Names) -> bytes:
    """A dead letter, at its log time where its own was before all times."""
    time_ms = letter.received_ms if EARLIEST_MS <= letter.received_ms <= record.time_ms else record.time_ms
    values: dict[str, Value] = {
        "count": 1,
        "bytes": len(letter.data),
        "reason": letter.reason,
        "number": f"{record.partition}:{record.offset}",
    }
    tags = {"tenant": _tenant_of(letter.origin, names), "code": letter.code}
    return line(schema.DEAD, tags, values, time_ms * NS_A_MS + record.offset % NS_A_MS)


def episode_line(record: Record, one: Episode, names: Names) -> bytes:
    """An episode, at its first reading's time; nothing where that cannot be."""
    if not is_in_range(one.begin.time_ms, record.time_ms):
        return b""
    tags = channel_tags(names, names.leg(one.leg.gateway_id, one.leg.leg_id), one.channel, one.quantity)
    values: dict[str, Value] = {
        "peak_ms": one.peak.time_ms,
        "last_ms": one.last.time_ms,
        "score": one.score / SCORE_MAX,
        "detector": one.detector,
        "text": one.reason,
        "up": one.state == "begun",
        "release": one.leg.release,
        "first_seq": one.begin.seq,
        "last_seq": one.last.seq,
    }
    return line(schema.EPISODE, tags, values, one.begin.time_ms * NS_A_MS)


def _tenant_of(origin: str, names: Names) -> str:
    """The tenant of the gateway that an MQTT topic names, where it is enrolled.

    Never the topic's own: whoever may publish could name a new one each time, and each would be a series.
    """
    parts = origin.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT:
        return ""
    try:
        return names.gateway(bytes.fromhex(parts[3])).tenant
    except ValueError:
        return ""
