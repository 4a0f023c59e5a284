"""Puts late history into its place: after a birth an edge node's readings wait a little, then go on in order of time.

An edge node that was away sends its births first, with values of now, and what it had stored after them (is_historical,
6.4.6). A channel's readings go forward in time, so without waiting all that history would come too late.
"""

from collections.abc import Callable, Hashable
from enum import Enum
from typing import NamedTuple

from edge.readings import NewReading
from lading.errors import LadingError, RejectedError

HELD_MAX = 65_536  # readings
HELD_MS_MAX = 120_000


class Origin(Enum):
    """What kind of message a reading comes from."""

    LIVE = 0
    BIRTH = 1
    HISTORY = 2


class Taken(NamedTuple):
    """What messages gave."""

    readings: list[NewReading]
    problems: list[LadingError]


class _Hold(NamedTuple):
    since_ms: int
    until_ms: int
    readings: list[tuple[NewReading, Origin]]


class Settling:
    """`last_ms`: time of a channel's newest reading, -1 before the first; `hold_ms`: how long to wait, 0: never."""

    def __init__(self, last_ms: Callable[[int], int], hold_ms: int) -> None:
        self._last_ms = last_ms
        self._hold_ms = hold_ms
        self._newest_ms: dict[int, int] = {}  # by channel, of readings that the gateway has not yet
        self._holds: dict[Hashable, _Hold] = {}

    def begin(self, node: Hashable, now_ms: int) -> None:
        """The node was born: hold what it says, but never for longer than HELD_MS_MAX in all."""
        if self._hold_ms:
            held = self._holds.get(node, _Hold(now_ms, now_ms, []))
            until_ms = min(now_ms + self._hold_ms, held.since_ms + HELD_MS_MAX)
            self._holds[node] = held._replace(until_ms=until_ms)

    def add(self, node: Hashable, reading: NewReading, origin: Origin, now_ms: int, taken: Taken) -> None:
        """Hold a reading, or take it at once."""
        hold = self._holds.get(node)
        if hold is None:
            self._judge(reading, origin, taken)
            return
        if origin == Origin.HISTORY:
            self.begin(node, now_ms)
        hold.readings.append((reading, origin))
        if len(hold.readings) >= HELD_MAX:
            self._release(node, taken)

    def has_all(self) -> None:
        """The gateway has all that was taken, or has refused it: then a birth may say it once more."""
        self._newest_ms.clear()

    def release(self, now_ms: int | None, taken: Taken) -> None:
        """Take what has waited long enough; None: everything."""
        for node in [key for key, hold in self._holds.items() if now_ms is None or now_ms >= hold.until_ms]:
            self._release(node, taken)

    def _release(self, node: Hashable, taken: Taken) -> None:
        held = self._holds.pop(node).readings
        for reading, origin in sorted(held, key=lambda one: one[0].time_ms):
            self._judge(reading, origin, taken)

    def _judge(self, reading: NewReading, origin: Origin, taken: Taken) -> None:
        """What goes back in time: births repeat what is known, history is too late, live data is for the gateway."""
        newest_ms = max(self._last_ms(reading.channel), self._newest_ms.get(reading.channel, -1))
        if reading.time_ms <= newest_ms and origin == Origin.HISTORY:
            taken.problems.append(
                RejectedError(
                    "sparkplug_late",
                    f"channel {reading.channel}: history of {reading.time_ms} ms, wanted after {newest_ms}",
                )
            )
        elif reading.time_ms > newest_ms or origin == Origin.LIVE:
            self._newest_ms[reading.channel] = max(newest_ms, reading.time_ms)
            taken.readings.append(reading)
