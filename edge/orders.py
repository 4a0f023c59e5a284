"""Which orders a gateway obeys, as far as they and its position tell. What only its outbox can tell, it asks itself."""

from collections.abc import Mapping

from edge.framing import Leg
from lading.assignment import Assignment
from lading.errors import RejectedError
from lading.limits import Limits


def require_addressed(order: Assignment, gateway_id: bytes, tenant: bytes) -> None:
    """RejectedError for another gateway's order, or another tenant's."""
    if order.gateway != gateway_id:
        raise RejectedError("order_gateway", f"for gateway {order.gateway.hex()}, this is {gateway_id.hex()}")
    if order.tenant != tenant:
        raise RejectedError("order_tenant", f"of tenant {order.tenant.hex()}, wanted {tenant.hex()}")


def require_next(
    order: Assignment, order_seq_last: int, leg: Leg | None, quantities: Mapping[int, int]
) -> None:
    """RejectedError for an order that the newest obeyed one, the open leg or the sensors do not allow."""
    if order.order_seq <= order_seq_last:
        raise RejectedError("order_old", f"order {order.order_seq}, the newest obeyed is {order_seq_last}")
    open_id = leg.order.leg_id if leg is not None else None
    if order.limits is None:
        if order.leg_id != open_id:
            raise RejectedError("order_leg", f"ends leg {order.leg_id.hex()}, which is not open")
        return
    _require_measured(order.limits, quantities)
    if order.leg_id == open_id:
        raise RejectedError("order_leg", f"begins leg {order.leg_id.hex()}, which is open already")


def _require_measured(limits: Limits, quantities: Mapping[int, int]) -> None:
    for one in limits.channels:
        quantity = quantities.get(one.channel, one.quantity)
        if quantity != one.quantity:
            raise RejectedError(
                "order_quantity",
                f"channel {one.channel} measures {quantity}, the limits say {one.quantity}",
            )
