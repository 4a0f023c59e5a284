"""What the chain has finally settled, of agreements and of covers, as the records that go to the log."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from contracts.agreements import Agreement
from contracts.covers import Cover
from contracts.escrows import Ended, Escrow, ShownAt, owed_in
from contracts.insurance import Insurance
from contracts.ledger import Ledger
from contracts.proofs import Evidence
from contracts.steps import Claim
from lading import abi
from lading.abi import Contract
from lading.calibration import uncertainties_at
from lading.chain import LATEST, Receipt
from lading.deployment import Deployment
from lading.errors import ServiceError
from lading.finality import Sightings
from lading.payout import Payout
from lading.sending import Sender
from lading.settlement import Settlement
from lading.tiers import channels_of


class Concluder(Protocol):
    """The contract that concluded a leg."""

    @property
    def contract(self) -> Contract:
        """Itself, which names its gateway registry."""

    def shown_at(self, claim_id: bytes, leg_id: bytes, first: int, last: int, /) -> ShownAt | None:
        """The newest frame that was shown of a leg in blocks first..last."""


class _End(NamedTuple):
    """A leg's end: which leg, by what transaction."""

    leg_index: int
    receipt: Receipt


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
                yield self._settlement(agreement, escrow, ended, _End(index, receipt))

    def payout(self, cover: Cover, insurance: Insurance) -> Payout | None:
        """Of a cover that has ended finally; None before."""
        ended = insurance.ended(cover.id)
        receipt = None if ended is None else self._sightings.receipt(ended.event)
        if ended is None or receipt is None:
            return None
        return Payout(
            cover.id,
            ended.leg_id,
            insurance.address,
            self._chain.chain_id,
            cover.terms.encode(),
            ended.penalty,
            owed_in(insurance.contract, receipt.events, cover.id, ended.leg_id),
            ended.reached,
            self._uncertainties(cover, insurance, _End(0, receipt)),
            receipt.tx_hash,
            receipt.block_number,
            receipt.block_hash,
            receipt.gas_used,
        )

    def _settlement(self, agreement: Agreement, escrow: Escrow, ended: Ended, end: _End) -> Settlement:
        receipt, is_first = end.receipt, escrow.version == 1
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
            leg_index=end.leg_index,
            rest=0 if is_first else ended.rest,
            owed=0 if is_first else owed_in(escrow.contract, receipt.events, agreement.id, ended.leg_id),
            reached=ended.reached,
            uncertainties=self._uncertainties(agreement, escrow, end),
        )

    def _uncertainties(
        self, claim: Claim, concluder: Concluder, end: _End
    ) -> tuple[tuple[int, int], ...] | None:
        """Of the calibrations that counted at the frame that settled; None where the terms ask for none."""
        terms, leg = claim.terms, claim.terms.legs[end.leg_index]
        if not terms.uncertainty_max_milli:
            return None
        looked = self._looked(claim, concluder, end)
        if looked is None:
            return ()
        registry: bytes = concluder.contract.call("gateways")
        channels = channels_of(terms.tiers)
        of = (self._chain, registry, leg.gateway_id, channels, looked.sent_ms, terms.uncertainty_max_milli)
        try:
            return uncertainties_at(*of, looked.block_number)
        except ServiceError as exc:  # a node that keeps no state of older blocks
            if exc.code not in ("chain_rpc", "calibration"):
                raise
            found = uncertainties_at(*of, LATEST)
            gateways = abi.at(self._chain, "GatewayRegistry", registry)
            if gateways.events("GatewayCalibrated", leg.gateway_id, first=looked.block_number + 1):
                raise
            return found  # certificates are only added, and none was since

    def _looked(self, claim: Claim, concluder: Concluder, end: _End) -> ShownAt | None:
        """When the frame that settled was sent, and in which block the contract looked at its certificates.

        The closing frame within the window; after it the one that was shown, when it was shown.
        """
        leg, number = claim.terms.legs[end.leg_index], end.receipt.block_number
        block = self._chain.block(number)
        if block is not None and block.time_s >= leg.deadline_s + claim.terms.window_s:
            return concluder.shown_at(claim.id, leg.leg_id, self._deployment.block, number)
        verdict = self._ledger.verdict(leg.leg_id, leg.gateway_id, leg.limits_hash)
        frame = None if verdict is None else self._evidence.frame(verdict.horizon.last_frame_hash)
        return None if frame is None else ShownAt(frame.header.sent_ms, number)
