"""Verdicts read back from the log, for people and for programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lading import quantities, topics
from lading.assignment import BEGIN, Assignment, read_assignment
from lading.log import Log, Record
from lading.mkt import mean_kinetic_celsius
from lading.rules import amount, describe, duration
from lading.totals import Totals
from lading.verdict import Finding, Verdict, VerdictRecord

READ_RECORDS = 1_000


@dataclass(frozen=True)
class LegVerdict:
    """A leg's latest verdict, what it supersedes, and its begin order if the log has it."""

    verdict: Verdict
    supersedes: bytes | None
    begin: Assignment | None

    @property
    def name(self) -> str:
        """The reference, or the leg id where the order is not there."""
        return self.begin.reference if self.begin else self.verdict.leg_id.hex()[:16]

    def line(self, finding: Finding) -> str:
        """A finding for people."""
        limits = self.begin.limits if self.begin else None
        by_channel = limits.by_channel if limits else {}
        return describe(finding, by_channel.get(-1 if finding.channel is None else finding.channel))


def latest(log: Log) -> list[LegVerdict]:
    """The latest verdict of every leg, in the order in which the legs were first judged."""
    orders = {}
    for record in _all(log, topics.ASSIGNMENTS):
        order = read_assignment(record.value)
        if order.action == BEGIN and order.limits is not None:
            orders[(order.leg_id, order.gateway, order.limits.hash)] = order
    found: dict[tuple[bytes, bytes, bytes], LegVerdict] = {}
    for record in _all(log, topics.VERDICTS):
        said = VerdictRecord.decode(record.value)
        verdict = said.verdict
        key = (verdict.leg_id, verdict.gateway_id, verdict.limits_hash)
        found[key] = LegVerdict(verdict, said.supersedes, orders.get(key))
    return list(found.values())


def _all(log: Log, topic: str) -> Iterator[Record]:
    positions: dict[int, int] = {}
    while records := log.read(topic, positions, READ_RECORDS):
        for record in records:
            positions[record.partition] = record.offset + 1
            yield record


def as_document(leg: LegVerdict) -> dict[str, Any]:
    """The verdict as JSON values."""
    verdict, horizon = leg.verdict, leg.verdict.horizon
    return {
        "leg": leg.name,
        "leg_id": verdict.leg_id.hex(),
        "gateway": verdict.gateway_id.hex(),
        "verdict_id": verdict.id.hex(),
        "supersedes": leg.supersedes.hex() if leg.supersedes else None,
        "state": verdict.state,
        "verdict": verdict.result,
        "final": verdict.final,
        "horizon": {
            "first_frame_seq": horizon.first_frame_seq,
            "last_frame_seq": horizon.last_frame_seq,
            "last_ms": horizon.last_ms,
        },
        "findings": [_finding_document(leg, finding) for finding in verdict.findings],
        "totals": [_totals_document(*totals) for totals in verdict.totals],
    }


def _finding_document(leg: LegVerdict, finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "channel": finding.channel,
        "first_ms": finding.first_ms,
        "last_ms": finding.last_ms,
        "measured": finding.measured,
        "limit": finding.limit,
        "first_seq": finding.first_seq,
        "last_seq": finding.last_seq,
        "frames": [value.hex() for value in finding.frame_hashes],
        "text": leg.line(finding),
    }


def _totals_document(channel: int, quantity: int, totals: Totals) -> dict[str, Any]:
    mkt = mean_kinetic_celsius(totals.mkt_weight_sum, totals.known_ms)
    return {
        "channel": channel,
        "quantity": quantities.name(quantity),
        "count": totals.count,
        "valid_count": totals.valid_count,
        "min_milli": totals.min_value if totals.valid_count else None,
        "max_milli": totals.max_value if totals.valid_count else None,
        "known_ms": totals.known_ms,
        "unknown_ms": totals.unknown_ms,
        "above_ms": totals.above_ms,
        "below_ms": totals.below_ms,
        "longest_gap_ms": totals.longest_gap_ms,
        "mkt_celsius": None if mkt is None else round(mkt, 3),
    }


def totals_line(channel: int, quantity: int, totals: Totals) -> str:
    """One channel's totals for people."""
    what = f"channel {channel} {quantities.name(quantity)}"
    if not totals.valid_count:
        return f"{what}: no valid reading of {totals.count}"
    low, high = amount(totals.min_value, quantity), amount(totals.max_value, quantity)
    return (
        f"{what}: {low} to {high}, known {duration(totals.known_ms)}, unknown {duration(totals.unknown_ms)}, "
        f"above {duration(totals.above_ms)}, below {duration(totals.below_ms)}"
    )
