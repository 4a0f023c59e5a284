"""What the shared settings name, opened: the log, the list of gateways, the operators' keys."""

from collections.abc import Mapping

from lading.cose import KeySigner, PublicKey
from lading.errors import ServiceError
from lading.gateways import GatewayFile
from lading.log import SqliteLog
from lading.names import tenant_id
from lading.settings import Shared


def open_log(shared: Shared) -> SqliteLog:
    """The log that joins the stages."""
    return SqliteLog(shared.lading.below(shared.log.path))


def open_gateways(shared: Shared) -> GatewayFile:
    """The known gateways."""
    return GatewayFile(shared.lading.below(shared.lading.gateways))


def open_operator(shared: Shared) -> KeySigner:
    """The operator's own key."""
    return KeySigner.load(shared.lading.below(shared.lading.operator_key))


def operator_keys(shared: Shared, stage: str, keys: Mapping[str, str]) -> dict[bytes, PublicKey]:
    """By tenant id, from a stage's `operators` (tenant's name to key in hex); where it has none, the operator's own."""
    if not keys:
        return {tenant_id(shared.lading.tenant): open_operator(shared).public}
    try:
        return {tenant_id(name): PublicKey.decode(bytes.fromhex(key)) for name, key in keys.items()}
    except ValueError as exc:
        raise ServiceError("settings", f"{stage}.operators: {exc}, wanted 128 hex digits") from exc
