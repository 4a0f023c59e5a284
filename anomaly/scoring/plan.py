"""From frames to runs of readings: whose each is, what is passed over, and where parts end."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from anomaly.scoring.block import Block, Readings
from anomaly.scoring.leg import Channel, Leg
from lading.frame import CLOSED, HEADER_BYTES, RECORD_BYTES
from lading.quantities import INVALID, Quantity
from lading.walk import Walked

PART_READINGS = 1_024
PART_RANGES = 64
PART_CHANNELS = 256
CHANNELS_OF_LEG_MAX = 1_024
UNSCORED = frozenset((int(Quantity.LATITUDE), int(Quantity.LONGITUDE)))
"""Where a truck is has no level."""
NOT_SCORED = -1
_MILLI = 1000.0

FindLeg = Callable[[bytes], Leg]


@dataclass(frozen=True, slots=True)
class Part:
    """A part that ends with a frame; `runs` are the last runs of its channels, some of them empty."""

    leg: Leg
    frame: int  # its last one's place in the batch
    number: int
    is_last: bool
    frames: tuple[tuple[int, int], ...]
    runs: range


@dataclass(slots=True)
class Plan:
    """Runs to score, in the order of the log, and where each comes from."""

    slot: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    frame: list[int] = field(default_factory=list)  # the run's frame's place in the batch
    leg: list[Leg] = field(default_factory=list)
    channel: list[Channel] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)  # by run of the batch: whether it is scored
    parts: list[Part] = field(default_factory=list)
    touched: dict[bytes, Leg] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)

    def add(self, slot: int, count: int, frame: int, leg: Leg, channel: Channel) -> None:
        """One more run."""
        self.slot.append(slot)
        self.count.append(count)
        self.frame.append(frame)
        self.leg.append(leg)
        self.channel.append(channel)

    def readings(self, walked: Walked) -> Readings:
        """The columns of the runs."""
        columns = walked.columns
        which: slice | np.ndarray[tuple[int], np.dtype[np.bool_]] = slice(None)
        if not all(self.kept):
            which = np.repeat(np.array(self.kept, np.bool_), np.diff(walked.reading_starts))
        ends = np.zeros(len(self.slot), np.bool_)
        for part in self.parts:
            ends[part.runs.start : part.runs.stop] = True
        value = np.where(columns.flags[which] & INVALID, np.nan, columns.value[which] / _MILLI)
        starts = np.concatenate([[0], np.cumsum(np.array(self.count, np.int64))]).astype(np.int64)
        slot = np.array(self.slot, np.int64)
        return Readings(slot, starts, ends, columns.seq[which], columns.time_ms[which], value)


def plan(walked: Walked, find_leg: FindLeg, block: Block) -> Plan:
    """Which runs of a batch are scored. Moves the legs on: they are ahead of their scores until those are made."""
    made = Plan()
    headers, records = walked.headers.tobytes(), walked.records.tobytes()
    run_starts, counts = walked.run_starts.tolist(), np.diff(walked.reading_starts).tolist()
    for frame, is_whole in enumerate(walked.whole.tolist()):
        first, end = run_starts[frame], run_starts[frame + 1]
        header = headers[frame * HEADER_BYTES : (frame + 1) * HEADER_BYTES]
        leg = _leg_of(header, find_leg, made) if is_whole else made.passed_over.update(("withheld",))
        if leg is None:
            made.kept += [False] * (end - first)
            continue
        seq = int.from_bytes(header[99:107], "big")
        if leg.first_frame_seq < 0:
            leg.first_frame_seq = seq
        leg.add_frame(seq)
        layout = b"".join(records[r * RECORD_BYTES + 1 : r * RECORD_BYTES + 5] for r in range(first, end))
        _add_runs(made, leg, frame, layout, counts[first:end], block)
        leg.is_closed = header[34] == CLOSED
        if leg.is_closed or _is_full(leg):
            _end_part(made, leg, frame)
    return made


def _leg_of(header: bytes, find_leg: FindLeg, made: Plan) -> Leg | None:
    """The leg that a frame goes on with; None where it is passed over."""
    key = header[35:67] + header[2:34] + header[67:99]
    leg = find_leg(key)
    if leg.is_closed or int.from_bytes(header[99:107], "big") <= leg.last_frame_seq:
        made.passed_over.update(("closed" if leg.is_closed else "late",))
        return None
    made.touched[key] = leg
    return leg


def _add_runs(made: Plan, leg: Leg, frame: int, layout: bytes, counts: list[int], block: Block) -> None:
    if layout != leg.layout:
        leg.layout, leg.layout_slots = layout, _slots(leg, layout, block)
    for at, (slot, count) in enumerate(zip(leg.layout_slots, counts, strict=True)):
        made.kept.append(slot != NOT_SCORED)
        if slot != NOT_SCORED:
            made.add(slot, count, frame, leg, _channel(layout, at))
            if count:
                leg.seen.add(slot)
    leg.longest += max(counts, default=0)


def _slots(leg: Leg, layout: bytes, block: Block) -> list[int]:
    found = []
    for at in range(len(layout) // 4):
        channel = _channel(layout, at)
        is_room = channel in leg.slots or len(leg.slots) < CHANNELS_OF_LEG_MAX
        if channel[1] in UNSCORED or not is_room:
            found.append(NOT_SCORED)
            continue
        if channel not in leg.slots:
            leg.slots[channel] = block.take()
        found.append(leg.slots[channel])
    return found


def _channel(layout: bytes, at: int) -> Channel:
    return int.from_bytes(layout[4 * at : 4 * at + 2], "big"), int.from_bytes(
        layout[4 * at + 2 : 4 * at + 4], "big"
    )


def _is_full(leg: Leg) -> bool:
    return leg.longest >= PART_READINGS or len(leg.frames) >= PART_RANGES or len(leg.seen) > PART_CHANNELS


def _end_part(made: Plan, leg: Leg, frame: int) -> None:
    """The part ends here for channels without a run in this frame, too: they get an empty one."""
    begin = len(made.slot)
    while begin and made.frame[begin - 1] == frame:
        begin -= 1
    here = set(made.slot[begin:])
    for channel, slot in leg.slots.items():
        if slot not in here:
            made.add(slot, 0, frame, leg, channel)
    made.parts.append(
        Part(leg, frame, leg.part, leg.is_closed, tuple(leg.frames), range(begin, len(made.slot)))
    )
    leg.part += 1
    leg.longest = 0
    leg.frames.clear()
    leg.seen.clear()
