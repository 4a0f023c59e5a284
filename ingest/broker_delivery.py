"""amqtt's sockets and packets, with delivery that loses nothing it has acknowledged.

amqtt 0.12 answers PUBACK before it routes a message, forgets what is under way when a subscriber dies or needs
more than five seconds, keeps nothing for anonymous sessions, and knows no shared subscriptions. Here a message is
in every subscriber's mailbox (and, with a store, on disk) before the publisher gets its PUBACK, leaves it on the
subscriber's PUBACK alone, and goes out again with the DUP flag when the subscriber comes back. A full mailbox of a
persistent session withholds the PUBACK, and so does a topic that nobody subscribes to (but a retained message is
always acknowledged): the publisher keeps its message.
"""

import asyncio
import logging
import zlib
from dataclasses import dataclass
from typing import Any

from amqtt.adapters import ReaderAdapter, StreamReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.broker import Broker as AmqttBroker
from amqtt.broker import RetainedApplicationMessage
from amqtt.contexts import ListenerConfig
from amqtt.mqtt.constants import QOS_0, QOS_1
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.session import INCOMING, IncomingApplicationMessage, OutgoingApplicationMessage, Session

from ingest.broker_store import BrokerStore, Stored
from ingest.mailbox import Letter, Mailbox
from lading.errors import ServiceError
from lading.frame import FRAME_BYTES_MAX

PACKET_BYTES_MAX = FRAME_BYTES_MAX + 65_536
IN_FLIGHT_MAX = 200
IN_FLIGHT_BYTES_MAX = 16 * 1024 * 1024
MAILBOX_COUNT_MAX = 100_000
MAILBOX_BYTES_MAX = 256 * 1024 * 1024

_SHARE = "$share/"
_MAILBOX = "lading.mailbox"
_REFUSED = 0x80
_log = logging.getLogger("ingest.broker")


@dataclass(frozen=True)
class BrokerLimits:
    """Bounds of each session."""

    in_flight_max: int = IN_FLIGHT_MAX
    in_flight_bytes_max: int = IN_FLIGHT_BYTES_MAX
    mailbox_count_max: int = MAILBOX_COUNT_MAX
    mailbox_bytes_max: int = MAILBOX_BYTES_MAX


class KeepingBroker(AmqttBroker):  # type: ignore[misc]  # amqtt has no types
    """amqtt's broker, with mailboxes between publishers and subscribers."""

    def __init__(
        self, config: dict[str, Any], limits: BrokerLimits, store: BrokerStore | None = None
    ) -> None:
        super().__init__(config)
        self._limits = limits
        self._store = store
        self._tasks: set[asyncio.Future[Any]] = set()
        self._subscribed = asyncio.Event()

    def mailbox(self, session: Session) -> Mailbox:
        """The session's mailbox; it lives as long as the session does."""
        if _MAILBOX not in session.attributes:
            limits = self._limits
            session.attributes[_MAILBOX] = Mailbox(
                limits.in_flight_max,
                limits.in_flight_bytes_max,
                limits.mailbox_count_max,
                limits.mailbox_bytes_max,
            )
        box: Mailbox = session.attributes[_MAILBOX]
        return box

    async def route(
        self, topic: str, data: bytes, *, retain: bool, source: Session | None, must_arrive: bool = False
    ) -> None:
        """Put a message of QoS 1 into the mailbox of every subscriber; on return it may be acknowledged."""
        if retain:
            await self.retain_message(source, topic, data, QOS_1)
        targets = self._targets(topic)
        while not targets and must_arrive and not retain:
            await self._subscribed.wait()
            targets = self._targets(topic)
        for session, qos, share in targets:
            if qos == QOS_0:
                self._send_qos_0(session, topic, data)
                continue
            box = self.mailbox(session)
            if box.is_full:
                if retain or session.clean_session:
                    _log.warning("mailbox of %s is full: message on %s dropped", session.client_id, topic)
                    continue
                await box.room()
            self._put(session, topic, data, share=share)
        if self._store:
            await self._store.flush()

    def acknowledge(self, session: Session, packet_id: int) -> None:
        """The subscriber has a message."""
        letter = self.mailbox(session).acknowledge(packet_id)
        if letter is not None and letter.number and self._store:
            self._store.remove(letter.number)

    def _put(
        self, session: Session, topic: str, data: bytes, *, share: str | None = None, retain: bool = False
    ) -> None:
        number = 0
        if self._store and not session.clean_session:
            number = self._store.next_number()
            self._store.add(Stored(number, str(session.client_id), topic, data, retain, share))
        self.mailbox(session).put(Letter(topic, data, retain, share, number))

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
        shares = {
            a_filter: [other for other, _ in subscribers if other is not session]
            for a_filter, subscribers in self._subscriptions.items()
            if a_filter.startswith(_SHARE) and any(member is session for member, _ in subscribers)
        }
        if not shares or not all(any(map(self._is_connected, others)) for others in shares.values()):
            return
        for letter in self.mailbox(session).take_shared():
            others = [
                pair for pair in self._subscriptions.get(letter.share or "", []) if pair[0] is not session
            ]
            member, _ = self._member(letter.topic, others)
            self._put(member, letter.topic, letter.data, share=letter.share)
            if letter.number and self._store:
                self._store.remove(letter.number)

    # What amqtt calls.

    async def _handle_disconnect(
        self, client_session: Session, handler: "KeepingHandler", disconnect_waiter: asyncio.Future[Any]
    ) -> None:
        if self.is_current(handler):
            await super()._handle_disconnect(client_session, handler, disconnect_waiter)
        else:
            await self._stop_handler(handler)

    async def _start_listeners(self) -> None:
        if self._store:
            self._restore(self._store)
        await super()._start_listeners()

    def _restore(self, store: BrokerStore) -> None:
        """Sessions, subscriptions and messages as they were."""
        for client in store.sessions():
            handler, session = self.create_offline_session(client)
            session.clean_session = False
            self._sessions[client] = (session, handler)
        for client, a_filter, qos in store.subscriptions():
            self._subscriptions.setdefault(a_filter, []).append((self._sessions[client][0], qos))
        for topic, data in store.retained():
            self._retained_messages[topic] = RetainedApplicationMessage(None, topic, data, QOS_1)
        for stored in store.letters():
            letter = Letter(stored.topic, stored.data, stored.retain, stored.share, stored.number)
            self.mailbox(self._sessions[stored.client][0]).put(letter)

    async def shutdown(self) -> None:
        """Stop: no new connections, then no old ones. Sessions stay in the store."""
        for server in self._servers.values():
            server.instance.close()
        if self._store:
            self._store.write()
            self._store = None
        await super().shutdown()

    async def retain_message(
        self,
        source_session: Session | None,
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        """See amqtt."""
        await super().retain_message(source_session, topic_name, data, qos)
        if self._store and topic_name is not None:
            self._store.retain(topic_name, bytes(data or b""))

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        """See amqtt."""
        code: int = await super().add_subscription(subscription, session)
        self._subscribed.set()
        self._subscribed = asyncio.Event()
        if self._store and code != _REFUSED and not session.clean_session:
            self._store.add_session(str(session.client_id))
            self._store.subscribe(str(session.client_id), subscription[0], code)
            await self._store.flush()
        return code

    def _del_subscription(self, a_filter: str, session: Session) -> int:
        if self._store and not session.clean_session:
            self._store.unsubscribe(str(session.client_id), a_filter)
        deleted: int = super()._del_subscription(a_filter, session)
        return deleted

    async def _delete_session(self, client_id: str) -> None:
        if self._store and client_id in self._sessions:
            self._store.drop_session(client_id)
        await super()._delete_session(client_id)

    async def _cleanup_session(self, client_id: str) -> None:
        if self._store and client_id in self._sessions:
            self._store.drop_session(client_id)
        await super()._cleanup_session(client_id)

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
                self._put(session, topic, bytes(retained.data), retain=True)

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        _, session = await super()._initialize_client_session(reader, writer, remote_address, remote_port)
        return KeepingHandler(self), session

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """A new connection; its packets are bounded."""
        await self._client_connected(
            listener_name, BoundedReader(reader, writer), StreamWriterAdapter(writer)
        )


class BoundedReader(StreamReaderAdapter):  # type: ignore[misc]  # amqtt has no types
    """Refuses a packet that is too long before it allocates."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader)
        self._transport = writer.transport

    def end(self) -> None:
        """Read no more: whoever waits for bytes sees the end."""
        self._transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
        self.feed_eof()

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
        if isinstance(self.reader, BoundedReader):
            self.reader.end()  # amqtt cancels its reading task instead, which asyncio.wait_for can swallow
        await super().stop()
        if self.session is not None and self._broker.is_current(self):
            self._broker.redistribute(self.session)

    async def handle_puback(self, puback: PubackPacket) -> None:
        """The subscriber has a message."""
        if self.session is not None and puback.variable_header is not None:
            self._broker.acknowledge(self.session, puback.variable_header.packet_id)

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
            topic, bytes(app_message.data), retain=app_message.retain, source=self.session, must_arrive=True
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
