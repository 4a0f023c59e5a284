"""What the shared settings name, opened: the log, the list of gateways, the operators' keys."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lading.cose import KeySigner, PublicKey, load_public
from lading.errors import ServiceError
from lading.gateways import GatewayFile
from lading.log import Log, OpenLog, SqliteLog, WatchedLog
from lading.names import tenant_id
from lading.partitions import (
    Closable,
    PartitionLog,
    Share,
    WholeShare,
    Workers,
    partition_count,
    state_path,
)
from lading.settings import LogSettings, Shared

if TYPE_CHECKING:
    from lading.kafka.clients import Broker

W = TypeVar("W", bound=Closable)


def open_log(shared: Shared) -> OpenLog:
    """The log that joins the stages: a file here, or topics of a broker."""
    if shared.log.kind == "kafka":
        return _open_kafka(shared.log)
    return SqliteLog(shared.lading.below(shared.log.path), partitions=shared.log.partitions)


def open_workers(
    shared: Shared,
    log: WatchedLog,
    topic: str,
    group: str,
    state: Path,
    open_worker: Callable[[WatchedLog, int, Path], W],
) -> Workers[W]:
    """A worker for each partition of a gateway's topics that is this process's, over its own view and state file."""
    count = partition_count(log)

    def path(partition: int) -> Path:
        return state_path(state, partition, count)

    def opened(partition: int) -> W:
        return open_worker(PartitionLog(log, partition, count), partition, path(partition))

    return Workers(_open_share(shared, log, topic, group, count), opened, path)


def _open_share(shared: Shared, log: Log, topic: str, group: str, count: int) -> Share:
    if shared.log.kind != "kafka":
        return WholeShare(count)
    from lading.kafka.log import KafkaLog

    assert isinstance(log, KafkaLog), "the log of these settings"
    return log.share(topic, group, shared.log.session_s)


def open_kafka(log: LogSettings) -> "Broker":
    """The broker of the settings; no connection is opened yet."""
    try:
        from lading.kafka.clients import Broker
    except ModuleNotFoundError as exc:
        raise ServiceError(
            "install", f"log.kind = \"kafka\" needs {exc.name}: pip install 'lading-evidence[kafka]'"
        ) from exc
    return Broker(
        log.bootstrap,
        log.security_protocol,
        ca=log.ca,
        certificate=log.certificate,
        key=log.key,
        user=log.user,
        password=read_secret(log.password_file) if log.password_file else None,
        sasl_mechanism=log.sasl_mechanism,
    )


def _open_kafka(log: LogSettings) -> OpenLog:
    broker = open_kafka(log)
    from lading.kafka.log import KafkaLog

    return KafkaLog(
        broker,
        partitions=log.partitions,
        prefix=log.prefix,
        replicas=log.replicas,
        fsync=log.fsync,
        create_topics=log.create_topics,
        append_s=log.append_timeout_s,
    )


def read_secret(path: Path) -> str:
    """A password's file. ServiceError `settings`."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ServiceError("settings", f"log.password_file: {path}: {exc}, wanted a file with it") from exc


def open_gateways(shared: Shared) -> GatewayFile:
    """The known gateways."""
    return GatewayFile(shared.lading.below(shared.lading.gateways))


def open_operator(shared: Shared) -> KeySigner:
    """The operator's own key."""
    return KeySigner.load(shared.lading.below(shared.lading.operator_key))


def open_operator_public(shared: Shared) -> PublicKey:
    """What the operator's orders are checked with; where the settings name its file, the private key is not touched."""
    path = shared.lading.operator_public
    return open_operator(shared).public if path is None else load_public(shared.lading.below(path))


def operator_keys(shared: Shared, stage: str, keys: Mapping[str, str]) -> dict[bytes, PublicKey]:
    """By tenant id, from a stage's `operators` (tenant's name to key in hex); where it has none, the operator's own."""
    if not keys:
        return {tenant_id(shared.lading.tenant): open_operator_public(shared)}
    try:
        return {tenant_id(name): PublicKey.decode(bytes.fromhex(key)) for name, key in keys.items()}
    except ValueError as exc:
        raise ServiceError("settings", f"{stage}.operators: {exc}, wanted 128 hex digits") from exc
