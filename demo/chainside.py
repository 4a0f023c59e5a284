"""The chain of the demo: an in-process EVM with the contracts, the parties' accounts, and the agreements."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from anchoring.deploy import GatewayKey, deploy, enrol_tenant, register_gateways
from contracts.agreements import Agreement, Disclosure
from contracts.legs import leg_terms
from contracts.parties import deposit, mint
from contracts.typed_data import Domain
from lading.account import Account
from lading.assignment import Assignment
from lading.chain import Chain
from lading.cose import PublicKey
from lading.deployment import Deployment
from lading.evm import EvmNode
from lading.sending import Fees, Sender
from lading.terms import Terms
from lading.tiers import Tier

ETHER = 10**18
COIN = 10**6  # the test token has 6 decimals
CURRENCY, DECIMALS = "TEST", 6
BOND = 2_000 * COIN
WINDOW_S = 48 * 3600  # an anchor may be contested for two days: longer than a rollup's forced inclusion
SAFE_DEPTH, FINALIZED_DEPTH = 1, 2


@dataclass
class Chainside:
    """Contracts deployed, gateways enrolled, bonds put up; `now_s` is the demo's clock."""

    seed: bytes
    now_s: Callable[[], int]
    tenant: str
    gateways: list[PublicKey]
    agreements: dict[bytes, Agreement] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.accounts = {
            name: Account.from_seed(self.seed + name.encode())
            for name in ("deployer", "anchorer", "settler", "carrier", "shipper")
        }
        self.node = EvmNode(
            {account.address: 100 * ETHER for account in self.accounts.values()},
            self.now_s,
            safe_depth=SAFE_DEPTH,
            finalized_depth=FINALIZED_DEPTH,
        )
        self.chain = Chain(self.node)
        deployer = self.accounts["deployer"]
        self.deployment: Deployment = deploy(
            self.chain, deployer, self.accounts["anchorer"].address, WINDOW_S
        )
        enrol_tenant(self.chain, self.deployment, deployer, self.tenant, deployer.address)
        keys = [GatewayKey(key) for key in self.gateways]
        register_gateways(self.chain, self.deployment, deployer, self.tenant, keys)
        self.domain = Domain(self.chain.chain_id, self.deployment.escrow)

    def sender(self, name: str, folder: Path) -> Sender:
        """The transaction outbox of one account."""
        return Sender(self.chain, self.accounts[name], folder / f"{name}-outbox.sqlite", Fees())

    def agree(self, leg: Assignment, tiers: tuple[Tier, ...], deadline_s: int) -> Agreement:
        """Carrier and shipper sign terms for a leg, and the carrier puts up its bond."""
        carrier, shipper = self.accounts["carrier"], self.accounts["shipper"]
        mint(self.chain, self.deployment, carrier, BOND)
        deposit(self.chain, self.deployment, carrier, BOND)
        terms = Terms(
            carrier.address,
            shipper.address,
            self.deployment.token,
            leg.tenant,
            WINDOW_S,
            0,
            BOND,
            BOND,
            len(self.agreements),
            (leg_terms(leg, deadline_s),),
            tuple(sorted(tiers, key=lambda tier: (tier.channel, tier.metric, tier.threshold))),
        )
        drafted = Agreement(terms, self.domain, (Disclosure.of(leg),))
        agreement = drafted.signed_by(carrier).signed_by(shipper)
        self.agreements[agreement.id] = agreement
        return agreement
