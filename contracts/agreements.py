"""An agreement: terms for one escrow, and the signatures of carrier and shipper (docs/spec/agreement.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from contracts.folders import DocumentFolder
from contracts.typed_data import AnyTerms, Domain, agreement_id, typed_data, version_of
from lading import fields
from lading.account import SIGNATURE_BYTES, Account, recover
from lading.assignment import Assignment
from lading.cbor import decode, encode, open_document
from lading.errors import MalformedError, RejectedError, ServiceError
from lading.limits import LIMITS_BYTES_MAX, Limits
from lading.names import LEG_SALT_BYTES, REFERENCE_BYTES_MAX, leg_id
from lading.settlement import ADDRESS_BYTES, TERMS_BYTES_MAX
from lading.terms import LEGS_MAX, Leg, Terms
from lading.terms_v1 import TermsV1

TAG_V1, TAG = "lading/agreement/1", "lading/agreement/2"
AGREEMENT_BYTES_MAX = 524_288
AGREEMENT_V1_BYTES_MAX = 16_384
AGREEMENTS_MAX = 100_000
SUFFIX = ".agreement"

Party = Literal["carrier", "shipper"]
PARTIES: tuple[Party, ...] = ("carrier", "shipper")


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What a leg's hashes in the terms are of: its reference with the salt, and its limits."""

    reference: str
    salt: bytes
    limits: Limits

    @staticmethod
    def of(begin: Assignment) -> "Disclosure":
        """From the order that began the leg."""
        assert begin.limits is not None
        return Disclosure(begin.reference, begin.salt, begin.limits)

    def fits(self, leg: Leg) -> bool:
        """Whether the terms' hashes are of this."""
        return (leg_id(self.salt, self.reference), self.limits.hash) == (leg.leg_id, leg.limits_hash)

    def items(self) -> list[Any]:
        """As the document has it."""
        return [self.reference, self.salt, self.limits.encode()]


@dataclass(frozen=True)
class Agreement:
    """Terms with as many signatures as there are yet; `disclosures` by leg, None where the drafter left it out."""

    terms: AnyTerms
    domain: Domain
    disclosures: tuple[Disclosure | None, ...] = ()
    carrier_signature: bytes | None = None
    shipper_signature: bytes | None = None

    @staticmethod
    def sign(terms: AnyTerms, domain: Domain, carrier: Account, shipper: Account) -> "Agreement":
        """Where one machine holds both keys: demos and tests."""
        return Agreement(terms, domain, (None,) * len(terms.legs)).signed_by(carrier).signed_by(shipper)

    @cached_property
    def id(self) -> bytes:
        """The EIP-712 digest that both parties sign."""
        return agreement_id(self.terms, self.domain)

    @property
    def missing(self) -> tuple[Party, ...]:
        """Who has not signed yet."""
        signatures = (self.carrier_signature, self.shipper_signature)
        return tuple(party for party, one in zip(PARTIES, signatures, strict=True) if one is None)

    def signed_by(self, account: Account) -> "Agreement":
        """With a party's signature; RejectedError `party` where the account is neither."""
        self.party_of(account.address)
        return self.with_signature(account.sign_digest(self.id))

    def with_signature(self, signature: bytes) -> "Agreement":
        """With a signature made elsewhere, by the party that it recovers to; RejectedError `party`, `signature`."""
        if self.party_of(recover(self.id, signature)) == "carrier":
            return replace(self, carrier_signature=signature)
        return replace(self, shipper_signature=signature)

    def check(self) -> None:
        """RejectedError `signature` unless both parties signed these terms for this escrow."""
        for party in PARTIES:
            address, signature = getattr(self.terms, party), getattr(self, f"{party}_signature")
            found = b"" if signature is None else recover(self.id, signature)
            if found != address:
                raise RejectedError(
                    "signature",
                    f"{party} is 0x{address.hex()}, "
                    + (f"signed by 0x{found.hex()}" if found else "not signed yet"),
                )

    def typed_data(self) -> dict[str, Any]:
        """What a wallet signs."""
        return typed_data(self.terms, self.domain)

    @cached_property
    def encoded(self) -> bytes:
        """Document `lading/agreement/2`; `lading/agreement/1` for terms of the first escrow."""
        terms, signatures = self.terms.encode(), [self.carrier_signature, self.shipper_signature]
        if version_of(self.terms) == 1:
            return encode([TAG_V1, terms, *signatures])
        shown = [None if one is None else one.items() for one in self.disclosures]
        return encode([TAG, self.domain.chain_id, self.domain.escrow, terms, shown, *signatures])

    def party_of(self, address: bytes) -> Party:
        """Which party an address is; RejectedError `party` where it is neither."""
        for party in PARTIES:
            if getattr(self.terms, party) == address:
                return party
        raise RejectedError(
            "party",
            f"0x{address.hex()} is no party, wanted the carrier 0x{self.terms.carrier.hex()}"
            f" or the shipper 0x{self.terms.shipper.hex()}",
        )


def is_first_version(data: bytes) -> bool:
    """Whether a document is of the first version, which does not say for which escrow it is."""
    value = decode(data, AGREEMENT_BYTES_MAX)
    return isinstance(value, list) and bool(value) and value[0] == TAG_V1


def decode_agreement(data: bytes) -> Agreement:
    """From document `lading/agreement/2`."""
    chain_id, escrow, terms, shown, *signatures = open_document(data, TAG, 7, AGREEMENT_BYTES_MAX)
    decoded = Terms.decode(fields.blob(terms, "terms", TERMS_BYTES_MAX))
    disclosures = fields.items(shown, "disclosures", LEGS_MAX, count=len(decoded.legs))
    return Agreement(
        decoded,
        Domain(fields.uint(chain_id, "chain id"), fields.fixed(escrow, "escrow", ADDRESS_BYTES)),
        tuple(read_disclosure(item, leg) for item, leg in zip(disclosures, decoded.legs, strict=True)),
        *(
            None if one is None else fields.fixed(one, f"{party}'s signature", SIGNATURE_BYTES)
            for one, party in zip(signatures, PARTIES, strict=True)
        ),
    )


def decode_agreement_v1(data: bytes, domain: Domain) -> Agreement:
    """From document `lading/agreement/1`, which has both signatures."""
    terms, carrier, shipper = open_document(data, TAG_V1, 4, AGREEMENT_V1_BYTES_MAX)
    return Agreement(
        TermsV1.decode(fields.blob(terms, "terms", TERMS_BYTES_MAX)),
        domain,
        (None,),
        fields.fixed(carrier, "carrier's signature", SIGNATURE_BYTES),
        fields.fixed(shipper, "shipper's signature", SIGNATURE_BYTES),
    )


def read_disclosure(item: Any, leg: Leg) -> Disclosure | None:
    """As a document has it; it must fit the leg."""
    if item is None:
        return None
    reference, salt, limits = fields.items(item, "disclosure", 3, count=3)
    found = Disclosure(
        fields.text(reference, "reference", REFERENCE_BYTES_MAX),
        fields.fixed(salt, "salt", LEG_SALT_BYTES),
        Limits.decode(fields.blob(limits, "limits", LIMITS_BYTES_MAX)),
    )
    if not found.fits(leg):
        raise MalformedError(
            "disclosure", f"{found.reference!r} and its limits are not those of leg {leg.leg_id.hex()}"
        )
    return found


def read_file(path: Path) -> Agreement:
    """An agreement's file, of the present version. ServiceError `agreement` when there is none."""
    try:
        with path.open("rb") as file:
            return decode_agreement(file.read(AGREEMENT_BYTES_MAX + 1))
    except OSError as exc:
        raise ServiceError("agreement", f"{path}: {exc.strerror}, wanted an agreement's file") from exc


def write_file(path: Path, agreement: Agreement) -> None:
    """Whole, or the old one stays."""
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(agreement.encoded)
    draft.replace(path)


def save(folder: Path, agreement: Agreement) -> Path:
    """Write the agreement under its id, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{agreement.id.hex()}{SUFFIX}"
    write_file(path, agreement)
    return path


class AgreementFolder(DocumentFolder[Agreement]):
    """The agreements of a folder.

    `domains`: by the escrow's version, where agreements of it count; the newest escrow first.
    """

    def __init__(self, folder: Path, domains: Sequence[tuple[int, Domain]]) -> None:
        super().__init__(folder, SUFFIX, ("agreements", AGREEMENTS_MAX), AGREEMENT_BYTES_MAX, self._open)
        self._domains = domains

    def _open(self, data: bytes) -> Agreement:
        if is_first_version(data):
            return self._open_v1(data)
        agreement = decode_agreement(data)
        if (2, agreement.domain) not in self._domains:
            raise RejectedError(
                "escrow",
                f"is for escrow 0x{agreement.domain.escrow.hex()} on chain {agreement.domain.chain_id},"
                " which deployment.json does not name",
            )
        agreement.check()
        return agreement

    def _open_v1(self, data: bytes) -> Agreement:
        """The document does not say for which escrow: the signatures do."""
        refused: RejectedError | None = None
        for version, domain in self._domains:
            if version == 1:
                agreement = decode_agreement_v1(data, domain)
                try:
                    agreement.check()
                except RejectedError as exc:
                    refused = exc
                else:
                    return agreement
        raise refused or RejectedError("escrow", "is of the first version, and no such escrow is known")
