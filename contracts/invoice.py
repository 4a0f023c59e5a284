"""A bill for people and for programs: each term, what the evidence says, what it costs, what was paid."""

from typing import Any

from contracts.agreements import Agreement
from contracts.bill import Bill, LegBill
from contracts.money import Money
from contracts.words import common_limits, figure, leg_name, sentence
from lading.due import Line
from lading.limits import Limits
from lading.terminal import shown_time
from lading.tiers import METRICS_OF_LEG, Metric

_WIDTH = 74


def invoice(bill: Bill, money: Money) -> list[str]:
    """A line each, amounts at the right."""
    agreement, state = bill.agreement, bill.state
    text = [line for leg in bill.legs for line in _leg_lines(agreement, leg, money)]
    concluded = sum(state.concluded)
    text.append("")
    text.append(_row("penalties of the legs that have concluded", money.show(state.penalty)))
    if concluded < len(bill.legs):
        text.append(_row("would be due of the others, as it stands", money.show(bill.foreseen)))
    if state.owed:
        text.append(
            _row("of them still owed, until the vault's outflow limit recovers", money.show(state.owed))
        )
    rest = agreement.terms.bond - state.penalty
    back = "goes back to the carrier" if state.name == "none" else "still locked of the bond"
    is_over = concluded == len(bill.legs)
    text.append(_row("went back to the carrier" if is_over else back, money.show(rest)))
    return text


def as_json(bill: Bill, money: Money) -> dict[str, Any]:
    """The same; amounts are whole smallest units."""
    agreement, terms = bill.agreement, bill.agreement.terms
    return (
        about(agreement, money)
        | {
            "state": bill.state.name,
            "penalty": bill.state.penalty,
            "owed": bill.state.owed,
            "foreseen": bill.foreseen,
            "legs": [_leg_json(agreement, leg) for leg in bill.legs],
        }
        | {"window_s": terms.window_s}
    )


def about(agreement: Agreement, money: Money) -> dict[str, Any]:
    """What an agreement is, without a chain."""
    terms, domain = agreement.terms, agreement.domain
    return {
        "agreement": agreement.id.hex(),
        "chain_id": domain.chain_id,
        "escrow": f"0x{domain.escrow.hex()}",
        "carrier": f"0x{terms.carrier.hex()}",
        "shipper": f"0x{terms.shipper.hex()}",
        "token": f"0x{terms.token.hex()}",
        "symbol": money.symbol or None,
        "decimals": money.decimals if money.is_known else None,
        "bond": terms.bond,
        "leg_cap": terms.leg_cap,
        "missing": list(agreement.missing),
    }


def _leg_lines(agreement: Agreement, bill: LegBill, money: Money) -> list[str]:
    terms = agreement.terms
    leg = terms.legs[bill.index]
    limits = _limits(agreement, bill.index)
    name = leg_name(leg, _disclosure(agreement, bill.index))
    text = ["", f"{name}, by {bill.basis}:"]
    text += [_tier_row(line, limits, money) for line in bill.lines]
    if bill.total > bill.due:
        text.append(_row("  sum", money.show(bill.total)))
    text.append(_row("  due of this leg" + _cap(bill, terms.leg_cap), money.show(bill.due)))
    return [*text, f"  {_standing(agreement, bill, money)}"]


def _cap(bill: LegBill, leg_cap: int) -> str:
    return ", which may cost no more" if bill.due == leg_cap < bill.total else ""


def _tier_row(line: Line, limits: Limits | None, money: Money) -> str:
    of_leg = Metric(line.tier.metric) in METRICS_OF_LEG
    known = None if limits is None or of_leg else limits.by_channel.get(line.tier.channel)
    found = figure(line.tier, line.figure, line.bound, known.quantity if known else 0)
    cost = money.show(line.tier.amount) if line.is_reached else "-"
    return _row(f"  {sentence(line.tier, limits)}: {found}", cost)


def _standing(agreement: Agreement, bill: LegBill, money: Money) -> str:
    """What became of the leg, or until when it is open."""
    paid = bill.paid
    if paid is not None:
        what = f"paid {money.show(paid.penalty)}" if paid.penalty else "nothing due"
        rest = f", {money.show(paid.rest)} of the bond released" if paid.rest else ""
        owed = f", {money.show(paid.owed)} of it owed until the vault lets it out" if paid.owed else ""
        where = f"in transaction 0x{paid.tx_hash.hex()}, block {paid.block_number}, {paid.gas_used:,} gas"
        return f"concluded: {what}{rest}{owed} {where}"
    if bill.is_concluded:
        return "concluded on chain; its block is not final yet"
    leg = agreement.terms.legs[bill.index]
    end = shown_time((leg.deadline_s + agreement.terms.window_s) * 1000)
    return f"open: {bill.waits}. Deadline {shown_time(leg.deadline_s * 1000)}, window until {end}"


def _leg_json(agreement: Agreement, bill: LegBill) -> dict[str, Any]:
    leg, shown, paid = agreement.terms.legs[bill.index], _disclosure(agreement, bill.index), bill.paid
    limits = _limits(agreement, bill.index)
    return {
        "index": bill.index,
        "leg": leg.leg_id.hex(),
        "reference": shown.reference if shown else None,
        "gateway": leg.gateway_id.hex(),
        "deadline_s": leg.deadline_s,
        "window_end_s": leg.deadline_s + agreement.terms.window_s,
        "basis": bill.basis,
        "tiers": [
            {
                "channel": line.tier.channel,
                "metric": Metric(line.tier.metric).name.lower(),
                "threshold": line.tier.threshold,
                "figure": line.figure,
                "bound": line.bound,
                "reached": line.is_reached,
                "amount": line.tier.amount,
                "text": sentence(line.tier, limits),
            }
            for line in bill.lines
        ],
        "sum": bill.total,
        "due": bill.due,
        "concluded": bill.is_concluded,
        "waits": bill.waits or None,
        "paid": None
        if paid is None
        else {
            "kind": paid.kind,
            "penalty": paid.penalty,
            "rest": paid.rest,
            "owed": paid.owed,
            "tx": f"0x{paid.tx_hash.hex()}",
            "block_number": paid.block_number,
            "gas_used": paid.gas_used,
        },
    }


def _disclosure(agreement: Agreement, index: int) -> Any:
    return agreement.disclosures[index] if agreement.disclosures else None


def _limits(agreement: Agreement, index: int) -> Limits | None:
    shown = _disclosure(agreement, index)
    return shown.limits if shown else common_limits(agreement)


def _row(text: str, amount: str) -> str:
    return f"{text:<{_WIDTH}}  {amount:>16}"
