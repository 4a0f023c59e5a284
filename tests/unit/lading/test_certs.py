"""The trial authority: what it makes is what it says, keys are private, nothing is overwritten."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, ServerVerifier, Store, VerificationError
from typer.testing import CliRunner

from lading.acl import access_list
from lading.certs import Authority, load_certificate
from lading.certs_cli import app
from lading.cose import KeySigner
from lading.errors import LadingError, ServiceError
from lading.gateways import GatewayEntry

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def policy(folder: Path, at: datetime) -> PolicyBuilder:
    """What a careful peer checks: the authority, the time, the purpose."""
    return PolicyBuilder().store(Store([load_certificate(folder / "ca.crt")])).time(at.replace(tzinfo=None))


def verifier(folder: Path, host: str, at: datetime) -> ServerVerifier:
    """A client that wants to speak to a host."""
    return policy(folder, at).build_server_verifier(x509.DNSName(host))


def test_a_server_is_known_by_its_hosts(tmp_path: Path) -> None:
    """By name and by address, until it expires, and only of this authority."""
    authority = Authority.create(tmp_path, NOW)
    path = authority.issue_server("broker", ("mqtt.example.org", "127.0.0.1"), NOW, 30)
    names = load_certificate(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mqtt.example.org"]
    found = load_certificate(path)
    verifier(tmp_path, "mqtt.example.org", NOW + timedelta(days=29)).verify(found, [])
    late = verifier(tmp_path, "mqtt.example.org", NOW + timedelta(days=31))
    other = verifier(tmp_path, "other.example.org", NOW)
    for refusing in (late, other):
        with pytest.raises(VerificationError):
            refusing.verify(found, [])


def test_a_name_that_no_certificate_holds_is_refused(tmp_path: Path) -> None:
    """Hosts in other letters want their xn-- form; nothing is written for them."""
    authority = Authority.create(tmp_path, NOW)
    for host in ("kühlhaus.example.org", ""):
        with pytest.raises(ServiceError, match="wanted an address or a name in ASCII"):
            authority.issue_server("broker", (host,), NOW)
    assert not (tmp_path / "broker.crt").exists()


def test_a_client_is_no_server(tmp_path: Path) -> None:
    """A gateway's certificate cannot stand for the broker, and the other way round."""
    authority = Authority.create(tmp_path, NOW)
    client = load_certificate(authority.issue_client("truck", "ab" * 32, NOW))
    server = load_certificate(authority.issue_server("broker", ("mqtt.example.org",), NOW))
    assert client.subject.rfc4514_string() == "CN=" + "ab" * 32
    with pytest.raises(VerificationError):
        verifier(tmp_path, "mqtt.example.org", NOW).verify(client, [])
    with pytest.raises(VerificationError):
        policy(tmp_path, NOW).build_client_verifier().verify(server, [])


def test_keys_are_private_p256_and_never_overwritten(tmp_path: Path) -> None:
    """Mode 0600 for all that holds a key; a second certificate of one name is refused and changes nothing."""
    authority = Authority.create(tmp_path, NOW)
    authority.issue_server("broker", ("broker",), NOW)
    secret = [path for path in tmp_path.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert sorted(path.name for path in secret) == ["broker.key", "broker.pem", "ca.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    key = load_certificate(tmp_path / "broker.crt").public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    before = (tmp_path / "broker.key").read_bytes()
    for again in (
        lambda: authority.issue_client("broker", "x", NOW),
        lambda: authority.issue_client("ca", "x", NOW),
        lambda: Authority.create(tmp_path, NOW),
    ):
        with pytest.raises(ServiceError, match="there already"):
            again()
    assert (tmp_path / "broker.key").read_bytes() == before


@pytest.mark.parametrize("name", ["", "../up", "a/b", "-x", ".x", "a b", "a\n", "x" * 65])
def test_a_name_is_a_file_name(tmp_path: Path, name: str) -> None:
    """Nothing is written outside the folder."""
    with pytest.raises(ServiceError, match="file name"):
        Authority.create(tmp_path, NOW).issue_client(name, "x", NOW)


def test_a_certificate_does_not_outlive_its_authority(tmp_path: Path) -> None:
    """It ends with the authority at the latest; so does the revocation list, which must not run out before."""
    authority = Authority.create(tmp_path, NOW, 100)
    assert load_certificate(authority.issue_client("a", "a", NOW)).not_valid_after_utc == NOW + timedelta(
        days=100
    )
    found = x509.load_pem_x509_crl((tmp_path / "ca.crl").read_bytes())
    assert found.next_update_utc == NOW + timedelta(days=100)


def test_revoking(tmp_path: Path) -> None:
    """The list names the serial, signed by the authority; the name may be given again; older ones stay revoked."""
    authority = Authority.create(tmp_path, NOW)
    serials = set()
    for _ in range(2):
        authority.issue_client("truck", "truck", NOW)
        serials.add(authority.revoke("truck", NOW))
    found = x509.load_pem_x509_crl((tmp_path / "ca.crl").read_bytes())
    assert {one.serial_number for one in found} == serials
    key = load_certificate(tmp_path / "ca.crt").public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert found.is_signature_valid(key)
    assert sorted(one.is_revoked for one in authority.all()) == [False, True, True]
    with pytest.raises(ServiceError):
        authority.revoke("ca", NOW)
    with pytest.raises(ServiceError):
        authority.revoke("absent", NOW)


def test_an_access_list_names_enrolled_gateways_alone() -> None:
    """Each under its own tenant; one whose key has ended is left out."""
    keys = [KeySigner.from_seed(seed).public for seed in (b"a", b"b", b"c")]
    entries = [
        GatewayEntry(keys[0], "demo", name="truck"),
        GatewayEntry(keys[1], "north", name="ship\nuser mallory"),
        GatewayEntry(keys[2], "demo", valid_until_ms=1_000, name="gone"),
    ]
    text = access_list(entries, 1_000)
    a, b, c = (key.gateway_id.hex() for key in keys)
    assert f"user {a}\ntopic write lading/v1/demo/{a}/frames\n" in text
    assert f"user {b}\ntopic write lading/v1/north/{b}/frames\n" in text
    assert c not in text
    assert "mallory" not in text
    assert not [line for line in text.splitlines() if line.startswith("topic") and "#" in line]


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """`lading certs …` in a folder with settings; code 2: one of our errors."""
    done = CliRunner().invoke(app, [*arguments, "--config", str(folder / "lading.toml")])
    if isinstance(done.exception, LadingError):
        assert code == 2, done.exception
        return str(done.exception)
    assert done.exit_code == code, done.output
    return done.output


def test_by_command_line(tmp_path: Path) -> None:
    """init, server, client, show, revoke, acl; what is wrong is said in one line."""
    (tmp_path / "lading.toml").write_text('[lading]\ndata = "data"\n')
    assert "lading certs init" in run(tmp_path, "show", code=2)
    assert "for trials" in run(tmp_path, "init")
    run(tmp_path, "server", "mosquitto", "--host", "localhost", "--host", "127.0.0.1")
    run(tmp_path, "client", "ingest", "--days", "10")
    assert "there already" in run(tmp_path, "init", code=2)
    assert "gateways are called" in run(tmp_path, "gateway", "truck-1", code=2)
    shown = json.loads(run(tmp_path, "show", "--json", code=1))
    assert [one["name"] for one in shown] == ["ca", "ingest", "mosquitto"]
    assert shown[2]["hosts"] == ["localhost", "127.0.0.1"]
    assert "days left" in run(tmp_path, "show", code=1)
    run(tmp_path, "revoke", "ingest")
    run(tmp_path, "show")
    run(tmp_path, "acl", str(tmp_path / "acl"))
    assert "user ingest" in (tmp_path / "acl").read_text()
