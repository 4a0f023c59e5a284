"""The orders that began the legs of an agreement, found in the log by what people call them."""

from lading.assignment import BEGIN, Assignment
from lading.cose import PublicKey
from lading.errors import ServiceError
from lading.export import orders
from lading.log import Log
from lading.terms import Leg


def newest_begin(log: Log, operator: PublicKey, leg: str) -> Assignment:
    """The newest begin order in the log that this operator signed for a leg, by reference or id in hex."""
    found = [
        order.assignment
        for order in orders(log, operator)
        if order.assignment.action == BEGIN
        and leg in (order.assignment.reference, order.assignment.leg_id.hex())
    ]
    if not found:
        raise ServiceError("leg", f"the log holds no begin order of {leg!r}")
    return found[-1]


def leg_terms(begin: Assignment, deadline_s: int) -> Leg:
    """A begun leg as terms name it."""
    assert begin.limits is not None
    return Leg(begin.gateway, begin.leg_id, begin.limits.hash, begin.begin_ms, begin.due_ms, deadline_s)
