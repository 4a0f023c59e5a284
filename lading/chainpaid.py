"""What a chain says of a settlement or a cover's payout: the contract knows the terms, and the transaction did it.

Selectors and topics are constants here; a test compares them with the contracts' ABI.
"""

from typing import NamedTuple

from lading.abi_words import uint_word
from lading.calibration import uncertainties_at
from lading.chain import FINALIZED, Chain, Receipt, RevertedError, has_event
from lading.errors import ProofError
from lading.paid import Judged, judged_by, leg_of, terms_of
from lading.payout import Payout, Settled
from lading.policy import Policy
from lading.settlement import KINDS, Settlement
from lading.tiers import channels_of

# agreementId(Terms), by the escrow's version
AGREEMENT_ID = {1: bytes.fromhex("32a74720"), 2: bytes.fromhex("a96fb163")}
COVER_ID = bytes.fromhex("8122a0b7")  # coverId(Policy)
AGREEMENT_OF = bytes.fromhex("109ae742")  # agreementOf(bytes32)
GATEWAYS = bytes.fromhex("093a86d3")  # gateways()
SETTLED = bytes.fromhex("b250f5645d533bf774dfb68dc46ba710b335cb001af314b1a463867979f86bd7")
# Of agreements and of covers alike.
CONCLUDED = bytes.fromhex("ef39da0187fc91646f4ec5f41f32ff63ca5dd4aa06cd6991c90d339b042a0445")
FRAME_SHOWN = bytes.fromhex("9e9df5ffadb0a5f4646379e7dd776a3d50d7b368f71785aea5646b7541d66d56")
OWED = bytes.fromhex("dc4095818b0e80b6f5c242921141a8b87bc512311699cd21098d02a800a9bb53")


class _Place(NamedTuple):
    """Where a claim is judged: the contract, what it computes the id from, and its name in errors."""

    contract: bytes
    id_call: bytes
    name: str


def check_paid(chain: Chain, record: Settled, judged: Judged, receipt: Receipt, first_block: int) -> None:
    """ProofError `settlement`, unless `receipt`, of the stated transaction, paid the amount in a finalized block.

    `first_block`: before it no frame of the leg can have been shown.
    """
    place = place_of(record)
    _check_id(chain, record, place)
    if not _has_paid(receipt, record):
        what = f"a {record.kind} of {record.amount}"
        raise ProofError("settlement", f"{place.name}: the transaction did not pay {what}")
    if judged.is_cut and isinstance(record, Settlement):
        _check_used_up(chain, record, place)
    if judged.sent_ms is not None and record.uncertainties is not None:
        _check_calibrations(chain, record, judged.sent_ms, place, first_block)
    if record.block_number > chain.height(FINALIZED):
        raise ProofError(
            "settlement", f"{place.name}: paid in block {record.block_number}, which is not final yet"
        )


def place_of(record: Settled) -> _Place:
    """Where to ask for it."""
    if isinstance(record, Payout):
        return _Place(record.contract, COVER_ID + record.policy, f"cover {record.cover.hex()[:16]}…")
    call = AGREEMENT_ID[record.version] + record.terms
    return _Place(record.escrow, call, f"agreement {record.agreement.hex()[:16]}…")


def _check_id(chain: Chain, record: Settled, place: _Place) -> None:
    try:
        found = chain.call(place.contract, place.id_call)
    except RevertedError as exc:
        raise ProofError("settlement", f"{place.name}: 0x{place.contract.hex()} is no such contract") from exc
    if found != record.claim:
        what = "this policy is cover" if isinstance(record, Payout) else "these terms are agreement"
        raise ProofError("settlement", f"{place.name}: {what} {found.hex()}")


def _has_paid(receipt: Receipt, record: Settled) -> bool:
    about = (record.claim, record.leg_id)
    if isinstance(record, Payout):
        amounts = (record.amount, Policy.decode(record.policy).maximum - record.amount)
        return _has_concluded(receipt, record.contract, about, (*amounts, record.reached), record.owed)
    if record.version == 1:
        rest = max(terms_of(record).bond - record.amount, 0)
        kind = uint_word(KINDS.index(record.kind) + 1)
        data = uint_word(record.amount) + uint_word(rest)
        return has_event(receipt, record.escrow, (SETTLED, *about, kind), data)
    said = (record.penalty, record.rest, record.reached)
    return _has_concluded(receipt, record.escrow, about, said, record.owed)


def _has_concluded(
    receipt: Receipt, contract: bytes, about: tuple[bytes, bytes], said: tuple[int, ...], owed: int
) -> bool:
    """The end as stated, and of it owed what is stated."""
    found = [
        event.data for event in receipt.events if (event.address, event.topics) == (contract, (OWED, *about))
    ]
    data = b"".join(map(uint_word, said))
    wanted = [uint_word(owed)] if owed else []
    return has_event(receipt, contract, (CONCLUDED, *about), data) and found == wanted


def _check_used_up(chain: Chain, settlement: Settlement, place: _Place) -> None:
    """Less than a leg makes due is right only where the agreement's penalties have come to the whole bond."""
    words = chain.call(settlement.escrow, AGREEMENT_OF + settlement.agreement)
    penalty, bond = int.from_bytes(words[64:96], "big"), terms_of(settlement).bond
    if penalty != bond:
        raise ProofError(
            "settlement", f"{place.name}: less than is due, though only {penalty} of {bond} is used up"
        )


def _check_calibrations(chain: Chain, record: Settled, sent_ms: int, place: _Place, first_block: int) -> None:
    """The certificates that the record counts with are those that the contract's registry had when it looked."""
    terms, leg, block = judged_by(record), leg_of(record), record.block_number
    ended = chain.block(block)
    if ended is not None and ended.time_s >= leg.deadline_s + terms.window_s:
        looked = _shown(chain, record, place, first_block)
    else:
        looked = sent_ms, block
    found = () if looked is None else _uncertainties(chain, record, place, *looked)
    if found != record.uncertainties:
        raise ProofError(
            "settlement",
            f"{place.name}: the registry's calibrations are {found}, stated {record.uncertainties}",
        )


def _shown(chain: Chain, record: Settled, place: _Place, first_block: int) -> tuple[int, int] | None:
    """Of the newest frame shown: when it was sent, and the block in which the contract looked at its certificates."""
    topics = [FRAME_SHOWN, record.claim, record.leg_id]
    events = chain.events(place.contract, topics, first_block, record.block_number)
    return (int.from_bytes(events[-1].data[32:64], "big"), events[-1].block_number) if events else None


def _uncertainties(
    chain: Chain, record: Settled, place: _Place, sent_ms: int, block: int
) -> tuple[tuple[int, int], ...]:
    terms, gateway_id = judged_by(record), leg_of(record).gateway_id
    registry = chain.call(place.contract, GATEWAYS, tag=block)[12:]
    most, channels = terms.uncertainty_max_milli, channels_of(terms.tiers)
    return uncertainties_at(chain, registry, gateway_id, channels, sent_ms, most, block)
