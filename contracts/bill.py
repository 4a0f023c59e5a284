"""What each leg of an agreement costs by the evidence: before it settles what would be due, after it what was."""

from dataclasses import dataclass

from contracts.agreements import Agreement
from contracts.escrows import Escrow, State
from contracts.ledger import Ledger
from contracts.proofs import Evidence
from contracts.steps import Planner, stops_all
from lading.calibration import uncertainties_at
from lading.chain import Chain
from lading.due import Line, Seen, due, lines
from lading.errors import LadingError
from lading.frame import CLOSED, Frame
from lading.settlement import Settlement
from lading.terminal import shown_time
from lading.tiers import channels_of
from lading.verdict import Verdict


@dataclass(frozen=True, slots=True)
class LegBill:
    """One leg. `basis`: which evidence the lines are by; `due`: their sum under the leg cap; `waits`: what comes next.

    `paid` is the log's record of it, in a finalized block. `is_concluded`: the chain has concluded it already.
    """

    index: int
    basis: str
    lines: tuple[Line, ...]
    due: int
    is_concluded: bool
    paid: Settlement | None
    waits: str

    @property
    def total(self) -> int:
        """Sum of the reached tiers, before any cap."""
        return sum(line.tier.amount for line in self.lines if line.is_reached)


@dataclass(frozen=True, slots=True)
class Bill:
    """An agreement with the chain's state and its legs."""

    agreement: Agreement
    state: State
    legs: tuple[LegBill, ...]

    @property
    def foreseen(self) -> int:
        """What the legs that have not concluded would cost now, as far as the bond goes."""
        open_due = sum(leg.due for leg in self.legs if not leg.is_concluded)
        return min(open_due, self.agreement.terms.bond - self.state.penalty)


class Biller:
    """Reads log and chain; changes neither."""

    def __init__(
        self, chain: Chain, gateways: bytes, ledger: Ledger, evidence: Evidence, planner: Planner
    ) -> None:
        self._chain = chain
        self._gateways = gateways
        self._ledger = ledger
        self._evidence = evidence
        self._planner = planner

    def bill(self, agreement: Agreement, escrow: Escrow, now_s: int) -> Bill:
        """The agreement as it stands."""
        state = escrow.state(agreement.id, len(agreement.terms.legs))
        settled = self._ledger.settled_legs(agreement.id)
        legs = tuple(
            self._leg(agreement, escrow, index, state, settled.get(index), now_s)
            for index in range(len(agreement.terms.legs))
        )
        return Bill(agreement, state, legs)

    def _leg(
        self,
        agreement: Agreement,
        escrow: Escrow,
        index: int,
        state: State,
        paid: Settlement | None,
        now_s: int,
    ) -> LegBill:
        terms = agreement.terms
        leg = terms.leg_terms(index)
        seen, basis = self._seen(agreement, escrow, index, now_s, paid)
        is_nothing_yet = seen is None and now_s < leg.deadline_s
        found = () if is_nothing_yet else lines(leg, seen)
        is_concluded = state.concluded[index]
        waits = "" if is_concluded else self._waits(agreement, escrow, index, state, now_s)
        amount = 0 if is_nothing_yet else due(leg, seen)
        return LegBill(index, basis, found, amount, is_concluded, paid, waits)

    def _waits(self, agreement: Agreement, escrow: Escrow, index: int, state: State, now_s: int) -> str:
        if not state.is_open:
            is_late = now_s >= min(leg.deadline_s for leg in agreement.terms.legs)
            return "nobody can open the agreement any more" if is_late else "the agreement is not open yet"
        try:
            plan = self._planner.leg(agreement, escrow, index, now_s)
        except LadingError as exc:  # of this leg's evidence alone: the other legs are shown all the same
            if stops_all(exc):
                raise
            return str(exc)
        return plan.why if plan.step is None else f"`{plan.step.function}` is due now"

    def _seen(
        self, agreement: Agreement, escrow: Escrow, index: int, now_s: int, paid: Settlement | None
    ) -> tuple[Seen | None, str]:
        """The frame that counts, or that would if nothing else came; None without any."""
        leg = agreement.terms.legs[index]
        end_s = leg.deadline_s + agreement.terms.window_s
        if now_s >= end_s and not self._is_before(paid, end_s):
            return self._shown(agreement, escrow, index)
        verdict = self._ledger.verdict(leg.leg_id, leg.gateway_id, leg.limits_hash)
        last = None if verdict is None else self._evidence.frame(verdict.horizon.last_frame_hash)
        if last is not None and last.header.leg_state == CLOSED:
            return self._of(agreement, index, last, is_closing=True), "its closing frame"
        newest = None if verdict is None else self._newest_open(verdict)
        if newest is None:
            return None, "no frame of it is judged yet"
        sent = f"frame {newest.header.frame_seq} of {shown_time(newest.header.sent_ms)}"
        if now_s < leg.deadline_s:
            return self._of(agreement, index, newest, is_closing=True), f"{sent}, as if it had closed with it"
        return self._of(agreement, index, newest, is_closing=False), f"{sent}, without a closing frame"

    def _is_before(self, paid: Settlement | None, end_s: int) -> bool:
        """Whether a leg settled by its closing frame: the contract takes none once the window has ended."""
        block = None if paid is None else self._chain.block(paid.block_number)
        return block is not None and block.time_s < end_s

    def _newest_open(self, verdict: Verdict) -> Frame | None:
        """As the stage shows it: an open leg has newer frames than its verdict names."""
        for _, frame_hash in self._ledger.leg_frames(verdict):
            known = self._ledger.frame(frame_hash)
            if known is not None and known.leg_state != CLOSED:
                return self._evidence.frame(frame_hash)
        return None

    def _shown(self, agreement: Agreement, escrow: Escrow, index: int) -> tuple[Seen | None, str]:
        """After the window: the frame that was shown on chain, or none."""
        leg, shown = agreement.terms.legs[index], escrow.shown(agreement.id, index)
        verdict = self._ledger.verdict(leg.leg_id, leg.gateway_id, leg.limits_hash)
        if shown is None or verdict is None:
            return None, "no frame having been shown by the window's end"
        frame_hash = dict(self._ledger.leg_frames(verdict)).get(shown.frame_seq)
        frame = None if frame_hash is None else self._evidence.frame(frame_hash)
        if frame is None:
            return None, f"frame {shown.frame_seq} was shown, which this log does not have"
        return self._of(
            agreement, index, frame, is_closing=False
        ), f"frame {shown.frame_seq}, the newest shown"

    def _of(self, agreement: Agreement, index: int, frame: Frame, *, is_closing: bool) -> Seen:
        totals = {run.record.channel: run.record.totals for run in frame.runs}
        counted = self._uncertainties(agreement, index, frame.header.sent_ms)
        return Seen(totals, frame.header.sent_ms, is_closing, counted)

    def _uncertainties(self, agreement: Agreement, index: int, sent_ms: int) -> dict[int, int] | None:
        terms = agreement.terms
        if not terms.uncertainty_max_milli:
            return None
        channels, most = channels_of(terms.tiers), terms.uncertainty_max_milli
        gateway = terms.legs[index].gateway_id
        return dict(uncertainties_at(self._chain, self._gateways, gateway, channels, sent_ms, most))
