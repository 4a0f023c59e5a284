"""What is known of a leg that is scored, and how it is kept."""

import zlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from anomaly.scoring.block import Block, Row
from lading import cbor
from lading.episode import Moment, ScoredLeg
from lading.tree import HASH_BYTES

KEPT_BYTES_MAX = 256 * 1024 * 1024
_LEVEL = 1  # state is written often and mostly zeros at first

Channel = tuple[int, int]  # number, quantity


class Mark(NamedTuple):
    """A reading that an episode rests on, and its place among its channel's."""

    place: int
    moment: Moment


class Open(NamedTuple):
    """An episode that is up, as far as it was seen."""

    begin: Mark
    peak: Mark
    last: Mark
    detector: int
    score: int  # the peak's, in millionths


@dataclass(slots=True)
class Leg:
    """A leg: where its scoring stands, and the slots of its channels."""

    key: bytes  # leg id, gateway id, limits hash
    last_frame_seq: int = -1
    first_frame_seq: int = -1  # of this scoring
    is_closed: bool = False
    part: int = 0
    longest: int = 0  # readings of this part: of each frame the longest run's
    frames: list[tuple[int, int]] = field(default_factory=list)  # ranges of this part
    seen: set[int] = field(default_factory=set)  # slots with readings in this part
    slots: dict[Channel, int] = field(default_factory=dict)
    open: dict[int, Open] = field(default_factory=dict)  # by slot
    layout: bytes = b""  # channels and quantities of the last frame, as in its records
    layout_slots: list[int] = field(default_factory=list)

    @property
    def gateway(self) -> bytes:
        """32 bytes."""
        return self.key[HASH_BYTES : 2 * HASH_BYTES]

    def scoring(self, release: str) -> ScoredLeg:
        """What names this scoring in records."""
        leg, gateway, limits = (self.key[at : at + HASH_BYTES] for at in range(0, 3 * HASH_BYTES, HASH_BYTES))
        return ScoredLeg(release, leg, gateway, limits, self.first_frame_seq)

    def add_frame(self, seq: int) -> None:
        """The frame is the next one of this part."""
        if self.frames and self.frames[-1][1] + 1 == seq:
            self.frames[-1] = self.frames[-1][0], seq
        else:
            self.frames.append((seq, seq))
        self.last_frame_seq = seq

    def drop_channels(self, block: Block) -> None:
        """Give all slots back."""
        for slot in self.slots.values():
            block.give_back(slot)
        self.slots.clear()
        self.open.clear()
        self.seen.clear()
        self.layout, self.layout_slots = b"", []

    def keep(self, block: Block) -> bytes:
        """Everything but the key and what the store has in columns."""
        channels = [
            [*channel, *block.row(slot), slot in self.seen, _kept(self.open.get(slot))]
            for channel, slot in self.slots.items()
        ]
        frames = [list(one) for one in self.frames]
        return zlib.compress(
            cbor.encode([self.first_frame_seq, self.part, self.longest, frames, channels]), _LEVEL
        )

    def restore(self, kept: bytes, block: Block) -> None:
        """Take up what `keep` gave."""
        data = zlib.decompressobj().decompress(kept, KEPT_BYTES_MAX)
        self.first_frame_seq, self.part, self.longest, frames, channels = cbor.decode(data, KEPT_BYTES_MAX)
        self.frames = [(first, last) for first, last in frames]
        for channel, quantity, sums, episode, scorer, seen, up in channels:
            slot = self.slots[(channel, quantity)] = block.take()
            block.put(slot, Row(sums, episode, scorer))
            if seen:
                self.seen.add(slot)
            if up is not None:
                self.open[slot] = _restored(up)


def _kept(up: Open | None) -> Any:
    return None if up is None else [*([mark.place, *mark.moment] for mark in up[:3]), *up[3:]]


def _restored(up: list[Any]) -> Open:
    begin, peak, last = (Mark(place, Moment(*moment)) for place, *moment in up[:3])
    return Open(begin, peak, last, *up[3:])
