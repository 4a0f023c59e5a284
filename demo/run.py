"""The story's two weeks, tick by tick, and the days after them in which anchors become final and agreements settle."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from dashboards.live import LiveView
from demo.chainside import COIN
from demo.member import Member
from demo.rig import TENANT, Rig
from demo.story import BEGIN_MS, DAY_MS, END_MS, FLEET, HOUR_MS, MINUTE_MS, PlannedGateway, PlannedLeg, events
from edge.readings import NewReading
from edge.simulation import CHANNELS, Channel
from lading import topics
from lading.assignment import Assignment
from lading.limits import Limits
from lading.mkt import weight
from lading.profiles import load
from lading.quantities import Quantity
from lading.tiers import Metric, Tier
from lading.topics import gateway_topic

TICK_MS = 2 * HOUR_MS  # every time of the story is a multiple of it
SAMPLE_MS = 5 * MINUTE_MS
SETTLE_MS = 4 * DAY_MS
DOOR_OPEN_MAX_MS = 45 * MINUTE_MS
DEADLINE_S = 5 * 86_400  # after the leg's due time
LONG_WINDOW_S = (
    6 * 86_400
)  # where the leg goes on after the deadline: better evidence may take long to be final
# Every tier reached adds its amount.
TIERS = (
    Tier(Channel.AIR, Metric.ABOVE_MS, 20 * HOUR_MS, 250 * COIN),
    Tier(Channel.AIR, Metric.ABOVE_LONGEST_MS, 4 * HOUR_MS, 300 * COIN),
    Tier(Channel.AIR, Metric.ABOVE_LONGEST_MS, 10 * HOUR_MS, 500 * COIN),
    Tier(Channel.AIR, Metric.BELOW_LONGEST_MS, 1 * HOUR_MS, 400 * COIN),
    Tier(Channel.AIR, Metric.MKT, weight(8_000), 200 * COIN),
    Tier(Channel.AIR, Metric.LONGEST_GAP_MS, 2 * HOUR_MS, 300 * COIN),
    Tier(0, Metric.LATE_MS, 0, 100 * COIN),
    Tier(0, Metric.SILENCE_MS, 24 * HOUR_MS, 2_000 * COIN),
)
_ROLES = {Channel.AIR: "air", Channel.DOOR: "door", Channel.SHOCK: "shock"}


def limits_of(profile: str, channels: tuple[int, ...]) -> Limits:
    """A profile's limits for a gateway's channels, but for doors: these parties load and unload for longer."""
    known = load(profile)
    roles = {channel: _ROLES.get(Channel(channel), "") for channel in channels}
    limits = known.limits(
        {c: role if role in known.roles else CHANNELS[c].name.lower() for c, role in roles.items()}
    )
    return Limits(
        tuple(
            replace(one, above_stretch_max_ms=DOOR_OPEN_MAX_MS) if one.quantity == Quantity.DOOR else one
            for one in limits.channels
        )
    )


class Simulated:
    """A gateway of the story with the physics behind its sensors."""

    def __init__(self, plan: PlannedGateway, member: Member, rng: Random) -> None:
        self.plan = plan
        self.member = member
        self._simulation = plan.simulate(rng)
        self._sampled_ms = BEGIN_MS

    def sample_until(self, time_ms: int, *, cut: bool) -> int:
        """Take a sample of every channel every five minutes up to `time_ms`, sign a frame; how many readings."""
        readings = [
            NewReading(channel, at_ms, value, flags)
            for at_ms in range(self._sampled_ms + SAMPLE_MS, time_ms + 1, SAMPLE_MS)
            for channel, value, flags in self._simulation.sample(at_ms)
        ]
        for _, error in self.member.take(readings, time_ms if cut else None):
            raise error
        self._sampled_ms = time_ms
        return len(readings)


class StoryRun:
    """One run of the story in a folder."""

    def __init__(
        self, seed: int, folder: Path, view: LiveView, fleet: Sequence[PlannedGateway] = FLEET
    ) -> None:
        self._folder = folder
        self.rig = rig = Rig(f"lading demo {seed} ".encode(), folder, BEGIN_MS, view)
        self._fleet = [
            Simulated(plan, self._member(plan), Random(rig.seed + plan.name.encode())) for plan in fleet
        ]
        self._clone: Member | None = None
        rig.start([one.member for one in self._fleet])

    def _member(self, plan: PlannedGateway) -> Member:
        channels = {channel: CHANNELS[channel] for channel in plan.channels}
        folder = self._folder / "edge" / plan.name
        return Member(
            plan.name, self.rig.seed, folder, TENANT, self.rig.operator_key, self.rig.broker, channels
        )

    def play(self, until_ms: int = END_MS, settle_ms: int = SETTLE_MS) -> None:
        """Everything, from the first sample to the last payment `settle_ms` after `until_ms`."""
        told = list(events())
        for now_ms in range(BEGIN_MS + TICK_MS, until_ms + 1, TICK_MS):
            self.rig.clock.now_ms = now_ms
            while told and told[0].time_ms <= now_ms:
                event = told.pop(0)
                self.rig.view.event("edge", f"{event.gateway}: {event.text}")
            for one in self._fleet:
                self._tick(one)
            self.rig.step()
        self.rig.run_out(until_ms + settle_ms)

    def _tick(self, one: Simulated) -> None:
        rig, plan, member = self.rig, one.plan, one.member
        now_ms = rig.clock()
        member.link(plan.online(now_ms), now_ms)
        rig.wait_anchor(member)
        begins = [leg for leg in plan.legs if leg.begin_ms == now_ms]
        ends = any(leg.end_ms == now_ms for leg in plan.legs)
        rig.readings += one.sample_until(now_ms, cut=not begins and not ends)
        if ends:
            rig.end(member)
        for leg in begins:
            self._begin(one, leg)
        rig.carry(member)
        if plan.cloned_ms == now_ms:
            self._clone = member.clone(self._folder / "edge" / f"{plan.name}-clone")
        elif self._clone is not None and self._clone.name == plan.name:
            self._use_clone(self._clone)

    def _begin(self, one: Simulated, leg: PlannedLeg) -> None:
        order = self.rig.begin(
            one.member, leg.reference, limits_of(leg.profile, one.plan.channels), leg.due_ms
        )
        if leg.agreed:
            self._agree(order, leg)
            self.rig.view.event("settlement", f"{leg.reference}: carrier puts up a bond")
        if leg.insured:
            self.rig.chainside.insure(order, TIERS, leg.due_ms // 1000 + DEADLINE_S)
            self.rig.view.event("settlement", f"{leg.reference}: shipper buys a cover")

    def _agree(self, order: Assignment, leg: PlannedLeg) -> None:
        """Most deadlines are days after the due time; one comes before its leg has ended, with a long window."""
        if not leg.deadline_ms:
            self.rig.chainside.agree(order, TIERS, leg.due_ms // 1000 + DEADLINE_S)
            return
        undated = (tier for tier in TIERS if tier.metric != Metric.LATE_MS)
        self.rig.chainside.agree(order, undated, leg.deadline_ms // 1000, LONG_WINDOW_S)

    def _use_clone(self, clone: Member) -> None:
        """The second device signs a frame of its own with the number that the first one has just used."""
        rig, now_ms = self.rig, self.rig.clock()
        clone.take([NewReading(Channel.AIR, now_ms - MINUTE_MS, 4_321)])
        clone.gateway.cut(now_ms)
        refused = rig.end_of(topics.DEAD)
        for _, frame in clone.outbox.frames_after(-1, 1):
            rig.operator.publish(gateway_topic(TENANT, clone.gateway_id, "frames"), frame)
        rig.wait_for("ingest: the clone's frame", lambda: rig.end_of(topics.DEAD) > refused)
        clone.close()
        self._clone = None
        rig.view.event("ingest", f"{clone.name}: two frames with one number, the key is cloned")
