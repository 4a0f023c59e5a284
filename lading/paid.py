"""The settlement check of an evidence file: the amount follows from the terms, or the policy, and the leg's totals."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from lading.assignment import Assignment
from lading.due import Seen, due, reached_bits
from lading.errors import MalformedError, ProofError
from lading.evidence import Evidence
from lading.frame import CLOSED, Frame
from lading.payout import Payout, Settled
from lading.policy import Policy
from lading.settlement import Settlement
from lading.terms import Leg, Terms
from lading.terms_v1 import TermsV1
from lading.tiers import Tier
from lading.totals import Totals


class JudgedTerms(Protocol):
    """Terms or a policy, as far as both say alike by what a leg is judged."""

    @property
    def tenant(self) -> bytes:
        """Whose batches hold the leg's frames."""

    @property
    def uncertainty_max_milli(self) -> int:
        """The greatest uncertainty that a certificate may state; 0: none are asked for."""

    @property
    def window_s(self) -> int:
        """Seconds after a leg's deadline in which its frames may be shown."""

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """What is due of each leg."""

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The legs, by index."""


def terms_of(settlement: Settlement) -> Terms | TermsV1:
    """The terms of the escrow's version; MalformedError `terms`."""
    terms = (TermsV1 if settlement.version == 1 else Terms).decode(settlement.terms)
    if settlement.leg_index >= len(terms.legs):
        raise MalformedError("terms", f"leg {settlement.leg_index} of {len(terms.legs)}")
    return terms


def judged_by(record: Settled) -> JudgedTerms:
    """The terms that it was settled by; MalformedError `terms` or `policy`."""
    return Policy.decode(record.policy) if isinstance(record, Payout) else terms_of(record)


def leg_of(record: Settled) -> Leg:
    """The leg that it settled."""
    return judged_by(record).legs[0 if isinstance(record, Payout) else record.leg_index]


def is_over(record: Settled, begin: Assignment) -> bool:
    """True when it is over the leg that the order began: its tenant, gateway, id and limits."""
    leg = leg_of(record)
    limits_hash = begin.limits.hash if begin.limits else b""
    bound = (judged_by(record).tenant, leg.gateway_id, leg.leg_id, leg.limits_hash, record.leg_id)
    return bound == (begin.tenant, begin.gateway, begin.leg_id, limits_hash, begin.leg_id)


class Judged(NamedTuple):
    """What the amount follows from, in words. `is_cut`: it is less than the leg makes due, as the bond was used up.

    `sent_ms`: of the frame that counted; None where none did.
    """

    words: str
    is_cut: bool
    sent_ms: int | None


def check_amount(evidence: Evidence, record: Settled) -> Judged:
    """ProofError `settlement` when the terms are of another leg, or the amount is another."""
    what = "cover" if isinstance(record, Payout) else "agreement"
    if not is_over(record, evidence.begin):
        raise ProofError("settlement", f"the {what} is over another tenant, gateway, leg or limits")
    if (record.uncertainties is None) == bool(judged_by(record).uncertainty_max_milli):
        raise ProofError(
            "settlement", f"the {what} asks for certificates, and the record not, or other way round"
        )
    frames = [proof.frame for proof in evidence.frames]
    if isinstance(record, Payout):
        return _check_payout(record, frames)
    return _check_penalty(record, frames)


def _check_penalty(settlement: Settlement, frames: list[Frame]) -> Judged:
    terms = terms_of(settlement)
    _check_rest(terms, settlement)
    leg, wanted = terms.leg_terms(settlement.leg_index), []
    for seen, reason in _seen(settlement, frames):
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


def _check_payout(record: Payout, frames: list[Frame]) -> Judged:
    policy = Policy.decode(record.policy)
    leg, wanted = policy.leg_terms, []
    for seen, reason in _seen(record, frames):
        payout = policy.payout(due(leg, seen))
        if (record.amount, record.reached) == (payout, reached_bits(leg, seen)):
            words = f"{record.kind} of {payout} follows from the policy and {reason}"
            return Judged(words, False, None if seen is None else seen.sent_ms)
        wanted.append(payout)
    raise ProofError(
        "settlement", f"states a {record.kind} of {record.amount}, due is a payout of {wanted[0]}"
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


def _seen(record: Settled, frames: list[Frame]) -> Iterator[tuple[Seen | None, str]]:
    """What may have counted, likeliest first: the closing frame, or after the deadline whichever was shown, or none."""
    counted, most = None, judged_by(record).uncertainty_max_milli
    if most:
        counted = {channel: milli for channel, milli in record.uncertainties or () if milli <= most}
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
