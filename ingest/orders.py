"""Orders on the way in: those of the tenant's operator, for the gateway of their topic."""

from collections.abc import Mapping

from lading.assignment import Assignment, open_assignment
from lading.cose import PublicKey
from lading.errors import RejectedError
from lading.gateways import Gateways
from lading.names import tenant_id


def check_order(
    topic: str, data: bytes, operators: Mapping[bytes, PublicKey], gateways: Gateways
) -> Assignment:
    """The order, if the tenant's operator signed it for the topic's gateway, which is enrolled."""
    _, _, tenant, gateway_hex, _ = topic.split("/")
    key = operators.get(tenant_id(tenant))
    if key is None:
        raise RejectedError("operator_unknown", f"no operator key of tenant {tenant[:64]}")
    order = open_assignment(data, key)
    if order.tenant != tenant_id(tenant) or order.gateway.hex() != gateway_hex:
        raise RejectedError("assignment", "the order names another tenant or gateway than its topic")
    if gateways.find(order.gateway) is None:
        raise RejectedError("gateway_unknown", f"order for {gateway_hex}, which is not enrolled")
    return order
