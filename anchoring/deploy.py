"""Puts the contracts on a chain and enrols tenant and gateways. Short enough for the demo to call at every start."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from anchoring.administration import administer
from anchoring.equal import Creator, EqualCreator
from lading import abi
from lading.account import Account
from lading.chain import Chain
from lading.cose import ALGORITHM_P256, PublicKey
from lading.deployment import Deployment
from lading.errors import ServiceError
from lading.fields import U64_MAX
from lading.names import tenant_id
from lading.wallet import Wallet

OUTFLOW_MAX = 10**15  # of the demo token's smallest units, over OUTFLOW_PERIOD_S
OUTFLOW_PERIOD_S = 86_400


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """A gateway to register: its key and from when until when it may speak. `valid_until_ms` None: no end."""

    public: PublicKey
    valid_from_ms: int = 0
    valid_until_ms: int | None = None


def deploy(
    chain: Chain,
    deployer: Account,
    anchorer: bytes,
    window_s: int,
    token: bytes | None = None,
    creator: Creator | None = None,
    is_managed: bool = False,
    outflow_max: int | None = None,
) -> Deployment:
    """All contracts; the deployer is registrar, guardian and steward. Without a token, a test token that anyone mints.

    `window_s`: seconds from an anchor to its finality in the registry. `creator`: None makes new contracts, an
    `EqualCreator` goes on where it stopped. `is_managed`: an AccessManager has the three offices, and the deployer the
    manager, until `hand_over`. `outflow_max`: what each product may turn into credits in a day, in the token's smallest
    units; for good, so that only the test token has a default.
    """
    assert token is None or outflow_max is not None, "a token of somebody's wants an outflow limit"
    wallet = Wallet(chain, deployer)
    make = (creator or wallet).create
    block = chain.head().number
    manager = make("AccessManager", deployer.address).address if is_managed else None
    office = deployer.address if manager is None else manager
    gateways = make("GatewayRegistry", office)
    anchors = make("AnchorRegistry", anchorer, office, window_s)
    vault = make("CreditVault", office)
    escrow = make("PenaltyEscrow", gateways.address, anchors.address, vault.address)
    cover = make("ParametricCover", gateways.address, anchors.address, vault.address)
    token = make("MockToken").address if token is None else token
    if not vault.call("isAllowed", token):
        administer(wallet, manager, vault, "allowToken", token, True)
    for product in (escrow.address, cover.call("pools")):
        if not vault.call("outflowOf", product, token)[0]:
            limit = (outflow_max or OUTFLOW_MAX, OUTFLOW_PERIOD_S)
            administer(wallet, manager, vault, "admit", product, token, *limit)
    places = (gateways.address, anchors.address, vault.address, escrow.address, token)
    if isinstance(creator, EqualCreator) and creator.went_on:
        block = 0  # an earlier run began it, and nobody wrote down when
    return Deployment(chain.chain_id, block, *places, cover=cover.address, manager=manager)


def upgrade(deployment: Deployment, creator: Creator, wallet: Wallet) -> Deployment:
    """This version's escrow beside the deployment's, which stays for its open agreements; the same when it is this one.

    ServiceError under a manager while the steward has not admitted it: the text says what to schedule.
    """
    escrow = creator.create("PenaltyEscrow", deployment.gateways, deployment.anchors, deployment.vault)
    if escrow.address == deployment.escrow:
        return deployment
    vault = abi.at(wallet.chain, "CreditVault", deployment.vault)
    admitted: int = vault.call("outflowOf", escrow.address, deployment.token)[0]
    outflow_max, _, _, period_s = vault.call("outflowOf", deployment.escrow, deployment.token)
    limit = (outflow_max, period_s)  # as the escrow before has it
    if not admitted and deployment.manager is not None:
        what = f"vault admit 0x{escrow.address.hex()} 0x{deployment.token.hex()} {limit[0]} {limit[1]}"
        raise ServiceError(
            "administration",
            f"not admitted yet: the steward's `lading anchoring schedule {what}`, later `execute`, then this",
        )
    if not admitted:
        wallet.transact(vault, "admit", escrow.address, deployment.token, *limit)
    before = (*deployment.escrows_before, deployment.escrow)
    return replace(deployment, escrow=escrow.address, escrows_before=before)


def enrol_tenant(chain: Chain, deployment: Deployment, registrar: Account, tenant: str, admin: bytes) -> None:
    """Let `admin` register gateways of a tenant; nothing to do if it may already."""
    registry = abi.at(chain, "GatewayRegistry", deployment.gateways)
    if registry.call("adminOf", tenant_id(tenant)) != admin:
        wallet = Wallet(chain, registrar)
        administer(wallet, deployment.manager, registry, "enrolTenant", tenant_id(tenant), admin)


def register_gateways(
    chain: Chain, deployment: Deployment, admin: Account, tenant: str, keys: Iterable[GatewayKey]
) -> int:
    """Register the keys that are not there yet; how many."""
    registry = abi.at(chain, "GatewayRegistry", deployment.gateways)
    wallet, count = Wallet(chain, admin), 0
    for key in keys:
        x, y = (int.from_bytes(part, "big") for part in (key.public.x, key.public.y))
        if registry.call("gatewayOf", key.public.gateway_id)[0] == x:
            continue
        until_ms = U64_MAX if key.valid_until_ms is None else key.valid_until_ms
        wallet.transact(
            registry, "register", ALGORITHM_P256, x, y, tenant_id(tenant), key.valid_from_ms, until_ms
        )
        count += 1
    return count
