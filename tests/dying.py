"""Kills a process, as far as a test can: raises at the nth touch of the log, the chain or a stage's own file."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lading.chain import Rpc
from lading.log import Record, WatchedLog


class Died(BaseException):
    """The process is gone here. No `except Exception` may keep it alive."""


class Fuse:
    """Burns down by one with each touch, before and after; at 0 the process dies. None: never."""

    def __init__(self, left: int | None = None) -> None:
        self.left = left
        self.burnt = 0

    def touch(self) -> None:
        """One step nearer."""
        self.burnt += 1
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise Died


def places_to_die(calm: Fuse) -> range:
    """Touches of an undisturbed run at which to die: a sample, or each with LADING_DEATHS=all."""
    stride = 1 if os.environ.get("LADING_DEATHS") == "all" else max(1, calm.burnt // 12)
    return range(1, calm.burnt + 1, stride)


class DyingLog:
    """A log whose writes touch the fuse before and after."""

    def __init__(self, log: WatchedLog, fuse: Fuse) -> None:
        self._log = log
        self._fuse = fuse

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """See `Log.append`."""
        if not items:
            return []
        self._fuse.touch()
        places = self._log.append(topic, items)
        self._fuse.touch()
        return places

    def read(self, topic: str, positions: Mapping[int, int], count_max: int) -> list[Record]:
        """See `Log.read`."""
        return self._log.read(topic, positions, count_max)

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """See `Log.commit`."""
        self._fuse.touch()
        self._log.commit(group, topic, positions)
        self._fuse.touch()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """See `Log.committed`."""
        return self._log.committed(group, topic)

    def end(self, topic: str) -> dict[int, int]:
        """See `Log.end`."""
        return self._log.end(topic)

    def ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        """See `WatchedLog.ends`."""
        return self._log.ends(topics)

    def known_ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        """See `WatchedLog.known_ends`."""
        return self._log.known_ends(topics)

    def wait(self, positions: Mapping[str, Mapping[int, int]], wait_s: float) -> bool:
        """See `WatchedLog.wait`."""
        return self._log.wait(positions, wait_s)


class DyingRpc:
    """A chain whose requests touch the fuse before and after: every write of the outbox lies between two of them."""

    def __init__(self, rpc: Rpc, fuse: Fuse) -> None:
        self._rpc = rpc
        self._fuse = fuse

    def request(self, method: str, params: list[Any]) -> Any:
        """See `Rpc.request`."""
        self._fuse.touch()
        result = self._rpc.request(method, params)
        self._fuse.touch()
        return result
