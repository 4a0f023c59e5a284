"""Promises of the link's encryption: the broker must be who its certificate says, and the gateway shows its own."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.link import Link, Up
from lading.errors import ServiceError
from lading.mqtt import Broker

VALID = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=36_500))


def certify(folder: Path, name: str, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None):
    """A certificate, signed by the issuer or by itself, and its key as PEM files; (name, key) to issue with."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (subject, key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID[0])
        .not_valid_after(VALID[1])
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(pem)
    return subject, key


class TlsBroker:
    """Takes one kind of client: those with a certificate of the authority. Answers CONNECT with a CONNACK."""

    def __init__(self, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "broker.crt", folder / "broker.key")
        context.load_verify_locations(folder / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        self.names: list[str] = []
        self._server = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            subject = dict(pair[0] for pair in connection.getpeercert()["subject"])
            self.names.append(subject["commonName"])
            connection.recv(4096)
            connection.sendall(bytes.fromhex("20020000"))

    def stop(self) -> None:
        self._server.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, TlsBroker]]:
    authority = certify(tmp_path, "ca")
    certify(tmp_path, "broker", authority)
    certify(tmp_path, "gateway", authority)
    certify(tmp_path, "stranger")
    broker = TlsBroker(tmp_path)
    yield tmp_path, broker
    broker.stop()


def comes_up(folder: Path, port: int, ca: str, certificate: str, limit_s: float) -> bool:
    crt, key = folder / f"{certificate}.crt", folder / f"{certificate}.key"
    link = Link(Broker("127.0.0.1", port, "3.1.1", folder / f"{ca}.crt", crt, key), "gw", ())
    link.start()
    link.wait(limit_s)
    found = any(isinstance(event, Up) for event in link.events())
    link.stop()
    return found


def test_both_sides_show_a_certificate(site: tuple[Path, TlsBroker]) -> None:
    """The gateway's name reaches the broker with its certificate, so an access list can be by gateway."""
    folder, broker = site
    assert comes_up(folder, broker.port, "ca", "gateway", 10)
    assert broker.names == ["gateway"]


def test_strangers_are_not_spoken_to(site: tuple[Path, TlsBroker]) -> None:
    """A broker of another authority gets no CONNECT; a gateway of another authority gets no CONNACK."""
    folder, broker = site
    assert not comes_up(folder, broker.port, "stranger", "gateway", 1.0)
    assert not comes_up(folder, broker.port, "ca", "stranger", 1.0)
    assert broker.names == []


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    """ServiceError `broker`, not a traceback in another thread."""
    with pytest.raises(ServiceError, match="TLS files"):
        Link(Broker("127.0.0.1", 1, ca=tmp_path / "absent"), "gw", ()).start()
