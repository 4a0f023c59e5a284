"""Partitions shared out by a Kafka consumer group: who is there gets his part, who dies gives it up.

The consumer here fetches nothing: it is a member, and the group's assignment is all that is asked of it. Records are
read by the log itself, from positions that the worker's state keeps.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError

from lading.kafka.clients import Broker, opened, service_errors

SESSION_S = 10.0
METADATA_S = 5.0  # a topic that is not there yet is looked for again
REJOIN_S = 60.0
"""A member that does not poll for so long is out: longer than any step."""
LOOK_S = 0.1
"""How often a member with nothing to join looks: the client's own thread answers the group meanwhile."""
JOIN_MS = 200
"""A poll that returns sooner drops the join that it began: two members then join again and again, for ever."""

_log = structlog.get_logger()


class KafkaShare:
    """A member of `group`, for the partitions of `topic`. Who does not answer for `session_s` is taken for dead."""

    def __init__(self, broker: Broker, topic: str, group: str, *, session_s: float = SESSION_S) -> None:
        self._group = group
        self._look_due_s = 0.0
        self._release: Callable[[frozenset[int]], None] = lambda partitions: None
        with service_errors(f"joining {group}"):
            self._consumer = opened(
                KafkaConsumer,
                **broker.options(),
                group_id=group,
                enable_auto_commit=False,
                session_timeout_ms=int(session_s * 1000),
                heartbeat_interval_ms=int(session_s * 1000 / 4),
                max_poll_interval_ms=int(max(REJOIN_S, 2 * session_s) * 1000),
                metadata_max_age_ms=int(METADATA_S * 1000),
                partition_assignment_strategy=[_Assignor(self._owned)],
                auto_offset_reset="earliest",
                metrics_enabled=False,
            )
            self._consumer.subscribe([topic], listener=_Listener(self))

    def poll(self, release: Callable[[frozenset[int]], None]) -> frozenset[int]:
        """See `lading.partitions.Share.poll`."""
        self._release = release
        if time.monotonic() < self._look_due_s and not self._is_joining():
            return _numbers(self._consumer.assignment())
        with service_errors(f"asking {self._group} for our partitions"):
            self._consumer.poll(timeout_ms=JOIN_MS if self._is_joining() else 0, max_records=1)
            assigned = self._consumer.assignment()
            self._consumer.pause(*assigned)
        self._look_due_s = time.monotonic() + LOOK_S
        return _numbers(assigned)

    def _is_joining(self) -> bool:
        """There is nothing to work on, or what there is changes hands."""
        return not self._consumer.assignment() or self._consumer._coordinator.need_rejoin()

    def _owned(self) -> "set[TopicPartition]":
        owned: set[TopicPartition] = self._consumer.assignment()
        return owned

    def close(self) -> None:
        """See `lading.partitions.Share.close`."""
        try:
            self._consumer.close(autocommit=False)
        except KafkaError as exc:
            _log.warning("group_not_left", reason=f"{type(exc).__name__} {exc}")

    def revoke(self, partitions: frozenset[int]) -> None:
        """The group takes partitions away: their work ends before this returns."""
        self._release(partitions)


class _Assignor(CooperativeStickyAssignor):  # type: ignore[misc]
    """Tells the group what its member has now.

    The library's tells what it was last given, also where the group has taken that away meanwhile (a member that did
    not answer, a broker that restarted). Then the leader waits for a release that never comes, and partitions are
    nobody's.
    """

    def __init__(self, owned: Callable[[], "set[TopicPartition]"]) -> None:
        super().__init__()
        self._owned = owned

    def metadata(self, topics: Any) -> Any:
        """See `CooperativeStickyAssignor.metadata`."""
        self.member_assignment = sorted(self._owned())
        return super().metadata(topics)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Called amid `poll`, in its thread."""

    def __init__(self, share: KafkaShare) -> None:
        self._share = share

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._share.revoke(_numbers(revoked))

    def on_partitions_assigned(self, assigned: Any) -> None:
        """`poll` tells of them."""

    def on_partitions_lost(self, lost: Any) -> None:
        self._share.revoke(_numbers(lost))


def _numbers(partitions: "set[TopicPartition]") -> frozenset[int]:
    return frozenset(one.partition for one in partitions)
