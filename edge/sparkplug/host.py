"""The host application's side: topics in, readings out, and which edge nodes to ask for their births again."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from edge.sparkplug.node import DEVICE_KINDS, NBIRTH, NODE_KINDS, Node, Said
from edge.sparkplug.payload import decode
from edge.sparkplug.settling import Origin, Settling, Taken
from edge.sparkplug.values import Sensor, reading
from lading.errors import LadingError, MalformedError, RejectedError

NAMESPACE = "spBv1.0"
BIRTH_WAIT_MS_MIN, BIRTH_WAIT_MS_MAX = 10_000, 600_000  # between two requests to one node


class Topic(NamedTuple):
    """spBv1.0/GROUP/KIND/NODE[/DEVICE] (4.1). The node's own messages have the device ""."""

    group: str
    kind: str
    node: str
    device: str


class SensorName(NamedTuple):
    """GROUP/NODE/DEVICE/METRIC as settings say it; GROUP/NODE//METRIC is the node's own. A metric may have slashes."""

    group: str
    node: str
    device: str
    metric: str

    @classmethod
    def parse(cls, name: str) -> "SensorName":
        """ValueError says what is wrong."""
        parts = name.split("/", 3)
        if len(parts) != 4 or not (parts[0] and parts[1] and parts[3]):
            raise ValueError(
                f"{name!r}, wanted GROUP/NODE/DEVICE/METRIC, or GROUP/NODE//METRIC for the node's own"
            )
        if any(char in part for part in parts[:3] for char in "+#") or not name.isprintable():
            raise ValueError(
                f"{name!r}: group, node and device have no + or #, and nothing that cannot be printed"
            )
        return cls(*parts)


def parse_topic(topic: str) -> Topic | None:
    """None for a topic that no edge node publishes on."""
    parts = topic.split("/")
    if parts[0] != NAMESPACE or len(parts) not in (4, 5) or not all(parts):
        return None
    device = parts[4] if len(parts) == 5 else ""
    if parts[2] not in (DEVICE_KINDS if device else NODE_KINDS):
        return None
    return Topic(parts[1], parts[2], parts[3], device)


class Asking:
    """When one node may be asked for its births again: at once, then ever more rarely while that does not help."""

    def __init__(self) -> None:
        self._last_ms: int | None = None
        self._wait_ms = BIRTH_WAIT_MS_MIN

    def may_ask(self, now_ms: int) -> bool:
        """True at most once in a while; the asking counts."""
        since_ms = None if self._last_ms is None else now_ms - self._last_ms
        if since_ms is not None and 0 <= since_ms < self._wait_ms:
            return False
        is_again = since_ms is not None and since_ms < 2 * self._wait_ms
        self._wait_ms = min(2 * self._wait_ms, BIRTH_WAIT_MS_MAX) if is_again else BIRTH_WAIT_MS_MIN
        self._last_ms = now_ms
        return True


class Host:
    """The edge nodes that the settings name; others are not heard. `last_ms`: newest time of a channel, -1: none."""

    def __init__(
        self, sensors: Iterable[Sensor], last_ms: Callable[[int], int], *, reorder_ms: int, history_ms: int
    ) -> None:
        self._settling = Settling(last_ms, history_ms)
        self._sensors = {SensorName.parse(sensor.name): sensor for sensor in sensors}
        self._nodes = {
            (name.group, name.node): self._make(name.group, name.node, reorder_ms) for name in self._sensors
        }
        self._asking = {key: Asking() for key in self._nodes}

    @property
    def groups(self) -> list[str]:
        """What to subscribe to."""
        return sorted({group for group, _ in self._nodes})

    def forget(self) -> None:
        """After a lost link nothing that was said counts (5.3)."""
        for node in self._nodes.values():
            node.forget()

    def take(
        self, topic: str, payload: bytes, is_retained: bool, now_ms: int, latest_ms: int, taken: Taken
    ) -> None:
        """Readings of one message. Times after `latest_ms` are refused."""
        where = parse_topic(topic)
        key = (where.group, where.node) if where else ("", "")
        node = self._nodes.get(key)
        if where is None or node is None:
            return
        try:
            if is_retained:
                node.wants_birth = node.wants_birth or not node.is_born
                raise RejectedError("sparkplug_retained", "kept by the broker, from who knows when")
            heard = node.take(where.kind, where.device, decode(payload), now_ms)
        except LadingError as exc:
            taken.problems.append(_about(topic, exc))
            return
        if where.kind == NBIRTH:
            self._settling.begin(key, now_ms)
        taken.problems.extend(_about(topic, problem) for problem in heard.problems)
        for said in heard.said:
            if said.known.sensor is not None:
                self._convert(key, said, said.known.sensor, now_ms, latest_ms, taken)

    def settle(self, now_ms: int | None, taken: Taken) -> None:
        """What has waited long enough (None: all that waits), and messages that were awaited and did not come."""
        self._settling.release(now_ms, taken)
        for (group, name), node in self._nodes.items():
            try:
                node.check(now_ms or 0)
            except LadingError as exc:
                taken.problems.append(_about(f"{group}/{name}", exc))

    def has_all(self) -> None:
        """What `take` and `settle` gave until now is with the gateway, or was refused by it."""
        self._settling.has_all()

    def unborn(self, now_ms: int) -> list[tuple[str, str]]:
        """(group, node) of those to ask for their births now."""
        return [
            key for key, node in self._nodes.items() if node.wants_birth and self._asking[key].may_ask(now_ms)
        ]

    def _make(self, group: str, node: str, reorder_ms: int) -> Node:
        devices = {name.device for name in self._sensors if (name.group, name.node) == (group, node)}

        def find(device: str, metric: str) -> Sensor | None:
            return self._sensors.get(SensorName(group, node, device, metric))

        return Node(find, devices.__contains__, reorder_ms)

    def _convert(
        self, key: tuple[str, str], said: Said, sensor: Sensor, now_ms: int, latest_ms: int, taken: Taken
    ) -> None:
        try:
            if said.time_ms is None or said.time_ms > latest_ms:
                raise RejectedError(
                    "sparkplug_time", f"{sensor.name}: {said.time_ms} ms, wanted at most {latest_ms}"
                )
            found = reading(sensor, said.metric, said.known.datatype, said.time_ms)
        except LadingError as exc:
            taken.problems.append(exc)
            return
        history = Origin.HISTORY if said.metric.is_historical else Origin.LIVE
        self._settling.add(key, found, Origin.BIRTH if said.is_birth else history, now_ms, taken)


def _about(topic: str, error: LadingError) -> LadingError:
    kind = MalformedError if isinstance(error, MalformedError) else RejectedError
    return kind(error.code, f"{topic[:120]!r}: {error.text}")
