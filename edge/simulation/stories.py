"""What is made to happen in a simulation, and when: failures, faults, clocks, silences."""

from collections.abc import Iterable
from dataclasses import dataclass

TIME_MS_END = 253_402_300_799_999
CLOCK_UNSET_MS = 946_684_800_000  # 2000-01-01, where many a real-time clock starts without its battery


@dataclass(frozen=True, slots=True)
class Span:
    begin_ms: int
    end_ms: int = TIME_MS_END

    def covers(self, time_ms: int) -> bool:
        return self.begin_ms <= time_ms < self.end_ms


@dataclass(frozen=True, slots=True)
class CompressorFailure(Span):
    """The compressor does not run."""


@dataclass(frozen=True, slots=True)
class DoorLeftOpen(Span):
    """Somebody did not shut the door."""


@dataclass(frozen=True, slots=True)
class Offline(Span):
    """No link to the broker; the gateway goes on sampling and signing."""


@dataclass(frozen=True, slots=True)
class ClockUnset(Span):
    """The gateway's clock lost its time: it runs from 2000-01-01 until it is set."""


@dataclass(frozen=True, slots=True)
class ClockStep(Span):
    """The gateway's clock is wrong by `shift_ms`."""

    shift_ms: int = -3_600_000


@dataclass(frozen=True, slots=True)
class SensorFault(Span):
    """The channel's sensor reports an error code instead of a measurement."""

    channel: int = 1
    code_milli: int = -127_000


@dataclass(frozen=True, slots=True)
class Bump(Span):
    """A fall or a blow of `peak_g`."""

    peak_g: float = 6.0


Story = CompressorFailure | DoorLeftOpen | Offline | ClockUnset | ClockStep | SensorFault | Bump


class Stories:
    """All stories of one gateway."""

    def __init__(self, stories: Iterable[Story] = ()) -> None:
        given = tuple(stories)
        self._failures = tuple(story for story in given if isinstance(story, CompressorFailure))
        self._doors = tuple(story for story in given if isinstance(story, DoorLeftOpen))
        self._silences = tuple(story for story in given if isinstance(story, Offline))
        self._clocks = tuple(story for story in given if isinstance(story, ClockUnset | ClockStep))
        self._faults = tuple(story for story in given if isinstance(story, SensorFault))
        self._bumps = tuple(story for story in given if isinstance(story, Bump))

    def fails(self, time_ms: int) -> bool:
        return _any(self._failures, time_ms)

    def door_open(self, time_ms: int) -> bool:
        return _any(self._doors, time_ms)

    def online(self, time_ms: int) -> bool:
        return not _any(self._silences, time_ms)

    def clock_ms(self, time_ms: int) -> int:
        """What the gateway's clock shows at this true time."""
        for story in self._clocks:
            if story.covers(time_ms):
                if isinstance(story, ClockUnset):
                    return CLOCK_UNSET_MS + time_ms - story.begin_ms
                return time_ms + story.shift_ms
        return time_ms

    def fault_milli(self, channel: int, time_ms: int) -> int | None:
        """The error code that the channel's sensor reports, if it fails now."""
        for story in self._faults:
            if story.channel == channel and story.covers(time_ms):
                return story.code_milli
        return None

    def bump_g(self, after_ms: int, time_ms: int) -> float:
        """The strongest bump that began after `after_ms` and not after `time_ms`; 0 if none."""
        return max((bump.peak_g for bump in self._bumps if after_ms < bump.begin_ms <= time_ms), default=0.0)


def _any(spans: tuple[Span, ...], time_ms: int) -> bool:
    return bool(spans) and any(span.covers(time_ms) for span in spans)
