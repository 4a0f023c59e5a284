"""What stands behind the receiver: admission at once, or a relay to whoever admits the gateway's partition."""

import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from ingest.relay import Admission, Relay
from ingest.stage import Ingest
from ingest.turn import Outcome
from lading import topics
from lading.ends import Ends
from lading.log import WatchedLog
from lading.partitions import NOT_READ, Workers, partition_count

MESSAGES_MAX = 1_000
WAIT_S = 0.2
"""At most: partitions that come to this process, and a signal to stop, are seen so late."""


class Taker(Protocol):
    """Takes what was received: durable on return."""

    def take(self, messages: Sequence[tuple[str, bytes]]) -> list[Outcome]:
        """See `Ingest.take`."""


class Intake(Protocol):
    """Receiving's other end."""

    taker: Taker

    def admit(self) -> list[Outcome]:
        """Check what others received, or was received before: what became of it."""

    def rest(self) -> None:
        """Nothing was left: wait a little for more."""

    def tend(self) -> int:
        """Now and then: release frames that have waited long enough. How many."""

    def ingests(self) -> list[Ingest]:
        """The admissions that are open here."""

    def close(self) -> None:
        """Close what is open."""


class Together:
    """One process, or several over one state file in turns, receive and admit in one step."""

    def __init__(self, ingest: Ingest) -> None:
        self.taker: Taker = ingest
        self._ingest = ingest

    def admit(self) -> list[Outcome]:
        """Nothing is left to do."""
        return []

    def rest(self) -> None:
        """Whoever receives waits."""

    def tend(self) -> int:
        """See `Intake.tend`."""
        return self._ingest.step()

    def ingests(self) -> list[Ingest]:
        """See `Intake.ingests`."""
        return [self._ingest]

    def close(self) -> None:
        """See `Intake.close`."""
        self._ingest.close()


class Apart:
    """Whoever receives relays; each partition is admitted by the process that owns it."""

    def __init__(
        self, log: WatchedLog, taker: Relay, workers: Workers[Admission], messages_max: int = MESSAGES_MAX
    ) -> None:
        self.taker: Taker = taker
        self._log = log
        self._workers = workers
        self._messages_max = messages_max
        self._ends = Ends(log, (topics.RAW,))
        self._partitions = range(partition_count(log))

    def admit(self) -> list[Outcome]:
        """The next raw messages of all partitions that are this process's, in one read."""
        workers = self._workers.now()
        positions = self._positions(workers)
        if not workers or all(positions[p] >= end for p, end in self._ends.now()[topics.RAW].items()):
            return []
        records = self._log.read(topics.RAW, positions, self._messages_max)
        found: list[Outcome] = []
        for partition, own in groupby(records, key=attrgetter("partition")):
            found += workers[partition].take(list(own))
        return found

    def rest(self) -> None:
        """See `Intake.rest`."""
        if self._workers.open:
            self._log.wait({topics.RAW: self._positions(self._workers.open)}, WAIT_S)
        else:
            time.sleep(WAIT_S)

    def _positions(self, workers: Mapping[int, Admission]) -> dict[int, int]:
        return {p: workers[p].position if p in workers else NOT_READ for p in self._partitions}

    def tend(self) -> int:
        """See `Intake.tend`."""
        return sum(worker.tend() for worker in self._workers.now().values())

    def ingests(self) -> list[Ingest]:
        """See `Intake.ingests`."""
        return [worker.ingest for worker in self._workers.open.values()]

    def close(self) -> None:
        """See `Intake.close`."""
        self._workers.close()
