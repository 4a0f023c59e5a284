"""Making an agreement: drafted from orders in the log, its bond put up, handed to the stage."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from contracts.agreements import Agreement, Disclosure, save
from contracts.drafting import Draft, Parties, make_terms
from contracts.legs import begin_of, refuse_lacking, refuse_other_place
from contracts.opening import Bench
from contracts.parties import Backing, backing_of, deposit, mint
from contracts.typed_data import terms_argument
from lading.account import Account
from lading.chain import Receipt
from lading.errors import MalformedError, RejectedError, ServiceError
from lading.log import wall_ms
from lading.opening import open_log, open_operator_public
from lading.settlement import ADDRESS_BYTES
from lading.terms import Leg
from lading.wallet import Wallet


class Funded(NamedTuple):
    """What was put up now, and where the stage has the agreement; `path` None while a signature is missing."""

    deposited: int
    path: Path | None


def draft_agreement(bench: Bench, draft: Draft, legs: Sequence[str], parties: Parties) -> Agreement:
    """An agreement without signatures over legs that the operator has begun, by reference or id."""
    escrow = bench.escrows[0]
    if escrow.version == 1:
        raise ServiceError(
            "escrow", f"0x{escrow.address.hex()} is the first version, wanted the present one: deploy it"
        )
    log, operator = open_log(bench.shared), open_operator_public(bench.shared)
    begins = [begin_of(log, operator, leg) for leg in dict.fromkeys(legs)]
    terms = make_terms(draft, begins, parties, bench.place(), secrets.randbits(128), wall_ms() // 1000)
    by_leg = {begin.leg_id: Disclosure.of(begin) for begin in begins}
    return Agreement(terms, escrow.domain, tuple(by_leg[leg.leg_id] for leg in terms.legs))


def fund(bench: Bench, agreement: Agreement, carrier: Account, *, test_tokens: bool) -> Funded:
    """Deposit what the carrier's bond lacks, and hand the agreement over where both have signed."""
    if carrier.address != agreement.terms.carrier:
        raise RejectedError(
            "party", f"0x{carrier.address.hex()} is not the carrier, wanted 0x{agreement.terms.carrier.hex()}"
        )
    refuse_lacking(agreement.disclosures, agreement.terms.tiers)
    chain, deployment = bench.chain, bench.deployment
    if agreement.terms.token != deployment.token:
        raise RejectedError(
            "token",
            f"is in 0x{agreement.terms.token.hex()}, wanted the deployment's 0x{deployment.token.hex()}",
        )
    refuse_cancelled(bench, agreement)
    found = backing(bench, agreement)
    missing = 0 if found is None else found.missing
    if missing and test_tokens:
        mint(chain, deployment, carrier, missing)
    if missing:
        # For the escrow that the terms were signed for, which an upgrade may have left behind.
        deposit(chain, replace(deployment, escrow=agreement.domain.escrow), carrier, missing)
    return Funded(missing, hand_over(bench, agreement))


def hand_over(bench: Bench, agreement: Agreement) -> Path | None:
    """Put a complete agreement into the stage's folder; None while a signature is missing."""
    if agreement.missing:
        return None
    bench.escrow_of(agreement)
    agreement.check()
    refuse_cancelled(bench, agreement)
    return save(bench.folder, agreement)


def cancel(bench: Bench, agreement: Agreement, party: Account) -> Receipt:
    """Take signed terms back on chain, as their party; RejectedError for anybody else, or where they are open."""
    escrow = bench.escrow_of(agreement)
    if escrow.version == 1:
        raise RejectedError("escrow", "the first version takes no terms back, wanted a later one")
    agreement.party_of(party.address)
    state = escrow.state(agreement.id, len(agreement.terms.legs))
    if state.name != "none":
        by = f" by the {state.cancelled_by}" if state.cancelled_by else ""
        raise RejectedError("agreement", f"is {state.name}{by}, wanted one that nobody has opened")
    return Wallet(bench.chain, party).transact(escrow.contract, "cancel", terms_argument(agreement.terms))


def cancelled_by(bench: Bench, agreement: Agreement) -> str:
    """The party that took the terms back; empty where none did, or where they are not of this deployment."""
    for one in bench.escrows:
        if one.domain == agreement.domain:
            return one.state(agreement.id, len(agreement.terms.legs)).cancelled_by
    return ""


def refuse_cancelled(bench: Bench, agreement: Agreement) -> None:
    """RejectedError `agreement` where a party took the terms back: no escrow opens them any more."""
    if by := cancelled_by(bench, agreement):
        raise RejectedError("agreement", f"was cancelled by the {by}, wanted new terms")


class OverLegs(Protocol):
    """Terms, as far as they say whose legs they are over."""

    @property
    def tenant(self) -> bytes:
        """Whose batches hold the legs' frames."""

    @property
    def legs(self) -> tuple[Leg, ...]:
        """Each with its gateway."""


def check_begun(bench: Bench, terms: OverLegs) -> list[str]:
    """RejectedError `leg` where this installation's operator began a leg otherwise; others' legs are not known here.

    A line of words where log or operator's key are not at hand: a party may sign all the same.
    """
    try:
        operator = open_operator_public(bench.shared)
        refuse_other_place(open_log(bench.shared), operator, terms.tenant, terms.legs)
    except ServiceError as exc:
        return [f"Not compared with the orders that began the legs: {exc}"]
    return []


def address_of(bench: Bench, text: str, role: str) -> bytes:
    """A party: an address in hex, or a key file's."""
    if text.startswith("0x"):
        try:
            address = bytes.fromhex(text[2:])
        except ValueError:
            address = b""
        if len(address) != ADDRESS_BYTES:
            raise MalformedError(
                "terms", f"{role}: found {text[:60]!r}, wanted 0x and 40 hex digits, or a key file"
            )
        return address
    return bench.account(Path(text)).address


def backing(bench: Bench, agreement: Agreement) -> Backing | None:
    """What stands behind the bond of an agreement that is not open yet; None where it is, or was cancelled."""
    state = bench.escrow_of(agreement).state(agreement.id, len(agreement.terms.legs))
    if state.name != "none":
        return None
    return backing_of(bench.chain, bench.deployment, agreement, _waiting(bench))


def _waiting(bench: Bench) -> list[Agreement]:
    """The stage's agreements that are not open yet, and can be."""
    now_s = bench.chain.head().time_s
    return [
        one
        for key, one in bench.agreements()().items()
        if min(leg.deadline_s for leg in one.terms.legs) > now_s
        and bench.escrow_of(one).state(key, len(one.terms.legs)).name == "none"
    ]
