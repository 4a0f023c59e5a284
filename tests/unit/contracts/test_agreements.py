"""What carrier and shipper sign: one digest in Python, in eth-account and on the chain; files that only say that."""

from dataclasses import astuple, replace
from pathlib import Path

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.agreements import Agreement, AgreementFolder, Domain, agreement_id, save
from contracts.drafting import Draft, make_terms, newest_begin
from contracts.stage import terms_argument
from lading import abi, topics
from lading.account import Account
from lading.assignment import sign_assignment
from lading.cose import KeySigner
from lading.errors import MalformedError, RejectedError, ServiceError
from lading.log import SqliteLog
from lading.mkt import weight
from lading.names import tenant_id
from lading.terms import Metric, Terms, Tier
from tests.legs import OPERATOR, make_order
from tests.settling import CARRIER, LIMITS, SHIPPER, World

DOMAIN = Domain(31_337, b"\x11" * 20)


def uints(bits: int) -> st.SearchStrategy[int]:
    """Whole numbers of so many bits, extremes included."""
    return st.integers(0, 2**bits - 1) | st.sampled_from((0, 1, 2**bits - 1))


tiers = st.builds(Tier, uints(16), st.sampled_from(Metric).map(int), uints(128), uints(128))
words, addresses = st.binary(min_size=32, max_size=32), st.binary(min_size=20, max_size=20)
any_terms = st.builds(
    Terms,
    addresses,
    addresses,
    addresses,
    words,
    words,
    words,
    words,
    uints(64),
    uints(64),
    uints(64),
    uints(32),
    uints(128),
    uints(128),
    st.lists(tiers, max_size=4).map(tuple),
)


def typed_data(terms: Terms) -> dict[str, object]:
    """The same for eth-account."""
    names = ["carrier", "shipper", "token", "tenant", "gatewayId", "legId", "limitsHash"]
    names += ["beginMs", "dueMs", "deadlineS", "windowS", "bond", "salt"]
    kinds = ["address"] * 3 + ["bytes32"] * 4 + ["uint64"] * 3 + ["uint32", "uint128", "uint128"]
    *values, tier_values = astuple(terms)
    values = [
        "0x" + value.hex() if isinstance(value, bytes) and len(value) == 20 else value for value in values
    ]
    tier_names = {"channel": "uint16", "metric": "uint8", "threshold": "uint128", "amount": "uint128"}
    return {
        "domain": {
            "name": "Lading PenaltyEscrow",
            "version": "1",
            "chainId": DOMAIN.chain_id,
            "verifyingContract": "0x" + DOMAIN.escrow.hex(),
        },
        "primaryType": "Terms",
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Terms": [{"name": name, "type": kind} for name, kind in zip(names, kinds, strict=True)]
            + [{"name": "tiers", "type": "Tier[]"}],
            "Tier": [{"name": name, "type": kind} for name, kind in tier_names.items()],
        },
        "message": dict(zip(names, values, strict=True))
        | {"tiers": [dict(zip(tier_names, tier, strict=True)) for tier in tier_values]},
    }


def some_terms() -> Terms:
    """Terms with two tiers."""
    return Terms(
        CARRIER.address,
        SHIPPER.address,
        b"\x22" * 20,
        b"\x33" * 32,
        b"\x44" * 32,
        b"\x55" * 32,
        b"\x66" * 32,
        1,
        2,
        3,
        4,
        5,
        6,
        (Tier(0, 8, 0, 10), Tier(1, 1, 7, 20)),
    )


@given(any_terms)
@settings(max_examples=25, deadline=None)
def test_digest_is_eip_712(terms: Terms) -> None:
    """The digest equals eth-account's of the same typed data, and eth-account's signature is taken."""
    message = encode_typed_data(full_message=typed_data(terms))
    signed = EthAccount.sign_message(message, b"\x01" * 32)
    digest = agreement_id(terms, DOMAIN)
    assert digest == bytes(signed.message_hash)
    assert Account(b"\x01" * 32).sign_digest(digest) == bytes(signed.signature)


@given(any_terms)
@settings(max_examples=25, deadline=None)
def test_terms_bytes_are_the_abi_encoding(terms: Terms) -> None:
    """`Terms.encode` is what the contract's ABI says, and decodes to the same."""
    call = abi.interface("PenaltyEscrow").encode_call("agreementId", terms_argument(terms))
    assert terms.encode() == call[4:]
    if terms.tiers:
        assert Terms.decode(terms.encode()) == terms


def test_digest_is_the_chains(tmp_path: Path) -> None:
    """The escrow computes the same agreement id, for its own chain and address."""
    world = World(tmp_path)
    escrow = abi.at(world.chain, "PenaltyEscrow", world.deployment.escrow)
    terms = some_terms()
    assert escrow.call("agreementId", terms_argument(terms)) == agreement_id(terms, world.domain)
    assert agreement_id(terms, world.domain) != agreement_id(terms, DOMAIN)


def test_signatures_bind_parties_terms_and_place() -> None:
    """Swapped parties, other terms, another chain or escrow, and cut signatures are refused."""
    agreement = Agreement.sign(some_terms(), DOMAIN, CARRIER, SHIPPER)
    agreement.check(DOMAIN)
    wrong = [
        replace(agreement, carrier_signature=agreement.shipper_signature),
        replace(agreement, terms=replace(agreement.terms, bond=6)),
        replace(agreement, terms=replace(agreement.terms, tiers=agreement.terms.tiers[:1])),
        replace(agreement, shipper_signature=bytes(65)),
        replace(agreement, shipper_signature=agreement.shipper_signature[:64]),
        replace(agreement, shipper_signature=agreement.shipper_signature[:64] + b"\x1d"),
    ]
    for one in wrong:
        with pytest.raises(RejectedError, match="signature"):
            one.check(DOMAIN)
    for domain in (Domain(1, DOMAIN.escrow), Domain(31_337, b"\x12" * 20)):
        with pytest.raises(RejectedError, match="signature"):
            agreement.check(domain)


def test_agreement_document_has_one_encoding() -> None:
    """An agreement decodes to itself; any byte changed, cut or added is refused or is another signature or terms."""
    agreement = Agreement.sign(some_terms(), DOMAIN, CARRIER, SHIPPER)
    data = agreement.encoded
    assert Agreement.decode(data) == agreement
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises((MalformedError, RejectedError)):
            Agreement.decode(changed).check(DOMAIN)
    for other in (data[:-1], data + b"\0", b""):
        with pytest.raises(MalformedError):
            Agreement.decode(other)


def test_folder_takes_what_comes_and_names_what_is_none(tmp_path: Path) -> None:
    """Agreements show up when their file is there; a broken one is named and does not hold the others up."""
    folder = AgreementFolder(tmp_path, DOMAIN)
    assert folder() == {}
    agreement = Agreement.sign(some_terms(), DOMAIN, CARRIER, SHIPPER)
    save(tmp_path, agreement, DOMAIN)
    (tmp_path / "bad.agreement").write_bytes(b"\x00")
    assert folder() == {agreement_id(agreement.terms, DOMAIN): agreement}
    assert list(folder.problems) == ["bad.agreement"]


def test_draft_thresholds_are_in_the_units_of_limits() -> None:
    """Written thresholds become what the escrow compares: weights, shifted values; tiers in order."""
    document = {
        "bond": 10,
        "deadline_s": 100,
        "window_s": 60,
        "tier": [
            {"channel": 1, "metric": "max_value", "threshold": 25_000, "amount": 1},
            {"channel": 1, "metric": "min_value", "threshold": -5_000, "amount": 2},
            {"channel": 1, "metric": "mkt", "threshold": 8_000, "amount": 3},
            {"channel": 0, "metric": "late_ms", "threshold": 0, "amount": 4},
        ],
    }
    order = make_order(LIMITS, due_ms=5_000)
    terms = make_terms(Draft.model_validate(document), order, b"\1" * 20, b"\2" * 20, b"\3" * 20, 9)
    assert terms.tiers == (
        Tier(0, Metric.LATE_MS, 0, 4),
        Tier(1, Metric.MKT, weight(8_000), 3),
        Tier(1, Metric.MAX_VALUE, 25_000 + 2**31, 1),
        Tier(1, Metric.MIN_VALUE, 2**31 + 5_000, 2),
    )
    assert (terms.deadline_s, terms.limits_hash, terms.due_ms) == (105, LIMITS.hash, 5_000)
    with pytest.raises(MalformedError, match="wanted one of above_ms"):
        make_terms(
            Draft.model_validate(document | {"tier": [document["tier"][0] | {"metric": "heat"}]}),  # type: ignore[index]
            order,
            b"\1" * 20,
            b"\2" * 20,
            b"\3" * 20,
            9,
        )


def test_another_operators_orders_are_passed_over(tmp_path: Path) -> None:
    """Tenants share a log: what another's operator signed, under the same reference too, is no leg of this one's."""
    log, own = SqliteLog(tmp_path / "log.sqlite"), make_order(LIMITS)
    foreign = sign_assignment(replace(own, tenant=tenant_id("north")), KeySigner.from_seed(b"north"))
    mine = sign_assignment(own, OPERATOR)
    log.append(topics.ASSIGNMENTS, [(own.gateway, message) for message in (foreign, mine, foreign)])
    assert newest_begin(log, OPERATOR.public, own.reference) == own
    with pytest.raises(ServiceError, match="no begin order"):
        newest_begin(log, OPERATOR.public, "another")
