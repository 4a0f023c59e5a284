"""A cover as a document: the policy with its manager's signature, and the folder where the stage finds them."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from contracts.agreements import Disclosure, read_disclosure
from contracts.folders import DocumentFolder
from contracts.policies import cover_id
from contracts.typed_data import Domain
from lading import fields
from lading.account import SIGNATURE_BYTES, Account, recover
from lading.cbor import encode, open_document
from lading.errors import RejectedError, ServiceError
from lading.policy import Policy
from lading.settlement import ADDRESS_BYTES, TERMS_BYTES_MAX

TAG = "lading/cover/1"
COVER_BYTES_MAX = 16_384
COVERS_MAX = 100_000
SUFFIX = ".cover"


@dataclass(frozen=True)
class Cover:
    """A policy for one contract on one chain. `terms` is the policy, named as an agreement's terms are."""

    terms: Policy
    domain: Domain
    disclosure: Disclosure | None = None
    signature: bytes | None = None

    @cached_property
    def id(self) -> bytes:
        """The EIP-712 digest that the manager signs."""
        return cover_id(self.terms, self.domain)

    def signed_by(self, manager: Account) -> "Cover":
        """With the manager's signature."""
        return replace(self, signature=manager.sign_digest(self.id))

    def check(self, manager: bytes) -> None:
        """RejectedError `signature` unless the pool's manager signed this policy for this contract."""
        found = b"" if self.signature is None else recover(self.id, self.signature)
        if found != manager:
            raise RejectedError(
                "signature", f"manager is 0x{manager.hex()}, signed by 0x{found.hex() or 'nobody'}"
            )

    @cached_property
    def encoded(self) -> bytes:
        """Document `lading/cover/1`."""
        shown = None if self.disclosure is None else self.disclosure.items()
        place: list[Any] = [self.domain.chain_id, self.domain.escrow]
        return encode([TAG, *place, self.terms.encode(), shown, self.signature])

    @staticmethod
    def decode(data: bytes) -> "Cover":
        """From the document."""
        chain_id, contract, policy, shown, signature = open_document(data, TAG, 6, COVER_BYTES_MAX)
        decoded = Policy.decode(fields.blob(policy, "policy", TERMS_BYTES_MAX))
        return Cover(
            decoded,
            Domain(fields.uint(chain_id, "chain id"), fields.fixed(contract, "contract", ADDRESS_BYTES)),
            read_disclosure(shown, decoded.leg),
            None if signature is None else fields.fixed(signature, "signature", SIGNATURE_BYTES),
        )


def read_cover(path: Path) -> Cover:
    """ServiceError `cover` when there is no such file."""
    try:
        with path.open("rb") as file:
            return Cover.decode(file.read(COVER_BYTES_MAX + 1))
    except OSError as exc:
        raise ServiceError("cover", f"{path}: {exc.strerror}, wanted a cover's file") from exc


def write_cover(path: Path, cover: Cover) -> Path:
    """Whole, or the old one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(cover.encoded)
    draft.replace(path)
    return path


class CoverFolder(DocumentFolder[Cover]):
    """The covers of a folder, of one contract."""

    def __init__(self, folder: Path, domain: Domain) -> None:
        super().__init__(folder, SUFFIX, ("covers", COVERS_MAX), COVER_BYTES_MAX, self._open)
        self._domain = domain

    def save(self, cover: Cover) -> Path:
        """Under its id."""
        return write_cover(self._folder / f"{cover.id.hex()}{SUFFIX}", cover)

    def _open(self, data: bytes) -> Cover:
        cover = Cover.decode(data)
        if cover.domain != self._domain:
            raise RejectedError("cover", f"is for contract 0x{cover.domain.escrow.hex()}")
        return cover


def about(cover: Cover) -> dict[str, Any]:
    """What `--json` says of every cover."""
    policy = cover.terms
    return {
        "cover": cover.id.hex(),
        "pool": policy.pool.hex(),
        "leg": policy.leg.leg_id.hex(),
        "reference": cover.disclosure.reference if cover.disclosure else None,
        "holder": f"0x{policy.holder.hex()}",
        "maximum": policy.maximum,
        "deductible": policy.deductible,
        "premium": policy.premium,
        "start_s": policy.start_s,
        "quote_until_s": policy.quote_until_s,
        "deadline_s": policy.leg.deadline_s,
    }
