"""Whatever the way does to messages and blocks, the same legs end in the same log, verdicts and payments.

Loss, duplication, reordering, days offline and reorganisations of the chain, in one process, by a seed:
LADING_TEST_SEED is the first one, LADING_TEST_ORDERS how many.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from anchoring.deploy import GatewayKey, deploy, enrol_tenant, register_gateways
from anchoring.index import Index
from anchoring.registry import Registry
from anchoring.stage import Anchoring
from anomaly.stage import Anomaly
from contracts.agreements import Agreement
from contracts.ledger import Ledger
from contracts.legs import leg_terms
from contracts.parties import credit_of, deposit, mint
from contracts.stage import Settling
from contracts.typed_data import Domain, agreement_id
from ingest.archive import Archive
from ingest.queries import Queries
from ingest.stage import Ingest
from lading import abi, topics
from lading.chain import Chain
from lading.cose import KeySigner
from lading.decoding import decode_frame
from lading.evm import EvmNode
from lading.gateways import GatewayEntry, GatewayFile, save_gateways
from lading.limits import ChannelLimits, Limits
from lading.log import SqliteLog
from lading.names import tenant_id
from lading.quantities import Quantity
from lading.sending import Fees, Sender
from lading.settlement import Settlement
from lading.terms import Terms
from lading.tiers import Metric, Tier
from lading.topics import gateway_topic
from lading.totals import Reading
from lading.verdict import VerdictRecord
from tests.legs import OPERATOR, TENANT, Leg, make_leg, make_order
from tests.settling import ACCOUNTS, ANCHORER, BOND, CARRIER, DEPLOYER, SETTLER, SHIPPER, WEI
from tests.simulation.outcome import records

FIRST_SEED = int(os.environ.get("LADING_TEST_SEED", "1"))
SEEDS = range(FIRST_SEED, FIRST_SEED + int(os.environ.get("LADING_TEST_ORDERS", "3")))
START_MS = 1_750_032_000_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
FRAME_MS = 10 * MINUTE_MS
LEG_MS = 4 * HOUR_MS
WINDOW_S = 600
FINALIZED_DEPTH = 3
REORGANISATIONS, REORGANISE_SHARE = 6, 0.12  # over anchors and payments alike
TICKS_MAX = 400
LIMITS = Limits(
    (
        ChannelLimits(
            1, Quantity.TEMPERATURE, 2_000, 8_000, above_stretch_max_ms=30 * MINUTE_MS, rate_max=900
        ),
        ChannelLimits(2, Quantity.DOOR, upper=500, stuck_max_ms=HOUR_MS),
    )
)
TIERS = (
    Tier(0, Metric.LATE_MS, 0, 50_000),
    Tier(1, Metric.ABOVE_MS, 20 * MINUTE_MS, 100_000),
    Tier(1, Metric.ABOVE_LONGEST_MS, 30 * MINUTE_MS, 200_000),
)
KEYS = {name: KeySigner.from_seed(name.encode()) for name in ("warm", "cool")}
Message = tuple[str, bytes]


def leg_of(name: str) -> Leg:
    """A reading a minute of air and door; the warm one's air is above the limit for 50 minutes, in two stretches."""
    rng = random.Random(name)
    warm = range(60, 95) if name == "warm" else range(0)
    warm_again = range(150, 165) if name == "warm" else range(0)
    air = [
        Reading(
            k, START_MS + k * MINUTE_MS, 9_000 if k in warm or k in warm_again else rng.randint(4_000, 6_000)
        )
        for k in range(LEG_MS // MINUTE_MS)
    ]
    door = [Reading(k, START_MS + k * MINUTE_MS, 1_000 * (k % 50 < 3)) for k in range(LEG_MS // MINUTE_MS)]
    order = make_order(LIMITS, reference=name, due_ms=START_MS + LEG_MS + HOUR_MS, gateway=KEYS[name])
    cuts = range(START_MS + FRAME_MS, START_MS + LEG_MS, FRAME_MS)
    return make_leg(order, {1: air, 2: door}, cuts, START_MS + LEG_MS, gateway=KEYS[name])


LEGS = {name: leg_of(name) for name in KEYS}


@dataclass(frozen=True)
class Ending:
    """What must not depend on the way."""

    frames: list[tuple[bytes, int, bytes]]
    verdicts: dict[str, bytes]
    payments: dict[str, tuple[int, int]]
    credits: tuple[int, int]
    readings: dict[tuple[str, int], list[list[int]]]


class World:
    """Every stage behind the gateways over one folder; time moves only when told."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = START_MS
        funded = {account.address: WEI for account in ACCOUNTS}
        self.node = EvmNode(
            funded, lambda: self.now_ms // 1000, safe_depth=1, finalized_depth=FINALIZED_DEPTH
        )
        self._chain = Chain(self.node)
        self._deployment = deploy(self._chain, DEPLOYER, ANCHORER.address, WINDOW_S)
        enrol_tenant(self._chain, self._deployment, DEPLOYER, TENANT, DEPLOYER.address)
        keys = [GatewayKey(key.public) for key in KEYS.values()]
        register_gateways(self._chain, self._deployment, DEPLOYER, TENANT, keys)
        self._agreements = dict(map(self._agree, LEGS.values()))
        for _ in range(FINALIZED_DEPTH):  # what was set up is not what a reorganisation takes back here
            self.node.mine()
        save_gateways(
            folder / "gateways.json",
            [GatewayEntry(key.public, TENANT, name=name) for name, key in KEYS.items()],
        )
        tenant_of = GatewayFile(folder / "gateways.json").tenant_of
        operators = {tenant_id(TENANT): OPERATOR.public}

        def clock() -> int:
            return self.now_ms

        self.log = SqliteLog(folder / "log.sqlite", now_ms=clock)
        self.ingest = Ingest(
            self.log, folder / "ingest.sqlite", GatewayFile(folder / "gateways.json"), operators, now_ms=clock
        )
        self.archive = Archive(self.log, folder / "archive", tenant_of)
        self._archive_folder = folder / "archive"
        self.anomaly = Anomaly(self.log, folder / "anomaly.sqlite", operators)
        senders = [
            Sender(self._chain, account, folder / f"sender-{place}.sqlite", Fees())
            for place, account in enumerate((ANCHORER, SETTLER))
        ]
        self.anchoring = Anchoring(
            self.log,
            Registry(self._chain, self._deployment.anchors),
            senders[0],
            Index(folder / "index.sqlite"),
            tenant_of,
            30 * MINUTE_MS,
            10_000,
        )
        self.settling = Settling(
            self.log,
            self._deployment,
            senders[1],
            Ledger(self.log, folder / "ledger.sqlite"),
            tenant_of,
            lambda: self._agreements,
        )

    def _agree(self, leg: Leg) -> tuple[bytes, Agreement]:
        mint(self._chain, self._deployment, CARRIER, BOND)
        deposit(self._chain, self._deployment, CARRIER, BOND)
        begin = leg.begin
        terms = Terms(
            CARRIER.address,
            SHIPPER.address,
            self._deployment.token,
            begin.tenant,
            2 * WINDOW_S,
            0,
            BOND,
            BOND,
            1,
            (leg_terms(begin, (START_MS + 90 * DAY_MS) // 1000),),
            TIERS,
        )
        domain = Domain(self._chain.chain_id, self._deployment.escrow)
        return agreement_id(terms, domain), Agreement.sign(terms, domain, CARRIER, SHIPPER)

    def step(self, rng: random.Random | None = None) -> None:
        """Each stage steps; with a generator each only now and then, and in any order."""
        steps: list[Callable[[], object]] = [
            self.ingest.step,
            self.anomaly.step,
            self.archive.step,
            lambda: self.anchoring.step(self.now_ms),
            lambda: self.settling.step(self.now_ms),
        ]
        if rng is not None:
            steps = [step for step in rng.sample(steps, len(steps)) if rng.random() < 0.5]
        for step in steps:
            step()

    def is_done(self) -> bool:
        """Whether both agreements are settled in the log, and the archive has everything."""
        settled = sum(self.log.end(topics.SETTLEMENTS).values()) >= len(LEGS)
        archived = self.log.committed("archive", topics.BATCHES) == self.log.end(topics.BATCHES)
        batched = self.anchoring.index.positions(topics.FRAMES) == self.log.end(topics.FRAMES)
        return settled and archived and batched

    def ending(self) -> Ending:
        """Look at log, chain and archive; nothing may be there twice."""
        frames = [
            (record.key, decode_frame(record.value).header.frame_seq, record.value)
            for record in records(self.log, topics.FRAMES)
        ]
        assert len({frame[:2] for frame in frames}) == len(frames), "a frame is in the log twice"
        assert sum(self.log.end(topics.DEAD).values()) == 0
        names = {leg.begin.leg_id: name for name, leg in LEGS.items()}
        newest = {}
        for record in records(self.log, topics.VERDICTS):
            verdict = VerdictRecord.decode(record.value).verdict
            newest[names[verdict.leg_id]] = verdict
        assert all(verdict.final and verdict.state == "closed" for verdict in newest.values())
        logged = [Settlement.decode(record.value) for record in records(self.log, topics.SETTLEMENTS)]
        events = abi.at(self._chain, "PenaltyEscrow", self._deployment.escrow).events("Concluded")
        on_chain = {names[fields["legId"]]: (fields["penalty"], fields["rest"]) for _, fields in events}
        assert len(events) == len(logged) == len(on_chain) == len(LEGS), (
            "a payment is there twice, or not at all"
        )
        assert {names[one.leg_id]: (one.penalty, one.rest) for one in logged} == on_chain
        queries = Queries(self._archive_folder)
        assert queries.duplicates() == 0
        readings = {
            (name, channel): [
                column.tolist() for column in queries.gateway_series(key.public.gateway_id.hex(), channel)
            ]
            for name, key in KEYS.items()
            for channel in LIMITS.by_channel
        }
        carrier, shipper = (
            credit_of(self._chain, self._deployment, party.address) for party in (CARRIER, SHIPPER)
        )
        return Ending(
            sorted(frames),
            {name: verdict.encoded for name, verdict in newest.items()},
            on_chain,
            (carrier, shipper),
            readings,
        )


def play(
    world: World, arrivals: list[tuple[int, Message]], rng: random.Random | None, reorganisations: int
) -> Ending:
    """Let messages come at their times, a tick every ten minutes, until all is paid."""
    left = sorted(arrivals, key=lambda arrival: arrival[0])
    for _ in range(TICKS_MAX):
        world.now_ms += FRAME_MS
        if rng is not None and left and left[0][0] > world.now_ms + DAY_MS:
            world.now_ms = left[0][0]
        due = [message for time_ms, message in left if time_ms <= world.now_ms]
        left = [arrival for arrival in left if arrival[0] > world.now_ms]
        while due:
            size = len(due) if rng is None else rng.randint(1, 8)
            world.ingest.take(due[:size])
            due = due[size:]
        world.step(rng)
        if rng is not None and reorganisations and rng.random() < REORGANISE_SHARE:
            world.node.reorganise(rng.randint(1, FINALIZED_DEPTH))
            reorganisations -= 1
        world.node.mine()
        if not left and not reorganisations and world.is_done():
            return world.ending()
    raise AssertionError(f"not done after {TICKS_MAX} ticks, {len(left)} messages to come")


def messages(name: str) -> list[tuple[int, Message]]:
    """A leg's order and frames as they are sent, each with its time."""
    leg, gateway = LEGS[name], KEYS[name].public.gateway_id
    order = (START_MS, (gateway_topic(TENANT, gateway, "assignment"), leg.order))
    topic = gateway_topic(TENANT, gateway, "frames")
    return [order, *((frame.header.sent_ms, (topic, frame.encode())) for frame in leg.frames)]


def disturbed(rng: random.Random) -> list[tuple[int, Message]]:
    """The same messages late, twice, out of order, after days; an order within the time that frames wait for it."""
    found = []
    for name in LEGS:
        offline_from = rng.randint(START_MS, START_MS + LEG_MS)
        offline_until = offline_from + rng.choice((0, HOUR_MS, 3 * DAY_MS))
        for time_ms, message in messages(name):
            is_order = time_ms == START_MS
            delay_ms = (
                rng.randint(0, 5 * MINUTE_MS) if is_order else rng.choice((0, 0, rng.randint(0, HOUR_MS)))
            )
            if not is_order and rng.random() < 0.05:
                delay_ms = rng.randint(HOUR_MS, DAY_MS)  # lost, and sent again long after
            arrival_ms = time_ms + delay_ms
            if not is_order and offline_from <= arrival_ms < offline_until:
                arrival_ms = offline_until + rng.randint(0, 20 * MINUTE_MS)
            found += [
                (arrival_ms + k * rng.randint(0, HOUR_MS), message)
                for k in range(rng.choice((1, 1, 1, 2, 3)))
            ]
    return found


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Ending:
    """Everything in order, once, on time, on a chain that never turns back."""
    world = World(tmp_path_factory.mktemp("calm"))
    return play(world, [arrival for name in LEGS for arrival in messages(name)], None, 0)


@pytest.mark.slow
def test_undisturbed(calm: Ending) -> None:
    """The warm leg pays both tiers that it reached, the cool one gets its bond back; every reading is archived."""
    assert calm.payments == {"warm": (300_000, BOND - 300_000), "cool": (0, BOND)}
    assert calm.credits == (2 * BOND - 300_000, 300_000)
    assert [frame[2] for frame in calm.frames] == [
        frame.encode()
        for _, leg in sorted((leg.begin.gateway, leg) for leg in LEGS.values())
        for frame in leg.frames
    ]
    for series in calm.readings.values():
        assert series[0] == [START_MS + k * MINUTE_MS for k in range(LEG_MS // MINUTE_MS)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_any_way_ends_alike(calm: Ending, tmp_path: Path, seed: int) -> None:
    """Same frames, readings, verdict bytes and payments, whatever the seed does to messages and blocks."""
    rng = random.Random(f"orders {seed}")
    assert play(World(tmp_path), disturbed(rng), rng, REORGANISATIONS) == calm
