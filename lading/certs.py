"""A private certificate authority for trials: one folder of PEM files, P-256 throughout, keys with mode 0600.

Whoever has the folder can make any name's certificate, and nothing but the file mode guards its key. A company has
an authority of its own; the brokers and stages take its certificates just as well.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lading.errors import ServiceError

AUTHORITY = "ca"
DAYS_MAX = 36_500
AUTHORITY_DAYS, DAYS = 3_650, 365
REVOKED_MAX = 10_000
HOSTS_MAX = 100
NAME_CHARS_MAX = 64
CLOCK_SKEW = timedelta(minutes=5)
ORGANIZATION = "Lading trial authority"
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

Name = x509.Name


@dataclass(frozen=True, slots=True)
class Certificate:
    """What `lading certs show` tells of one."""

    name: str
    common_name: str
    hosts: tuple[str, ...]
    serial: int
    expires: datetime
    is_revoked: bool


class Authority:
    """The authority in a folder: `ca.crt`, `ca.key` and the revocation list `ca.crl`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._certificate = load_certificate(folder / f"{AUTHORITY}.crt")
        self._key = _load_key(folder / f"{AUTHORITY}.key")

    @staticmethod
    def create(folder: Path, now: datetime, days: int = AUTHORITY_DAYS) -> "Authority":
        """A new one. ServiceError `certs` where the folder has one already."""
        _require_new(folder, AUTHORITY)
        folder.mkdir(parents=True, exist_ok=True)
        key, name = ec.generate_private_key(ec.SECP256R1()), _subject(ORGANIZATION)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = _builder(name, key.public_key(), now, now + timedelta(days=_bounded(days))).issuer_name(
            name
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        _write(folder, AUTHORITY, key, builder.sign(key, hashes.SHA256()))
        authority = Authority(folder)
        authority._write_revoked([], now)
        return authority

    def issue_server(
        self, name: str, hosts: tuple[str, ...], now: datetime, days: int = DAYS, *, is_peer: bool = False
    ) -> Path:
        """For a server under these host names and addresses; NAME.pem holds key and certificate in one file.

        The common name is the file's. A peer also connects to its like, as Kafka's brokers do.
        """
        names = x509.SubjectAlternativeName([_host(host) for host in hosts[:HOSTS_MAX]])
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if is_peer else [])]
        path = self._issue(name, name, usages, names, now, days)
        both = path.with_suffix(".key").read_bytes() + path.read_bytes()
        _write_file(path.with_suffix(".pem"), both, 0o600)
        return path

    def issue_client(self, name: str, common_name: str, now: datetime, days: int = DAYS) -> Path:
        """For a client; a broker takes the common name as the user's."""
        return self._issue(name, common_name, [ExtendedKeyUsageOID.CLIENT_AUTH], None, now, days)

    def revoke(self, name: str, now: datetime) -> int:
        """Put a certificate on the revocation list, and its files aside. Its serial number."""
        path = self._folder / f"{name}.crt"
        if name == AUTHORITY:
            raise ServiceError("certs", "the authority's own certificate cannot be revoked")
        serial = load_certificate(path).serial_number
        revoked = [*self._revoked(), _revoked(serial, now)]
        if len(revoked) > REVOKED_MAX:
            raise ServiceError("certs", f"{len(revoked)} revoked certificates, wanted at most {REVOKED_MAX}")
        self._write_revoked(revoked, now)
        for suffix in (".crt", ".key", ".pem"):
            if path.with_suffix(suffix).exists():
                path.with_suffix(suffix).rename(self._folder / f"{name}.{serial:x}.revoked{suffix}")
        return serial

    def all(self) -> list[Certificate]:
        """Every certificate of the folder, the authority's first."""
        revoked = {one.serial_number for one in self._revoked()}
        paths = sorted(self._folder.glob("*.crt"), key=lambda path: (path.stem != AUTHORITY, path.stem))
        found = [(path.stem, load_certificate(path)) for path in paths]
        return [_described(name, one, one.serial_number in revoked) for name, one in found]

    def _issue(
        self,
        name: str,
        common_name: str,
        usages: list[x509.ObjectIdentifier],
        hosts: x509.SubjectAlternativeName | None,
        now: datetime,
        days: int,
    ) -> Path:
        _require_new(self._folder, name)
        until = min(now + timedelta(days=_bounded(days)), self._certificate.not_valid_after_utc)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_subject(common_name), key.public_key(), now, until)
        builder = builder.issuer_name(self._certificate.subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        if hosts is not None:
            builder = builder.add_extension(hosts, critical=False)
        return _write(self._folder, name, key, builder.sign(self._key, hashes.SHA256()))

    def _revoked(self) -> list[x509.RevokedCertificate]:
        path = self._folder / f"{AUTHORITY}.crl"
        try:
            return list(x509.load_pem_x509_crl(path.read_bytes()))
        except (OSError, ValueError) as exc:
            raise ServiceError("certs", f"{path}: {exc}, wanted a revocation list") from exc

    def _write_revoked(self, revoked: list[x509.RevokedCertificate], now: datetime) -> None:
        """The list is good as long as the authority: a list that ran out would shut everyone out."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject)
        builder = builder.last_update(now - CLOCK_SKEW).next_update(self._certificate.not_valid_after_utc)
        for one in revoked:
            builder = builder.add_revoked_certificate(one)
        data = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        _write_file(self._folder / f"{AUTHORITY}.crl", data, 0o644)


def _subject(common_name: str) -> Name:
    if not 1 <= len(common_name) <= NAME_CHARS_MAX:
        raise ServiceError("certs", f"name of {len(common_name)} characters, wanted 1 to {NAME_CHARS_MAX}")
    return Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(min(now, until) - CLOCK_SKEW).not_valid_after(until)


def _bounded(days: int) -> int:
    if not -DAYS_MAX <= days <= DAYS_MAX:
        raise ServiceError("certs", f"{days} days, wanted at most {DAYS_MAX}")
    return days


def _revoked(serial: int, now: datetime) -> x509.RevokedCertificate:
    return x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        if not host.isascii() or not host:
            raise ServiceError(
                "certs", f"host {host!r}, wanted an address or a name in ASCII (xn--…)"
            ) from None
        return x509.DNSName(host)


def _described(name: str, one: x509.Certificate, is_revoked: bool) -> Certificate:
    attributes = one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    common_name = str(attributes[0].value) if attributes else ""
    try:
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = tuple(str(host.value) for host in names)
    except x509.ExtensionNotFound:
        hosts = ()
    return Certificate(name, common_name, hosts, one.serial_number, one.not_valid_after_utc, is_revoked)


def _require_new(folder: Path, name: str) -> None:
    if not 1 <= len(name) <= NAME_CHARS_MAX or not _SAFE.issuperset(name) or name.startswith((".", "-")):
        raise ServiceError("certs", f"file name {name!r}, wanted letters, digits and ._-")
    for suffix in (".crt", ".key"):
        if (folder / f"{name}{suffix}").exists():
            raise ServiceError("certs", f"{folder / name}{suffix} is there already: it is not overwritten")


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Path:
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_file(folder / f"{name}.key", secret, 0o600)
    path = folder / f"{name}.crt"
    _write_file(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return path


def _write_file(path: Path, data: bytes, mode: int) -> None:
    """Whole and durable or not at all, never readable by others in between."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load_certificate(path: Path) -> x509.Certificate:
    """A certificate in PEM. ServiceError `certs`."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as exc:
        more = "; `lading certs init` makes an authority" if path.stem == AUTHORITY else ""
        raise ServiceError("certs", f"{path}: {exc.strerror}{more}") from exc
    except ValueError as exc:
        raise ServiceError("certs", f"{path}: {exc}") from exc


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as exc:
        raise ServiceError("certs", f"{path}: {exc}") from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ServiceError("certs", f"{path}: {type(key).__name__}, wanted a P-256 key")
    return key


def utc_now() -> datetime:
    """Now, to the second, as certificates have it."""
    return datetime.now(UTC).replace(microsecond=0)
