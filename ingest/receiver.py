"""From MQTT into the stage: few messages in flight, taken in batches, acknowledged once they are durable.

paho's thread only queues what comes. `step`, in the caller's thread, takes what is there and answers PUBACK after
its taker has them durable: a message that is not answered comes again with the next connection.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.admission import peek
from ingest.intake import Taker
from ingest.lost_orders import LostOrders
from ingest.turn import Outcome
from lading import metrics, topics
from lading.errors import ServiceError
from lading.frame import FRAME_BYTES_MAX
from lading.mqtt import Broker, secure, why_not_connected
from lading.receipt import receipts

KEEPALIVE_S = 30
RECONNECT_S_MIN, RECONNECT_S_MAX = 1, 30
QUEUED_MAX = 2_000
QUEUED_BYTES_MAX = 64 * 1024 * 1024
QUEUE_WAIT_S = 0.5
BATCH_MESSAGES_MAX = 1_000
BATCH_BYTES_MAX = 16 * 1024 * 1024
BATCH_WAIT_S = 0.01
SHARE = "lading-ingest"
SESSION_S = 60
FRAMES_SUFFIX, ORDERS_SUFFIX = "/frames", "/assignment"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Came:
    """A message, and the connection it came by."""

    topic: str
    data: bytes
    mid: int
    qos: int
    connection: int


class Receiver:
    """One MQTT client of the stage. `client_id` must stay the same over restarts: the broker keeps its session."""

    def __init__(
        self,
        taker: Taker,
        broker: Broker,
        *,
        client_id: str = "lading-ingest",
        share: str = SHARE,
        session_s: int = SESSION_S,
        batch_messages_max: int = BATCH_MESSAGES_MAX,
        batch_wait_s: float = BATCH_WAIT_S,
        note: Callable[[Sequence[Outcome]], None] = lambda outcomes: None,
        lost_orders: LostOrders | None = None,
    ) -> None:
        self._taker = taker
        self._broker = broker
        self._share = share
        self._session_s = session_s
        self._batch_messages_max = batch_messages_max
        self._batch_wait_s = batch_wait_s
        self._note = note
        self._lost_orders = lost_orders
        self._queue: queue.Queue[Came] = queue.Queue(QUEUED_MAX)
        self._queued_bytes = 0
        self._room = threading.Condition()  # of the bytes
        self._held: list[Came] = []  # a batch that the stage has not taken yet
        self._connection = 0
        self._orders_connection = 0  # the one that the lost orders were told of
        self._is_stopping = False
        self._failure = ""
        self.is_up = False
        self._client = self._make(client_id)

    def start(self) -> None:
        """Connect in the background, and again whenever the connection ends."""
        self._is_stopping = False
        try:
            self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S, **self._session())
        except ValueError as exc:
            raise ServiceError("broker", f"{self._broker.host}:{self._broker.port}: {exc}") from exc
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect; what is not acknowledged comes again."""
        self.is_up = False
        self._is_stopping = True
        self._client.disconnect()
        self._client.loop_stop()

    def step(self, wait_s: float = 0.0) -> int:
        """Take what has come, waiting at most so long for the first message. How many messages were taken.

        ServiceError: log or state failed. The next step tries the same messages again.
        """
        self._give_orders()
        batch = self._held or self._collect(wait_s)
        if not batch:
            return 0
        outcomes = self._take(batch)
        for came in batch:
            if came.connection == self._connection and came.qos:
                self._client.ack(came.mid, came.qos)
        self._give_receipts(batch)
        self._note(outcomes)
        return len(batch)

    def _give_receipts(self, batch: list[Came]) -> None:
        """Tell gateways what is durable. One that misses it sends a frame again, and is told again."""
        frames: dict[str, list[tuple[int, bytes]]] = {}
        for came in batch:
            if came.topic.endswith(ORDERS_SUFFIX):
                self._see_order(came)
            head = peek(came.data)
            if head is not None and came.topic.endswith(FRAMES_SUFFIX):
                frames.setdefault(came.topic, []).append((head.frame_seq, came.data))
        for topic, messages in frames.items():
            for receipt in receipts(messages):
                self._client.publish(topic.removesuffix(FRAMES_SUFFIX) + "/receipt", receipt.encode(), qos=0)

    def _see_order(self, came: Came) -> None:
        """One that came by an earlier connection says nothing of what the broker has now."""
        if self._lost_orders is not None and came.connection == self._connection:
            self._tell_connection(self._lost_orders, came.connection)
            self._lost_orders.saw(came.data)

    def _tell_connection(self, lost_orders: LostOrders, connection: int) -> None:
        """Tell of a new connection, before what came by it."""
        if self._orders_connection != connection:
            self._orders_connection = connection
            lost_orders.connected()

    def _give_orders(self) -> None:
        """Publish the orders that the broker has lost."""
        if self._lost_orders is None or not self.is_up:
            return
        self._tell_connection(self._lost_orders, self._connection)
        for topic, message in self._lost_orders.step():
            self._client.publish(topic, message, qos=1, retain=True)
            _log.info("order_published_again", topic=topic)

    @property
    def queued(self) -> int:
        """Messages that came and are not taken yet."""
        return self._queue.qsize() + len(self._held)

    def drain(self, quiet_s: float = 0.2, limit_s: float = 30.0) -> int:
        """Step until nothing has come for a while. How many messages were taken."""
        count, end_s = 0, time.monotonic() + limit_s
        while time.monotonic() < end_s and (taken := self.step(quiet_s)):
            count += taken
        return count

    def _collect(self, wait_s: float) -> list[Came]:
        """What has come, up to a count, a size and a time."""
        batch: list[Came] = []
        size, until_s = 0, time.monotonic() + wait_s
        while len(batch) < self._batch_messages_max and size < BATCH_BYTES_MAX:
            left_s = until_s - time.monotonic()
            try:
                came = self._queue.get(block=left_s > 0, timeout=max(left_s, 0.001))
            except queue.Empty:
                break
            if not batch:
                until_s = time.monotonic() + self._batch_wait_s
            batch.append(came)
            size += len(came.data)
            self._count_bytes(-len(came.data))
        return batch

    def _take(self, batch: list[Came]) -> list[Outcome]:
        """Into the stage. Until that succeeds the batch is kept, and nothing else is looked at."""
        self._held = batch
        began_s = time.monotonic()
        outcomes = self._taker.take([(came.topic, came.data) for came in batch])
        metrics.INGEST_TAKE.observe(time.monotonic() - began_s)
        self._held = []
        return outcomes

    def _make(self, client_id: str) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self._is_five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_five else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        secure(client, self._broker)
        client.reconnect_delay_set(RECONNECT_S_MIN, RECONNECT_S_MAX)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_message = self._on_message
        return client

    @property
    def _is_five(self) -> bool:
        return self._broker.protocol == "5"

    def _session(self) -> dict[str, Any]:
        """MQTT 5: a session that ends. What falls to a process that is gone is lost, and sent again by gateways."""
        if not self._is_five:
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._session_s
        return {"clean_start": False, "properties": properties}

    # paho calls these in its own thread.

    def _on_connect(
        self,
        client: paho.Client,
        _data: Any,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if reason.is_failure:
            _log.warning("broker_refused", reason=str(reason))
            return
        self._connection += 1
        frames, orders = f"{topics.ROOT}/+/+/frames", f"{topics.ROOT}/+/+/assignment"
        for wanted in (orders, f"$share/{self._share}/{frames}" if self._share else frames):
            client.subscribe(wanted, qos=1)
        self.is_up, self._failure = True, ""
        _log.info("broker_connected", host=self._broker.host, port=self._broker.port)

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
        if not self._is_stopping and (self.is_up or reason != self._failure):
            _log.warning("broker_lost", reason=reason)
        self._failure = reason

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        """A full queue holds paho's thread, so the broker sends no more than its window."""
        try:
            topic = message.topic
        except (
            UnicodeDecodeError
        ):  # would end paho's thread; such a message stays with the broker that gave it
            _log.warning("topic_unreadable")
            return
        data = bytes(message.payload[: FRAME_BYTES_MAX + 1])
        came = Came(topic, data, message.mid, message.qos, self._connection)
        while not self._is_stopping and not self._is_queued(came):
            pass

    def _is_queued(self, came: Came) -> bool:
        with self._room:
            if not self._room.wait_for(lambda: self._queued_bytes < QUEUED_BYTES_MAX, QUEUE_WAIT_S):
                return False
        try:
            self._queue.put(came, timeout=QUEUE_WAIT_S)
        except queue.Full:
            return False
        self._count_bytes(len(came.data))
        return True

    def _count_bytes(self, change: int) -> None:
        with self._room:
            self._queued_bytes += change
            self._room.notify()
