"""The adapter: a local broker's Sparkplug messages into one gateway, and this host's STATE and rebirth requests out."""

import json
import threading
from collections.abc import Callable, Iterable

from edge.gateway import Gateway
from edge.link import Came, Down, Event, Link, Presence, Up
from edge.readings import NewReading
from edge.sources import AHEAD_MS_MAX, by_code
from edge.sparkplug.host import NAMESPACE, Host
from edge.sparkplug.payload import PAYLOAD_BYTES_MAX, rebirth_command
from edge.sparkplug.settling import Taken
from edge.sparkplug.values import Sensor
from lading.errors import LadingError, RejectedError, ServiceError
from lading.fields import TIME_MS_MAX
from lading.log import wall_ms
from lading.mqtt import Broker

EVENTS_MAX = 4_096
PACKET_BYTES_MAX = PAYLOAD_BYTES_MAX + 4_096
TRIED_MAX = 8_192  # readings given to the outbox at once
WAITING_MAX = 65_536  # readings that wait for the outbox


def presence(host_id: str, time_ms: int) -> Presence:
    """STATE of a host: its birth and its will, with one time (4.2.3)."""
    said = [json.dumps({"online": is_online, "timestamp": time_ms}).encode() for is_online in (True, False)]
    return Presence(f"{NAMESPACE}/STATE/{host_id}", *said)


def topics(host_id: str, groups: Iterable[str]) -> tuple[str, ...]:
    """What a host subscribes to (4.2.3.1.1): its own STATE and its groups."""
    return (f"{NAMESPACE}/STATE/{host_id}", *(f"{NAMESPACE}/{group}/#" for group in groups))


class SparkplugListener:
    """Publishers use QoS 0: what is under way when either side dies is a gap, and births are asked for again.

    What the outbox does not take waits here and is tried again, in order, within WAITING_MAX.
    """

    def __init__(
        self,
        gateway: Gateway,
        broker: Broker,
        host_id: str,
        sensors: Iterable[Sensor],
        note: Callable[[str, LadingError], None],
        clock_floor_ms: int,
        *,
        reorder_ms: int,
        history_ms: int,
        may_ask: bool,
        woken: threading.Event | None = None,
    ) -> None:
        self.failure: ServiceError | None = None
        self._gateway = gateway
        self._note = note
        self._clock_floor_ms = clock_floor_ms
        self._may_ask = may_ask
        self._waiting: list[NewReading] = []
        self._unacked: list[Came] = []
        self._host = Host(sensors, gateway.last_ms, reorder_ms=reorder_ms, history_ms=history_ms)
        self._state_topic = f"{NAMESPACE}/STATE/{host_id}"
        self._link = Link(
            broker,
            f"lading-sparkplug-{gateway.gateway_id.hex()[:16]}",
            topics(host_id, self._host.groups),
            woken=woken,
            presence=lambda: presence(host_id, wall_ms()),
            events_max=EVENTS_MAX,
            packet_bytes_max=PACKET_BYTES_MAX,
        )

    def start(self) -> None:
        """Connect in the background."""
        self._link.start()

    def stop(self) -> None:
        """Say offline, disconnect, and take what waited for its history."""
        self._link.stop()
        taken = Taken([], [])
        self._host.settle(None, taken)
        self._keep(taken)
        self._drop(len(self._waiting))
        self._unacked.clear()

    def step(self, now_ms: int, clock_ms: int) -> int:
        """Take what came, in one transaction; how many are durable. `now_ms` runs steadily, `clock_ms` may be set."""
        taken = Taken([], [])
        self._host.settle(now_ms, taken)
        for event in self._link.events():
            self._handle(event, now_ms, clock_ms, taken)
        count = self._keep(taken)
        if not self._waiting:
            self._host.has_all()
            for came in self._unacked:
                self._link.ack(came)
            self._unacked.clear()
        self._ask(now_ms, clock_ms)
        return count

    def _handle(self, event: Event, now_ms: int, clock_ms: int, taken: Taken) -> None:
        match event:
            case Came(topic=topic) if topic == self._state_topic:
                self._defend(event)
                self._link.ack(event)
            case Came():
                if event.qos:
                    self._unacked.append(event)
                latest_ms = clock_ms + AHEAD_MS_MAX if clock_ms >= self._clock_floor_ms else TIME_MS_MAX
                self._host.take(event.topic, event.payload, event.retained, now_ms, latest_ms, taken)
            case Up():
                self._host.forget()
            case Down(reason=reason):
                self._unacked.clear()
                self._host.forget()
                self._note("sparkplug_link_down", ServiceError("broker", reason))

    def _defend(self, came: Came) -> None:
        """Whoever says that this host is offline is put right (5.3); not what was said before this session."""
        if came.retained:
            return
        try:
            said = json.loads(came.payload) if came.payload else {}
        except (ValueError, RecursionError):
            said = {}
        if not isinstance(said, dict) or said.get("online") is not True:
            self._link.greet(is_online=True)

    def _keep(self, taken: Taken) -> int:
        """Make readings durable, after those that wait; how many were."""
        is_new, problems, count = not self._waiting, taken.problems, 0
        self._waiting += taken.readings
        self.failure = None
        while self._waiting and self.failure is None:
            found = self._waiting[:TRIED_MAX]
            left, self.failure, refused = self._gateway.try_all(found)
            self._waiting[: len(found)] = left
            problems += refused
            count += len(found) - len(left) - len(refused)
        for problem in by_code(problems):
            self._note("sparkplug_refused", problem)
        if self.failure is not None and is_new:
            self._note("sparkplug_waits", self.failure)
        self._drop(len(self._waiting) - WAITING_MAX)
        return count

    def _drop(self, count: int) -> None:
        """Refuse the newest that wait."""
        if count > 0:
            del self._waiting[-count:]
            self._gateway.refused_count += count
            self._note(
                "sparkplug_refused", RejectedError("sparkplug_waiting", f"{count} for want of an outbox")
            )

    def _ask(self, now_ms: int, clock_ms: int) -> None:
        """Ask for births (5.17, QoS 0 as a command wants)."""
        if not self._may_ask or not self._link.is_up:
            return
        for group, node in self._host.unborn(now_ms):
            self._link.publish(f"{NAMESPACE}/{group}/NCMD/{node}", rebirth_command(max(clock_ms, 0)), qos=0)
