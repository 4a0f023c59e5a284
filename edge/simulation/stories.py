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
        self._stories = tuple(stories)

    def fails(self, time_ms: int) -> bool:
        return self._any(CompressorFailure, time_ms)

    def door_open(self, time_ms: int) -> bool:
        return self._any(DoorLeftOpen, time_ms)

    def online(self, time_ms: int) -> bool:
        return not self._any(Offline, time_ms)

    def clock_ms(self, time_ms: int) -> int:
        """What the gateway's clock shows at this true time."""
        for story in self._stories:
            if isinstance(story, ClockUnset) and story.covers(time_ms):
                return CLOCK_UNSET_MS + time_ms - story.begin_ms
            if isinstance(story, ClockStep) and story.covers(time_ms):
                return time_ms + story.shift_ms
        return time_ms

    def fault_milli(self, channel: int, time_ms: int) -> int | None:
        """The error code that the channel's sensor reports, if it fails now."""
        for story in self._stories:
            if isinstance(story, SensorFault) and story.channel == channel and story.covers(time_ms):
                return story.code_milli
        return None

    def bump_g(self, after_ms: int, time_ms: int) -> float:
        """The strongest bump that began after `after_ms` and not after `time_ms`; 0 if none."""
        return max(
            (s.peak_g for s in self._stories if isinstance(s, Bump) and after_ms < s.begin_ms <= time_ms),
            default=0.0,
        )

    def _any(self, kind: type[Span], time_ms: int) -> bool:
        return any(isinstance(story, kind) and story.covers(time_ms) for story in self._stories)
