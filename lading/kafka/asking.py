"""What the broker is asked and told beside reading and appending: topics, ends, committed offsets."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from lading.errors import ServiceError
from lading.kafka.clients import BATCH_BYTES_MAX, Broker, patiently, service_errors

IN_SYNC_OF_THREE = 2  # replicas that have a record before it counts as appended, where there are three

T = TypeVar("T")


class Asker:
    """Answers from the broker, each in `answer_s` at most. Names of topics and groups are the broker's here.

    May be shared by threads.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        partitions: int,
        replicas: int,
        fsync: bool,
        create_topics: bool,
        answer_s: float,
    ) -> None:
        self.partitions = partitions
        self._broker = broker
        self._replicas = replicas
        self._fsync = fsync
        self._create_topics = create_topics
        self._answer_s = answer_s
        self._lock = Lock()
        self._open: _Clients | None = None
        self._known: set[str] = set()
        self._seen: dict[tuple[str, int], int] = {}

    def exists(self, topic: str) -> bool:
        """Whether the topic is there. ServiceError `log_topic` when it has other partitions than the settings say."""
        if topic in self._known:
            return True
        with service_errors(f"asking for topic {topic}"):
            (found,) = self._ask(lambda to: to.admin.describe_topics([topic]))
            error = kafka_errors.for_code(found["error_code"])
            if error is kafka_errors.UnknownTopicOrPartitionError:
                return False
            if error is not kafka_errors.NoError:
                raise error()
        count = len(found["partitions"])
        if count != self.partitions:
            raise ServiceError(
                "log_topic",
                f"{topic} has {count} partitions, wanted {self.partitions} as the settings say (log.partitions)",
            )
        self._known.add(topic)
        return True

    def require(self, topic: str) -> None:
        """The topic is there afterwards, made now if it may be."""
        if self.exists(topic):
            return
        if not self._create_topics:
            raise ServiceError("log_topic", f"{topic} does not exist, wanted one: `lading log init` makes it")
        self.create(topic)

    def create(self, topic: str) -> bool:
        """Make a topic that keeps its records for ever; False when it is there already."""
        if self.exists(topic):
            return False
        with service_errors(f"making topic {topic}"):
            with suppress(kafka_errors.TopicAlreadyExistsError):  # another process was first
                self._ask(lambda to: to.admin.create_topics({topic: self._new_topic()}))
            self._ask(lambda to: to.admin.wait_for_topics([topic]))
        return self.exists(topic)

    def ends(self, topic: str) -> dict[int, int]:
        """The next record's offset, by partition."""
        return self.ends_of([topic])[topic]

    def ends_of(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        """The same of many topics, all asked in one request to each broker."""
        found = self._offsets(topics, KafkaConsumer.end_offsets)
        for topic, ends in found.items():
            for partition, end in ends.items():
                self.saw(topic, partition, end)
        return found

    def saw(self, topic: str, partition: int, end: int) -> None:
        """The topic has been seen to reach so far."""
        self._seen[topic, partition] = max(end, self._seen.get((topic, partition), 0))

    def seen(self, topic: str, partition: int) -> int:
        """How far the topic is known to reach without asking; 0 when nothing is known."""
        return self._seen.get((topic, partition), 0)

    def answers(self, topic: str, within_s: float) -> bool:
        """Whether the broker tells the topic's ends now."""
        try:
            clients = self._clients()
            _told(clients.consumer, KafkaConsumer.end_offsets, self._of(topic), within_s)
        except (kafka_errors.KafkaError, RuntimeError):
            return False
        return True

    def begins(self, topic: str) -> dict[int, int]:
        """The oldest record's offset, by partition."""
        return self._offsets([topic], KafkaConsumer.beginning_offsets)[topic]

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """Store a group's next offsets. A group that processes have joined refuses it."""
        offsets = {TopicPartition(topic, p): OffsetAndMetadata(at, "", -1) for p, at in positions.items()}
        with service_errors(f"committing {group} in {topic}"):
            self._ask(lambda to: _alter(to.admin, group, offsets))

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """A group's next offsets, by partition; those without one are left out."""
        with service_errors(f"asking for {group} in {topic}"):
            found = self._ask(lambda to: to.admin.list_group_offsets({group: self._of(topic)}))[group]
        return {tp.partition: kept.offset for tp, kept in sorted(found.items()) if kept.offset >= 0}

    def groups(self) -> list[str]:
        """Groups that the broker keeps offsets of."""
        with service_errors("asking for groups"):
            found: Iterable[Mapping[str, str]] = self._ask(lambda to: to.admin.list_groups())
        return sorted(group["group_id"] for group in found)

    def close(self) -> None:
        """Close the clients. A later question opens new ones."""
        with self._lock:
            if self._open is not None:
                self._open.admin.close()
                self._open.consumer.close(autocommit=False)
            self._open = None

    def _new_topic(self) -> dict[str, Any]:
        configs = {
            "cleanup.policy": "delete",
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "max.message.bytes": str(BATCH_BYTES_MAX),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(IN_SYNC_OF_THREE if self._replicas > IN_SYNC_OF_THREE else 1),
        }
        if self._fsync:
            configs["flush.messages"] = "1"
        return {
            "num_partitions": self.partitions,
            "replication_factor": self._replicas,
            "configs": configs,
        }

    def _offsets(
        self, topics: Sequence[str], ask: Callable[[Any, list[TopicPartition], int], Any]
    ) -> dict[str, dict[int, int]]:
        places = [place for topic in topics for place in self._of(topic)]
        with service_errors(f"asking for the offsets of {', '.join(topics)}"):
            found = self._ask(lambda to: _told(to.consumer, ask, places, self._answer_s))
        return {topic: {tp.partition: int(found[tp]) for tp in self._of(topic)} for topic in topics}

    def _of(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, partition) for partition in range(self.partitions)]

    def _ask(self, call: Callable[["_Clients"], T]) -> T:
        deadline_s = time.monotonic() + self._answer_s
        clients = self._clients()
        try:
            return patiently(lambda: call(clients), deadline_s)
        except (kafka_errors.RetriableError, RuntimeError):
            self.close()  # what they remember of the cluster may be what is wrong
            raise

    def _clients(self) -> "_Clients":
        with self._lock:
            if self._open is None:
                self._open = _Clients(self._broker.admin(), self._broker.consumer())
            return self._open


class _Clients(NamedTuple):
    """The consumer tells ends in one round trip, where the admin client needs two."""

    admin: Any
    consumer: Any


def _told(
    consumer: Any,
    ask: Callable[[Any, list[TopicPartition], int], Any],
    places: list[TopicPartition],
    within_s: float,
) -> Any:
    """Offsets of all places. The client leaves out those whose leader it does not know yet, and fails over that."""
    try:
        return ask(consumer, places, int(within_s * 1000))
    except KeyError as exc:
        raise kafka_errors.StaleMetadata(f"no leader known of {exc}") from exc


def _alter(admin: Any, group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
    for error in admin.alter_group_offsets(group, offsets).values():
        if error is not kafka_errors.NoError:
            raise error()
