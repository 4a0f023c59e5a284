"""The adapter: a local broker's Sparkplug messages into one gateway, and this host's STATE and rebirth requests out."""

import json
import threading
from collections.abc import Callable, Iterable

from edge.gateway import Gateway
from edge.link import Came, Down, Event, Link, Presence, Up
from edge.sources import AHEAD_MS_MAX, by_code
from edge.sparkplug.host import NAMESPACE, Host
from edge.sparkplug.payload import PAYLOAD_BYTES_MAX, rebirth_command
from edge.sparkplug.settling import Taken
from edge.sparkplug.values import Sensor
from lading.errors import LadingError, ServiceError
from lading.fields import TIME_MS_MAX
from lading.log import wall_ms
from lading.mqtt import Broker

EVENTS_MAX = 4_096
PACKET_BYTES_MAX = PAYLOAD_BYTES_MAX + 4_096


def presence(host_id: str, time_ms: int) -> Presence:
    """STATE of a host: its birth and its will, with one time (4.2.3)."""
    said = [json.dumps({"online": is_online, "timestamp": time_ms}).encode() for is_online in (True, False)]
    return Presence(f"{NAMESPACE}/STATE/{host_id}", *said)


def topics(host_id: str, groups: Iterable[str]) -> tuple[str, ...]:
    """What a host subscribes to (4.2.3.1.1): its own STATE and its groups."""
    return (f"{NAMESPACE}/STATE/{host_id}", *(f"{NAMESPACE}/{group}/#" for group in groups))


class SparkplugListener:
    """Publishers use QoS 0: what is under way when either side dies is a gap, and births are asked for again."""

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
        self._gateway = gateway
        self._note = note
        self._clock_floor_ms = clock_floor_ms
        self._may_ask = may_ask
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

    def step(self, now_ms: int, clock_ms: int) -> int:
        """Take what came, in one transaction; how many readings. `now_ms` runs steadily, `clock_ms` may be set."""
        taken = Taken([], [])
        self._host.settle(now_ms, taken)
        events = self._link.events()
        for event in events:
            self._handle(event, now_ms, clock_ms, taken)
        count = self._keep(taken)
        for event in events:
            if isinstance(event, Came):
                self._link.ack(event)
        self._ask(now_ms, clock_ms)
        return count

    def _handle(self, event: Event, now_ms: int, clock_ms: int, taken: Taken) -> None:
        match event:
            case Came(topic=topic) if topic == self._state_topic:
                self._defend(event)
            case Came():
                latest_ms = clock_ms + AHEAD_MS_MAX if clock_ms >= self._clock_floor_ms else TIME_MS_MAX
                self._host.take(event.topic, event.payload, event.retained, now_ms, latest_ms, taken)
            case Up():
                self._host.forget()
            case Down(reason=reason):
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
        refused = self._gateway.take_all(taken.readings) if taken.readings else []
        for problem in by_code([*taken.problems, *(refusal.error for refusal in refused)]):
            self._note("sparkplug_refused", problem)
        return len(taken.readings) - len(refused)

    def _ask(self, now_ms: int, clock_ms: int) -> None:
        """Ask for births (5.17, QoS 0 as a command wants)."""
        if not self._may_ask or not self._link.is_up:
            return
        for group, node in self._host.unborn(now_ms):
            self._link.publish(f"{NAMESPACE}/{group}/NCMD/{node}", rebirth_command(max(clock_ms, 0)), qos=0)
