"""The settlement check of an evidence file: the amount follows from the terms and the leg's totals."""

from collections.abc import Iterator, Mapping

from lading.assignment import Assignment
from lading.errors import ProofError
from lading.evidence import Evidence
from lading.frame import CLOSED, Frame
from lading.settlement import Settlement
from lading.terms import Payment, Terms, due_from_closing, due_from_shown
from lading.totals import Totals


def is_over(settlement: Settlement, begin: Assignment) -> bool:
    """True when the agreement is over the leg that the order began: its tenant, gateway, id and limits."""
    terms = Terms.decode(settlement.terms)
    limits_hash = begin.limits.hash if begin.limits else b""
    bound = (terms.tenant, terms.gateway_id, terms.leg_id, terms.limits_hash, settlement.leg_id)
    return bound == (begin.tenant, begin.gateway, begin.leg_id, limits_hash, begin.leg_id)


def check_amount(evidence: Evidence, settlement: Settlement) -> str:
    """What follows, in words; ProofError `settlement` when the terms are of another leg, or the amount is another."""
    terms = Terms.decode(settlement.terms)
    if not is_over(settlement, evidence.begin):
        raise ProofError("settlement", "the agreement is over another tenant, gateway, leg or limits")
    for payment, reason in _payments(terms, [proof.frame for proof in evidence.frames]):
        if (payment.kind, payment.amount) == (settlement.kind, settlement.amount):
            return f"{payment.kind} of {payment.amount} follows from the terms and {reason}"
    closing, _ = next(_payments(terms, [proof.frame for proof in evidence.frames]))
    raise ProofError(
        "settlement",
        f"states a {settlement.kind} of {settlement.amount}, due is a {closing.kind} of {closing.amount}",
    )


def _payments(terms: Terms, frames: list[Frame]) -> Iterator[tuple[Payment, str]]:
    """What may be due, likeliest first: by the closing frame, or after the deadline by whichever frame was shown."""
    last = frames[-1]
    if last.header.leg_state == CLOSED:
        yield due_from_closing(terms, _totals(last), last.header.sent_ms), "the closing totals"
    for frame in reversed(frames):
        if frame.header.leg_state != CLOSED:
            payment = due_from_shown(terms, _totals(frame), frame.header.sent_ms)
            yield payment, f"the totals of frame {frame.header.frame_seq}, shown after the deadline"
    yield due_from_shown(terms, None, 0), "no frame having been shown by the window's end"


def _totals(frame: Frame) -> Mapping[int, Totals]:
    return {run.record.channel: run.record.totals for run in frame.runs}
