"""Mosquitto's access list, written from who is enrolled: each gateway under its own tenant, each stage its topics."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from lading.errors import ServiceError
from lading.gateways import GatewayEntry
from lading.topics import ROOT, anchors_topic, gateway_topic

GATEWAY_WRITES = ("frames", "status")
GATEWAY_READS = ("assignment", "receipt", "senml")

# A stage's user: what it may do, on which topics of a tenant.
STAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "ingest": (("read", "+/frames"), ("readwrite", "+/assignment"), ("write", "+/receipt")),
    "anchoring": (("write", "anchors"),),
    "operator": (("write", "+/assignment"), ("read", "+/status")),
    "series": (("read", "+/status"),),
}
_HEAD = """\
# Written by `lading certs acl` from the list of gateways: run it again when one is enrolled or revoked.
# A user is the common name of a client certificate. What is not named here is denied.
"""
_HEALTH = "user health\ntopic read $SYS/broker/uptime\n"


def access_list(
    entries: Iterable[GatewayEntry], now_ms: int, sensors: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The file for gateways whose key speaks now or later, their tenants, and the stages.

    `sensors`: third-party sensors' users, by the name of the gateway whose SenML topic they write.
    """
    live = [entry for entry in entries if entry.valid_until_ms is None or entry.valid_until_ms > now_ms]
    tenants = sorted({entry.tenant for entry in live})
    stages = [_stage(user, tenants) for user in STAGES]
    gateways = [_gateway(entry) for entry in sorted(live, key=lambda one: one.public.gateway_id)]
    found = [_sensor(user, name, live) for user, name in sorted(sensors.items())]
    return "\n".join([_HEAD, *stages, _HEALTH, *gateways, *found])


def _sensor(user: str, name: str, entries: Iterable[GatewayEntry]) -> str:
    ours = [entry for entry in entries if entry.name == name]
    if len(ours) != 1 or not user.isprintable():
        raise ServiceError(
            "gateway_unknown", f"{len(ours)} gateways are called {name!r}, wanted one for {user!r}"
        )
    topic = gateway_topic(ours[0].tenant, ours[0].public.gateway_id, "senml")
    return f"user {user}\ntopic write {topic}\n"


def _stage(user: str, tenants: list[str]) -> str:
    lines = [f"topic {may} {ROOT}/{tenant}/{topic}" for tenant in tenants for may, topic in STAGES[user]]
    return "\n".join([f"user {user}", *lines, ""])


def _gateway(entry: GatewayEntry) -> str:
    gateway_id = entry.public.gateway_id
    writes = [f"topic write {gateway_topic(entry.tenant, gateway_id, kind)}" for kind in GATEWAY_WRITES]
    reads = [f"topic read {gateway_topic(entry.tenant, gateway_id, kind)}" for kind in GATEWAY_READS]
    name = f"# {entry.name}\n" if entry.name.isprintable() and entry.name else ""
    return "\n".join(
        [f"{name}user {gateway_id.hex()}", *writes, *reads, f"topic read {anchors_topic(entry.tenant)}", ""]
    )
