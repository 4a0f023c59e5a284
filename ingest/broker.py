"""The embedded MQTT 3.1.1 broker: amqtt's sockets and packets, with delivery that loses nothing it has acknowledged.

amqtt 0.12 answers PUBACK before it routes a message, forgets what is under way when a subscriber dies or needs
more than five seconds, keeps nothing for anonymous sessions, and knows no shared subscriptions. Here a message is
in every subscriber's mailbox (and, with a store, on disk) before the publisher gets its PUBACK, leaves it on the
subscriber's PUBACK alone, and goes out again with the DUP flag when the subscriber comes back. A full mailbox of a
persistent session withholds the PUBACK, so the publisher keeps its message.
"""

import asyncio
import logging
import socket
import threading
import zlib
from dataclasses import dataclass
from typing import Any

from amqtt.adapters import ReaderAdapter, StreamReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.broker import Broker as AmqttBroker
from amqtt.contexts import ListenerConfig
from amqtt.mqtt.constants import QOS_0, QOS_1
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.session import INCOMING, IncomingApplicationMessage, OutgoingApplicationMessage, Session

from ingest.mailbox import Letter, Mailbox
from lading.errors import ServiceError
from lading.frame import FRAME_BYTES_MAX

PACKET_BYTES_MAX = FRAME_BYTES_MAX + 65_536
IN_FLIGHT_MAX = 20
MAILBOX_COUNT_MAX = 100_000
MAILBOX_BYTES_MAX = 256 * 1024 * 1024
START_LIMIT_S = 20.0
STOP_LIMIT_S = 20.0
SESSION_EXPIRY_S = 7 * 86_400

_SHARE = "$share/"
_MAILBOX = "lading.mailbox"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BrokerLimits:
    """Bounds of each session."""

    in_flight_max: int = IN_FLIGHT_MAX
    mailbox_count_max: int = MAILBOX_COUNT_MAX
    mailbox_bytes_max: int = MAILBOX_BYTES_MAX


class Broker:
    """The broker in a thread of its own, on a real socket. Port 0 takes a free one; `port` says which."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, limits: BrokerLimits = BrokerLimits()) -> None:
        self.host = host
        self.port = port
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def start(self) -> None:
        """Listen, or ServiceError `broker`."""
        ready = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="broker", daemon=True)
        self._thread.start()
        if not ready.wait(START_LIMIT_S) or self._error is not None:
            raise ServiceError("broker", f"{self.host}:{self.port} does not listen: {self._error}")

    def stop(self) -> None:
        """Stop listening and close every connection. What sessions hold is gone, unless there is a store."""
        if self._loop is not None and self._stopping is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(STOP_LIMIT_S)

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        if self.port == 0:
            self.port = _free_port(self.host)
        config = {
            "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
            "plugins": {},
            "session_expiry_interval": SESSION_EXPIRY_S,
        }
        broker = KeepingBroker(config, self._limits)
        try:
            await broker.start()
        except Exception as exc:  # noqa: BLE001 - told to the thread that waits in `start`
            self._error = exc
            ready.set()
            return
        ready.set()
        await self._stopping.wait()
        await broker.shutdown()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class KeepingBroker(AmqttBroker):  # type: ignore[misc]  # amqtt has no types
    """amqtt's broker, with mailboxes between publishers and subscribers."""

    def __init__(self, config: dict[str, Any], limits: BrokerLimits) -> None:
        super().__init__(config)
        self._limits = limits
        self._tasks: set[asyncio.Future[Any]] = set()

    def mailbox(self, session: Session) -> Mailbox:
        """The session's mailbox; it lives as long as the session does."""
        if _MAILBOX not in session.attributes:
            limits = self._limits
            session.attributes[_MAILBOX] = Mailbox(
                limits.in_flight_max, limits.mailbox_count_max, limits.mailbox_bytes_max
            )
        box: Mailbox = session.attributes[_MAILBOX]
        return box

    async def route(self, topic: str, data: bytes, *, retain: bool, source: Session | None) -> None:
        """Put a message of QoS 1 into the mailbox of every subscriber; durable enough for a PUBACK on return."""
        if retain:
            await self.retain_message(source, topic, data, QOS_1)
        for session, qos, share in self._targets(topic):
            if qos == QOS_0:
                self._send_qos_0(session, topic, data)
                continue
            box = self.mailbox(session)
            if box.is_full:
                if retain or session.clean_session:
                    _log.warning("mailbox of %s is full: message on %s dropped", session.client_id, topic)
                    continue
                await box.room()
            box.put(Letter(topic, data, False, share, 0))

    def _targets(self, topic: str) -> list[tuple[Session, int, str | None]]:
        """Who gets a message: (session, QoS, shared subscription)."""
        found: list[tuple[Session, int, str | None]] = []
        for a_filter, subscribers in self._subscriptions.items():
            if a_filter.startswith(_SHARE):
                _, _, shared = a_filter[len(_SHARE) :].partition("/")
                if self._matches(topic, shared) and subscribers:
                    found.append((*self._member(topic, subscribers), a_filter))
            elif self._matches(topic, a_filter):
                found += [
                    (session, qos, None)
                    for session, qos in subscribers
                    if self._is_connected(session) or not session.clean_session
                ]
        return found

    def _member(self, topic: str, subscribers: list[tuple[Session, int]]) -> tuple[Session, int]:
        """The member of a shared subscription that a topic belongs to: always the same while none comes or goes."""
        connected = [pair for pair in subscribers if self._is_connected(pair[0])] or subscribers
        members = sorted(connected, key=lambda pair: str(pair[0].client_id))
        return members[zlib.crc32(topic.encode()) % len(members)]

    def _is_connected(self, session: Session) -> bool:
        handler = self._get_handler(session)
        return isinstance(handler, KeepingHandler) and handler.is_up

    def is_current(self, handler: "KeepingHandler") -> bool:
        """Whether the handler is its session's, or another has taken over."""
        return self._get_handler(handler.session) is handler

    def _send_qos_0(self, session: Session, topic: str, data: bytes) -> None:
        handler = self._get_handler(session)
        if handler is not None and self._is_connected(session):
            self._tasks.add(task := asyncio.ensure_future(handler.mqtt_publish(topic, data, QOS_0, False)))
            task.add_done_callback(self._tasks.discard)

    def redistribute(self, session: Session) -> None:
        """A member of shared subscriptions is gone: the others get what it had not acknowledged."""
        if not any(
            self._is_connected(other)
            for a_filter, subscribers in self._subscriptions.items()
            if a_filter.startswith(_SHARE) and any(s is session for s, _ in subscribers)
            for other, _ in subscribers
        ):
            return
        for letter in self.mailbox(session).take_shared():
            subscribers = self._subscriptions.get(letter.share or "", [])
            if subscribers:
                self.mailbox(self._member(letter.topic, subscribers)[0]).put(letter)

    # What amqtt calls.

    async def _handle_disconnect(
        self, client_session: Session, handler: "KeepingHandler", disconnect_waiter: asyncio.Future[Any]
    ) -> None:
        if self.is_current(handler):
            await super()._handle_disconnect(client_session, handler, disconnect_waiter)
        else:
            await self._stop_handler(handler)

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        return True

    async def _broadcast_message(
        self,
        session: Session | None,
        topic: str | None,
        data: bytes | bytearray | None,
        force_qos: int | None = None,
    ) -> None:
        """amqtt's own way out: messages of QoS 0 and 2, and last wills (which it retains itself)."""
        if topic is not None:
            await self.route(topic, bytes(data or b""), retain=False, source=session)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        topic_filter, qos = subscription
        if not any(s is session for s, _ in self._subscriptions.get(topic_filter, [])):
            return
        if topic_filter.startswith(_SHARE) or qos == QOS_0:
            return
        box = self.mailbox(session)
        for topic, retained in list(self._retained_messages.items()):
            if self._matches(topic, topic_filter) and not box.is_full:
                box.put(Letter(topic, bytes(retained.data), True, None, 0))

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        _, session = await super()._initialize_client_session(reader, writer, remote_address, remote_port)
        return KeepingHandler(self), session

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """A new connection; its packets are bounded."""
        await self._client_connected(listener_name, BoundedReader(reader), StreamWriterAdapter(writer))


class BoundedReader(StreamReaderAdapter):  # type: ignore[misc]  # amqtt has no types
    """Refuses a packet that is too long before it allocates."""

    async def read(self, n: int = -1) -> bytes:
        """See ReaderAdapter."""
        if n > PACKET_BYTES_MAX:
            raise ServiceError("packet_size", f"packet of {n} bytes, wanted at most {PACKET_BYTES_MAX}")
        data: bytes = await super().read(n)
        return data


class KeepingHandler(BrokerProtocolHandler):  # type: ignore[misc]  # amqtt has no types
    """One connection: acknowledges what is routed, sends what the mailbox holds."""

    def __init__(self, broker: KeepingBroker) -> None:
        super().__init__(broker.plugins_manager)
        self._broker = broker
        self._pump_task: asyncio.Task[None] | None = None
        self._routing: set[asyncio.Task[None]] = set()
        self.is_up = False

    async def start(self) -> None:
        """Read, and send: first what was under way when the connection before ended."""
        await super().start()
        self.is_up = True
        if self.session.transitions.state != "connected":
            self.session.transitions.connect()  # amqtt forgets to, where this one takes over from another
        self._pump_task = asyncio.create_task(self._pump())

    async def stop(self) -> None:
        """Stop sending; what is not acknowledged stays in the mailbox."""
        self.is_up = False
        if self._pump_task is not None:
            self._pump_task.cancel()
        await super().stop()
        if self.session is not None and self._broker.is_current(self):
            self._broker.redistribute(self.session)

    async def handle_puback(self, puback: PubackPacket) -> None:
        """The subscriber has a message."""
        if self.session is not None and puback.variable_header is not None:
            self._broker.mailbox(self.session).acknowledge(puback.variable_header.packet_id)

    def handle_read_timeout(self) -> None:
        """Nothing within the keep-alive: the peer is gone."""
        self._routing.add(task := asyncio.ensure_future(self.handle_disconnect(None)))
        task.add_done_callback(self._routing.discard)

    async def _retry_deliveries(self) -> None:
        """The pump does."""

    async def _handle_qos1_message_flow(
        self, app_message: OutgoingApplicationMessage | IncomingApplicationMessage
    ) -> None:
        """A published message: routed first, acknowledged then."""
        assert app_message.direction == INCOMING, "messages of QoS 1 leave through the mailbox"
        topic = app_message.topic
        if not topic or "#" in topic or "+" in topic or topic.startswith("$") or "\0" in topic:
            _log.warning("topic %.80r is no topic to publish on: connection closed", topic)
            await self.handle_disconnect(None)
            return
        await self._broker.route(
            topic, bytes(app_message.data), retain=app_message.retain, source=self.session
        )
        assert app_message.packet_id is not None
        await self._send_packet(PubackPacket.build(app_message.packet_id))

    async def _pump(self) -> None:
        assert self.session is not None
        box = self._broker.mailbox(self.session)
        for packet_id, letter in box.sent():
            await self._send(packet_id, letter, dup=True)
        while True:
            packet_id, letter = await box.next()
            await self._send(packet_id, letter, dup=False)

    async def _send(self, packet_id: int, letter: Letter, *, dup: bool) -> None:
        packet = PublishPacket.build(letter.topic, letter.data, packet_id, dup, QOS_1, letter.retain)
        await self._send_packet(packet)
