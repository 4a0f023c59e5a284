"""`KafkaLog`: the log on Apache Kafka, for any number of processes on any number of machines.

No transactions: their control records would make holes in the offsets, and batches count positions. docs/adr/0040 says
what that leaves open.
"""

from collections.abc import Mapping, Sequence

from lading.errors import ServiceError
from lading.kafka.appending import Appender
from lading.kafka.asking import Asker
from lading.kafka.clients import DELIVERY_MS, Broker
from lading.kafka.reading import Readers
from lading.kafka.share import KafkaShare
from lading.kafka.watching import Watcher
from lading.log import PARTITIONS_MAX, READ_BYTES_MAX, Record, check_items

APPEND_S = 30.0
ANSWER_S = 10.0
STALL_S = 15.0
"""More than a request may take: one that was lost with its connection is no stall."""


class KafkaLog:
    """The log on a broker. Opens no connection before it is used; may be shared by threads.

    `partitions` holds for every topic, `prefix` stands before every topic and group. Topics made here have `replicas`;
    with `fsync` they are on disk before they are acknowledged. `append_s` and `answer_s` bound
    how long an append and any question take. `stall_s`: without progress for so long while the broker answers, the
    producer is replaced. `delivery_ms` is for tests.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        partitions: int = 1,
        prefix: str = "",
        replicas: int = 1,
        fsync: bool = False,
        create_topics: bool = True,
        append_s: float = APPEND_S,
        answer_s: float = ANSWER_S,
        stall_s: float = STALL_S,
        delivery_ms: int = DELIVERY_MS,
        read_bytes_max: int = READ_BYTES_MAX,
    ) -> None:
        if not 1 <= partitions <= PARTITIONS_MAX:
            raise ServiceError("log_settings", f"{partitions} partitions, wanted 1..{PARTITIONS_MAX}")
        self._broker = broker
        self.prefix = prefix
        self.asker = Asker(
            broker,
            partitions=partitions,
            replicas=replicas,
            fsync=fsync,
            create_topics=create_topics,
            answer_s=answer_s,
        )
        self._appender = Appender(
            broker, self.asker, append_s=append_s, stall_s=stall_s, delivery_ms=delivery_ms
        )
        self._readers = Readers(broker, self.asker, read_bytes_max, answer_s)
        self._watcher = Watcher(broker, self.asker, read_bytes_max)

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """See `Log.append`."""
        check_items(items)
        if not items:
            return []
        name = self.prefix + topic
        self.asker.require(name)
        return self._appender.append(name, items)

    def read(self, topic: str, positions: Mapping[int, int], count_max: int) -> list[Record]:
        """See `Log.read`."""
        self._appender.settle()
        name = self.prefix + topic
        if count_max < 1 or not self.asker.exists(name):
            return []
        at_tail = self._watcher.read(name, positions, count_max)
        return at_tail or self._readers.read(name, positions, count_max)

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """See `Log.commit`."""
        if positions:
            self.asker.commit(self.prefix + group, self.prefix + topic, positions)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """See `Log.committed`."""
        name = self.prefix + topic
        return self.asker.committed(self.prefix + group, name) if self.asker.exists(name) else {}

    def end(self, topic: str) -> dict[int, int]:
        """See `Log.end`."""
        self._appender.settle()
        name = self.prefix + topic
        if not self.asker.exists(name):
            return dict.fromkeys(range(self.asker.partitions), 0)
        return self.asker.ends(name)

    def ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        """See `WatchedLog.ends`."""
        self._appender.settle()
        there = [topic for topic in topics if self.asker.exists(self.prefix + topic)]
        found = self.asker.ends_of([self.prefix + topic for topic in there]) if there else {}
        none = dict.fromkeys(range(self.asker.partitions), 0)
        return {topic: found.get(self.prefix + topic) or dict(none) for topic in topics}

    def known_ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        """See `WatchedLog.known_ends`."""
        partitions = range(self.asker.partitions)
        return {topic: {p: self.asker.seen(self.prefix + topic, p) for p in partitions} for topic in topics}

    def wait(self, positions: Mapping[str, Mapping[int, int]], wait_s: float) -> bool:
        """See `WatchedLog.wait`: the broker answers when there is something, and is asked nothing meanwhile."""
        return self._watcher.wait(
            {self.prefix + topic: at for topic, at in positions.items() if self._is_there(topic)}, wait_s
        )

    def _is_there(self, topic: str) -> bool:
        try:
            return self.asker.exists(self.prefix + topic)
        except ServiceError:
            return False

    def create(self, topic: str) -> bool:
        """See `OpenLog.create`."""
        return self.asker.create(self.prefix + topic)

    def begin(self, topic: str) -> dict[int, int]:
        """See `OpenLog.begin`."""
        name = self.prefix + topic
        if not self.asker.exists(name):
            return dict.fromkeys(range(self.asker.partitions), 0)
        return self.asker.begins(name)

    def groups(self) -> list[str]:
        """See `OpenLog.groups`: those with our prefix."""
        return [
            name.removeprefix(self.prefix) for name in self.asker.groups() if name.startswith(self.prefix)
        ]

    def share(self, topic: str, group: str, session_s: float) -> KafkaShare:
        """Join those who share the partitions of a topic, which is made if it may be.

        The members' group is not the one whose positions are committed: those are set by whoever works, member or not.
        """
        name = self.prefix + topic
        self.asker.require(name)
        return KafkaShare(self._broker, name, f"{self.prefix}{group}.members", session_s=session_s)

    def close(self) -> None:
        """Close the connections. What was appended is as durable without it."""
        self._appender.close()
        self._readers.close()
        self._watcher.close()
        self.asker.close()
