"""Promises of the publisher over a real broker: in order, removed on PUBACK alone, orders obeyed, status kept."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from structlog.testing import capture_logs

from edge.gateway import Gateway
from edge.publisher import Publisher
from lading.batch import AnchorRecord
from lading.decoding import decode_frame
from lading.mqtt import Broker
from lading.topics import anchors_topic, gateway_topic
from tests.gateways import KEY, T0_MS, TENANT, check_chain, end_order, open_gateway, order
from tests.services.brokers import AnyBroker
from tests.waiting import until

LIMIT_S = 60.0
ID = KEY.public.gateway_id
FRAMES, STATUS, ORDERS = (gateway_topic(TENANT, ID, kind) for kind in ("frames", "status", "assignment"))


class Listener:
    """Another client: what came by topic, and a way to publish."""

    def __init__(self, port: int) -> None:
        self.came: dict[str, list[bytes]] = {FRAMES: [], STATUS: []}
        self.ready = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        self.client.on_connect = lambda client, *_: client.subscribe([(FRAMES, 1), (STATUS, 1)])
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda _c, _d, message: self.came[message.topic].append(message.payload)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(LIMIT_S)

    def retain(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, qos=1, retain=True).wait_for_publish(10)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def listener(any_broker: AnyBroker) -> Iterator[Listener]:
    listener = Listener(any_broker.port)
    yield listener
    listener.stop()


def step_until(publisher: Publisher, condition: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    def stepped() -> bool:
        publisher.step(T0_MS)
        return condition()

    until(stepped, limit_s)


def make_publisher(gateway: Gateway, port: int, **more: object) -> Publisher:
    return Publisher(
        gateway, TENANT, Broker("127.0.0.1", port, protocol="3.1.1"), **({"keep_until": "puback"} | more)
    )  # type: ignore[arg-type]


def cut_frames(gateway: Gateway, count: int) -> None:
    for _ in range(count):
        now_ms = T0_MS + 1_000 * gateway.frame_seq
        gateway.take(1, now_ms, 4_000)
        gateway.cut(now_ms)


def test_frames_arrive_in_order_and_leave_the_outbox(
    tmp_path: Path, any_broker: AnyBroker, listener: Listener
) -> None:
    """Every frame comes once, in order; the outbox is empty when all are acknowledged."""
    gateway = open_gateway(tmp_path)
    cut_frames(gateway, 50)
    publisher = make_publisher(gateway, any_broker.port)
    publisher.start()
    assert publisher.wait_acked(15, T0_MS)
    until(lambda: len(listener.came[FRAMES]) == 50, LIMIT_S)
    check_chain([decode_frame(data) for data in listener.came[FRAMES]])
    assert gateway.outbox.frames_after(-1, 10) == []
    publisher.stop()


def test_a_retained_order_is_obeyed_and_a_forged_one_is_noted(
    tmp_path: Path, any_broker: AnyBroker, listener: Listener
) -> None:
    """The order waits at the broker for the gateway; a later end closes the leg; another key's order does nothing.

    What is obeyed is in the process's own log, for whoever asks at night when a leg began.
    """
    listener.retain(ORDERS, order(1))
    notes: list[str] = []
    gateway = open_gateway(tmp_path)
    publisher = make_publisher(
        gateway, any_broker.port, note=lambda what, exc: notes.append(f"{what} {exc.code}")
    )
    publisher.start()
    with capture_logs() as said:
        step_until(publisher, lambda: gateway.leg is not None)
        listener.retain(ORDERS, order(2, signer=KEY))
        step_until(publisher, lambda: notes == ["order_refused signature"])
        listener.retain(ORDERS, end_order(2))
        step_until(publisher, lambda: gateway.leg is None)
    obeyed = [(one["event"], one["order_seq"], one["leg"] is None) for one in said]
    assert obeyed == [("order_obeyed", 1, False), ("order_obeyed", 2, True)]
    assert publisher.wait_acked(15, T0_MS)
    publisher.stop()


def test_retained_status_says_online_and_offline(
    tmp_path: Path, any_broker: AnyBroker, listener: Listener
) -> None:
    """While it runs the status says online and what waits; after a clean stop, offline."""
    publisher = make_publisher(open_gateway(tmp_path), any_broker.port)
    publisher.start()
    step_until(publisher, lambda: len(listener.came[STATUS]) == 1)
    publisher.stop(T0_MS)
    until(lambda: len(listener.came[STATUS]) == 2, LIMIT_S)
    states = [json.loads(data) for data in listener.came[STATUS]]
    assert [state["state"] for state in states] == ["online", "offline"]
    assert states[0]["gateway"] == ID.hex()
    assert states[0]["outbox_full"] is False


def test_a_lost_connection_leaves_the_will(tmp_path: Path, any_broker: AnyBroker, listener: Listener) -> None:
    """Cut off without a goodbye, the broker says offline in the gateway's name."""
    publisher = make_publisher(open_gateway(tmp_path), any_broker.port)
    publisher.start()
    step_until(publisher, lambda: len(listener.came[STATUS]) == 1)
    client = publisher._link._client
    assert client is not None
    client.reconnect_delay_set(60, 60)
    connection = client.socket()
    assert connection is not None
    connection.shutdown(socket.SHUT_RDWR)
    until(lambda: len(listener.came[STATUS]) == 2, LIMIT_S)
    assert json.loads(listener.came[STATUS][1]) == {"state": "offline", "gateway": ID.hex()}
    publisher.stop()


def test_a_broker_that_goes_away_and_comes_back(
    tmp_path: Path, any_broker: AnyBroker, listener: Listener
) -> None:
    """Frames cut while it is away wait, and arrive afterwards; none is missing, duplicates are the same bytes."""
    gateway = open_gateway(tmp_path)
    publisher = make_publisher(gateway, any_broker.port)
    publisher.start()
    cut_frames(gateway, 5)
    assert publisher.wait_acked(15, T0_MS)
    until(lambda: len(listener.came[FRAMES]) == 5, LIMIT_S)
    any_broker.stop()
    cut_frames(gateway, 20)
    publisher.step(T0_MS)
    assert gateway.outbox.waiting.count == 20
    listener.ready.clear()
    any_broker.start()
    assert listener.ready.wait(LIMIT_S)
    assert publisher.wait_acked(60, T0_MS)
    until(lambda: len(set(listener.came[FRAMES])) == 25, LIMIT_S)
    frames = {frame.header.frame_seq: frame for frame in map(decode_frame, listener.came[FRAMES])}
    check_chain([frames[seq] for seq in sorted(frames)])
    publisher.stop()


class SilentBroker:
    """Speaks just enough MQTT 3.1.1 to accept a client and never acknowledge what it publishes."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.received = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        connection.recv(4096)
        connection.sendall(bytes.fromhex("20020000"))
        while data := connection.recv(65536):
            self.received += data

    def stop(self) -> None:
        self._server.close()


def test_without_a_puback_nothing_is_removed_nor_sent_twice(tmp_path: Path) -> None:
    """A few frames are under way and no more; none leaves the outbox, none is repeated on the connection."""
    silent = SilentBroker()
    gateway = open_gateway(tmp_path)
    cut_frames(gateway, 20)
    publisher = make_publisher(gateway, silent.port, in_flight_max=4)
    publisher.start()
    frames = [data for _, data in gateway.outbox.frames_after(-1, 20)]
    step_until(publisher, lambda: all(data in silent.received for data in frames[:4]))
    end_s = time.monotonic() + 0.5
    while time.monotonic() < end_s:
        publisher.step(T0_MS)
        publisher.wait(0.05)
    assert [silent.received.count(data) for data in frames[:5]] == [1, 1, 1, 1, 0]
    assert gateway.outbox.waiting.count == 20
    publisher.stop()
    silent.stop()


def packets(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Type and body of each packet that comes."""
    stream = connection.makefile("rb")
    while head := stream.read(1):
        length = shift = 0
        while (byte := stream.read(1)[0]) & 0x80:
            length, shift = length | (byte & 0x7F) << shift, shift + 7
        yield head[0] >> 4, stream.read(length | byte << shift)


class Mqtt5Broker(SilentBroker):
    """Accepts MQTT 5 and gives each publication the next of the reason codes it was made with."""

    def __init__(self, reasons: list[int]) -> None:
        self.reasons, self.sequences = reasons, []
        super().__init__()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        for kind, body in packets(connection):
            if kind == 1:
                connection.sendall(bytes.fromhex("2003000000"))
            elif kind == 3:
                topic = 2 + int.from_bytes(body[:2])
                reason = 0
                if body[2:topic] == FRAMES.encode():
                    self.sequences.append(decode_frame(body[topic + 3 :]).header.frame_seq)
                    reason = self.reasons.pop(0)
                connection.sendall(b"\x40\x03" + body[topic : topic + 2] + bytes([reason]))


def test_a_puback_that_took_nothing_is_not_believed(tmp_path: Path) -> None:
    """MQTT 5: no matching subscribers, or not authorised, is no delivery. The frame stays and is sent again."""
    stern = Mqtt5Broker([0, 0x10, 0x87, 0, 0])
    gateway = open_gateway(tmp_path)
    cut_frames(gateway, 3)
    notes: list[str] = []
    publisher = Publisher(
        gateway,
        TENANT,
        Broker("127.0.0.1", stern.port),
        keep_until="puback",
        note=lambda what, exc: notes.append(what),
        monotonic_s=lambda: 20 * time.monotonic(),
    )
    publisher.start()
    step_until(publisher, lambda: gateway.outbox.waiting.count == 0)
    assert stern.sequences == [0, 1, 2, 1, 2]
    assert notes == ["frame_not_taken"] * 2
    publisher.stop()
    stern.stop()


class OlderBroker(SilentBroker):
    """Of MQTT 5 until frames came, which it does not acknowledge; then another is in its place, of 3.1.1 alone."""

    def __init__(self, frames_max: int) -> None:
        self._left, self.sequences = frames_max, []
        super().__init__()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection:
                    self._talk(connection)
                    connection.shutdown(socket.SHUT_RDWR)

    def _talk(self, connection: socket.socket) -> None:
        version = 0
        for kind, body in packets(connection):
            if kind == 1:
                version = body[6]
                is_known = version == 4 or self._left
                answer = "20020000" if version == 4 else "2003000000" if is_known else "2003008400"
                connection.sendall(bytes.fromhex(answer))
                if not is_known:
                    return
            elif kind == 3 and version == 5:
                self._left -= FRAMES.encode() in body
                if not self._left:
                    return
            elif kind == 3:
                end = 2 + int.from_bytes(body[:2])
                if body[2:end] == FRAMES.encode():
                    self.sequences.append(decode_frame(body[end + 2 :]).header.frame_seq)
                connection.sendall(b"\x40\x02" + body[end : end + 2])


def test_a_broker_that_is_replaced_by_an_older_one_gets_what_was_under_way(tmp_path: Path) -> None:
    """Its numbers begin anew: frames without a PUBACK are sent again, in order, and hold up nothing."""
    older = OlderBroker(4)
    gateway = open_gateway(tmp_path)
    cut_frames(gateway, 6)
    auto = Broker("127.0.0.1", older.port, protocol="auto")
    publisher = Publisher(gateway, TENANT, auto, keep_until="puback", in_flight_max=4)
    publisher.start()
    step_until(publisher, lambda: gateway.outbox.waiting.count == 0)
    assert older.sequences == list(range(6))
    publisher.stop()
    older.stop()


def test_mqtt_5_is_tried_and_3_1_1_is_enough(
    tmp_path: Path, any_broker: AnyBroker, listener: Listener
) -> None:
    """amqtt knows 3.1.1 alone and misreads a CONNECT of MQTT 5; the link falls back by itself."""
    gateway = open_gateway(tmp_path)
    cut_frames(gateway, 1)
    publisher = Publisher(
        gateway, TENANT, Broker("127.0.0.1", any_broker.port, protocol="auto"), keep_until="puback"
    )
    publisher.start()
    assert publisher.wait_acked(30, T0_MS)
    publisher.stop()


def test_an_anchor_on_the_anchors_topic_is_named_in_frames(
    tmp_path: Path, any_broker: AnyBroker, listener: Listener
) -> None:
    """The retained anchor record reaches the header of the next frame."""
    record = AnchorRecord(3, bytes(32), 1, 1, bytes(20), bytes(32), 9, b"\7" * 32, T0_MS - 1, 1, "finalized")
    listener.retain(anchors_topic(TENANT), record.encode())
    gateway = open_gateway(tmp_path)
    publisher = make_publisher(gateway, any_broker.port)
    publisher.start()
    step_until(publisher, lambda: gateway.anchor_interval == 3)
    cut_frames(gateway, 1)
    frame = decode_frame(gateway.outbox.frames_after(-1, 1)[0][1])
    assert (frame.header.anchor_interval, frame.header.anchor_block_hash) == (3, b"\7" * 32)
    publisher.stop()
