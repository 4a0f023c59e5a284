"""The legs at hand: those that the rules used last, in memory with what their frames have told so far."""

from collections import OrderedDict
from collections.abc import Iterable

from anomaly.state import Leg, LegKey, State
from lading.assignment import Assignment, read_assignment
from lading.errors import MalformedError
from lading.frame import CLOSED, Header
from lading.rules import LegTrack, load


class Legs:
    """A state's legs, read as they are asked for. A leg that changes is saved before `evict` is told of it."""

    def __init__(self, state: State, channels_max: int) -> None:
        self._state = state
        self._channels_max = channels_max
        self._legs: OrderedDict[int, Leg] = OrderedDict()  # by number, least recently used first
        self._numbers: dict[LegKey, int] = {}

    def find(self, key: LegKey) -> Leg | None:
        """A leg that had a frame."""
        no = self._numbers.get(key)
        leg = self._legs[no] if no is not None else self._state.find_leg(key)
        return self._ready(leg) if leg else None

    def find_or_add(self, key: LegKey) -> Leg:
        """A leg that has a frame now."""
        return self.find(key) or self._ready(self._state.add_leg(key))

    def by_no(self, no: int) -> Leg:
        """A leg by its number in the state."""
        return self._ready(self._legs.get(no) or self._state.leg(no))

    def at_hand(self) -> list[Leg]:
        """Those in memory, first those not needed for longest."""
        return list(self._legs.values())

    def evict(self, legs: Iterable[Leg]) -> None:
        """Forget legs that were kept, in this order, while there are too many channels in memory."""
        channels = sum(leg.channel_count for leg in self._legs.values())
        for leg in legs:
            if channels <= self._channels_max:
                return
            del self._legs[leg.no], self._numbers[leg.key]
            channels -= leg.channel_count

    def forget(self) -> None:
        """All: they may be ahead of what was committed."""
        self._legs.clear()
        self._numbers.clear()

    def _ready(self, leg: Leg) -> Leg:
        """The leg in memory, its track loaded if its order is there."""
        if leg.no not in self._legs:
            message = self._state.order(leg.key)
            if message is not None:
                start(leg, read_assignment(message))
            self._legs[leg.no], self._numbers[leg.key] = leg, leg.no
        self._legs.move_to_end(leg.no)
        return leg


def start(leg: Leg, order: Assignment) -> None:
    """Give the leg its track: as it was saved, or from the beginning."""
    leg.tenant = order.tenant
    try:
        leg.track = load(order, leg.snapshot) if leg.snapshot else LegTrack(order)
    except MalformedError:  # saved by another version
        leg.track = LegTrack(order)
    leg.snapshot = None


def is_newest(leg: Leg, header: Header) -> bool:
    """Whether the frame has a greater number than all of the leg's before."""
    return leg.last_seq is None or header.frame_seq > leg.last_seq


def widen(leg: Leg, header: Header) -> None:
    """Let the leg's numbers include a frame's."""
    seq = header.frame_seq
    leg.first_seq = seq if leg.first_seq is None else min(leg.first_seq, seq)
    leg.last_seq = seq if leg.last_seq is None else max(leg.last_seq, seq)
    if header.leg_state == CLOSED:
        leg.closing_seq = seq if leg.closing_seq is None else min(leg.closing_seq, seq)
