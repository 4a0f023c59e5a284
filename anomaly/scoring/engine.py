"""Frames in, episodes and score sheets out: the scoring without log or file, the same on the stream and in a replay."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from anomaly.scoring.block import Block
from anomaly.scoring.leg import Leg
from anomaly.scoring.plan import plan
from anomaly.scoring.release import release
from anomaly.scoring.said import Said, say
from lading.fast import walk_frames


class Engine:
    """Scores legs. `load` restores what is known of a leg into the block, or makes a new one."""

    def __init__(self, load: Callable[[bytes, Block], Leg] = lambda key, _: Leg(key)) -> None:
        self.release = release()
        self.block = Block()
        self.changed: dict[bytes, Leg] = {}  # since they were kept
        self.passed_over: Counter[str] = Counter()
        self.readings = 0
        self._load = load
        self._legs: OrderedDict[bytes, Leg] = OrderedDict()  # least recently used first

    def take(self, frames: Sequence[bytes]) -> list[Said]:
        """Score frames that passed every check, in the order of the log. What is to be said of them, in that order."""
        if not frames:
            return []
        walked = walk_frames(frames)
        made = plan(walked, self._find, self.block)
        readings = made.readings(walked)
        found = self.block.score(readings)
        said = say(walked, made, readings, found, self.block, self.release)
        self.readings += len(readings.seq)
        self.passed_over += made.passed_over
        for leg in made.touched.values():
            if leg.is_closed:
                leg.drop_channels(self.block)
        self.changed.update(made.touched)
        return said

    def forget(self, channels_max: int) -> None:
        """Let go of legs that did not change: closed ones, and while there are more channels, or legs, than that, those
        not needed for longest."""
        for key, leg in list(self._legs.items()):
            is_full = self.block.used > channels_max or len(self._legs) > channels_max
            if key not in self.changed and (leg.is_closed or is_full):
                leg.drop_channels(self.block)
                del self._legs[key]

    def _find(self, key: bytes) -> Leg:
        if key not in self._legs:
            self._legs[key] = self._load(key, self.block)
        self._legs.move_to_end(key)
        return self._legs[key]
