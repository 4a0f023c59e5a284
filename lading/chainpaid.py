"""What a chain says of a settlement: the escrow knows the terms, and the transaction paid what the record states.

Selectors and topics are constants here; a test compares them with the contracts' ABI.
"""

from lading.abi_words import uint_word
from lading.calibration import uncertainties_at
from lading.chain import FINALIZED, Chain, Receipt, RevertedError
from lading.errors import ProofError
from lading.paid import Judged, leg_of, terms_of
from lading.settlement import KINDS, Settlement
from lading.tiers import channels_of

# agreementId(Terms), by the escrow's version
AGREEMENT_ID = {1: bytes.fromhex("32a74720"), 2: bytes.fromhex("a96fb163")}
AGREEMENT_OF = bytes.fromhex("109ae742")  # agreementOf(bytes32)
GATEWAYS = bytes.fromhex("093a86d3")  # gateways()
SETTLED = bytes.fromhex("b250f5645d533bf774dfb68dc46ba710b335cb001af314b1a463867979f86bd7")
CONCLUDED = bytes.fromhex("ef39da0187fc91646f4ec5f41f32ff63ca5dd4aa06cd6991c90d339b042a0445")
OWED = bytes.fromhex("dc4095818b0e80b6f5c242921141a8b87bc512311699cd21098d02a800a9bb53")


def check_paid(chain: Chain, settlement: Settlement, judged: Judged, receipt: Receipt) -> None:
    """ProofError `settlement`, unless `receipt`, of the stated transaction, paid the amount in a finalized block."""
    where = f"agreement {settlement.agreement.hex()[:16]}…"
    _check_id(chain, settlement, where)
    if not _has_paid(receipt, settlement):
        what = f"a {settlement.kind} of {settlement.amount}"
        raise ProofError("settlement", f"{where}: the transaction did not pay {what}")
    if judged.is_cut:
        _check_used_up(chain, settlement, where)
    if judged.sent_ms is not None and settlement.uncertainties is not None:
        _check_calibrations(chain, settlement, judged.sent_ms, where)
    if settlement.block_number > chain.height(FINALIZED):
        raise ProofError(
            "settlement", f"{where}: paid in block {settlement.block_number}, which is not final yet"
        )


def _check_id(chain: Chain, settlement: Settlement, where: str) -> None:
    try:
        agreement = chain.call(settlement.escrow, AGREEMENT_ID[settlement.version] + settlement.terms)
    except RevertedError as exc:
        raise ProofError("settlement", f"{where}: 0x{settlement.escrow.hex()} is no such escrow") from exc
    if agreement != settlement.agreement:
        raise ProofError("settlement", f"{where}: these terms are agreement {agreement.hex()}")


def _has_paid(receipt: Receipt, settlement: Settlement) -> bool:
    about = (settlement.agreement, settlement.leg_id)
    if settlement.version == 1:
        rest = max(terms_of(settlement).bond - settlement.amount, 0)
        kind = uint_word(KINDS.index(settlement.kind) + 1)
        data = uint_word(settlement.amount) + uint_word(rest)
        return _has_event(receipt, settlement.escrow, (SETTLED, *about, kind), data)
    data = uint_word(settlement.penalty) + uint_word(settlement.rest) + uint_word(settlement.reached)
    owed = [
        event.data
        for event in receipt.events
        if (event.address, event.topics) == (settlement.escrow, (OWED, *about))
    ]
    wanted = [uint_word(settlement.owed)] if settlement.owed else []
    return _has_event(receipt, settlement.escrow, (CONCLUDED, *about), data) and owed == wanted


def _check_used_up(chain: Chain, settlement: Settlement, where: str) -> None:
    """Less than a leg makes due is right only where the agreement's penalties have come to the whole bond."""
    words = chain.call(settlement.escrow, AGREEMENT_OF + settlement.agreement)
    penalty, bond = int.from_bytes(words[64:96], "big"), terms_of(settlement).bond
    if penalty != bond:
        raise ProofError(
            "settlement", f"{where}: less than is due, though only {penalty} of {bond} is used up"
        )


def _check_calibrations(chain: Chain, settlement: Settlement, sent_ms: int, where: str) -> None:
    """The certificates that the record counts with are those that the escrow's registry had then."""
    terms, block = terms_of(settlement), settlement.block_number
    registry = chain.call(settlement.escrow, GATEWAYS, tag=block)[12:]
    gateway_id, most = leg_of(settlement).gateway_id, terms.uncertainty_max_milli
    found = uncertainties_at(chain, registry, gateway_id, channels_of(terms.tiers), sent_ms, most, block)
    if found != settlement.uncertainties:
        raise ProofError(
            "settlement",
            f"{where}: the registry's calibrations are {found}, stated {settlement.uncertainties}",
        )


def _has_event(receipt: Receipt, address: bytes, topics: tuple[bytes, ...], data: bytes) -> bool:
    return any(
        (event.address, event.topics, event.data) == (address, topics, data) for event in receipt.events
    )
