"""Runs the story through every stage in one process, in lock-step with a simulated clock.

Lock-step makes a seed repeatable: within a tick each gateway publishes in turn, and ingest takes what came before the
next one does. So the log's order, and with it every root, is the same each time.
"""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from dashboards.live import LiveView
from demo.chainside import COIN, CURRENCY, Chainside
from demo.fleet import Member, limits_of
from demo.operator import Operator
from demo.stages import Stages
from demo.story import BEGIN_MS, DAY_MS, END_MS, FLEET, HOUR_MS, PlannedLeg, events
from edge.link import Broker
from ingest.broker import Broker as EmbeddedBroker
from ingest.receiver import Receiver
from lading import topics
from lading.assignment import Assignment
from lading.batch import AnchorRecord
from lading.cose import KeySigner
from lading.errors import ServiceError
from lading.gateways import GatewayEntry, save_gateways
from lading.names import tenant_id
from lading.topics import anchors_topic, gateway_topic

TENANT = "demo"
HOST = "127.0.0.1"
TICK_MS = HOUR_MS
SETTLE_EVERY_MS = 6 * HOUR_MS
INTERVAL_MS = 6 * HOUR_MS
SETTLE_MS = 4 * DAY_MS  # after the story: the anchors' windows end, agreements settle
WAIT_LIMIT_S = 60.0
POLL_S = 0.002


class Clock:
    """The simulated time that every stage is given."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """Milliseconds since 1970."""
        return self.now_ms


class Run:
    """One run of the story in a folder."""

    def __init__(self, seed: int, folder: Path, view: LiveView) -> None:
        self.seed = f"lading demo {seed} ".encode()
        self.clock = Clock(BEGIN_MS)
        self.readings = 0
        self._folder = folder
        self._view = view
        self._clone: Member | None = None
        self._open: dict[str, Assignment] = {}
        self._published: dict[str, int] = {}
        self._announced = 0
        operator = KeySigner.from_seed(self.seed + b"operator")
        self.operator_key = operator.public
        self._broker = EmbeddedBroker()
        self._broker.start()
        broker = Broker(HOST, self._broker.port, "3.1.1")
        self.members = [
            Member(
                plan,
                self.seed,
                folder / "edge" / plan.name,
                TENANT,
                operator.public,
                broker,
                sampled_ms=BEGIN_MS,
            )
            for plan in FLEET
        ]
        entries = [GatewayEntry(m.signer.public, TENANT, name=m.plan.name) for m in self.members]
        save_gateways(folder / "gateways.json", entries)
        self.chainside = Chainside(
            self.seed, lambda: self.clock() // 1000, TENANT, [m.signer.public for m in self.members]
        )
        self.operator = Operator(HOST, self._broker.port, TENANT, operator, Random(self.seed))
        operators = {tenant_id(TENANT): operator.public}
        self.stages = Stages(folder, self.chainside, operators, self.clock, INTERVAL_MS, self._announce)
        self._receiver = Receiver(self.stages.ingest, HOST, self._broker.port)
        self._receiver.start()

    def play(self) -> None:
        """The two weeks, then the days in which anchors become final and agreements settle."""
        told = list(events())
        for now_ms in range(BEGIN_MS + TICK_MS, END_MS + SETTLE_MS + 1, TICK_MS):
            self.clock.now_ms = now_ms
            while told and told[0].time_ms <= now_ms:
                event = told.pop(0)
                self._view.event("edge", f"{event.gateway}: {event.text}")
            if now_ms <= END_MS:
                for member in self.members:
                    self._tick(member)
            self._judge_and_pay((now_ms - BEGIN_MS) % SETTLE_EVERY_MS == 0)

    def finish(self) -> None:
        """Let the chain finalise what was sent last."""
        for _ in range(4):
            self.chainside.node.mine()
            self._judge_and_pay(True)

    def close(self) -> None:
        """Stop everything; what is on disk stays."""
        self._receiver.stop()
        self.operator.close()
        for member in self.members:
            member.close()
        self.stages.close()
        self._broker.stop()

    def _wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        """Let ingest take what comes until `condition` holds; ServiceError `demo` when it does not in time."""
        deadline_s = time.monotonic() + WAIT_LIMIT_S
        while not condition():
            if time.monotonic() > deadline_s:
                raise ServiceError("demo", f"{what} did not happen within {WAIT_LIMIT_S:.0f} s")
            self._receiver.step(POLL_S)

    # One gateway's tick

    def _tick(self, member: Member) -> None:
        now_ms = self.clock()
        member.link(now_ms)
        self._wait_anchor(member)
        self.readings += member.sample_until(now_ms)
        for leg in member.plan.legs:
            if leg.end_ms == now_ms:
                self._end(member)
            elif leg.begin_ms == now_ms:
                self._begin(member, leg)
        member.gateway.cut(now_ms)
        self._carry(member)
        if member.plan.cloned_ms == now_ms:
            self._clone = member.clone(self._folder / "edge" / f"{member.plan.name}-clone")
        elif self._clone is not None and self._clone.plan is member.plan:
            self._use_clone(self._clone)

    def _begin(self, member: Member, leg: PlannedLeg) -> None:
        limits = limits_of(leg.profile, member.plan.channels)
        order = self.operator.begin(
            member.gateway_id, leg.reference, limits, leg.begin_ms, leg.due_ms, self.clock()
        )
        self._open[member.plan.name] = order
        self._wait_obeyed(member, order)
        if leg.agreed:
            self.chainside.agree(order)
            self._view.event("settlement", f"{leg.reference}: carrier puts up a bond")

    def _end(self, member: Member) -> None:
        order = self.operator.end(self._open.pop(member.plan.name), self.clock())
        self._wait_obeyed(member, order)

    def _wait_obeyed(self, member: Member, order: Assignment) -> None:
        def obeyed() -> bool:
            member.publisher.step(self.clock())
            return member.gateway.order_seq >= order.order_seq

        self._wait_for(f"{member.plan.name}: order {order.order_seq}", obeyed)
        self._wait_for(
            "ingest: order",
            lambda: self._end_of(topics.ASSIGNMENTS) >= sum(self.operator.order_seqs.values()),
        )

    def _carry(self, member: Member) -> None:
        """Publish what waits, and wait until ingest has dealt with it."""
        if not member.is_linked:
            return
        member.publish(self.clock())
        self._published[member.plan.name] = member.gateway.frame_seq
        self._wait_taken()

    def _use_clone(self, clone: Member) -> None:
        """The second device signs a frame of its own with the number that the first one has just used."""
        clone.sample_until(self.clock())
        clone.gateway.cut(self.clock())
        refused = self._end_of(topics.DEAD)
        for _, frame in clone.outbox.frames_after(-1, 1):
            self.operator.publish(gateway_topic(TENANT, clone.gateway_id, "frames"), frame)
        self._wait_for("ingest: the clone's frame", lambda: self._end_of(topics.DEAD) > refused)
        clone.close()
        self._clone = None
        self._view.event("ingest", f"{clone.plan.name}: two frames with one number, the key is cloned")

    # Behind the log

    def _judge_and_pay(self, is_due: bool) -> None:
        self.stages.judge()
        anchors = self.stages.anchor()
        self._see_anchors()
        if is_due:
            self._pay()
        for anchor in anchors:
            if anchor.state == "mined":
                self._view.event("anchors", f"interval {anchor.interval} in block {anchor.block_number}")
        self._view.progress(self.clock() - BEGIN_MS, self.clock(), self._counts())

    def _pay(self) -> None:
        for settlement in self.stages.settle():
            kind, leg = settlement.kind, settlement.leg_id.hex()[:8]
            self._view.event(
                "settlement", f"{kind} of {settlement.amount / COIN:,.2f} {CURRENCY} for leg {leg}"
            )

    def _announce(self, anchor: AnchorRecord, tenants: list[str]) -> None:
        for tenant in tenants:
            self.operator.publish(anchors_topic(tenant), anchor.encode())
        self._announced = anchor.interval

    def _see_anchors(self) -> None:
        """Every linked gateway sees the newest anchor before its next frame: so a seed repeats."""
        for member in self.members:
            self._wait_anchor(member)

    def _wait_anchor(self, member: Member) -> None:
        def seen() -> bool:
            member.publisher.step(self.clock())
            return member.gateway.anchor_interval >= self._announced

        if member.is_linked:
            self._wait_for(f"{member.plan.name}: anchor {self._announced}", seen)

    def _counts(self) -> dict[str, int]:
        """What the view shows, by stage."""
        return {
            "edge": self.readings,
            "ingest": self._end_of(topics.FRAMES) + self._end_of(topics.DEAD),
            "log": self._end_of(topics.FRAMES),
            "rules": self._end_of(topics.VERDICTS),
            "anchors": self._end_of(topics.BATCHES),
            "settlement": self._end_of(topics.SETTLEMENTS),
        }

    def _wait_taken(self) -> None:
        """Until the log has every frame that linked gateways have published."""
        published = sum(self._published.values())
        self._wait_for(f"ingest: {published} frames", lambda: self._end_of(topics.FRAMES) >= published)

    def _end_of(self, topic: str) -> int:
        return sum(self.stages.log.end(topic).values())
