"""The orders that began the legs of an agreement, found in the log by what people call them."""

from collections.abc import Sequence

from contracts.agreements import Disclosure
from lading.assignment import BEGIN, Assignment
from lading.cose import PublicKey
from lading.errors import RejectedError
from lading.export import find_leg, orders
from lading.log import Log
from lading.terms import Leg
from lading.tiers import Tier, channels_of


def begin_of(log: Log, operator: PublicKey, leg: str) -> Assignment:
    """The begin order in the log that this operator signed for a leg, by reference, id or unique beginning of one.

    ServiceError `leg_unknown` where a reference means several: money hangs on which one.
    """
    begun = [order for order in orders(log, operator) if order.assignment.action == BEGIN]
    leg_id = find_leg(begun, leg)
    return [order.assignment for order in begun if order.assignment.leg_id == leg_id][-1]


def leg_terms(begin: Assignment, deadline_s: int) -> Leg:
    """A begun leg as terms name it."""
    assert begin.limits is not None
    return Leg(begin.gateway, begin.leg_id, begin.limits.hash, begin.begin_ms, begin.due_ms, deadline_s)


def lacking(disclosure: Disclosure | None, tiers: tuple[Tier, ...]) -> list[int]:
    """The tiers' channels that a leg has no limits for; none where the limits are not disclosed."""
    if disclosure is None:
        return []
    return [channel for channel in channels_of(tiers) if channel not in disclosure.limits.by_channel]


def refuse_lacking(disclosures: Sequence[Disclosure | None], tiers: tuple[Tier, ...]) -> None:
    """RejectedError `channel` where a disclosed leg lacks a tier's channel: the contract would take no frame of it."""
    for one in disclosures:
        if missing := lacking(one, tiers):
            raise RejectedError(
                "channel",
                f"tiers name channel {', '.join(map(str, missing))}, which a leg has no limits for:"
                " no frame of it could be shown",
            )


def refuse_other_place(log: Log, operator: PublicKey, tenant: bytes, legs: Sequence[Leg]) -> None:
    """RejectedError `leg` where this operator began a leg for another tenant or gateway than the terms name."""
    begun: dict[bytes, list[Assignment]] = {}
    for order in orders(log, operator):
        if order.assignment.action == BEGIN:
            begun.setdefault(order.assignment.leg_id, []).append(order.assignment)
    for leg in legs:
        places = {(one.tenant, one.gateway) for one in begun.get(leg.leg_id, [])}
        if places and (tenant, leg.gateway_id) not in places:
            known = ", ".join(f"{theirs.hex()} with gateway {gateway.hex()}" for theirs, gateway in places)
            raise RejectedError(
                "leg",
                f"leg {leg.leg_id.hex()} is tenant {tenant.hex()} with gateway {leg.gateway_id.hex()},"
                f" wanted {known}, as it was begun",
            )
