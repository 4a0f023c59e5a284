"""One MQTT connection: paho under events that the caller takes in its own thread. Memory is bounded throughout."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from lading.errors import ServiceError
from lading.mqtt import Broker, secure, why_not_connected

EVENTS_MAX = 256
EVENTS_BYTES_MAX = 16 * 2**20  # payloads that wait to be taken
KEEPALIVE_S = 60
RECONNECT_S_MIN, RECONNECT_S_MAX = 1, 60
RECEIVE_MAX = 16
SESSION_S = 7 * 86_400  # how long a broker keeps orders for a gateway that is away
OUTGOING_MAX = 64
UNSUPPORTED_VERSION = 132
CONNACK_S_MAX = 5.0  # a broker that knows 3.1.1 alone may misread a CONNECT of MQTT 5 and say nothing
SILENT_CONNECTS_MAX = 3
GOODBYE_S_MAX = 1.0
POLL_S = 0.05
NO_SUBSCRIBERS = 16


@dataclass(frozen=True, slots=True)
class Up:
    """The broker accepted the connection."""


@dataclass(frozen=True, slots=True)
class Anew:
    """MQTT 3.1.1 from now on: what was under way is forgotten, and messages are numbered anew."""


@dataclass(frozen=True, slots=True)
class Down:
    """The connection is gone, or was refused; paho goes on trying."""

    reason: str


@dataclass(frozen=True, slots=True)
class Acked:
    """A PUBACK. `taken` is False when its reason code says that the message went nowhere."""

    mid: int
    taken: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Came:
    """A message. `Link.ack` it once what it caused is durable. `connection` is the number of the one it came over.

    `session`: that of the broker's session. A broker that forgot one gives the numbers of its messages anew.
    """

    topic: str
    payload: bytes
    mid: int
    qos: int
    retained: bool = False  # kept by the broker from before this subscription
    connection: int = 0
    is_again: bool = False  # the broker says that it has sent it before, with this number
    session: int = 0


Event = Up | Anew | Down | Acked | Came


class Presence(NamedTuple):
    """A retained message that says whether this client is there: published on connecting, its opposite as the will."""

    topic: str
    online: bytes
    offline: bytes


class Link:
    """A client that reconnects by itself; MQTT 5, or 3.1.1 where the broker refuses that.

    `woken` is set when something happens; links of one process may share it. With `is_clean`, or with `presence`, which
    is asked before each connection, every session is a new one: nothing waits at the broker for a client that was away.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        subscriptions: tuple[str, ...],
        will: tuple[str, bytes] | None = None,
        in_flight_max: int = 8,
        woken: threading.Event | None = None,
        presence: Callable[[], Presence] | None = None,
        is_clean: bool = False,
        events_max: int = EVENTS_MAX,
        packet_bytes_max: int | None = None,
    ) -> None:
        self._broker = broker
        self._client_id = client_id
        self._subscriptions = subscriptions
        self._will = will
        self._in_flight_max = in_flight_max
        self._ask_presence = presence
        self._is_clean = is_clean or presence is not None
        self._presence: Presence | None = None
        self._events_max = events_max
        self._packet_bytes_max = packet_bytes_max
        self._events: deque[Event] = deque()
        self._events_bytes = 0
        self._lock = threading.Lock()  # of the two above
        self._version = 4 if broker.protocol == "3.1.1" else 5
        self._must_fall_back = False
        self._opened_s: float | None = None  # when a connection opened that no CONNACK has come for
        self._silent_count = 0
        self._client: paho.Client | None = None
        self._woken = woken or threading.Event()
        self._failure = ""
        self._connection = self._session_number = 0  # how many there were
        self.is_up = False
        self.dropped_count = 0

    def start(self) -> None:
        """Connect in the background; no error when the broker is away."""
        self._client = client = self._make()
        try:
            client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S, **self._session())
        except ValueError as exc:
            raise ServiceError("broker", f"{self._broker.host}:{self._broker.port}: {exc}") from exc
        client.loop_start()

    def stop(self) -> None:
        """Say goodbye and forget what is under way."""
        if self._client is None:
            return
        self._say_goodbye()
        self._client.disconnect()
        self._client.loop_stop()
        self._client = None
        self.is_up = False
        self._opened_s, self._silent_count = None, 0
        with self._lock:
            self._events.clear()
            self._events_bytes = 0

    def events(self) -> list[Event]:
        """What has happened since the last call, in order."""
        if self._must_fall_back or self._is_misunderstood():
            self._fall_back()
        found: list[Event] = []
        with self._lock:
            while self._events and len(found) < EVENTS_MAX:
                found.append(self._events.popleft())
                self._events_bytes -= _size(found[-1])
        return found

    def wait(self, limit_s: float) -> None:
        """Until something happens, but no longer than the limit."""
        self._woken.wait(limit_s)
        self._woken.clear()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> int | None:
        """The message's number, or None while the link is down. With QoS 1 paho resends after a reconnect."""
        if self._client is None or not self.is_up:
            return None
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return None
        return info.mid

    def greet(self, *, is_online: bool) -> int | None:
        """Publish the presence, if there is one and the link is up: the message's number."""
        if self._presence is None:
            return None
        said = self._presence.online if is_online else self._presence.offline
        return self.publish(self._presence.topic, said, retain=True)

    def ack(self, event: Came) -> None:
        """A message need not come again. One of an earlier connection does: its number may be another's now."""
        if self._client is not None and event.qos and event.connection == self._connection:
            self._client.ack(event.mid, event.qos)

    def _say_goodbye(self) -> None:
        """Until the broker has it: cut off while it answers, it would publish the will besides."""
        mid = self.greet(is_online=False)
        end_s = time.monotonic() + GOODBYE_S_MAX
        while mid is not None and self.is_up and time.monotonic() < end_s:
            with self._lock:
                if any(isinstance(event, Acked) and event.mid == mid for event in self._events):
                    return
            self.wait(POLL_S)

    def _make(self) -> paho.Client:
        five = self._version == 5
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if five else self._is_clean,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.reconnect_delay_set(RECONNECT_S_MIN, RECONNECT_S_MAX)
        client.max_inflight_messages_set(self._in_flight_max)
        client.max_queued_messages_set(OUTGOING_MAX)
        if self._will:
            client.will_set(*self._will, qos=1, retain=True)
        secure(client, self._broker)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_socket_open, client.on_pre_connect = self._on_socket_open, self._on_pre_connect
        client.on_publish, client.on_message = self._on_publish, self._on_message
        return client

    def _session(self) -> dict[str, Any]:
        if self._version != 5:
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0 if self._is_clean else SESSION_S
        properties.ReceiveMaximum = RECEIVE_MAX
        if self._packet_bytes_max is not None:
            properties.MaximumPacketSize = self._packet_bytes_max
        return {"clean_start": self._is_clean, "properties": properties}

    def _is_misunderstood(self) -> bool:
        if self._version != 5 or self._broker.protocol != "auto" or self._opened_s is None:
            return False
        return self._silent_count >= SILENT_CONNECTS_MAX or time.monotonic() - self._opened_s > CONNACK_S_MAX

    def _fall_back(self) -> None:
        self._must_fall_back = False
        self.stop()
        self._version = 4
        self._note(Anew())
        self.start()

    # paho calls these in its own thread: they only note what happened.

    def _on_socket_open(self, _client: paho.Client, _data: Any, _socket: Any) -> None:
        self._opened_s = time.monotonic()
        self._silent_count += 1

    def _on_pre_connect(self, client: paho.Client, _data: Any) -> None:
        if self._ask_presence is not None:
            self._presence = self._ask_presence()
            client.will_set(self._presence.topic, self._presence.offline, qos=1, retain=True)

    def _on_connect(
        self,
        client: paho.Client,
        _data: Any,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        self._opened_s, self._silent_count = None, 0
        if reason.is_failure:
            if reason.value == UNSUPPORTED_VERSION and self._version == 5 and self._broker.protocol == "auto":
                self._must_fall_back = True
            self._note(Down(str(reason)))
            return
        self._connection += 1
        self._session_number += not flags.session_present
        for topic in self._subscriptions:
            client.subscribe(topic, qos=1)
        self.is_up, self._failure = True, ""
        self.greet(is_online=True)
        self._note(Up())

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: Any,
        _flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        self._fail(str(reason))
        self.is_up = False

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        self._fail(why_not_connected())

    def _fail(self, reason: str) -> None:
        """Say why there is no connection, and not again while it stays so."""
        if self.is_up or reason != self._failure:
            self._note(Down(reason))
        self._failure = reason

    def _on_publish(
        self, _client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _more: Properties
    ) -> None:
        taken = not reason.is_failure and reason.value != NO_SUBSCRIBERS
        with self._lock:
            self._events.append(Acked(mid, taken, str(reason)))
        self._woken.set()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # would end paho's thread
            self.dropped_count += 1
            return
        payload = bytes(message.payload)
        where = (self._connection, message.dup, self._session_number)
        self._note(Came(topic, payload, message.mid, message.qos, message.retain, *where))

    def _note(self, event: Event) -> None:
        """Drop what nobody takes: an order that is not acknowledged comes again with the next connection."""
        with self._lock:
            size = self._events_bytes + _size(event)
            has_room = len(self._events) < self._events_max and size <= EVENTS_BYTES_MAX
            if has_room:
                self._events_bytes = size
                self._events.append(event)
            else:
                self.dropped_count += 1
        if has_room:
            self._woken.set()


def _size(event: Event) -> int:
    return len(event.payload) if isinstance(event, Came) else 0
