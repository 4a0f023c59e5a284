"""Runs recorded data through every stage: a recorded device is a gateway; a silence of all of them parts its legs."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from dashboards.live import LiveView
from demo.chainside import COIN
from demo.member import Member
from demo.rig import HOUR_MS, TENANT, Rig
from edge.mapping import GatewayModel, Mapping
from edge.readings import NewReading
from edge.replay import LineRefused, Replay, ReplayReading
from lading import topics
from lading.deadletter import DeadLetter
from lading.errors import ServiceError
from lading.limits import OFF_U32, Limits
from lading.tiers import Metric, Tier

TICK_MS = HOUR_MS
SILENCE_MS = 24 * HOUR_MS  # of every device: the next reading begins new legs
ANCHOR_MS = 12 * HOUR_MS  # of a silence: the closing frames are anchored
SETTLE_MS = 96 * HOUR_MS
DEADLINE_S = 400 * 86_400
PENALTY = 500 * COIN
DEAD_AT_ONCE = 1_000

Item = ReplayReading | LineRefused


def tiers_of(limits: Limits) -> tuple[Tier, ...]:
    """A penalty for each channel whose limits bound a single stretch: the same figure that the rules judge."""
    found = []
    for one in limits.channels:
        if one.above_stretch_max_ms != OFF_U32:
            found.append(Tier(one.channel, Metric.ABOVE_LONGEST_MS, one.above_stretch_max_ms, PENALTY))
        if one.below_stretch_max_ms != OFF_U32:
            found.append(Tier(one.channel, Metric.BELOW_LONGEST_MS, one.below_stretch_max_ms, PENALTY))
    return tuple(found)


class Recorded:
    """A recorded device as a gateway."""

    def __init__(self, model: GatewayModel, member: Member) -> None:
        self.model = model
        self.member = member
        self.waiting: list[tuple[NewReading, str, bytes]] = []  # with origin and line


class ReplayRun:
    """One run over recordings in a folder. `refused`: every line that was not taken."""

    def __init__(
        self, seed: int, folder: Path, view: LiveView, files: Sequence[Path], mapping: Mapping
    ) -> None:
        self.refused: list[LineRefused] = []
        self.replay = Replay(files, mapping)
        self._items = self._without_refused(iter(self.replay))
        self._first = next(self._items, None)
        if self._first is None:
            raise ServiceError(
                "replay_file", f"no reading in {len(files)} files; the first line not taken: {self._why()}"
            )
        self.begin_ms = self._first.time_ms
        self.rig = rig = Rig(f"lading replay {seed} ".encode(), folder, self.begin_ms, view)
        self._devices = {
            model.name: Recorded(
                model,
                Member(
                    model.name,
                    rig.seed,
                    folder / "edge" / model.name,
                    TENANT,
                    rig.operator_key,
                    rig.broker,
                    model.channels,
                ),
            )
            for model in mapping.gateway
        }
        rig.start([device.member for device in self._devices.values()])

    def play(self) -> None:
        """Every reading, hour by hour; then the days in which agreements settle."""
        for tick, readings in groupby(self._all(), key=lambda reading: self._tick_of(reading)):
            now_ms = (tick + 1) * TICK_MS
            if now_ms - self.rig.clock() > SILENCE_MS:
                self._end_all()
                self.rig.run_on(self.rig.clock() + ANCHOR_MS)
            self._play_tick(now_ms, list(readings))
        self._end_all()
        self._keep_refused()
        self.rig.run_out(self.rig.clock() + SETTLE_MS)

    def _all(self) -> Iterator[ReplayReading]:
        assert self._first is not None
        yield self._first
        yield from self._items

    def _without_refused(self, items: Iterator[Item]) -> Iterator[ReplayReading]:
        for item in items:
            if isinstance(item, LineRefused):
                self.refused.append(item)
            else:
                yield item

    def _tick_of(self, reading: ReplayReading) -> int:
        """A reading behind its file's newest belongs to the tick that is on: its gateway will flag it."""
        return max(reading.time_ms // TICK_MS, self.rig.clock() // TICK_MS - 1, self.begin_ms // TICK_MS)

    def _play_tick(self, now_ms: int, readings: list[ReplayReading]) -> None:
        rig = self.rig
        for reading in readings:
            new = NewReading(reading.channel, reading.time_ms, reading.value_milli, reading.flags)
            self._devices[reading.gateway].waiting.append((new, reading.origin, reading.line))
        for device in self._devices.values():
            member = device.member
            member.link(True, now_ms)
            if device.waiting and not rig.has_leg(member):
                rig.clock.now_ms = max(rig.clock(), device.waiting[0][0].time_ms)
                self._begin(device)
        rig.clock.now_ms = now_ms
        for device in self._devices.values():
            self._take(device)
        rig.step()

    def _take(self, device: Recorded) -> None:
        refused = device.member.take([new for new, _, _ in device.waiting], self.rig.clock())
        origins = {id(new): (origin, line) for new, origin, line in device.waiting}
        for new, error in refused:
            self.refused.append(LineRefused(error.code, error.text, *origins[id(new)]))
        self.rig.readings += len(device.waiting) - len(refused)
        device.waiting.clear()
        self.rig.carry(device.member)

    def _begin(self, device: Recorded) -> None:
        day = datetime.fromtimestamp(self.rig.clock() / 1000, UTC).strftime("%Y-%m-%d")
        order = self.rig.begin(device.member, f"{device.model.name} {day}", device.model.limits, 0)
        tiers = tiers_of(device.model.limits)
        if tiers:
            self.rig.chainside.agree(order, tiers, self.rig.clock() // 1000 + DEADLINE_S)

    def _end_all(self) -> None:
        for device in self._devices.values():
            if self.rig.has_leg(device.member):
                self.rig.end(device.member)
                self.rig.carry(device.member)
        self.rig.step(is_due=True)

    def _keep_refused(self) -> None:
        """Lines that were not taken go to the dead letters, as messages do."""
        letters = [
            DeadLetter(one.code, one.reason, one.origin, self.rig.clock(), one.data) for one in self.refused
        ]
        for at in range(0, len(letters), DEAD_AT_ONCE):
            items = [(letter.code.encode(), letter.encode()) for letter in letters[at : at + DEAD_AT_ONCE]]
            self.rig.stages.log.append(topics.DEAD, items)

    def _why(self) -> str:
        return f"{self.refused[0].origin}: {self.refused[0].reason}" if self.refused else "none"
