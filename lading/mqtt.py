"""How a client proves itself to the broker and the broker to the client: TLS, certificates, user and password."""

import ssl
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import paho.mqtt.client as paho

from lading.errors import ServiceError
from lading.settings import Shared

PASSWORD_BYTES_MAX = 4_096

Protocol = Literal["auto", "5", "3.1.1"]


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and what it wants to see. Without `ca` the connection is not encrypted."""

    host: str
    port: int
    protocol: Protocol = "auto"
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    user: str | None = None
    password: str | None = None


def broker_of(shared: Shared, name: str) -> Broker:
    """The broker of table `mqtt` for one user: `{name}` in a path is this name."""
    mqtt = shared.mqtt
    password = _password(shared.lading.below(mqtt.password_file)) if mqtt.password_file else None
    broker = Broker(mqtt.host, mqtt.port, mqtt.protocol, user=mqtt.user, password=password)
    return with_files(shared, name, broker, mqtt.ca, mqtt.certificate, mqtt.key)


def with_files(
    shared: Shared, name: str, broker: Broker, ca: Path | None, certificate: Path | None, key: Path | None
) -> Broker:
    """The broker with these TLS files, below `data` unless absolute; what is None stays as it is."""
    return replace(
        broker,
        ca=_named(shared, name, ca) or broker.ca,
        certificate=_named(shared, name, certificate) or broker.certificate,
        key=_named(shared, name, key) or broker.key,
    )


def secure(client: paho.Client, broker: Broker) -> None:
    """Give a client user, password and TLS; the broker's certificate must name its host. ServiceError `broker`."""
    if broker.user is not None:
        client.username_pw_set(broker.user, broker.password)
    if broker.ca is None:
        if broker.certificate is not None:
            raise ServiceError("broker", f"{broker.host}: a certificate without `ca`, the broker's authority")
        return
    try:
        context = ssl.create_default_context(cafile=str(broker.ca))
        if broker.certificate is not None:
            context.load_cert_chain(broker.certificate, broker.key)
    except (OSError, ssl.SSLError) as exc:
        files = ", ".join(str(path) for path in (broker.ca, broker.certificate, broker.key) if path)
        raise ServiceError("broker", f"TLS files of {broker.host} ({files}): {exc}") from exc
    client.tls_set_context(context)


def why_not_connected() -> str:
    """In paho's on_connect_fail: the exception that it holds back."""
    exc = sys.exc_info()[1]
    return f"{type(exc).__name__}: {exc}" if exc else "no connection"


def _named(shared: Shared, name: str, path: Path | None) -> Path | None:
    return None if path is None else shared.lading.below(Path(str(path).replace("{name}", name)))


def _password(path: Path) -> str:
    try:
        data = path.read_bytes()[: PASSWORD_BYTES_MAX + 1]
    except OSError as exc:
        raise ServiceError("broker", f"password file {path}: {exc.strerror}") from exc
    text = data.decode("utf-8", "replace").strip()
    if not text or len(data) > PASSWORD_BYTES_MAX:
        raise ServiceError("broker", f"password file {path}: wanted 1 to {PASSWORD_BYTES_MAX} bytes")
    return text
