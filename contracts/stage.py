"""The stage's driver: opens agreements, pays from final evidence, writes what the chain has settled to the log.

What is due is derived from the chain's own state at each step, so it does not matter where the last process died; the
escrow itself settles an agreement once. Which frame counts is the verdict's: the last one of its horizon.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any

from contracts.agreements import Agreement
from contracts.ledger import Ledger
from contracts.proofs import Evidence, anchor_argument
from lading import abi, topics
from lading.batchlog import TenantOf
from lading.chain import Chain, RevertedError
from lading.deployment import Deployment
from lading.errors import ProofError, ServiceError
from lading.finality import Sightings
from lading.frame import CLOSED
from lading.log import Log
from lading.sending import Sender
from lading.settlement import KINDS, Settlement
from lading.terms import Terms
from lading.verdict import Verdict

NONE, OPEN, SHOWN, SETTLED, JUDGED = range(5)
_OF_ONE_AGREEMENT = {
    "send_refused",
    "batch_log",
    "gateway_unknown",
}  # these stop one agreement, not the others
STATES = ("none", "open", "shown", "settled", "judged")  # the escrow's states in its order

Agreements = Callable[[], Mapping[bytes, Agreement]]


class Settling:
    """One process settles: it holds the only sender of the settling key. Others may settle too: nothing doubles."""

    def __init__(
        self,
        log: Log,
        deployment: Deployment,
        sender: Sender,
        ledger: Ledger,
        tenant_of: TenantOf,
        agreements: Agreements,
    ) -> None:
        chain = sender.chain
        self.ledger = ledger
        self.waits: dict[bytes, str] = {}  # agreement → why the chain does not take its next step yet
        self._log = log
        self._sender = sender
        self._deployment = deployment
        self._escrow = abi.at(chain, "PenaltyEscrow", deployment.escrow)
        self._anchors = abi.at(chain, "AnchorRegistry", deployment.anchors)
        self._evidence = Evidence(log, ledger, tenant_of)
        self._agreements = agreements
        self._sightings = Sightings(chain, sender.finality)
        self._window_s: int | None = None

    def state(self, key: bytes) -> str:
        """What the escrow says of an agreement: none, open, shown or settled."""
        return escrow_state(self._sender.chain, self._deployment, key)

    def step(self, now_ms: int) -> list[Settlement]:
        """Send what is due, follow it; the settlements that were written."""
        self.ledger.catch_up()
        live = {key: one for key, one in self._agreements().items() if not self.ledger.is_settled(key)}
        self.waits = {key: reason for key, reason in self.waits.items() if key in live}
        states = {key: self._advance(key, agreement, now_ms) for key, agreement in live.items()}
        moved = {intent.key.split("/")[0].split()[-1] for intent in self._sender.step(now_ms)}
        self._tell_waits(live)
        over = {key: one for key, one in live.items() if states[key] == SETTLED or key.hex() in moved}
        return self._write(over)

    def _tell_waits(self, live: Mapping[bytes, Agreement]) -> None:
        """Transactions that are on their way and do not get on."""
        by_name = {key.hex(): key for key in live}
        for purpose, reason in self._sender.waits().items():
            key = by_name.get(purpose.split("/")[0].split()[-1])
            if key is not None:
                self.waits[key] = f"{purpose.split()[0]}: {reason}"

    def _advance(self, key: bytes, agreement: Agreement, now_ms: int) -> int:
        """Take the agreement's next step, if there is one; the escrow's state before it."""
        state, shown_seq, *_ = self._escrow.call("agreementOf", key)
        try:
            self._take_step(key, agreement, (state, shown_seq), now_ms)
        except (ProofError, ServiceError) as exc:
            if isinstance(exc, ServiceError) and exc.code not in _OF_ONE_AGREEMENT:
                raise
            self.waits[key] = str(exc)
        return int(state)

    def _take_step(self, key: bytes, agreement: Agreement, on_chain: tuple[int, int], now_ms: int) -> None:
        state, shown_seq = on_chain
        if state == NONE:
            terms = terms_argument(agreement.terms)
            self._try(key, "open", terms, agreement.carrier_signature, agreement.shipper_signature)
        elif state in (OPEN, SHOWN):
            self._conclude(key, agreement, shown_seq if state == SHOWN else -1, now_ms // 1000)
        elif state == JUDGED:  # what is due waits for the vault's outflow limit to recover
            self._try(key, "pay", terms_argument(agreement.terms))

    def _conclude(self, key: bytes, agreement: Agreement, shown_seq: int, now_s: int) -> None:
        """Settle from the closing frame; after the deadline show the newest; after the window finish."""
        terms = agreement.terms
        end_s = terms.deadline_s + terms.window_s
        if now_s >= end_s:
            self._try(key, "finish", terms_argument(agreement.terms))
            return
        verdict = self.ledger.verdict(terms.leg_id, terms.gateway_id, terms.limits_hash)
        if verdict is None or not (verdict.final or now_s >= terms.deadline_s):
            return
        step = self._step_for(verdict, shown_seq, is_past_deadline=now_s >= terms.deadline_s)
        found = self._evidence.anchored(terms, verdict.horizon.last_frame_hash) if step else None
        if found is None or not self._is_final(found[1].interval, anchor_argument(found[1]), now_s):
            return
        proof = self._evidence.frame_proof(terms, verdict.horizon.last_frame_hash, *found)
        self._try(key, step, terms_argument(agreement.terms), proof)

    def _step_for(self, verdict: Verdict, shown_seq: int, is_past_deadline: bool) -> str:
        """A closing frame settles; after the deadline a newer open one than was shown is shown; else nothing."""
        frame = self.ledger.frame(verdict.horizon.last_frame_hash)
        if frame is None:
            return ""
        if frame.leg_state == CLOSED:
            return "settle"
        newest_seq = verdict.horizon.last_frame_seq
        return f"show {newest_seq}" if is_past_deadline and newest_seq > shown_seq else ""

    def _is_final(self, interval: int, anchored: tuple[bytes, int, int], now_s: int) -> bool:
        """Whether the registry's window of the anchor is over; False too while it is contested or of another fork."""
        if self._window_s is None:
            self._window_s = int(self._anchors.call("windowS"))
        if now_s < anchored[2] + self._window_s:
            return False
        try:
            final: bool = self._anchors.call("isFinal", interval, anchored)
        except RevertedError:
            return False
        return final

    def _try(self, key: bytes, step: str, *arguments: Any) -> None:
        """Queue a call of the escrow; where it would be refused now, note by which name and come again."""
        function = step.split()[0]
        data = self._escrow.interface.encode_call(function, *arguments)
        try:
            self._sender.attempt(f"{step} {key.hex()}", self._escrow.address, data)
            self.waits.pop(key, None)
        except RevertedError as exc:
            self.waits[key] = self._escrow.interface.named(exc).text

    def _write(self, over: Mapping[bytes, Agreement]) -> list[Settlement]:
        """Write to the log what the chain has finally settled."""
        found = [self._settlement(key, agreement) for key, agreement in over.items()]
        settled = [one for one in found if one is not None]
        self._log.append(topics.SETTLEMENTS, [(one.agreement, one.encode()) for one in settled])
        self.ledger.catch_up()
        return settled

    def _settlement(self, key: bytes, agreement: Agreement) -> Settlement | None:
        """The agreement's payment, once it is finalized."""
        chain = self._sender.chain
        for event, values in self._escrow.events("Settled", key, first=self._deployment.block):
            receipt = self._sightings.receipt(event)
            if receipt is None:
                continue
            return Settlement(
                key,
                agreement.terms.leg_id,
                self._deployment.escrow,
                chain.chain_id,
                agreement.terms.encode(),
                KINDS[values["kind"] - 1],
                values["amount"],
                receipt.tx_hash,
                receipt.block_number,
                receipt.block_hash,
                receipt.gas_used,
            )
        return None


def escrow_state(chain: Chain, deployment: Deployment, key: bytes) -> str:
    """What the escrow says of an agreement: none, open, shown or settled."""
    return STATES[abi.at(chain, "PenaltyEscrow", deployment.escrow).call("agreementOf", key)[0]]


def terms_argument(terms: Terms) -> tuple[Any, ...]:
    """struct Terms."""
    *values, tiers = astuple(terms)
    return (*values, list(tiers))
