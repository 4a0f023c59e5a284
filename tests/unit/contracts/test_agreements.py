"""What carrier and shipper sign: one digest in Python, in eth-account and on the chain; files that only say that."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.agreements import (
    Agreement,
    AgreementFolder,
    Disclosure,
    decode_agreement,
    decode_agreement_v1,
    read_file,
    save,
    write_file,
)
from contracts.legs import begin_of, leg_terms
from contracts.typed_data import AnyTerms, Domain, agreement_id, terms_argument, typed_data, version_of
from lading import abi, topics
from lading.account import Account
from lading.assignment import sign_assignment
from lading.cose import KeySigner
from lading.errors import MalformedError, RejectedError, ServiceError
from lading.log import SqliteLog
from lading.names import LEG_SALT_BYTES, tenant_id
from lading.terms import Leg, Terms
from lading.terms_v1 import TermsV1
from lading.tiers import Metric, Tier
from tests.legs import OPERATOR, make_order
from tests.settling import CARRIER, DEPLOYER, LIMITS, SHIPPER, World

DOMAIN = Domain(31_337, b"\x11" * 20)
PLACES = ((2, DOMAIN), (1, Domain(31_337, b"\x12" * 20)))


def uints(bits: int) -> st.SearchStrategy[int]:
    """Whole numbers of so many bits, extremes included."""
    return st.integers(0, 2**bits - 1) | st.sampled_from((0, 1, 2**bits - 1))


tiers = st.builds(Tier, uints(16), st.sampled_from(Metric).map(int), uints(128), uints(128))
words, addresses = st.binary(min_size=32, max_size=32), st.binary(min_size=20, max_size=20)
parties, times = (addresses, addresses, addresses, words), (uints(64), uints(64), uints(64))
legs = st.builds(Leg, words, words, words, *times)
some_tiers, some_legs = st.lists(tiers, max_size=4).map(tuple), st.lists(legs, max_size=3).map(tuple)
any_terms: st.SearchStrategy[AnyTerms] = st.one_of(
    st.builds(
        Terms, *parties, uints(32), uints(32), uints(128), uints(128), uints(128), some_legs, some_tiers
    ),
    st.builds(TermsV1, *parties, words, words, words, *times, uints(32), uints(128), uints(128), some_tiers),
)


def some_terms(**changed: object) -> Terms:
    """Terms with a leg and two tiers."""
    leg = Leg(b"\x44" * 32, b"\x55" * 32, b"\x66" * 32, 1, 2, 3)
    terms = Terms(
        CARRIER.address, SHIPPER.address, b"\x22" * 20, b"\x33" * 32, 4, 0, 6, 5, 7, (leg,),
        (Tier(0, 8, 0, 10), Tier(1, 1, 7, 20)),
    )  # fmt: skip
    return replace(terms, **changed)  # type: ignore[arg-type]


def terms_v1() -> TermsV1:
    """The same for the first escrow."""
    terms = some_terms()
    leg = terms.legs[0]
    return TermsV1(
        terms.carrier, terms.shipper, terms.token, terms.tenant, leg.gateway_id, leg.leg_id, leg.limits_hash, 1, 2, 3,
        4, 6, 7, terms.tiers,
    )  # fmt: skip


def undersigned(terms: AnyTerms, domain: Domain = DOMAIN) -> Agreement:
    return Agreement.sign(terms, domain, CARRIER, SHIPPER)


@given(any_terms)
@settings(max_examples=40, deadline=None)
def test_digest_is_eip_712(terms: AnyTerms) -> None:
    """The digest equals eth-account's of the JSON that wallets are given, and its signature is ours."""
    message = encode_typed_data(full_message=json.loads(json.dumps(typed_data(terms, DOMAIN))))
    signed = EthAccount.sign_message(message, b"\x01" * 32)
    digest = agreement_id(terms, DOMAIN)
    assert digest == bytes(signed.message_hash)
    assert Account(b"\x01" * 32).sign_digest(digest) == bytes(signed.signature)


@given(any_terms)
@settings(max_examples=40, deadline=None)
def test_terms_bytes_are_the_abi_encoding(terms: AnyTerms) -> None:
    """`encode` is what the ABI of the contract's version says, and decodes to the same."""
    name = "v1/PenaltyEscrow" if version_of(terms) == 1 else "PenaltyEscrow"
    call = abi.interface(name).encode_call("agreementId", terms_argument(terms))
    assert terms.encode() == call[4:]
    assert type(terms).decode(terms.encode()) == terms


def test_digest_is_the_chains(tmp_path: Path) -> None:
    """The escrow computes the same agreement id, for its own chain and address."""
    world = World(tmp_path)
    escrow = abi.at(world.chain, "PenaltyEscrow", world.deployment.escrow)
    terms = some_terms()
    assert escrow.call("agreementId", terms_argument(terms)) == agreement_id(terms, world.domain)
    assert agreement_id(terms, world.domain) != agreement_id(terms, DOMAIN)


def test_signatures_bind_parties_terms_and_place() -> None:
    """Swapped parties, other terms, another chain or escrow, and cut signatures are refused."""
    agreement = undersigned(some_terms())
    agreement.check()
    assert agreement.shipper_signature is not None
    wrong = [
        replace(agreement, carrier_signature=agreement.shipper_signature),
        replace(agreement, carrier_signature=None),
        replace(agreement, terms=some_terms(bond=8)),
        replace(agreement, terms=some_terms(tiers=agreement.terms.tiers[:1])),
        replace(agreement, terms=terms_v1()),
        replace(agreement, domain=Domain(1, DOMAIN.escrow)),
        replace(agreement, domain=Domain(31_337, b"\x12" * 20)),
        replace(agreement, shipper_signature=bytes(65)),
        replace(agreement, shipper_signature=agreement.shipper_signature[:64]),
        replace(agreement, shipper_signature=agreement.shipper_signature[:64] + b"\x1d"),
    ]
    for one in wrong:
        with pytest.raises(RejectedError, match="signature"):
            one.check()


def test_each_party_signs_where_its_key_is(tmp_path: Path) -> None:
    """The file goes from the drafter to the carrier and on to the shipper; each adds its signature; nobody else can."""
    path = tmp_path / "shipment.agreement"
    write_file(path, Agreement(some_terms(), DOMAIN, (None,)))
    with pytest.raises(RejectedError, match=r"party: .* is no party, wanted the carrier"):
        read_file(path).signed_by(DEPLOYER)
    write_file(path, read_file(path).signed_by(CARRIER))
    assert read_file(path).missing == ("shipper",)
    elsewhere = SHIPPER.sign_digest(read_file(path).id)
    write_file(path, read_file(path).with_signature(elsewhere))
    assert (read_file(path).missing, read_file(path)) == ((), undersigned(some_terms()))
    read_file(path).check()
    with pytest.raises(RejectedError, match="party"):
        read_file(path).with_signature(DEPLOYER.sign_digest(read_file(path).id))


@pytest.mark.parametrize("signed", [0, 1, 2])
def test_agreement_document_has_one_encoding(signed: int) -> None:
    """An agreement decodes to itself; any byte changed, cut or added is refused or is another agreement."""
    order = make_order(LIMITS)
    terms = some_terms(legs=(leg_terms(order, 3),))
    agreement = Agreement(terms, DOMAIN, (Disclosure.of(order),))
    for account in (CARRIER, SHIPPER)[:signed]:
        agreement = agreement.signed_by(account)
    data = agreement.encoded
    assert decode_agreement(data) == agreement
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            found = decode_agreement(changed)
        except MalformedError:
            continue
        assert found != agreement
        assert found.encoded == changed
        if signed == 2:
            with pytest.raises(RejectedError):
                found.check()
    for other in (data[:-1], data + b"\0", b""):
        with pytest.raises(MalformedError):
            decode_agreement(other)


def test_document_of_the_first_version_is_what_it_was() -> None:
    """Frozen: the bytes that installations have, for the escrow in whose domain they were signed."""
    agreement = undersigned(terms_v1())
    assert agreement.encoded[:22] == b"\x84\x72lading/agreement/1\x59\x03"
    assert decode_agreement_v1(agreement.encoded, DOMAIN) == agreement
    with pytest.raises(MalformedError):
        decode_agreement(agreement.encoded)


def test_disclosures_are_what_the_terms_hold_hashes_of() -> None:
    """Whoever signs reads the leg's own reference and limits: others are refused, and may be left out."""
    order = make_order(LIMITS)
    terms = some_terms(legs=(leg_terms(order, 3),))
    shown = Disclosure.of(order)
    for wrong in (replace(shown, reference="another"), replace(shown, salt=b"\1" * 16)):
        with pytest.raises(MalformedError, match="disclosure"):
            decode_agreement(Agreement(terms, DOMAIN, (wrong,)).encoded)
    assert decode_agreement(Agreement(terms, DOMAIN, (None,)).encoded).disclosures == (None,)
    with pytest.raises(MalformedError):
        decode_agreement(Agreement(terms, DOMAIN, (shown, shown)).encoded)


def test_folder_takes_what_comes_and_names_what_is_none(tmp_path: Path) -> None:
    """Agreements show up when their file is there, of each escrow served; others are named, and hold none up."""
    folder = AgreementFolder(tmp_path, PLACES)
    assert folder() == {}
    new, old = undersigned(some_terms()), undersigned(terms_v1(), PLACES[1][1])
    for one in (new, old):
        save(tmp_path, one)
    unknown = undersigned(some_terms(), Domain(31_337, b"\x13" * 20))
    (tmp_path / "bad.agreement").write_bytes(b"\x00")
    write_file(tmp_path / "half.agreement", replace(new, shipper_signature=None))
    write_file(tmp_path / "of-another-escrow.agreement", unknown)
    write_file(tmp_path / "old-unknown.agreement", undersigned(terms_v1()))
    assert folder() == {new.id: new, old.id: old}
    problems = folder.problems
    assert list(problems) == [
        "bad.agreement",
        "half.agreement",
        "of-another-escrow.agreement",
        "old-unknown.agreement",
    ]
    assert "not signed yet" in problems["half.agreement"]
    assert "deployment.json" in problems["of-another-escrow.agreement"]


def test_a_file_that_cannot_be_read_is_named_until_it_can(tmp_path: Path) -> None:
    """A folder, a link to nowhere, a file half copied: named, and read again once they have changed; or forgotten."""
    folder = AgreementFolder(tmp_path, PLACES)
    good = undersigned(some_terms())
    (tmp_path / "folder.agreement").mkdir()
    (tmp_path / "link.agreement").symlink_to(tmp_path / "nowhere")
    (tmp_path / "half.agreement").write_bytes(good.encoded[:100])
    for _ in range(2):
        assert folder() == {}
        assert folder.problems.keys() == {"folder.agreement", "link.agreement", "half.agreement"}
    (tmp_path / "folder.agreement").rmdir()
    (tmp_path / "half.agreement").write_bytes(good.encoded)
    assert folder() == {good.id: good}
    assert folder.problems.keys() == {"link.agreement"}
    (tmp_path / "nowhere").write_bytes(good.encoded)
    assert folder() == {good.id: good}
    assert folder.problems == {}


def test_another_operators_orders_are_passed_over(tmp_path: Path) -> None:
    """Tenants share a log: what another's operator signed, under the same reference too, is no leg of this one's."""
    log, own = SqliteLog(tmp_path / "log.sqlite"), make_order(LIMITS)
    foreign = sign_assignment(replace(own, tenant=tenant_id("north")), KeySigner.from_seed(b"north"))
    mine = sign_assignment(own, OPERATOR)
    log.append(topics.ASSIGNMENTS, [(own.gateway, message) for message in (foreign, mine, foreign)])
    assert begin_of(log, OPERATOR.public, own.reference) == own
    with pytest.raises(ServiceError, match="no leg that was begun"):
        begin_of(log, OPERATOR.public, "another")


def test_money_hangs_on_one_leg(tmp_path: Path) -> None:
    """A reference that several legs have is refused with their ids, and never taken for the newest; an id does."""
    log, first = SqliteLog(tmp_path / "log.sqlite"), make_order(LIMITS)
    second = replace(first, salt=b"\x77" * LEG_SALT_BYTES, order_seq=first.order_seq + 1)
    log.append(topics.ASSIGNMENTS, [(one.gateway, sign_assignment(one, OPERATOR)) for one in (first, second)])
    with pytest.raises(ServiceError, match=rf"{second.leg_id.hex()[:16]}.*wanted one leg"):
        begin_of(log, OPERATOR.public, first.reference)
    assert begin_of(log, OPERATOR.public, first.leg_id.hex()[:8]) == first
