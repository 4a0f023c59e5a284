"""COSE_Sign1 with ES256 (RFC 9052) in its one encoding, and the keys that sign it (docs/spec/frame.md)."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from lading import cbor
from lading.errors import MalformedError, RejectedError, ServiceError
from lading.tree import sha256
from lading.whole import write_key

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SIGNATURE_BYTES = 64
KEY_BYTES = 64
ALGORITHM_P256 = 1
GATEWAY_ID_TYPE = 8
PAYLOAD_BYTES_MAX = 65_535

_SIGN1_HEAD = bytes.fromhex("d28443a10126a0")  # tag 18, array of 4, protected {1: -7}, no unprotected header
_SIG_STRUCTURE_HEAD = bytes.fromhex(
    "846a5369676e61747572653143a1012640"
)  # "Signature1", protected, no external_aad
_BYTES_MAJOR = 2


def sig_structure(payload: bytes) -> bytes:
    """What ES256 signs: the Sig_structure of RFC 9052 section 4.4 over `payload`."""
    return _SIG_STRUCTURE_HEAD + cbor.head(_BYTES_MAJOR, len(payload)) + payload


def encode_sign1(payload: bytes, signature: bytes) -> bytes:
    """The envelope of a payload and its 64-byte signature."""
    return (
        _SIGN1_HEAD
        + cbor.head(_BYTES_MAJOR, len(payload))
        + payload
        + cbor.head(_BYTES_MAJOR, len(signature))
        + signature
    )


def decode_sign1(data: bytes) -> tuple[bytes, bytes]:
    """(payload, signature) of an envelope in its one encoding; MalformedError code `envelope`."""
    if not data.startswith(_SIGN1_HEAD):
        raise MalformedError("envelope", f"begins {data[:7].hex()}, wanted {_SIGN1_HEAD.hex()}")
    payload, at = _byte_string(data, len(_SIGN1_HEAD), PAYLOAD_BYTES_MAX)
    signature, at = _byte_string(data, at, SIGNATURE_BYTES)
    if len(signature) != SIGNATURE_BYTES or at != len(data):
        raise MalformedError(
            "envelope", f"signature of {len(signature)} bytes and {len(data) - at} after it, wanted 64 and 0"
        )
    return payload, signature


def _byte_string(data: bytes, at: int, bytes_max: int) -> tuple[bytes, int]:
    first = data[at] if at < len(data) else 0
    width = {0x58: 1, 0x59: 2}.get(first, 0)
    length = int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else first - 0x40
    start = at + 1 + width
    if not 0 <= length <= bytes_max or not data.startswith(cbor.head(_BYTES_MAJOR, length), at):
        raise MalformedError(
            "envelope", f"byte {at}: no byte string of at most {bytes_max} bytes with the shortest head"
        )
    if start + length > len(data):
        raise MalformedError("envelope", f"byte {at}: {length} bytes wanted, {len(data) - start} left")
    return data[start : start + length], start + length


def gateway_id_of(key: bytes) -> bytes:
    """H(08 ‖ alg ‖ x ‖ y) of a key's 64 bytes."""
    return sha256(bytes([GATEWAY_ID_TYPE, ALGORITHM_P256]) + key)


@dataclass(frozen=True)
class PublicKey:
    """A P-256 public key by its coordinates, 32 bytes each. RejectedError `key` when the point is not on the curve."""

    x: bytes
    y: bytes

    def __post_init__(self) -> None:
        _ = self._key

    @staticmethod
    def decode(data: bytes) -> "PublicKey":
        """From x ‖ y, 64 bytes."""
        if len(data) != KEY_BYTES:
            raise MalformedError("key", f"{len(data)} bytes, wanted {KEY_BYTES}")
        return PublicKey(data[:32], data[32:])

    def encode(self) -> bytes:
        """x ‖ y."""
        return self.x + self.y

    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @cached_property
    def gateway_id(self) -> bytes:
        """H(08 ‖ alg ‖ x ‖ y)."""
        return gateway_id_of(self.encode())

    @cached_property
    def _key(self) -> ec.EllipticCurvePublicKey:
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + self.encode())
        except ValueError as exc:
            raise RejectedError("key", f"{self.encode().hex()} is no point of P-256") from exc

    def verify(self, message: bytes, signature: bytes) -> None:
        """RejectedError `signature` unless it is this key's low-s signature over SHA-256 of `message`."""
        self.verify_digest(sha256(message), signature)

    def verify_digest(self, digest: bytes, signature: bytes) -> None:
        """The same over a digest that is already there."""
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        if len(signature) != SIGNATURE_BYTES or not 0 < r < P256_ORDER or not 0 < s <= P256_ORDER // 2:
            raise RejectedError("signature", "r or s is out of range, or s is high")
        try:
            self._key.verify(encode_dss_signature(r, s), digest, _PREHASHED)
        except InvalidSignature as exc:
            raise RejectedError(
                "signature", f"not signed by gateway key {self.gateway_id.hex()[:16]}…"
            ) from exc


_PREHASHED = ec.ECDSA(Prehashed(SHA256()))


class Signer(Protocol):
    """Holds a P-256 key: a file, or later a PKCS#11 token or TPM."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies what `sign` signs."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes r ‖ s over SHA-256 of `message`, low s."""
        ...


def save_public(key: PublicKey, path: Path) -> None:
    """Write a key for those who only check signatures; what is there is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(key.pem())
    draft.replace(path)


def load_public(path: Path) -> PublicKey:
    """From a PEM file. ServiceError `key_file` when it holds no public key of P-256."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as exc:
        raise ServiceError("key_file", f"{path}: {exc.strerror}") from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ServiceError("key_file", f"{path} holds no public key") from exc
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ServiceError("key_file", f"{path} holds no P-256 key")
    return _public(key)


def _public(key: ec.EllipticCurvePublicKey) -> PublicKey:
    numbers = key.public_numbers()
    return PublicKey(numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))


class KeySigner:
    """A P-256 key in memory, kept in a PEM file that only its owner can read. Signs deterministically (RFC 6979)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = _public(key.public_key())

    @staticmethod
    def generate() -> "KeySigner":
        """A new random key."""
        return KeySigner(ec.generate_private_key(ec.SECP256R1()))

    @staticmethod
    def from_seed(seed: bytes) -> "KeySigner":
        """A key derived from a seed: for demos and tests, where one seed must give the same bytes."""
        secret = int.from_bytes(sha256(b"lading key" + seed) + sha256(b"lading more" + seed), "big")
        return KeySigner(ec.derive_private_key(secret % (P256_ORDER - 1) + 1, ec.SECP256R1()))

    def sign(self, message: bytes) -> bytes:
        """64 bytes r ‖ s over SHA-256 of `message`, low s."""
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True)))
        return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")

    def save(self, path: Path) -> None:
        """Write a new PEM file with mode 0600; ServiceError when it exists already."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_key(path, pem)

    @staticmethod
    def load(path: Path) -> "KeySigner":
        """Read a PEM file; ServiceError when others may read it, or it holds no P-256 key."""
        try:
            mode, pem = path.stat().st_mode, path.read_bytes()
        except OSError as exc:
            raise ServiceError("key_file", f"{path}: {exc.strerror}") from exc
        if mode & 0o077:
            raise ServiceError("key_file", f"{path} has mode {mode & 0o777:04o}, wanted 0600")
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as exc:
            raise ServiceError("key_file", f"{path} holds no private key without a password") from exc
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ServiceError("key_file", f"{path} holds another kind of key, wanted P-256")
        return KeySigner(key)
