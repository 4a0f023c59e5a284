"""An agreement in words: who promises what, over which legs, and each tier as a sentence."""

from collections.abc import Sequence

from contracts.agreements import PARTIES, Agreement, Disclosure
from contracts.figures import exact_duration, thousandths
from contracts.legs import lacking
from contracts.money import Money
from lading import quantities
from lading.limits import OFF_HIGH, OFF_LOW, ChannelLimits, Limits
from lading.mkt import HIGHEST_MILLI, mean_kinetic_celsius, weight
from lading.rules.words import amount
from lading.terminal import shown_time
from lading.terms import Leg
from lading.tiers import VALUE_OFFSET, Metric, Tier, channels_of
from lading.verify_cli import printable


def describe(agreement: Agreement, money: Money) -> list[str]:
    """The whole agreement, a line each; amounts by the token's name where that is known."""
    terms = agreement.terms
    several = len(terms.legs) > 1
    limits = common_limits(agreement)
    return [
        f"Agreement {agreement.id.hex()}",
        f"  chain     {agreement.domain.chain_id}, escrow 0x{agreement.domain.escrow.hex()}",
        f"  carrier   0x{terms.carrier.hex()} puts up the bond, and gets back what is not due",
        f"  shipper   0x{terms.shipper.hex()} gets the penalty",
        f"  token     0x{terms.token.hex()}" + (f" ({money.symbol})" if money.is_known else ""),
        f"  tenant    {terms.tenant.hex()}: frames of its batches count, and of no other's",
        f"  bond      {money.show(terms.bond)}: no penalty is more",
        *(
            [f"  leg cap   {money.show(terms.leg_cap)}: no leg costs more"]
            if terms.leg_cap < terms.bond
            else []
        ),
        *_legs(agreement),
        f"After a deadline, better evidence may be shown for {exact_duration(terms.window_s * 1000)};"
        " then the leg settles.",
        *calibration_lines(terms.uncertainty_max_milli),
        f"The carrier owes {'for each leg ' if several else ''}the sum of:",
        *(f"  - {sentence(tier, limits)}: {money.show(tier.amount)}" for tier in terms.tiers),
        *unmet_lines(terms.legs, agreement.disclosures, terms.tiers),
        f"Signed by {_signed(agreement)}.",
    ]


def sentence(tier: Tier, limits: Limits | None = None) -> str:
    """When a tier is reached; `limits` are the leg's, where they are known."""
    metric = Metric(tier.metric)
    if metric is Metric.LATE_MS:
        return "closed later than agreed" + (
            f" by more than {exact_duration(tier.threshold)}" if tier.threshold else ""
        )
    if metric is Metric.SILENCE_MS:
        return f"not closed, and nothing heard for more than {exact_duration(tier.threshold)} before the deadline"
    known = None if limits is None else limits.by_channel.get(tier.channel)
    quantity = 0 if known is None else known.quantity
    name = f"channel {tier.channel}" + (f" ({quantities.name(quantity)})" if known else "")
    if metric in (Metric.MAX_VALUE, Metric.MIN_VALUE, Metric.MKT):
        return f"{name} {_extreme(metric, tier.threshold, quantity)}"
    return f"{name} {_stretch(metric, known)} for more than {exact_duration(tier.threshold)}{_HOW.get(metric, '')}"


def figure(tier: Tier, value: int, bound: int, quantity: int = 0) -> str:
    """What the evidence says of a tier's metric; `bound` is what it was compared with."""
    metric = Metric(tier.metric)
    if metric is Metric.MKT:
        known_ms = bound // tier.threshold if tier.threshold else 0
        mean = mean_kinetic_celsius(value, known_ms)
        return "nothing known" if mean is None else f"{mean:.3f} °C"
    if metric in (Metric.MAX_VALUE, Metric.MIN_VALUE):
        if value == 0:
            return "no reading"
        return _value(value - VALUE_OFFSET if metric is Metric.MAX_VALUE else VALUE_OFFSET - value, quantity)
    return exact_duration(value) if value else "none"


def common_limits(agreement: Agreement) -> Limits | None:
    """The limits of every leg, where all are disclosed and alike."""
    found = {one.limits if one else None for one in agreement.disclosures}
    return found.pop() if len(found) == 1 else None


def leg_name(leg: Leg, disclosure: Disclosure | None) -> str:
    """How people call a leg. The other party wrote it: it must not steer the terminal of who reads before signing."""
    return printable(disclosure.reference) if disclosure else f"leg {leg.leg_id.hex()[:16]}…"


def leg_lines(leg: Leg, disclosure: Disclosure | None) -> list[str]:
    """A leg's times, gateway and limits."""
    due = shown_time(leg.due_ms) if leg.due_ms else "no time agreed"
    return [
        f"  leg       {leg_name(leg, disclosure)}",
        f"            id {leg.leg_id.hex()}",
        f"            signed by gateway {leg.gateway_id.hex()}",
        f"            begins {shown_time(leg.begin_ms)}, due {due}",
        f"            deadline {shown_time(leg.deadline_s * 1000)}",
        *(f"            {line}" for line in _limits(disclosure)),
    ]


def unmet_lines(
    legs: Sequence[Leg], disclosures: Sequence[Disclosure | None], tiers: tuple[Tier, ...]
) -> list[str]:
    """Warnings of tiers on channels that a leg lacks, or may lack: by them no frame can be shown at all."""
    unknown = [leg for leg, shown in zip(legs, disclosures, strict=True) if shown is None]
    lines = [
        f"WARNING: {leg_name(leg, shown)} has no channel {', '.join(map(str, missing))}, which tiers name:"
        " no frame can be shown, and it ends as one that was never closed."
        for leg, shown in zip(legs, disclosures, strict=True)
        if (missing := lacking(shown, tiers))
    ]
    if unknown and channels_of(tiers):
        lines.append(
            "WARNING: limits that are not disclosed hide whether a leg has the channels that tiers name."
            " Where one lacks them, no frame can be shown, and it ends as one that was never closed."
        )
    return lines


_HOW = {
    Metric.ABOVE_MS: " in all",
    Metric.ABOVE_LONGEST_MS: " in one stretch",
    Metric.BELOW_MS: " in all",
    Metric.BELOW_LONGEST_MS: " in one stretch",
    Metric.UNKNOWN_MS: " in all",
    Metric.UNCOVERED_MS: " in all",
}


def _stretch(metric: Metric, limits: ChannelLimits | None) -> str:
    upper, lower = "its upper limit", "its lower limit"
    if limits is not None:
        upper, lower = _value(limits.upper, limits.quantity), _value(limits.lower, limits.quantity)
    return {
        Metric.ABOVE_MS: f"above {upper}",
        Metric.ABOVE_LONGEST_MS: f"above {upper}",
        Metric.BELOW_MS: f"below {lower}",
        Metric.BELOW_LONGEST_MS: f"below {lower}",
        Metric.LONGEST_GAP_MS: "between two readings silent",
        Metric.UNKNOWN_MS: "without a value that is known",
        Metric.UNCOVERED_MS: "without readings at the leg's begin or end",
    }[metric]


def _extreme(metric: Metric, threshold: int, quantity: int) -> str:
    if metric is Metric.MKT:
        # Weights end with the table: a mean above its highest temperature is never reached.
        mean = mean_kinetic_celsius(min(threshold, weight(HIGHEST_MILLI)), 1)
        return f"with a mean kinetic temperature above {mean:.3f} °C" if mean is not None else "known at all"
    if metric is Metric.MAX_VALUE:
        return f"with a reading above {_value(threshold - VALUE_OFFSET, quantity)}"
    return f"with a reading below {_value(VALUE_OFFSET - threshold, quantity)}"


def _value(value_milli: int, quantity: int) -> str:
    if value_milli in (OFF_LOW, OFF_HIGH):
        return "a limit that is not set"
    return amount(value_milli, quantity) if quantity else thousandths(value_milli)


def _legs(agreement: Agreement) -> list[str]:
    pairs = zip(agreement.terms.legs, agreement.disclosures, strict=True)
    return [line for leg, disclosure in pairs for line in leg_lines(leg, disclosure)]


def _limits(disclosure: Disclosure | None) -> list[str]:
    if disclosure is None:
        return ["reference and limits are not disclosed in this document"]
    return [
        f"channel {one.channel} ({quantities.name(one.quantity)}): {_bounds(one) or 'without limits'}"
        for one in disclosure.limits.channels
    ]


def _bounds(limits: ChannelLimits) -> str:
    texts = [
        f"{word} {amount(value, limits.quantity)}"
        for word, value, off in (("from", limits.lower, OFF_LOW), ("to", limits.upper, OFF_HIGH))
        if value != off
    ]
    return " ".join(texts)


def calibration_lines(uncertainty_max_milli: int) -> Sequence[str]:
    """Which certificates are asked for; nothing where none are."""
    if not uncertainty_max_milli:
        return []
    return [
        "Channels must have a calibration certificate on chain with an uncertainty of at most "
        f"{thousandths(uncertainty_max_milli)} of their unit; without one a channel counts as without readings."
    ]


def _signed(agreement: Agreement) -> str:
    signed = [party for party in PARTIES if party not in agreement.missing]
    have = "have" if len(agreement.missing) > 1 else "has"
    missing = f"; {' and '.join(agreement.missing)} {have} yet to sign" if agreement.missing else ""
    return (" and ".join(signed) or "nobody") + missing
