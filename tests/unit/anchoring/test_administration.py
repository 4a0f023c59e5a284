"""The contracts are at the same addresses everywhere, and after the hand-over nobody changes anything at once."""

from dataclasses import replace

import pytest

from anchoring.administration import (
    ADMIN,
    DAY_S,
    GUARDIAN,
    ROLES,
    STEWARD,
    Holders,
    hand_over,
    members,
    problems,
)
from anchoring.deploy import deploy, enrol_tenant, upgrade
from anchoring.equal import (
    PROXY,
    PROXY_CODE,
    PROXY_COST_WEI,
    PROXY_SIGNER,
    PROXY_TRANSACTION,
    EqualCreator,
)
from anchoring.verifying import addresses, findings
from lading import abi
from lading.account import Account
from lading.chain import Chain, RevertedError
from lading.deployment import Deployment
from lading.errors import ServiceError
from lading.evm import EvmNode
from lading.names import tenant_id
from lading.wallet import Wallet

DEPLOYER, ANCHORER, ADMIN_KEY, WATCH, THIEF = (
    Account.from_seed(name) for name in (b"deployer", b"anchorer", b"admin", b"watch", b"thief")
)
ACCOUNTS = (DEPLOYER, ANCHORER, ADMIN_KEY, WATCH, THIEF)
HOLDERS = Holders(ADMIN_KEY.address, ADMIN_KEY.address, ADMIN_KEY.address, WATCH.address, ADMIN_KEY.address)
START_S, WINDOW_S = 1_700_000_000, 3 * DAY_S


class Site:
    """A chain whose time moves when told, with contracts under a manager that the deployer still has."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.node = EvmNode({one.address: 10**24 for one in ACCOUNTS}, lambda: self.now_s)
        self.chain = Chain(self.node)
        self.deployer = Wallet(self.chain, DEPLOYER)
        self.deployment = self.deploy()
        assert self.deployment.manager is not None
        self.manager = abi.at(self.chain, "AccessManager", self.deployment.manager)
        self.vault = abi.at(self.chain, "CreditVault", self.deployment.vault)

    def deploy(self) -> Deployment:
        """What `lading anchoring deploy --admin delayed` does first."""
        creator = EqualCreator(self.deployer)
        return deploy(self.chain, DEPLOYER, ANCHORER.address, WINDOW_S, None, creator, is_managed=True)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def handed(site: Site) -> Site:
    enrol_tenant(site.chain, site.deployment, DEPLOYER, "acme", DEPLOYER.address)
    hand_over(site.deployer, site.deployment, HOLDERS)
    return site


def test_proxy_is_the_one_everybody_uses(site: Site) -> None:
    """The presigned transaction carries the code, and paid by its signer it was put at the address known for it."""
    assert PROXY_CODE in PROXY_TRANSACTION
    assert site.chain.code(PROXY) == PROXY_CODE
    assert site.chain.nonce(PROXY_SIGNER) == 1
    assert site.chain.balance(PROXY_SIGNER) < PROXY_COST_WEI


def test_addresses_follow_from_keys_and_window(site: Site) -> None:
    """They are known before, the same on another chain, and change with deployer, anchorer and window."""
    wanted = addresses(DEPLOYER.address, ANCHORER.address, WINDOW_S, is_managed=True)
    assert {name: getattr(site.deployment, name) for name in wanted} == wanted
    assert replace(Site().deployment, block=0) == replace(site.deployment, block=0)
    others = [
        addresses(THIEF.address, ANCHORER.address, WINDOW_S, is_managed=True),
        addresses(DEPLOYER.address, THIEF.address, WINDOW_S, is_managed=True),
        addresses(DEPLOYER.address, ANCHORER.address, WINDOW_S + 1, is_managed=True),
    ]
    assert all(one["escrow"] != wanted["escrow"] for one in others)


def test_deploying_goes_on_where_it_stopped(site: Site) -> None:
    """A second run finds everything, sends nothing, and counts events from the chain's first block."""
    nonce = site.chain.nonce(DEPLOYER.address)
    assert site.deploy() == replace(site.deployment, block=0)
    assert site.chain.nonce(DEPLOYER.address) == nonce


def test_nobody_acts_at_once_after_the_hand_over(handed: Site) -> None:
    """Every administrative function, called by each account through the manager or past it, is refused."""
    assert findings(handed.chain, handed.deployment) == []
    anchored = (b"\1" * 32, 1, START_S)
    calls = {
        "vault": [("allowToken", THIEF.address, True), ("admit", THIEF.address, THIEF.address, 1, 1)],
        "gateways": [("enrolTenant", tenant_id("other"), THIEF.address)],
        "anchors": [("setAnchorer", THIEF.address), ("endContest", 1, anchored, True)],
        "manager": [
            ("grantRole", STEWARD.number, THIEF.address, 0),
            ("setTargetFunctionRole", handed.deployment.vault, [b"\0" * 4], 0),
            ("updateAuthority", handed.deployment.vault, THIEF.address),
        ],
    }
    contracts = {role.field: role.contract for role in ROLES}
    for account in ACCOUNTS:
        wallet = Wallet(handed.chain, account)
        for field, tries in calls.items():
            target = abi.at(handed.chain, contracts[field], getattr(handed.deployment, field))
            for function, *arguments in tries:
                with pytest.raises(RevertedError):
                    wallet.transact(target, function, *arguments)
                with pytest.raises(RevertedError):
                    wallet.transact(
                        handed.manager,
                        "execute",
                        target.address,
                        target.interface.encode_call(function, *arguments),
                    )


def test_the_steward_acts_after_seven_days(handed: Site) -> None:
    """Scheduled, refused a second early, executed then: a token is allowed."""
    wallet = Wallet(handed.chain, ADMIN_KEY)
    call = handed.vault.interface.encode_call("allowToken", THIEF.address, True)
    wallet.transact(handed.manager, "schedule", handed.vault.address, call, 0)
    handed.now_s = handed.chain.head().time_s + 7 * DAY_S - 2
    with pytest.raises(RevertedError, match="AccessManagerNotReady"):
        wallet.transact(handed.manager, "execute", handed.vault.address, call)
    handed.now_s += 3
    wallet.transact(handed.manager, "execute", handed.vault.address, call)
    assert handed.vault.call("isAllowed", THIEF.address)


def test_the_hand_over_refuses_what_would_lock_out(site: Site) -> None:
    """The deployer in a role, or one account for admin and guardian: refused, and the deployer keeps the manager."""
    for holders in (replace(HOLDERS, keeper=DEPLOYER.address), replace(HOLDERS, guardian=ADMIN_KEY.address)):
        with pytest.raises(ServiceError, match="administration"):
            hand_over(site.deployer, site.deployment, holders)
    assert site.manager.call("hasRole", ADMIN.number, DEPLOYER.address) == (True, 0)


def test_role_with_zero_delay_by_mistake_is_found(site: Site) -> None:
    """A steward without delay stops the hand-over before the deployer gives up, and verifying names it."""
    site.deployer.transact(site.manager, "grantRole", STEWARD.number, THIEF.address, 0)
    with pytest.raises(ServiceError, match=r"steward with a delay of 0 s, wanted 604800 s"):
        hand_over(site.deployer, site.deployment, HOLDERS)
    site.deployer.transact(site.manager, "revokeRole", STEWARD.number, THIEF.address)
    hand_over(site.deployer, site.deployment, HOLDERS)
    assert problems(site.chain, site.deployment) == []
    assert members(site.chain, site.deployment)[GUARDIAN.number, WATCH.address] == 0


def test_admin_renounced_too_early_is_found(site: Site) -> None:
    """A deployer that gave up the manager before the others had it: verifying says that nobody is left."""
    site.deployer.transact(site.manager, "renounceRole", ADMIN.number, DEPLOYER.address)
    found = [one.text for one in findings(site.chain, site.deployment)]
    assert "nobody is admin" in found
    assert "CreditVault.allowToken is of role 0, wanted 1 (steward)" in found


def test_verifying_says_what_differs(handed: Site) -> None:
    """Another contract, none, other parameters and an escrow that is not admitted are each told by name."""
    chain, right = handed.chain, handed.deployment
    direct = deploy(chain, DEPLOYER, ANCHORER.address, 60)
    assert findings(chain, direct) == []
    for deployment, contract, text in (
        (replace(right, vault=right.anchors), "CreditVault", "is not the committed one"),
        (replace(right, gateways=b"\7" * 20), "GatewayRegistry", "nothing is at"),
        (replace(right, escrow=direct.escrow), "PenaltyEscrow", "wanted one of the parameters"),
        (replace(right, vault=direct.vault), "CreditVault", "wanted one of the parameters"),
        (replace(right, token=THIEF.address), "CreditVault", "is not allowed"),
        (replace(right, escrows_before=(right.vault,)), "PenaltyEscrow", "is no earlier escrow's"),
    ):
        found = findings(chain, deployment)
        assert any(one.contract == contract and text in one.text for one in found), (contract, found)


def test_an_upgrade_keeps_the_escrow_before(handed: Site) -> None:
    """Under direct keys it is admitted at once, to the old one's limit; under a manager the text says what to do."""
    creator = EqualCreator(handed.deployer)
    direct = deploy(handed.chain, DEPLOYER, ANCHORER.address, 60)
    first = handed.deployer.create("v1/PenaltyEscrow", direct.gateways, direct.anchors, direct.vault)
    vault = abi.at(handed.chain, "CreditVault", direct.vault)
    handed.deployer.transact(vault, "admit", first.address, direct.token, 77_000_000, 3_600)
    direct = replace(direct, escrow=first.address)
    after = upgrade(direct, creator, handed.deployer)
    assert after.escrow != direct.escrow
    assert after == replace(direct, escrow=after.escrow, escrows_before=(direct.escrow,))
    assert findings(handed.chain, after) == []
    assert vault.call("outflowOf", after.escrow, after.token)[::3] == (77_000_000, 3_600)
    assert upgrade(after, creator, handed.deployer) == after
    older = replace(
        handed.deployment, vault=direct.vault
    )  # whose escrow is to be another, and is not admitted
    with pytest.raises(ServiceError, match="lading anchoring schedule vault admit 0x"):
        upgrade(replace(older, token=THIEF.address), creator, handed.deployer)


def test_a_token_of_many_decimals_has_its_own_outflow_limit(site: Site) -> None:
    """The test token's would hold capital back for ever; what was told counts for both products."""
    token = site.deployer.create("MockToken").address
    found = deploy(site.chain, DEPLOYER, ANCHORER.address, 60, token, outflow_max=10**27)
    vault = abi.at(site.chain, "CreditVault", found.vault)
    assert found.cover is not None
    pools = abi.at(site.chain, "ParametricCover", found.cover).call("pools")
    assert [vault.call("outflowOf", one, token)[0] for one in (found.escrow, pools)] == [10**27] * 2
