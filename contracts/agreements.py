"""An agreement: terms that carrier and shipper signed by EIP-712 for one escrow (docs/spec/agreement.md)."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from eth_hash.auto import keccak

from lading import fields
from lading.account import SIGNATURE_BYTES, Account, recover
from lading.cbor import encode, open_document
from lading.errors import MalformedError, RejectedError, ServiceError
from lading.settlement import TERMS_BYTES_MAX
from lading.terms import WORD, Terms

TAG = "lading/agreement/1"
AGREEMENT_BYTES_MAX = 16_384
AGREEMENTS_MAX = 100_000
SUFFIX = ".agreement"

_TIER = b"Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)"
_TERMS = (
    b"Terms(address carrier,address shipper,address token,bytes32 tenant,bytes32 gatewayId,bytes32 legId,"
    b"bytes32 limitsHash,uint64 beginMs,uint64 dueMs,uint64 deadlineS,uint32 windowS,uint128 bond,"
    b"uint128 salt,Tier[] tiers)" + _TIER
)
_DOMAIN = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_NAME, _VERSION = b"Lading PenaltyEscrow", b"1"
_TIER_WORDS = 4
_HEAD_WORDS = 13  # the terms' fixed fields


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature counts: one escrow on one chain."""

    chain_id: int
    escrow: bytes

    @property
    def separator(self) -> bytes:
        """EIP-712 domain separator."""
        words = [keccak(_DOMAIN), keccak(_NAME), keccak(_VERSION), self.chain_id.to_bytes(WORD, "big")]
        return _keccak(b"".join(words) + self.escrow.rjust(WORD, b"\0"))


def agreement_id(terms: Terms, domain: Domain) -> bytes:
    """The EIP-712 digest that both parties sign; on chain the agreement's id."""
    return _keccak(b"\x19\x01" + domain.separator + terms_hash(terms))


def terms_hash(terms: Terms) -> bytes:
    """EIP-712 hashStruct: each field is a word as in the ABI encoding, the tiers are hashed one by one."""
    words = terms.encode()
    head = words[WORD : WORD * (1 + _HEAD_WORDS)]
    tiers = words[WORD * (3 + _HEAD_WORDS) :]
    size = WORD * _TIER_WORDS
    hashes = [keccak(keccak(_TIER) + tiers[at : at + size]) for at in range(0, len(tiers), size)]
    return _keccak(keccak(_TERMS) + head + keccak(b"".join(hashes)))


@dataclass(frozen=True)
class Agreement:
    """Terms with both signatures."""

    terms: Terms
    carrier_signature: bytes
    shipper_signature: bytes

    @staticmethod
    def sign(terms: Terms, domain: Domain, carrier: Account, shipper: Account) -> "Agreement":
        """Where one machine holds both keys: demos and tests."""
        digest = agreement_id(terms, domain)
        return Agreement(terms, carrier.sign_digest(digest), shipper.sign_digest(digest))

    def check(self, domain: Domain) -> None:
        """RejectedError `signature` unless both parties signed these terms for this escrow."""
        digest = agreement_id(self.terms, domain)
        for name, party, signature in (
            ("carrier", self.terms.carrier, self.carrier_signature),
            ("shipper", self.terms.shipper, self.shipper_signature),
        ):
            found = recover(digest, signature)
            if found != party:
                raise RejectedError("signature", f"{name} is 0x{party.hex()}, signed by 0x{found.hex()}")

    @cached_property
    def encoded(self) -> bytes:
        """Document `lading/agreement/1`."""
        return encode([TAG, self.terms.encode(), self.carrier_signature, self.shipper_signature])

    @staticmethod
    def decode(data: bytes) -> "Agreement":
        """From the document."""
        terms, carrier, shipper = open_document(data, TAG, 4, AGREEMENT_BYTES_MAX)
        return Agreement(
            Terms.decode(fields.blob(terms, "terms", TERMS_BYTES_MAX)),
            fields.fixed(carrier, "carrier's signature", SIGNATURE_BYTES),
            fields.fixed(shipper, "shipper's signature", SIGNATURE_BYTES),
        )


def save(folder: Path, agreement: Agreement, domain: Domain) -> Path:
    """Write the agreement under its id, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{agreement_id(agreement.terms, domain).hex()}{SUFFIX}"
    draft = path.with_suffix(".new")
    draft.write_bytes(agreement.encoded)
    draft.replace(path)
    return path


class AgreementFolder:
    """The agreements of a folder by id, as files come and go. A file that is none is named in `problems`."""

    def __init__(self, folder: Path, domain: Domain) -> None:
        self.problems: dict[str, str] = {}
        self._folder = folder
        self._domain = domain
        self._known: dict[str, tuple[bytes, Agreement]] = {}

    def __call__(self) -> dict[bytes, Agreement]:
        """Every agreement that is there now, checked when first seen: a file is named by its id and never changes."""
        names = sorted(path.name for path in self._folder.glob(f"*{SUFFIX}"))
        if len(names) > AGREEMENTS_MAX:
            raise ServiceError("agreements", f"{self._folder}: {len(names)}, wanted at most {AGREEMENTS_MAX}")
        for name in names:
            if name not in self._known and name not in self.problems:
                self._take(name)
        return dict(self._known[name] for name in names if name in self._known)

    def _take(self, name: str) -> None:
        try:
            with (self._folder / name).open("rb") as file:
                agreement = Agreement.decode(file.read(AGREEMENT_BYTES_MAX + 1))
            agreement.check(self._domain)
        except (MalformedError, RejectedError) as exc:
            self.problems[name] = str(exc)
        else:
            self._known[name] = (agreement_id(agreement.terms, self._domain), agreement)


def _keccak(data: bytes) -> bytes:
    digest: bytes = keccak(data)
    return digest
