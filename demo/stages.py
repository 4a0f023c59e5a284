"""Every stage over one folder, wired in one process: the log, ingest behind a broker, rules, anchors, settlement."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from anchoring.index import Index
from anchoring.registry import Registry
from anchoring.stage import Anchoring, Announce
from anomaly.stage import Anomaly
from contracts.cover_stage import Covering
from contracts.ledger import Ledger
from contracts.stage import Settling
from demo.chainside import Chainside
from ingest.archive import Archive
from ingest.stage import Ingest
from lading.batch import AnchorRecord
from lading.cose import PublicKey
from lading.gateways import GatewayFile
from lading.log import SqliteLog
from lading.payout import Settled

FRAMES_A_INTERVAL_MAX = 100_000


class Stages:
    """The stages behind the log. `step` lets each of them do what there is to do."""

    def __init__(
        self,
        folder: Path,
        chainside: Chainside,
        operators: Mapping[bytes, PublicKey],
        now_ms: Callable[[], int],
        interval_ms: int,
        announce: Announce,
    ) -> None:
        self._stack = ExitStack()
        self._now_ms = now_ms
        keep = self._stack.callback
        self.gateways = GatewayFile(folder / "gateways.json")
        self.log = SqliteLog(folder / "log.sqlite", now_ms=now_ms)
        keep(self.log.close)
        self.ingest = Ingest(self.log, folder / "ingest.sqlite", self.gateways, operators, now_ms=now_ms)
        keep(self.ingest.close)
        self.archive = Archive(self.log, folder / "archive", self.gateways.tenant_of)
        self.anomaly = Anomaly(self.log, folder / "anomaly.sqlite", operators)
        keep(self.anomaly.close)
        anchorer, settler = chainside.sender("anchorer", folder), chainside.sender("settler", folder)
        keep(anchorer.close)
        keep(settler.close)
        index = Index(folder / "anchoring.sqlite")
        keep(index.close)
        registry = Registry(chainside.chain, chainside.deployment.anchors)
        tenant_of = self.gateways.tenant_of
        self.anchoring = Anchoring(
            self.log, registry, anchorer, index, tenant_of, interval_ms, FRAMES_A_INTERVAL_MAX, announce
        )
        ledger = Ledger(self.log, folder / "settlement.sqlite")
        keep(ledger.close)
        self.settling = Settling(
            self.log, chainside.deployment, settler, ledger, tenant_of, lambda: chainside.agreements
        )
        self.covering = Covering(
            self.log, chainside.deployment, settler, ledger, tenant_of, lambda: chainside.covers
        )

    def judge(self) -> None:
        """Rules over what is new in the log."""
        while self.anomaly.step():
            pass

    def anchor(self) -> list[AnchorRecord]:
        """Cut an interval if it is due, follow the anchors, archive the batches."""
        written = self.anchoring.step(self._now_ms())
        while self.archive.step():
            pass
        return written

    def settle(self) -> list[Settled]:
        """Open agreements, pay what is due of them and of covers."""
        ended = self.covering.step(self._now_ms())
        return [*ended, *self.settling.step(self._now_ms())]

    def close(self) -> None:
        """Close every file."""
        self._stack.close()
