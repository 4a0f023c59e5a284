"""What the chain has finally settled, as the records that go to the log."""

from collections.abc import Iterator

from contracts.agreements import Agreement
from contracts.escrows import Ended, Escrow
from contracts.ledger import Ledger
from contracts.proofs import Evidence
from lading.calibration import uncertainties_at
from lading.chain import Receipt
from lading.deployment import Deployment
from lading.finality import Sightings
from lading.sending import Sender
from lading.settlement import Settlement
from lading.tiers import channels_of


class Recorder:
    """Reads ends of legs from finalized blocks; nothing that a reorganisation can take back is recorded."""

    def __init__(self, sender: Sender, deployment: Deployment, ledger: Ledger, evidence: Evidence) -> None:
        self._chain = sender.chain
        self._sightings = Sightings(sender.chain, sender.finality)
        self._deployment = deployment
        self._ledger = ledger
        self._evidence = evidence

    def settlements(self, agreement: Agreement, escrow: Escrow) -> Iterator[Settlement]:
        """Of those legs that the log has no settlement of yet."""
        known = self._ledger.settled_legs(agreement.id)
        indices = {leg.leg_id: index for index, leg in enumerate(agreement.terms.legs)}
        for ended in escrow.ended(agreement.id, self._deployment.block):
            index = indices[ended.leg_id]
            receipt = None if index in known else self._sightings.receipt(ended.event)
            if receipt is not None:
                yield self._settlement(agreement, escrow, index, ended, receipt)

    def _settlement(
        self, agreement: Agreement, escrow: Escrow, index: int, ended: Ended, receipt: Receipt
    ) -> Settlement:
        return Settlement(
            agreement.id,
            ended.leg_id,
            escrow.address,
            self._chain.chain_id,
            agreement.terms.encode(),
            "penalty" if ended.penalty else "release",
            ended.penalty or ended.rest,
            receipt.tx_hash,
            receipt.block_number,
            receipt.block_hash,
            receipt.gas_used,
            version=escrow.version,
            leg_index=index,
            rest=ended.rest if escrow.version > 1 else 0,
            owed=escrow.owed_in(receipt.events, agreement.id, ended.leg_id),
            reached=ended.reached,
            uncertainties=self._uncertainties(agreement, escrow, index, receipt.block_number),
        )

    def _uncertainties(
        self, agreement: Agreement, escrow: Escrow, index: int, block_number: int
    ) -> tuple[tuple[int, int], ...] | None:
        """Of the calibrations that counted at the frame that settled; None where the terms ask for none."""
        terms, leg = agreement.terms, agreement.terms.legs[index]
        if not terms.uncertainty_max_milli:
            return None
        sent_ms = self._settled_ms(agreement, escrow, index, block_number)
        if sent_ms is None:
            return ()
        registry: bytes = escrow.contract.call("gateways")
        return uncertainties_at(
            self._chain,
            registry,
            leg.gateway_id,
            channels_of(terms.tiers),
            sent_ms,
            terms.uncertainty_max_milli,
            block_number,
        )

    def _settled_ms(self, agreement: Agreement, escrow: Escrow, index: int, block_number: int) -> int | None:
        """When the frame that settled was sent: the closing one within the window, after it the one shown."""
        leg = agreement.terms.legs[index]
        block = self._chain.block(block_number)
        if block is not None and block.time_s >= leg.deadline_s + agreement.terms.window_s:
            shown = escrow.shown(agreement.id, index)
            return None if shown is None else shown.sent_ms
        verdict = self._ledger.verdict(leg.leg_id, leg.gateway_id, leg.limits_hash)
        frame = None if verdict is None else self._evidence.frame(verdict.horizon.last_frame_hash)
        return None if frame is None else frame.header.sent_ms
