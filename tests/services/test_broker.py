"""The embedded broker loses nothing it acknowledged: real sockets, paho on both sides."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest.broker import Broker
from ingest.broker_delivery import BrokerLimits
from lading.frame import FRAME_BYTES_MAX
from tests.waiting import LIMIT_S, until

FRAMES = "lading/v1/demo/00/frames"
ALL_FRAMES = "lading/v1/+/+/frames"


class Client:
    """A paho client with manual acknowledgement. `vanish` ends it as a kill would: the socket goes, no goodbye."""

    def __init__(
        self,
        port: int,
        name: str,
        *filters: str,
        clean: bool = False,
        ack: bool = True,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.got: list[paho.MQTTMessage] = []
        self.acked: set[int] = set()
        self.subscribed = False
        self.ack_all = ack
        self._filters = filters
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean, manual_ack=True
        )
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.on_publish = lambda _c, _d, mid, _r, _p: self.acked.add(mid)
        self.client.on_subscribe = lambda *_: setattr(self, "subscribed", True)
        self.client.max_inflight_messages_set(1000)
        if will:
            self.client.will_set(*will, qos=1, retain=True)
        self.client.connect(port=port, host="127.0.0.1", keepalive=30)
        self.client.loop_start()
        until(lambda: self.subscribed if filters else self.client.is_connected())

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        if self._filters:
            client.subscribe([(a_filter, 1) for a_filter in self._filters])

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.got.append(message)
        if self.ack_all:
            client.ack(message.mid, message.qos)

    @property
    def payloads(self) -> list[bytes]:
        """What came."""
        return [message.payload for message in self.got]

    def send(self, topic: str, *payloads: bytes, retain: bool = False, wait: bool = True) -> None:
        """Publish with QoS 1 and wait for every PUBACK."""
        mids = {self.client.publish(topic, payload, 1, retain).mid for payload in payloads}
        if wait:
            until(lambda: mids <= self.acked)

    def close(self) -> None:
        """Say goodbye."""
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self) -> None:
        """Go without goodbye."""
        self.client.loop_stop()
        found = self.client.socket()
        assert found is not None
        found.shutdown(socket.SHUT_RDWR)
        found.close()


@pytest.fixture
def broker() -> Iterator[Broker]:
    server = Broker()
    server.start()
    yield server
    server.stop()


def numbered(count: int, first: int = 0) -> list[bytes]:
    """Payloads that tell their order."""
    return [b"%d" % n for n in range(first, first + count)]


def test_what_is_not_acknowledged_comes_again(broker: Broker) -> None:
    """A subscriber that dies before it acknowledges gets everything again, in order, with the DUP flag."""
    first = Client(broker.port, "ingest", FRAMES, ack=False)
    publisher = Client(broker.port, "truck")
    publisher.send(FRAMES, *numbered(50))
    until(lambda: len(first.got) == 50)
    for message in first.got[:10]:
        first.client.ack(message.mid, 1)
    publisher.send(FRAMES, b"marker")
    until(lambda: len(first.got) == 51)
    first.vanish()
    again = Client(broker.port, "ingest", FRAMES)
    until(lambda: len(again.got) == 41)
    assert again.payloads == [*numbered(40, 10), b"marker"]
    assert all(message.dup for message in again.got)


def test_what_was_published_to_nobody_there_waits(broker: Broker) -> None:
    """A persistent session gets what came while it was away, and the publisher may be gone by then."""
    Client(broker.port, "ingest", FRAMES).close()
    publisher = Client(broker.port, "truck", clean=True)
    publisher.send(FRAMES, *numbered(200))
    publisher.vanish()
    again = Client(broker.port, "ingest", FRAMES)
    until(lambda: len(again.got) == 200)
    assert again.payloads == numbered(200)


def test_a_slow_subscriber_loses_nothing(broker: Broker) -> None:
    """No acknowledgement for more than five seconds (where amqtt forgets the message)."""
    slow = Client(broker.port, "ingest", FRAMES, ack=False)
    publisher = Client(broker.port, "truck")
    publisher.send(FRAMES, *numbered(3))
    until(lambda: len(slow.got) == 3)
    time.sleep(5.5)
    slow.vanish()
    again = Client(broker.port, "ingest", FRAMES)
    until(lambda: len(again.got) == 3)


def test_taking_over_a_session(broker: Broker) -> None:
    """A second connection under one client id takes the session over, whole, and stays connected."""
    first = Client(broker.port, "ingest", FRAMES, ack=False)
    publisher = Client(broker.port, "truck")
    publisher.send(FRAMES, *numbered(5))
    until(lambda: len(first.got) == 5)
    first.client.loop_stop()
    second = Client(broker.port, "ingest", FRAMES)
    until(lambda: len(second.got) == 5)
    publisher.send(FRAMES, *numbered(5, 5))
    until(lambda: len(second.got) == 10)
    assert second.payloads == numbered(10)


def test_shared_subscriptions_divide_by_topic(broker: Broker) -> None:
    """Each message goes to one member, those of one topic to the same; an ordinary subscriber sees all."""
    members = [Client(broker.port, f"ingest-{n}", f"$share/group/{ALL_FRAMES}") for n in range(3)]
    watcher = Client(broker.port, "watcher", ALL_FRAMES, clean=True)
    publisher = Client(broker.port, "truck")
    for gateway in range(12):
        publisher.send(f"lading/v1/demo/{gateway:02x}/frames", *numbered(5))
    until(lambda: sum(len(member.got) for member in members) == 60 and len(watcher.got) == 60)
    owners: dict[str, set[int]] = {}
    for n, member in enumerate(members):
        for message in member.got:
            owners.setdefault(message.topic, set()).add(n)
    assert all(len(owner) == 1 for owner in owners.values())
    assert len({next(iter(owner)) for owner in owners.values()}) > 1


def test_a_dead_members_share_goes_to_the_others(broker: Broker) -> None:
    """What a member of a shared subscription did not acknowledge, another one gets."""
    shared = f"$share/group/{ALL_FRAMES}"
    members = [Client(broker.port, f"ingest-{n}", shared, ack=False) for n in range(2)]
    publisher = Client(broker.port, "truck")
    publisher.send(FRAMES, *numbered(20))
    until(lambda: sum(len(member.got) for member in members) == 20)
    owner, other = sorted(members, key=lambda member: -len(member.got))
    owner.vanish()
    until(lambda: len(other.got) == 20)
    assert other.payloads == numbered(20)
    publisher.send(FRAMES, b"next")
    until(lambda: len(other.got) == 21)


def test_retained_messages_and_wills(broker: Broker) -> None:
    """Orders are retained for who comes later; a gateway that vanishes leaves its last word; empty clears."""
    operator = Client(broker.port, "operator")
    operator.send("lading/v1/demo/00/assignment", b"order 1", retain=True)
    operator.send("lading/v1/demo/00/assignment", b"order 2", retain=True)
    truck = Client(broker.port, "truck", will=("lading/v1/demo/00/status", b"offline"))
    truck.send("lading/v1/demo/00/status", b"online", retain=True)
    late = Client(broker.port, "late", "lading/v1/demo/+/assignment", "lading/v1/demo/+/status")
    until(lambda: sorted(late.payloads) == [b"online", b"order 2"])
    assert all(message.retain for message in late.got)
    truck.vanish()
    until(lambda: b"offline" in late.payloads)
    operator.send("lading/v1/demo/00/assignment", b"", retain=True)
    latest = Client(broker.port, "latest", "lading/v1/demo/+/assignment", "lading/v1/demo/+/status")
    until(lambda: latest.payloads == [b"offline"])


def test_the_longest_frame_passes_and_longer_ones_do_not(broker: Broker) -> None:
    """Two megabytes go through whole; a packet past the bound ends its connection before it is read."""
    subscriber = Client(broker.port, "ingest", FRAMES)
    publisher = Client(broker.port, "truck")
    longest = bytes(range(256)) * (FRAME_BYTES_MAX // 256)
    publisher.send(FRAMES, longest)
    until(lambda: subscriber.payloads == [longest])
    with socket.create_connection(("127.0.0.1", broker.port)) as raw:
        raw.sendall(bytes.fromhex("101000044d5154540402003c0004") + b"evil")
        assert raw.recv(4)[:2] == b"\x20\x02"
        raw.sendall(bytes.fromhex("32ffffff7f") + b"\x00\x01a\x00\x01" + bytes(100_000))
        raw.settimeout(LIMIT_S)
        assert raw.recv(1) == b""
    publisher.send(FRAMES, b"still here")
    until(lambda: len(subscriber.got) == 2)


def test_what_nobody_wants_yet_is_not_acknowledged(broker: Broker) -> None:
    """Frames published before the first ingest ever came wait with their gateway."""
    publisher = Client(broker.port, "truck")
    publisher.send(FRAMES, *numbered(5), wait=False)
    publisher.send("lading/v1/demo/00/status", b"online", retain=True)
    assert len(publisher.acked) == 1
    subscriber = Client(broker.port, "ingest", ALL_FRAMES)
    until(lambda: len(publisher.acked) == 6)
    until(lambda: subscriber.payloads == numbered(5))


def test_a_full_mailbox_pushes_back() -> None:
    """The publisher gets no PUBACK for what does not fit, and gets it once there is room."""
    broker = Broker(limits=BrokerLimits(mailbox_count_max=10))
    broker.start()
    Client(broker.port, "ingest", FRAMES).close()
    publisher = Client(broker.port, "truck")
    publisher.send(FRAMES, *numbered(30), wait=False)
    until(lambda: len(publisher.acked) == 10)
    publisher.send("lading/v1/demo/00/status", b"others pass", retain=True)
    assert len(publisher.acked) == 11
    again = Client(broker.port, "ingest", FRAMES)
    until(lambda: len(publisher.acked) == 31)
    until(lambda: sorted(again.payloads, key=int) == numbered(30))
    broker.stop()


def start_broker(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """A broker process with a store."""
    code = (
        "import sys, threading, pathlib; from ingest.broker import Broker;"
        "Broker(port=int(sys.argv[1]), store=pathlib.Path(sys.argv[2])).start(); threading.Event().wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(port), str(folder / "broker.sqlite")])

    def listens() -> bool:
        assert process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listens)
    return process


def test_a_killed_broker_with_a_store_goes_on(tmp_path: Path) -> None:
    """SIGKILL: sessions, retained orders and undelivered messages are there again; what was acknowledged is not."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = start_broker(tmp_path, port)
    subscriber = Client(port, "ingest", f"$share/group/{ALL_FRAMES}")
    publisher = Client(port, "truck")
    publisher.send("lading/v1/demo/00/assignment", b"order", retain=True)
    publisher.send(FRAMES, *numbered(20))
    until(lambda: len(subscriber.got) == 20)
    subscriber.close()
    publisher.send(FRAMES, *numbered(40, 20))
    process.kill()
    process.wait()
    publisher.client.loop_stop()
    process = start_broker(tmp_path, port)
    again = Client(port, "ingest", f"$share/group/{ALL_FRAMES}")
    until(lambda: again.payloads[-1:] == [b"59"])
    assert [payload for payload in again.payloads if int(payload) >= 20] == numbered(40, 20)
    late = Client(port, "late", "lading/v1/demo/+/assignment")
    until(lambda: late.payloads == [b"order"])
    process.kill()
    process.wait()
