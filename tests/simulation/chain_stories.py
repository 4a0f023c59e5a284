"""What legs go through in the chain drill, and what each makes due: counted by hand from the readings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lading.frame import Frame
from lading.settlement import Kind
from lading.terms import Tier
from lading.totals import Reading
from tests.legs import Leg, make_leg, make_order
from tests.settling import ABOVE_MS, BOND, HOUR_MS, LATE_MS, LIMITS, SILENCE_MS, World, make_terms_of

DUE_H, DEADLINE_H, WINDOW_H = 3, 6, 5
LATE, SILENCE, SOME, MORE = 50_000, 400_000, 100_000, 200_000
WAVE_H = DEADLINE_H + WINDOW_H + 1


@dataclass(frozen=True)
class Told:
    """Frames up to the one numbered `count` reach the log `at_h` hours after the leg's begin."""

    at_h: float
    count: int
    is_final: bool = False


@dataclass(frozen=True)
class Plot:
    """A kind of leg: warm from minute `warm_from` for `warm` minutes, a frame at each hour of `cuts_h`."""

    name: str
    warm_from: int
    warm: int
    cuts_h: tuple[int, ...]
    closed: bool
    told: tuple[Told, ...]
    kind: Kind
    amount: int


PLOTS = (
    Plot("penalty", 0, 40, (1, 2), True, (Told(2, 2, True),), "penalty", SOME + MORE),
    Plot("release", 0, 10, (1, 2), True, (Told(2, 2, True),), "release", BOND),
    # An hour late, and ten warm minutes are within the tier.
    Plot("late", 30, 10, (1, 4), True, (Told(4, 2, True),), "penalty", LATE),
    # Never closed. The first frame, shown after the deadline, has no warm minute; the second, shown later, has 40.
    Plot("shown", 60, 40, (1, 2), False, (Told(1, 1), Told(7, 2)), "penalty", LATE + SILENCE + SOME + MORE),
    # Open at the deadline, so its first frame is shown; the closing one, sent in time, comes within the window.
    Plot("corrected", 0, 20, (1, 2), True, (Told(1, 1), Told(7.5, 2, True)), "penalty", SOME),
    Plot("silent", 0, 0, (1, 2), False, (), "penalty", LATE + SILENCE),
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What an agreement must end in."""

    name: str
    leg_id: bytes
    kind: Kind
    amount: int


@dataclass(frozen=True)
class Event:
    """Something that happens at a time of the world."""

    at_ms: int
    act: Callable[[], None]


class Stories:
    """Waves of legs over one world: the agreements at once, then what comes in when its time has come.

    `hour_ms`: how long an hour of the plots takes.
    """

    def __init__(self, world: World, hour_ms: int = HOUR_MS) -> None:
        self._world = world
        self._hour_ms = hour_ms
        self._events: list[Event] = []
        self._frame_seq = 0
        self.wanted: dict[bytes, Wanted] = {}

    def begin(self, wave: int, begin_ms: int) -> None:
        """Sign and fund agreements: each plot twice, some time apart."""
        for number, plot in enumerate((*PLOTS, *PLOTS)):
            self._begin(
                plot, f"{plot.name}-{wave}-{number}", begin_ms + number * self._hour_ms // 15 // 1000 * 1000
            )

    def _begin(self, plot: Plot, name: str, begin_ms: int) -> None:
        hour_ms = self._hour_ms
        leg = _leg(plot, name, begin_ms, hour_ms, self._frame_seq)
        self._frame_seq += len(leg.frames)
        terms = make_terms_of(
            self._world,
            leg.frames[-1].header,
            _tiers(hour_ms),
            begin_ms=begin_ms,
            due_ms=begin_ms + DUE_H * hour_ms,
            deadline_s=(begin_ms + DEADLINE_H * hour_ms) // 1000,
            window_s=WINDOW_H * hour_ms // 1000,
            salt=self._frame_seq,
        )
        self.wanted[self._world.agree(terms)] = Wanted(name, leg.begin.leg_id, plot.kind, plot.amount)
        before = 0
        for told in plot.told:
            self._tell(leg.frames, before, told, begin_ms + round(told.at_h * hour_ms))
            before = told.count

    def _tell(self, frames: Sequence[Frame], before: int, told: Told, at_ms: int) -> None:
        def act() -> None:
            self._world.take(frames[before : told.count])
            self._world.judge(frames[: told.count], final=told.is_final)

        self._events.append(Event(at_ms, act))

    def tell(self, now_ms: int) -> None:
        """All that has come by now."""
        due = [event for event in self._events if event.at_ms <= now_ms]
        self._events = [event for event in self._events if event.at_ms > now_ms]
        for event in sorted(due, key=lambda event: event.at_ms):
            event.act()

    @property
    def is_told(self) -> bool:
        """Whether all has come."""
        return not self._events


def _tiers(hour_ms: int) -> tuple[Tier, ...]:
    return (
        Tier(0, LATE_MS, 0, LATE),
        Tier(0, SILENCE_MS, hour_ms, SILENCE),
        Tier(1, ABOVE_MS, hour_ms // 6, SOME),
        Tier(1, ABOVE_MS, hour_ms // 2, MORE),
    )


def _leg(plot: Plot, name: str, begin_ms: int, hour_ms: int, first_frame_seq: int) -> Leg:
    """A reading a minute: 9 °C while warm, else 5 °C."""
    until = plot.warm_from + plot.warm
    readings = [
        Reading(i, begin_ms + i * hour_ms // 60, 9000 if plot.warm_from <= i < until else 5000)
        for i in range(plot.cuts_h[-1] * 60)
    ]
    cuts = [begin_ms + hour * hour_ms for hour in plot.cuts_h]
    return make_leg(
        make_order(LIMITS, reference=name),
        {1: readings},
        cuts[:-1],
        cuts[-1],
        closed=plot.closed,
        first_frame_seq=first_frame_seq,
    )
