"""What a gateway may send without end is bounded: channels of a leg, ranges and channels of a part."""

from collections.abc import Sequence

from anomaly.scoring.engine import Engine
from anomaly.scoring.plan import CHANNELS_OF_LEG_MAX, PART_CHANNELS, PART_RANGES
from lading.episode import RANGES_MAX, RECORD_BYTES_MAX, Scores, read_anomaly
from lading.frame import IDLE, NO_ANCHOR, Frame, LegRef, make_run, seal
from lading.quantities import Quantity
from lading.totals import EMPTY, Reading
from tests.legs import GATEWAY, SALT

T0 = 1_700_000_000_000
NO_LEG = LegRef(IDLE, bytes(32), bytes(32))


def idle_frame(seq: int, channels: Sequence[int]) -> Frame:
    """A frame between legs with one reading of each channel."""
    time_ms = T0 + 60_000 * seq
    runs = [
        make_run(channel, Quantity.TEMPERATURE, seq, SALT, [Reading(seq, time_ms, 5_000)], EMPTY)
        for channel in channels
    ]
    return seal(GATEWAY, NO_LEG, seq, bytes([seq > 0]) * 32, time_ms, NO_ANCHOR, runs)


def sheets(engine: Engine, frames: Sequence[Frame]) -> list[Scores]:
    """The parts that the frames make whole."""
    said = engine.take([frame.encode() for frame in frames])
    assert all(len(one.encode()) <= RECORD_BYTES_MAX and read_anomaly(one.encode()) == one for one in said)
    return [one for one in said if isinstance(one, Scores)]


def test_ranges_of_a_part() -> None:
    """A gap after each frame: a part ends when it has as many ranges as a record holds."""
    frames = [idle_frame(2 * n, [1]) for n in range(2 * PART_RANGES)]
    found = sheets(Engine(), frames)
    assert [len(one.frames) for one in found] == [RANGES_MAX, RANGES_MAX]
    assert [channel.readings for one in found for channel in one.channels] == [RANGES_MAX, RANGES_MAX]


def test_channels_of_a_part_and_of_a_leg() -> None:
    """Other channels in each frame: a part ends when it has many, and of a leg's channels the first ones are scored."""
    share = PART_CHANNELS // 2
    frames = [idle_frame(n, range(share * n, share * (n + 1))) for n in range(10)]
    engine = Engine()
    found = sheets(engine, frames)
    assert [len(one.channels) for one in found] == [3 * share, 3 * share]
    assert engine.block.used == CHANNELS_OF_LEG_MAX == 8 * share
