"""A chain account: a secp256k1 key in a file that only its owner reads; signs transactions and EIP-712 digests."""

import os
from dataclasses import dataclass
from pathlib import Path

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from lading.errors import RejectedError, ServiceError
from lading.tree import sha256
from lading.whole import write_key

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SIGNATURE_BYTES = 65
_DYNAMIC_FEE_TYPE = b"\x02"
_RECOVERY_BASE = 27  # v of a 65-byte signature


@dataclass(frozen=True, slots=True)
class Transaction:
    """An EIP-1559 transaction without its signature. `to` empty creates a contract; fees in wei per gas."""

    chain_id: int
    nonce: int
    priority_fee: int
    fee_max: int
    gas: int
    to: bytes
    data: bytes
    value: int = 0  # wei


class Account:
    """Signs with one key; RFC 6979, so the same transaction has the same bytes."""

    def __init__(self, secret: bytes) -> None:
        self._key = PrivateKey(secret)
        self.address: bytes = self._key.public_key.to_canonical_address()

    @staticmethod
    def generate() -> "Account":
        """A new random key."""
        return Account(
            (int.from_bytes(os.urandom(40), "big") % (SECP256K1_ORDER - 1) + 1).to_bytes(32, "big")
        )

    @staticmethod
    def from_seed(seed: bytes) -> "Account":
        """A key derived from a seed: for demos and tests, where one seed must give the same bytes."""
        wide = sha256(b"lading account" + seed) + sha256(b"lading further" + seed)
        return Account((int.from_bytes(wide, "big") % (SECP256K1_ORDER - 1) + 1).to_bytes(32, "big"))

    def sign_transaction(self, transaction: Transaction) -> bytes:
        """The raw bytes to send; their keccak is the transaction hash."""
        t = transaction
        fields = [t.chain_id, t.nonce, t.priority_fee, t.fee_max, t.gas, t.to, t.value, t.data, []]
        v, r, s = self._key.sign_msg_hash(keccak(_DYNAMIC_FEE_TYPE + rlp.encode(fields))).vrs
        encoded: bytes = rlp.encode([*fields, v, r, s])
        return _DYNAMIC_FEE_TYPE + encoded

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes r ‖ s ‖ v over a 32-byte digest, as contracts recover it."""
        v, r, s = self._key.sign_msg_hash(digest).vrs
        return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([_RECOVERY_BASE + v])

    def save(self, path: Path) -> None:
        """Write a new key file with mode 0600; ServiceError when it exists already."""
        write_key(path, f"{self._key.to_hex()}\n".encode())

    @staticmethod
    def load(path: Path) -> "Account":
        """Read a key file; ServiceError when others may read it, or it holds no key."""
        try:
            mode, text = path.stat().st_mode, path.read_text("ascii").strip()
        except OSError as exc:
            raise ServiceError("key_file", f"{path}: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise ServiceError("key_file", f"{path} holds no hexadecimal key") from exc
        if mode & 0o077:
            raise ServiceError("key_file", f"{path} has mode {mode & 0o777:04o}, wanted 0600")
        try:
            secret = bytes.fromhex(text.removeprefix("0x"))
        except ValueError as exc:
            raise ServiceError("key_file", f"{path} holds no hexadecimal key") from exc
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < SECP256K1_ORDER:
            raise ServiceError("key_file", f"{path} holds no secp256k1 key")
        return Account(secret)

    def __repr__(self) -> str:
        return f"Account(0x{self.address.hex()})"


def recover(digest: bytes, signature: bytes) -> bytes:
    """The address that made a 65-byte signature over a digest. RejectedError `signature`."""
    try:
        v = signature[64] - _RECOVERY_BASE
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        key = Signature(vrs=(v, r, s)).recover_public_key_from_msg_hash(digest)
    except (IndexError, BadSignature, ValidationError) as exc:
        raise RejectedError("signature", f"{len(signature)} bytes recover no address: {exc}") from exc
    if len(signature) != SIGNATURE_BYTES or s > SECP256K1_ORDER // 2:
        raise RejectedError(
            "signature", f"{len(signature)} bytes or a high s, wanted {SIGNATURE_BYTES} and a low s"
        )
    address: bytes = key.to_canonical_address()
    return address


def transaction_hash(raw: bytes) -> bytes:
    """The hash of signed bytes."""
    digest: bytes = keccak(raw)
    return digest
