"""What is made of a finished run: evidence files, each checked, the document, the report."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyarrow.parquet import read_metadata

from dashboards.model import (
    AnchorRow,
    ChannelSeries,
    CheckRow,
    Command,
    DeadLetterRow,
    EventMark,
    EvidenceResult,
    LegReport,
    Offline,
    Payout,
    Report,
    SettlementRow,
    SkippedLine,
)
from demo.chainside import CURRENCY, DECIMALS
from demo.document import anchor_row, dead_rows, leg_rows, settlement_row
from demo.outcome import LegOutcome, Outcome
from ingest.queries import Queries
from lading.chain import Chain
from lading.chaincheck import ChainCheck
from lading.checks import Expected
from lading.cose import PublicKey
from lading.export import export_leg
from lading.gateways import GatewayFile
from lading.log import Log
from lading.paid import terms_of
from lading.payout import Settled
from lading.policy import Policy
from lading.settlement import Settlement
from lading.verify import verify


@dataclass
class Scene:
    """What the report names things by, and the stretches and events it marks."""

    title: str
    story: str
    first_ms: int
    last_ms: int
    channel_names: dict[bytes, dict[int, str]]  # gateway id → channel → name
    profiles: dict[str, str] = field(default_factory=dict)  # reference → title of the limits
    offline: tuple[Offline, ...] = ()
    events: tuple[EventMark, ...] = ()
    skipped: tuple[SkippedLine, ...] = ()
    parties: dict[bytes, str] = field(default_factory=dict)  # address → name


class Closing:
    """A run's outcome with its folder, chain and archive."""

    def __init__(
        self, outcome: Outcome, folder: Path, log: Log, chain: Chain, registry: bytes, operator: PublicKey
    ) -> None:
        self.outcome = outcome
        self._folder = folder
        self._log = log
        self._chain = chain
        self._registry = registry
        self._operator = operator
        self._gateways = GatewayFile(folder / "gateways.json")
        self._archive = Queries(folder / "archive")
        self._names = {entry.public.gateway_id: entry.name for entry in self._gateways.all()}
        self.evidence: dict[bytes, EvidenceResult] = {}

    def export(self, now_ms: int) -> None:
        """Write an evidence file for each leg, and check it as `lading verify --rpc` would."""
        (self._folder / "evidence").mkdir(exist_ok=True)
        for leg_id, leg in self.outcome.legs.items():
            if not leg.verdicts:
                continue
            data = export_leg(self._log, self._gateways, self._operator, leg_id, now_ms)
            path = f"evidence/{file_name(leg.begin.reference)}.evidence"
            (self._folder / path).write_bytes(data)
            expected = Expected(leg.begin.gateway, self._operator.encode())
            results = verify(data, expected, ChainCheck(self._chain, self._registry)).results
            checks = tuple(CheckRow(result.name, result.status.value, result.found) for result in results)
            self.evidence[leg_id] = EvidenceResult(leg_id, path, len(data), checks)

    def readings_of(self, interval: int) -> int:
        """Readings in an interval's batches, by the archive's files."""
        paths = (self._folder / "archive" / batch.location for batch in self.outcome.batches[interval])
        return sum(int(read_metadata(path).num_rows) for path in paths)

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        paths = {leg_id: result.path for leg_id, result in self.evidence.items()}
        return {
            "legs": leg_rows(self.outcome, self._names, paths),
            "anchors": [
                anchor_row(anchor, self.outcome.batches[interval], self.readings_of(interval))
                for interval, anchor in sorted(self.outcome.anchors.items())
            ],
            "settlements": [
                settlement_row(one) for one in self.outcome.settlements if isinstance(one, Settlement)
            ],
            "dead_letters": dead_rows(self.outcome),
            "evidence": [
                {
                    "leg": result.leg_id.hex(),
                    "path": result.path,
                    "checks": {check.name: check.status for check in result.checks},
                }
                for result in self.evidence.values()
            ],
        }

    def report(self, scene: Scene, now_ms: int) -> Report:
        """Everything the HTML report shows."""
        legs = tuple(self._leg(leg, scene) for leg in self.outcome.legs.values() if leg.verdicts)
        anchors = tuple(
            AnchorRow(anchor, tuple(self.outcome.batches[interval]), self.readings_of(interval))
            for interval, anchor in sorted(self.outcome.anchors.items())
        )
        dead = tuple(
            DeadLetterRow(code, count, tuple(self.outcome.dead_samples[code]))
            for code, count in sorted(self.outcome.dead_counts.items())
        )
        return Report(
            scene.title,
            scene.story,
            now_ms,
            scene.first_ms,
            scene.last_ms,
            legs,
            self._figures(anchors),
            scene.offline,
            scene.events,
            anchors,
            tuple(self._settlement(settlement, scene) for settlement in self.outcome.settlements),
            dead,
            scene.skipped,
            tuple(self.evidence.values()),
            self._commands(),
        )

    def _figures(self, anchors: tuple[AnchorRow, ...]) -> tuple[tuple[str, str], ...]:
        settled = sum(isinstance(one, Settlement) for one in self.outcome.settlements)
        frames = sum(batch.leaf.frame_count for row in anchors for batch in row.batches)
        return (
            ("readings archived", f"{self._archive.readings_count():,}"),
            ("frames signed", f"{frames:,}"),
            ("intervals anchored", f"{len(anchors):,}"),
            ("agreements settled", f"{settled:,}"),
            ("covers ended", f"{len(self.outcome.settlements) - settled:,}"),
            ("messages refused", f"{sum(self.outcome.dead_counts.values()):,}"),
        )

    def _leg(self, leg: LegOutcome, scene: Scene) -> LegReport:
        verdict = leg.verdicts[-1].verdict
        limits = leg.begin.limits
        assert limits is not None
        names = scene.channel_names[verdict.gateway_id]
        channels = []
        for one in limits.channels:
            columns = [column.tolist() for column in self._archive.series(verdict.leg_id.hex(), one.channel)]
            channels.append(ChannelSeries(one.channel, one.quantity, names[one.channel], *columns))
        horizon = verdict.horizon
        return LegReport(
            verdict,
            limits,
            leg.begin.reference,
            self._names[verdict.gateway_id],
            leg.begin.begin_ms,
            horizon.last_ms,
            horizon.last_frame_seq - horizon.first_frame_seq + 1,
            tuple(channels),
            scene.profiles.get(leg.begin.reference, ""),
            len(leg.verdicts) - 1,
        )

    def _settlement(self, settlement: Settled, scene: Scene) -> SettlementRow:
        payouts = tuple(
            Payout(scene.parties.get(address, "0x" + address.hex()), role, amount)
            for address, role, amount in _paid(settlement)
            if amount
        )
        return SettlementRow(
            settlement.claim,
            settlement.leg_id,
            settlement.kind,
            settlement.amount,
            CURRENCY,
            DECIMALS,
            settlement.tx_hash,
            settlement.block_number,
            settlement.gas_used,
            payouts,
        )

    def _commands(self) -> tuple[Command, ...]:
        first = next(iter(self.evidence.values()), None)
        if first is None:
            return ()
        return (
            Command("Check one leg's evidence, offline", f"lading verify {first.path}"),
            Command("See what is in it, field by field", f"lading inspect {first.path}"),
        )


def _paid(settlement: Settled) -> tuple[tuple[bytes, str, int], ...]:
    """Address, role and amount of each who got something."""
    if not isinstance(settlement, Settlement):
        return ((Policy.decode(settlement.policy).holder, "holder of the cover", settlement.amount),)
    terms, penalty = terms_of(settlement), settlement.penalty
    back = settlement.rest if settlement.version > 1 else terms.bond - penalty
    return ((terms.shipper, "shipper", penalty), (terms.carrier, "carrier", back))


def file_name(reference: str) -> str:
    """A reference as a file name, without anything that a path would read."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", reference).strip("-.")[:80] or "leg"
