"""The machine-readable result: one JSON document whose keys are a contract (issue: `lading demo --json`)."""

from dataclasses import asdict
from typing import Any

from contracts.covers import Cover, about
from demo.chainside import ShownFrame
from demo.outcome import LegOutcome, Outcome
from lading import quantities
from lading.batch import AnchorRecord, BatchRecord
from lading.limits import ChannelLimits
from lading.rules.words import describe
from lading.settlement import Settlement
from lading.totals import Totals
from lading.verdict import Finding


def leg_rows(outcome: Outcome, names: dict[bytes, str], evidence: dict[bytes, str]) -> list[dict[str, Any]]:
    """`legs`: one row a leg, by begin. `names`: gateway id to name; `evidence`: leg id to path."""
    return [_leg_row(leg, names, evidence) for leg in outcome.legs.values() if leg.verdicts]


def _leg_row(leg: LegOutcome, names: dict[bytes, str], evidence: dict[bytes, str]) -> dict[str, Any]:
    verdict = leg.verdicts[-1].verdict
    assert leg.begin.limits is not None
    limits = leg.begin.limits.by_channel
    return {
        "leg": verdict.leg_id.hex(),
        "reference": leg.begin.reference,
        "gateway": names[verdict.gateway_id],
        "state": verdict.state,
        "verdict": verdict.result,
        "final": verdict.final,
        "verdict_id": verdict.id.hex(),
        "breaches": [_finding(f, limits) for f in verdict.findings if f.severity == "breach"],
        "notices": [_finding(f, limits) for f in verdict.findings if f.severity == "notice"],
        "totals": {str(channel): _totals(quantity, totals) for channel, quantity, totals in verdict.totals},
        "evidence": evidence.get(verdict.leg_id),
    }


def _finding(finding: Finding, limits: dict[int, ChannelLimits] | Any) -> dict[str, Any]:
    channel = None if finding.channel is None else limits.get(finding.channel)
    row = asdict(finding)
    row["frame_hashes"] = [frame_hash.hex() for frame_hash in finding.frame_hashes]
    return row | {"text": describe(finding, channel)}


def _totals(quantity: int, totals: Totals) -> dict[str, Any]:
    return {"quantity": quantities.name(quantity), "unit": quantities.unit(quantity)} | asdict(totals)


def anchor_row(anchor: AnchorRecord, batches: list[BatchRecord], readings: int) -> dict[str, Any]:
    """One row of `anchors`."""
    return {
        "interval": anchor.interval,
        "tx": f"0x{anchor.tx_hash.hex()}",
        "gas_used": anchor.gas_used,
        "frames": sum(batch.leaf.frame_count for batch in batches),
        "readings": readings,
        "state": anchor.state,
        "super_root": anchor.super_root.hex(),
        "block_number": anchor.block_number,
        "block_time_ms": anchor.block_time_ms,
    }


def settlement_row(settlement: Settlement) -> dict[str, Any]:
    """One row of `settlements`."""
    return {
        "agreement": settlement.agreement.hex(),
        "leg": settlement.leg_id.hex(),
        "kind": settlement.kind,
        "amount": settlement.amount,
        "tx": f"0x{settlement.tx_hash.hex()}",
        "gas_used": settlement.gas_used,
    }


def cover_row(cover: Cover, outcome: Outcome) -> dict[str, Any]:
    """One row of `covers`: by the log, what it paid and how; None while it is open."""
    ended = next((one for one in outcome.settlements if one.claim == cover.id), None)
    return about(cover) | {
        "payout": None if ended is None else ended.amount,
        "tx": None if ended is None else f"0x{ended.tx_hash.hex()}",
        "gas_used": None if ended is None else ended.gas_used,
    }


def shown_row(shown: ShownFrame) -> dict[str, Any]:
    """One row of `shown`: a frame that counted from the deadline until a newer one, or the leg's end, came."""
    return {
        "agreement": shown.agreement.hex(),
        "leg": shown.leg_id.hex(),
        "frame_seq": shown.frame_seq,
        "sent_ms": shown.sent_ms,
        "penalty": shown.penalty,
        "tx": f"0x{shown.tx_hash.hex()}",
    }


def dead_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """`dead_letters`: counts by code."""
    return [{"code": code, "count": count} for code, count in sorted(outcome.dead_counts.items())]
