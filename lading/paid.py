"""The settlement check of an evidence file: the amount follows from the terms and the leg's totals."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lading.assignment import Assignment
from lading.due import Seen, due, reached_bits
from lading.errors import MalformedError, ProofError
from lading.evidence import Evidence
from lading.frame import CLOSED, Frame
from lading.settlement import Settlement
from lading.terms import Leg, Terms
from lading.terms_v1 import TermsV1
from lading.totals import Totals


def terms_of(settlement: Settlement) -> Terms | TermsV1:
    """The terms of the escrow's version; MalformedError `terms`."""
    terms = (TermsV1 if settlement.version == 1 else Terms).decode(settlement.terms)
    if settlement.leg_index >= len(terms.legs):
        raise MalformedError("terms", f"leg {settlement.leg_index} of {len(terms.legs)}")
    return terms


def leg_of(settlement: Settlement) -> Leg:
    """The leg that it settled."""
    return terms_of(settlement).legs[settlement.leg_index]


def is_over(settlement: Settlement, begin: Assignment) -> bool:
    """True when the agreement is over the leg that the order began: its tenant, gateway, id and limits."""
    terms, leg = terms_of(settlement), leg_of(settlement)
    limits_hash = begin.limits.hash if begin.limits else b""
    bound = (terms.tenant, leg.gateway_id, leg.leg_id, leg.limits_hash, settlement.leg_id)
    return bound == (begin.tenant, begin.gateway, begin.leg_id, limits_hash, begin.leg_id)


class Judged(NamedTuple):
    """What the amount follows from, in words. `is_cut`: it is less than the leg makes due, as the bond was used up.

    `sent_ms`: of the frame that counted; None where none did.
    """

    words: str
    is_cut: bool
    sent_ms: int | None


def check_amount(evidence: Evidence, settlement: Settlement) -> Judged:
    """ProofError `settlement` when the terms are of another leg, or the amount is another."""
    if not is_over(settlement, evidence.begin):
        raise ProofError("settlement", "the agreement is over another tenant, gateway, leg or limits")
    terms = terms_of(settlement)
    _check_rest(terms, settlement)
    leg, wanted = terms.leg_terms(settlement.leg_index), []
    for seen, reason in _seen(terms, settlement, [proof.frame for proof in evidence.frames]):
        penalty = due(leg, seen)
        is_cut = len(terms.legs) > 1 and settlement.penalty < penalty
        is_same = settlement.version == 1 or settlement.reached == reached_bits(leg, seen)
        if is_same and (settlement.penalty == penalty or is_cut):
            what = f"{settlement.kind} of {settlement.amount} follows from the terms and {reason}"
            words = what + (f": {penalty}, as far as the bond went" if is_cut else "")
            return Judged(words, is_cut, None if seen is None else seen.sent_ms)
        wanted.append(penalty)
    raise ProofError(
        "settlement", f"states a {settlement.kind} of {settlement.amount}, due is a penalty of {wanted[0]}"
    )


def _check_rest(terms: Terms | TermsV1, settlement: Settlement) -> None:
    """What can be said of the released rest from one leg: with a single leg it is all that was not due."""
    left = terms.bond - settlement.penalty
    released = left if settlement.version == 1 else settlement.rest
    is_all = len(terms.legs) > 1 or released == left
    if not 0 <= released <= left or not is_all:
        raise ProofError(
            "settlement", f"{released} of the bond released beside a penalty of {settlement.penalty}"
        )
    if settlement.amount != (settlement.penalty or released):
        raise ProofError(
            "settlement", f"states a {settlement.kind} of {settlement.amount}, due is a release of {released}"
        )


def _seen(
    terms: Terms | TermsV1, settlement: Settlement, frames: list[Frame]
) -> Iterator[tuple[Seen | None, str]]:
    """What may have counted, likeliest first: the closing frame, or after the deadline whichever was shown, or none."""
    counted = None
    if terms.uncertainty_max_milli:
        counted = {
            channel: milli
            for channel, milli in settlement.uncertainties or ()
            if milli <= terms.uncertainty_max_milli
        }
    last = frames[-1]
    if last.header.leg_state == CLOSED:
        yield Seen(_totals(last), last.header.sent_ms, True, counted), "the closing totals"
    for frame in reversed(frames):
        if frame.header.leg_state != CLOSED:
            seen = Seen(_totals(frame), frame.header.sent_ms, False, counted)
            yield seen, f"the totals of frame {frame.header.frame_seq}, shown after the deadline"
    yield None, "no frame having been shown by the window's end"


def _totals(frame: Frame) -> Mapping[int, Totals]:
    return {run.record.channel: run.record.totals for run in frame.runs}
