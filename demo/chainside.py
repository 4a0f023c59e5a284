"""The chain of the demo: an in-process EVM with the contracts, the parties' accounts, and the agreements."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from anchoring.deploy import GatewayKey, deploy, enrol_tenant, register_gateways
from contracts.agreements import Agreement, Disclosure
from contracts.covers import Cover
from contracts.insurance import Insurance
from contracts.legs import leg_terms
from contracts.parties import deposit, mint
from contracts.policies import PoolTerms
from contracts.typed_data import Domain
from lading import abi
from lading.account import Account
from lading.assignment import Assignment
from lading.chain import Chain
from lading.cose import PublicKey
from lading.deployment import Deployment
from lading.evm import EvmNode
from lading.policy import Policy
from lading.sending import Fees, Sender
from lading.terms import Terms
from lading.tiers import Tier

ETHER = 10**18
COIN = 10**6  # the test token has 6 decimals
CURRENCY, DECIMALS = "TEST", 6
BOND = 2_000 * COIN
POOL_CAPITAL = 20_000 * COIN
COVER_SPAN_S = 60 * 86_400
COVER_MAX, DEDUCTIBLE, PREMIUM = 1_000 * COIN, 100 * COIN, 40 * COIN
START_AFTER_S = 60  # a cover is bought as its leg begins, and starts before the first reading
WINDOW_S = 48 * 3600  # an anchor may be contested for two days: longer than a rollup's forced inclusion
SHOW_S = 2 * WINDOW_S  # after a deadline: what was anchored by then is final before it ends, contested or not
SAFE_DEPTH, FINALIZED_DEPTH = 1, 2


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame that was shown on chain after its leg's deadline; the leg's end, or a newer frame, takes its place."""

    agreement: bytes
    leg_id: bytes
    frame_seq: int
    sent_ms: int
    penalty: int
    tx_hash: bytes


@dataclass
class Chainside:
    """Contracts deployed, gateways enrolled, bonds put up; `now_s` is the demo's clock."""

    seed: bytes
    now_s: Callable[[], int]
    tenant: str
    gateways: list[PublicKey]
    agreements: dict[bytes, Agreement] = field(default_factory=dict)
    covers: dict[bytes, Cover] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.accounts = {
            name: Account.from_seed(self.seed + name.encode())
            for name in ("deployer", "anchorer", "settler", "carrier", "shipper", "insurer")
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
        self.insurance = Insurance(self.chain, self.deployment)
        self.pool = self._fill_pool()
        self._told = 0

    def _fill_pool(self) -> bytes:
        """The insurer's pool, with its own capital."""
        insurer = self.accounts["insurer"]
        pool = PoolTerms(
            insurer.address, self.deployment.token, COVER_MAX, POOL_CAPITAL, 0, COVER_SPAN_S, WINDOW_S, 0
        )
        self.insurance.open_pool(insurer, pool)
        pool_id = pool.pool_id(self.insurance.pools_domain)
        mint(self.chain, self.deployment, insurer, POOL_CAPITAL)
        self.insurance.add(insurer, pool_id, POOL_CAPITAL)
        return pool_id

    def shown(self) -> list[ShownFrame]:
        """Every frame that was shown, in the chain's order."""
        escrow = abi.at(self.chain, "PenaltyEscrow", self.deployment.escrow)
        return [
            ShownFrame(
                fields["agreement"],
                fields["legId"],
                fields["frameSeq"],
                fields["sentMs"],
                fields["penalty"],
                event.tx_hash,
            )
            for event, fields in escrow.events("FrameShown")
        ]

    def newly_shown(self) -> list[ShownFrame]:
        """Those since the last call."""
        found = self.shown()
        new, self._told = found[self._told :], len(found)
        return new

    def sender(self, name: str, folder: Path) -> Sender:
        """The transaction outbox of one account."""
        return Sender(self.chain, self.accounts[name], folder / f"{name}-outbox.sqlite", Fees())

    def agree(
        self, leg: Assignment, tiers: Iterable[Tier], deadline_s: int, window_s: int = SHOW_S
    ) -> Agreement:
        """Carrier and shipper sign terms for a leg, and the carrier puts up its bond."""
        carrier, shipper = self.accounts["carrier"], self.accounts["shipper"]
        mint(self.chain, self.deployment, carrier, BOND)
        deposit(self.chain, self.deployment, carrier, BOND)
        terms = Terms(
            carrier.address,
            shipper.address,
            self.deployment.token,
            leg.tenant,
            window_s,
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

    def insure(self, leg: Assignment, tiers: tuple[Tier, ...], deadline_s: int) -> Cover:
        """The insurer quotes a cover over a leg that begins now, and the shipper buys it."""
        insurer, shipper = self.accounts["insurer"], self.accounts["shipper"]
        start_s = leg.begin_ms // 1000 + START_AFTER_S
        policy = Policy(
            self.pool,
            shipper.address,
            leg.tenant,
            start_s,
            start_s,
            SHOW_S,
            0,
            COVER_MAX,
            DEDUCTIBLE,
            PREMIUM,
            len(self.covers),
            replace(leg_terms(leg, deadline_s), begin_ms=start_s * 1000),
            tuple(sorted(tiers, key=lambda tier: (tier.channel, tier.metric, tier.threshold))),
        )
        cover = Cover(policy, self.insurance.domain, Disclosure.of(leg)).signed_by(insurer)
        mint(self.chain, self.deployment, shipper, PREMIUM)
        self.insurance.buy(shipper, cover)
        self.covers[cover.id] = cover
        return cover
