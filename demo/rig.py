"""What both demos run on: broker, chain and every stage in one process, in lock-step with a simulated clock.

Lock-step makes a run repeatable: within a tick each gateway publishes in turn, and ingest takes what came before the
next one does. So the log's order, and with it every root, is the same each time.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

from dashboards.live import LiveView
from demo.chainside import COIN, CURRENCY, Chainside
from demo.member import Member
from demo.operator import Operator
from demo.stages import Stages
from ingest.broker import Broker
from ingest.receiver import Receiver
from lading import topics
from lading.assignment import Assignment
from lading.batch import AnchorRecord
from lading.cose import KeySigner
from lading.errors import ServiceError
from lading.gateways import GatewayEntry, save_gateways
from lading.limits import Limits
from lading.mqtt import Broker as BrokerAddress
from lading.names import tenant_id
from lading.topics import anchors_topic

TENANT = "demo"
HOST = "127.0.0.1"
HOUR_MS = 3_600_000
INTERVAL_MS = 6 * HOUR_MS
SETTLE_EVERY_MS = 6 * HOUR_MS
WAIT_LIMIT_S = 60.0
POLL_S = 0.002
FINAL_BLOCKS = 4


class Clock:
    """The simulated time that every stage is given."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """Milliseconds since 1970."""
        return self.now_ms


class Rig:
    """Broker, chain, operator and stages over one folder; gateways are added before `start`."""

    def __init__(self, seed: bytes, folder: Path, begin_ms: int, view: LiveView) -> None:
        self.seed = seed
        self.folder = folder
        self.clock = Clock(begin_ms)
        self.view = view
        self.members: list[Member] = []
        self.readings = 0
        self._begin_ms = begin_ms
        self._announced = 0
        self._published: dict[str, int] = {}
        self._open: dict[str, Assignment] = {}
        self._stack = ExitStack()
        operator = KeySigner.from_seed(seed + b"operator")
        self.operator_key = operator.public
        broker = Broker()
        broker.start()
        self._stack.callback(broker.stop)
        self.broker = BrokerAddress(HOST, broker.port, "3.1.1")
        self.operator = Operator(HOST, broker.port, TENANT, operator, Random(seed))
        self._stack.callback(self.operator.close)

    def start(self, members: Sequence[Member]) -> None:
        """Enrol the gateways, deploy the contracts, start the stages."""
        self.members = list(members)
        for member in self.members:
            self._stack.callback(member.close)
        entries = [GatewayEntry(member.signer.public, TENANT, name=member.name) for member in self.members]
        save_gateways(self.folder / "gateways.json", entries)
        keys = [member.signer.public for member in self.members]
        self.chainside = Chainside(self.seed, lambda: self.clock() // 1000, TENANT, keys)
        operators = {tenant_id(TENANT): self.operator_key}
        self.stages = Stages(self.folder, self.chainside, operators, self.clock, INTERVAL_MS, self._announce)
        self._stack.callback(self.stages.close)
        self._receiver = Receiver(self.stages.ingest, BrokerAddress(HOST, self.broker.port))
        self._receiver.start()
        self._stack.callback(self._receiver.stop)

    def close(self) -> None:
        """Stop everything; what is on disk stays."""
        self._stack.close()

    # Gateways

    def begin(self, member: Member, reference: str, limits: Limits, due_ms: int) -> Assignment:
        """Order a gateway to begin a leg, and wait until gateway and ingest know."""
        now_ms = self.clock()
        order = self.operator.begin(member.gateway_id, reference, limits, now_ms, due_ms, now_ms)
        self._open[member.name] = order
        self._wait_obeyed(member, order)
        return order

    def end(self, member: Member) -> None:
        """Order the closing frame of the gateway's leg."""
        self._wait_obeyed(member, self.operator.end(self._open.pop(member.name), self.clock()))

    def has_leg(self, member: Member) -> bool:
        """True while a leg that was begun has not been ended."""
        return member.name in self._open

    def carry(self, member: Member) -> None:
        """Publish what waits, and wait until ingest has dealt with it."""
        if not member.is_linked:
            return
        member.publish(self.clock())
        self._published[member.name] = member.gateway.frame_seq
        published = sum(self._published.values())
        self.wait_for(f"ingest: {published} frames", lambda: self.end_of(topics.FRAMES) >= published)

    def wait_anchor(self, member: Member) -> None:
        """A linked gateway sees the newest anchor before its next frame: so a seed repeats."""

        def seen() -> bool:
            member.publisher.step(self.clock())
            return member.gateway.anchor_interval >= self._announced

        if member.is_linked:
            self.wait_for(f"{member.name}: anchor {self._announced}", seen)

    def _wait_obeyed(self, member: Member, order: Assignment) -> None:
        def obeyed() -> bool:
            member.publisher.step(self.clock())
            return member.gateway.order_seq >= order.order_seq

        self.wait_for(f"{member.name}: order {order.order_seq}", obeyed)
        orders = sum(self.operator.order_seqs.values())
        self.wait_for("ingest: order", lambda: self.end_of(topics.ASSIGNMENTS) >= orders)

    # Behind the log

    def step(self, *, is_due: bool | None = None) -> None:
        """Judge, anchor, and every few hours pay; tell the view."""
        now_ms = self.clock()
        self.stages.judge()
        for anchor in self.stages.anchor():
            if anchor.state == "mined":
                self.view.event("anchors", f"interval {anchor.interval} in block {anchor.block_number}")
        for member in self.members:
            self.wait_anchor(member)
        if is_due or (is_due is None and now_ms % SETTLE_EVERY_MS == 0):
            self._pay()
        self.view.progress(now_ms - self._begin_ms, now_ms, self._counts())

    def run_on(self, until_ms: int) -> None:
        """Let the clock go on without readings."""
        for now_ms in range(self.clock() + SETTLE_EVERY_MS, until_ms + 1, SETTLE_EVERY_MS):
            self.clock.now_ms = now_ms
            self.step(is_due=True)

    def run_out(self, until_ms: int) -> None:
        """Let the clock go on to `until_ms`: anchors' windows end, agreements settle; then finalise what was sent."""
        self.run_on(until_ms)
        for _ in range(FINAL_BLOCKS):
            self.chainside.node.mine()
            self.step(is_due=True)

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        """Let ingest take what comes until `condition` holds; ServiceError `demo` when it does not in time."""
        deadline_s = time.monotonic() + WAIT_LIMIT_S
        while not condition():
            if time.monotonic() > deadline_s:
                raise ServiceError("demo", f"{what} did not happen within {WAIT_LIMIT_S:.0f} s")
            self._receiver.step(POLL_S)

    def end_of(self, topic: str) -> int:
        """Records of a topic."""
        return sum(self.stages.log.end(topic).values())

    def _pay(self) -> None:
        for shown in self.chainside.newly_shown():
            self.view.event(
                "settlement",
                f"frame {shown.frame_seq} shown after the deadline of leg {shown.leg_id.hex()[:8]}:"
                f" {shown.penalty / COIN:,.2f} {CURRENCY} by its channels, until better evidence comes",
            )
        for settlement in self.stages.settle():
            kind, leg = settlement.kind, settlement.leg_id.hex()[:8]
            self.view.event(
                "settlement", f"{kind} of {settlement.amount / COIN:,.2f} {CURRENCY} for leg {leg}"
            )

    def _announce(self, anchor: AnchorRecord, tenants: list[str]) -> None:
        for tenant in tenants:
            self.operator.publish(anchors_topic(tenant), anchor.encode())
        self._announced = anchor.interval

    def _counts(self) -> dict[str, int]:
        """What the view shows, by stage."""
        frames = self.end_of(topics.FRAMES)
        return {
            "edge": self.readings,
            "broker": sum(self._published.values()),
            "ingest": frames + self.end_of(topics.DEAD),
            "log": frames,
            "rules": self.end_of(topics.VERDICTS),
            "anchors": self.end_of(topics.BATCHES),
            "settlement": self.end_of(topics.SETTLEMENTS),
        }
