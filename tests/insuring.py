"""A pool with capital in a settling world, and covers over a leg that begins an hour after they are bought."""

from collections.abc import Sequence

from contracts.cover_stage import Covering
from contracts.covers import Cover, CoverFolder
from contracts.insurance import Insurance
from contracts.parties import mint
from contracts.policies import PoolTerms
from lading.account import Account
from lading.names import tenant_id
from lading.policy import Policy
from lading.terms import Leg as LegTerms
from lading.tiers import Tier
from lading.totals import Reading
from tests.legs import TENANT, Leg, make_leg, make_order
from tests.settling import CARRIER, HOUR_MS, LIMITS, MINUTE_MS, SHIPPER, START_MS, World, tenant_of

INSURER, HOLDER = CARRIER, SHIPPER
CAPITAL, MAXIMUM, DEDUCTIBLE, PREMIUM = 10_000_000, 1_000_000, 50_000, 20_000
BEGIN_MS = START_MS + HOUR_MS
SPAN_S, NOTICE_S = 30 * 86_400, 3_600


def pool_terms(world: World) -> PoolTerms:
    """No waiting time, so that the leg may begin soon."""
    token = world.deployment.token
    return PoolTerms(INSURER.address, token, MAXIMUM * 2, CAPITAL, 60, SPAN_S, NOTICE_S, 1)


def later_leg(warm_ms: int, closed: bool = True, begin_ms: int = BEGIN_MS) -> Leg:
    """Two hours from `begin_ms` with a reading a minute at 5 °C, of which the first `warm_ms` at 9 °C."""
    readings = [
        Reading(i, begin_ms + i * MINUTE_MS, 9000 if i * MINUTE_MS < warm_ms else 5000) for i in range(120)
    ]
    cuts = [begin_ms + HOUR_MS]
    return make_leg(make_order(LIMITS), {1: readings}, cuts, begin_ms + 2 * HOUR_MS, closed=closed)


class Insured:
    """The world's cover contract, its pool, and the stage that ends covers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.insurance = Insurance(world.chain, world.deployment)
        terms = pool_terms(world)
        self.insurance.open_pool(INSURER, terms)
        self.pool = terms.pool_id(self.insurance.pools_domain)
        self.add(INSURER, CAPITAL)
        self.folder = CoverFolder(world.folder / "covers", self.insurance.domain)
        self.start()

    def start(self) -> None:
        """The covers' part of the stage, as after a start of its process."""
        world = self.world
        ledger = world.settling.ledger
        self.covering = Covering(
            world.log, world.deployment, world.settle_sender, ledger, tenant_of, self.folder
        )

    def add(self, owner: Account, amount: int) -> None:
        """Capital of new test tokens."""
        mint(self.world.chain, self.world.deployment, owner, amount)
        self.insurance.add(owner, self.pool, amount)

    def policy(self, leg: Leg, tiers: Sequence[Tier], begin_ms: int = BEGIN_MS) -> Policy:
        """Due after 3 h, deadline after 6 h, an hour's window."""
        header, start_s = leg.frames[-1].header, begin_ms // 1000
        times = (begin_ms, begin_ms + 3 * HOUR_MS, start_s + 6 * 3600)
        return Policy(
            self.pool,
            HOLDER.address,
            tenant_id(TENANT),
            start_s,
            start_s - 60,
            3600,
            0,
            MAXIMUM,
            DEDUCTIBLE,
            PREMIUM,
            7,
            LegTerms(header.gateway_id, header.leg_id, header.limits_hash, *times),
            tuple(tiers),
        )

    def bought(self, leg: Leg, tiers: Sequence[Tier]) -> Cover:
        """Signed by the manager, bought by the holder, in the stage's folder."""
        return self.bought_of(self.policy(leg, tiers))

    def bought_of(self, policy: Policy) -> Cover:
        """The same of a policy."""
        cover = Cover(policy, self.insurance.domain).signed_by(INSURER)
        mint(self.world.chain, self.world.deployment, HOLDER, PREMIUM)
        self.insurance.buy(HOLDER, cover)
        self.folder.save(cover)
        return cover

    def until_ended(self, cover: Cover, steps_max: int = 30) -> int:
        """Step world and stage until the cover has ended; the payout."""
        for _ in range(steps_max):
            self.covering.step(self.world.now_ms)
            self.world.step()
            payout = self.insurance.payout(cover.id)
            if payout is not None:
                return payout
        raise AssertionError(f"it did not end: {self.covering.waits}")
