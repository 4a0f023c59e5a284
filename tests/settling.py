"""A small world with everything after ingest: log, chain, anchoring, settling; time moves only when told."""

from collections.abc import Callable, Sequence
from pathlib import Path

from anchoring.deploy import GatewayKey, deploy, enrol_tenant, register_gateways
from anchoring.index import Index
from anchoring.registry import Registry
from anchoring.stage import Anchoring
from contracts.agreements import Agreement
from contracts.ledger import Ledger
from contracts.parties import deposit, mint
from contracts.stage import Settling
from contracts.typed_data import Domain, agreement_id
from lading import topics
from lading.account import Account
from lading.chain import Chain, Rpc
from lading.deployment import Deployment
from lading.evm import EvmNode
from lading.frame import CLOSED, Frame, Header
from lading.limits import ChannelLimits, Limits
from lading.log import SqliteLog
from lading.names import tenant_id
from lading.sending import Fees, Sender
from lading.terms import Leg as LegTerms
from lading.terms import Terms
from lading.tiers import Tier
from lading.totals import Reading
from lading.verdict import Horizon, Verdict, VerdictRecord
from tests.dying import DyingLog, DyingRpc, Fuse
from tests.legs import GATEWAY, TENANT, Leg, make_leg, make_order

START_MS = 1_700_000_000_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
WINDOW_S = 60
INTERVAL_MS = 30 * MINUTE_MS
BOND = 1_000_000
DEPLOYER, ANCHORER, SETTLER, CARRIER, SHIPPER = (
    Account.from_seed(name) for name in (b"deployer", b"anchorer", b"settler", b"carrier", b"shipper")
)
ACCOUNTS = (DEPLOYER, ANCHORER, SETTLER, CARRIER, SHIPPER)
WEI = 10**24
LIMITS = Limits((ChannelLimits(1, 1, lower=2000, upper=8000, hold_ms=10 * MINUTE_MS),))
ABOVE_MS, LATE_MS, SILENCE_MS = 1, 8, 9


class World:
    """Everything on py-evm in this process, or on the chain given; the stages may reach it another way."""

    def __init__(
        self,
        folder: Path,
        rpc: Rpc | None = None,
        stages_rpc: Rpc | None = None,
        fees: Fees = Fees(),
        finalized_depth: int = 0,
    ) -> None:
        self.folder = folder
        self.now_ms = START_MS
        accounts = {one.address: WEI for one in ACCOUNTS}
        self.node = EvmNode(accounts, lambda: self.now_ms // 1000, finalized_depth=finalized_depth)
        self.is_real = rpc is not None
        self.chain = Chain(rpc or self.node)
        self._stages_rpc = stages_rpc or self.chain.rpc
        self._fees = fees
        if self.is_real:
            for one in ACCOUNTS:
                self.chain.rpc.request("anvil_setBalance", ["0x" + one.address.hex(), hex(WEI)])
        self.deployment = self.deploy()
        self.log = SqliteLog(folder / "log.sqlite", now_ms=lambda: self.now_ms)
        self.agreements: dict[bytes, Agreement] = {}
        self.start(Fuse())

    def deploy(self, window_s: int = WINDOW_S) -> Deployment:
        """The contracts on the world's chain, with the one tenant and its gateway."""
        deployment = deploy(self.chain, DEPLOYER, ANCHORER.address, window_s)
        enrol_tenant(self.chain, deployment, DEPLOYER, TENANT, DEPLOYER.address)
        register_gateways(self.chain, deployment, DEPLOYER, TENANT, [GatewayKey(GATEWAY.public)])
        return deployment

    @property
    def domain(self) -> Domain:
        """Where agreements count."""
        return Domain(self.chain.chain_id, self.deployment.escrow)

    def start(self, fuse: Fuse) -> None:
        """Both stages, as after a start of their processes; they die where the fuse says."""
        chain, log = Chain(DyingRpc(self._stages_rpc, fuse)), DyingLog(self.log, fuse)
        self.anchor_sender = Sender(chain, ANCHORER, self.folder / "anchor.sqlite", self._fees)
        self.settle_sender = Sender(chain, SETTLER, self.folder / "settle.sqlite", self._fees)
        self.anchoring = Anchoring(
            log,
            Registry(chain, self.deployment.anchors),
            self.anchor_sender,
            Index(self.folder / "index.sqlite"),
            tenant_of,
            INTERVAL_MS,
            10_000,
        )
        ledger = Ledger(log, self.folder / "ledger.sqlite")
        self.settling = Settling(
            log, self.deployment, self.settle_sender, ledger, tenant_of, lambda: self.agreements
        )

    def stop(self) -> None:
        """As a crash leaves it: the locks fall, nothing is flushed."""
        self.anchor_sender.close()
        self.settle_sender.close()
        self.anchoring.index.close()
        self.settling.ledger.close()

    def agree(self, terms: Terms) -> bytes:
        """Sign the terms, put up the bond; the agreement's id."""
        mint(self.chain, self.deployment, CARRIER, terms.bond)
        deposit(self.chain, self.deployment, CARRIER, terms.bond)
        key = agreement_id(terms, self.domain)
        self.agreements[key] = Agreement.sign(terms, self.domain, CARRIER, SHIPPER)
        return key

    def take(self, frames: Sequence[Frame]) -> None:
        """Frames that ingest has passed, when they came."""
        self.now_ms = max(self.now_ms, *(frame.header.sent_ms for frame in frames))
        self.log.append(topics.FRAMES, [(frame.header.gateway_id, frame.encode()) for frame in frames])

    def judge(self, frames: Sequence[Frame], final: bool = True, forked: bool = False) -> None:
        """The verdict that the detector would write of these frames, findings left out."""
        first, last = frames[0].header, frames[-1].header
        closed = last.leg_state == CLOSED
        verdict = Verdict(
            last.leg_id,
            last.gateway_id,
            last.limits_hash,
            "forked" if forked else "closed" if closed else "open",
            final and (closed or forked),
            Horizon(first.frame_seq, last.frame_seq, last.hash, last.sent_ms),
            (),
            tuple((run.record.channel, run.record.quantity, run.record.totals) for run in frames[-1].runs),
        )
        self.log.append(topics.VERDICTS, [(last.leg_id, VerdictRecord(verdict, None).encode())])

    def step(self, passed_ms: int = INTERVAL_MS) -> None:
        """Time passes, on a real chain by a block; both stages step."""
        self.now_ms += passed_ms
        if self.is_real:
            self.mine()
        self.anchoring.step(self.now_ms)
        self.settling.step(self.now_ms)

    def mine(self) -> None:
        """A block of a real chain, at this world's time."""
        rpc = self.chain.rpc
        self.now_ms = max(self.now_ms, (self.chain.head().time_s + 1) * 1000)
        rpc.request("evm_setNextBlockTimestamp", [self.now_ms // 1000])
        rpc.request("evm_mine", [])

    def until(self, done: Callable[[], bool], passed_ms: int = INTERVAL_MS, steps_max: int = 20) -> None:
        """Step until something holds."""
        for _ in range(steps_max):
            if done():
                return
            self.step(passed_ms)
        raise AssertionError("it did not come")


def tenant_of(gateway_id: bytes) -> str:
    """All gateways here are one tenant's."""
    _ = gateway_id
    return TENANT


def warm_leg(warm_ms: int, closed: bool = True, hours: int = 2) -> Leg:
    """A leg of `hours` with a reading a minute at 5 °C, of which the first `warm_ms` at 9 °C."""
    readings = [
        Reading(i, START_MS + i * MINUTE_MS, 9000 if i * MINUTE_MS < warm_ms else 5000)
        for i in range(hours * 60)
    ]
    order = make_order(LIMITS)
    cuts = [START_MS + hour * HOUR_MS for hour in range(1, hours)]
    return make_leg(order, {1: readings}, cuts, START_MS + hours * HOUR_MS, closed=closed)


def make_terms(world: World, leg: Leg, tiers: Sequence[Tier], **changed: int) -> Terms:
    """Terms over the leg: due after 3 h, deadline after 6 h, an hour's window."""
    return make_terms_of(world, leg.frames[-1].header, tiers, **changed)


def make_terms_of(world: World, header: Header, tiers: Sequence[Tier], **changed: int) -> Terms:
    """The same over the leg of a frame."""
    fields = {
        "begin_ms": START_MS,
        "due_ms": START_MS + 3 * HOUR_MS,
        "deadline_s": (START_MS + 6 * HOUR_MS) // 1000,
        "window_s": 3600,
        "bond": BOND,
        "salt": 7,
    } | changed
    times = (fields["begin_ms"], fields["due_ms"], fields["deadline_s"])
    return Terms(
        CARRIER.address,
        SHIPPER.address,
        world.deployment.token,
        tenant_id(TENANT),
        fields["window_s"],
        0,
        fields["bond"],
        fields["bond"],
        fields["salt"],
        (LegTerms(header.gateway_id, header.leg_id, header.limits_hash, *times),),
        tuple(tiers),
    )
