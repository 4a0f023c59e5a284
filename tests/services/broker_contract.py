"""What Lading relies on of an MQTT broker: subclass `BrokerContract` and give it a running `broker`."""

import socket
import time
from contextlib import suppress
from typing import Protocol

from lading.frame import FRAME_BYTES_MAX
from tests.services.mqtt_client import ALL_FRAMES, FRAMES, Client, numbered
from tests.waiting import LIMIT_S, until


class RunningBroker(Protocol):
    """A broker on 127.0.0.1 that lets everyone do everything."""

    port: int


class BrokerContract:
    """Tests that every broker passes; each gets a new one."""

    def test_what_is_not_acknowledged_comes_again(self, broker: RunningBroker) -> None:
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

    def test_what_was_published_to_nobody_there_waits(self, broker: RunningBroker) -> None:
        """A persistent session gets what came while it was away, and the publisher may be gone by then."""
        Client(broker.port, "ingest", FRAMES).close()
        publisher = Client(broker.port, "truck", clean=True)
        publisher.send(FRAMES, *numbered(200))
        publisher.vanish()
        again = Client(broker.port, "ingest", FRAMES)
        until(lambda: len(again.got) == 200)
        assert again.payloads == numbered(200)

    def test_a_slow_subscriber_loses_nothing(self, broker: RunningBroker) -> None:
        """No acknowledgement for more than five seconds (where amqtt forgets the message)."""
        slow = Client(broker.port, "ingest", FRAMES, ack=False)
        publisher = Client(broker.port, "truck")
        publisher.send(FRAMES, *numbered(3))
        until(lambda: len(slow.got) == 3)
        time.sleep(5.5)
        slow.vanish()
        again = Client(broker.port, "ingest", FRAMES)
        until(lambda: len(again.got) == 3)

    def test_taking_over_a_session(self, broker: RunningBroker) -> None:
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

    def test_retained_messages_and_wills(self, broker: RunningBroker) -> None:
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

    def test_a_shared_subscription_divides(self, broker: RunningBroker) -> None:
        """Each message goes to one member, and every member gets some; an ordinary subscriber sees all."""
        members = [Client(broker.port, f"ingest-{n}", f"$share/group/{ALL_FRAMES}") for n in range(3)]
        watcher = Client(broker.port, "watcher", ALL_FRAMES, clean=True)
        publisher = Client(broker.port, "truck")
        for gateway in range(12):
            publisher.send(f"lading/v1/demo/{gateway:02x}/frames", b"%d" % gateway)
        until(lambda: len(watcher.got) == 12 and sum(len(member.got) for member in members) == 12)
        assert sorted(one for member in members for one in member.payloads) == sorted(numbered(12))
        assert all(member.got for member in members)

    def test_a_dead_members_share_is_not_lost(self, broker: RunningBroker) -> None:
        """What a member of a shared subscription did not acknowledge goes to another, or to it when it is back."""
        shared = f"$share/group/{ALL_FRAMES}"
        members = [Client(broker.port, f"ingest-{n}", shared, ack=False) for n in range(2)]
        publisher = Client(broker.port, "truck")
        publisher.send(FRAMES, *numbered(20))
        until(lambda: sum(len(member.got) for member in members) == 20)
        members[0].vanish()
        publisher.send(FRAMES, *numbered(20, 20))
        back = Client(broker.port, "ingest-0", shared)
        wanted = set(numbered(40))
        until(lambda: set(members[1].payloads + back.payloads) == wanted)

    def test_order_is_kept_by_topic(self, broker: RunningBroker) -> None:
        """One subscriber gets what one publisher sent in the order in which it was sent."""
        subscriber = Client(broker.port, "ingest", f"$share/group/{ALL_FRAMES}")
        publisher = Client(broker.port, "truck")
        publisher.send(FRAMES, *numbered(500))
        until(lambda: len(subscriber.got) == 500)
        assert subscriber.payloads == numbered(500)

    def test_the_longest_frame_passes_and_longer_ones_do_not(self, broker: RunningBroker) -> None:
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
            with suppress(ConnectionResetError):
                assert raw.recv(1) == b""
        publisher.send(FRAMES, b"still here")
        until(lambda: len(subscriber.got) == 2)

    def test_a_clean_session_leaves_nothing(self, broker: RunningBroker) -> None:
        """A client without a session gets nothing of what came while it was away."""
        Client(broker.port, "watcher", FRAMES, clean=True).close()
        Client(broker.port, "ingest", FRAMES).close()
        publisher = Client(broker.port, "truck")
        publisher.send(FRAMES, b"before")
        watcher = Client(broker.port, "watcher", FRAMES, clean=True)
        publisher.send(FRAMES, b"after")
        until(lambda: watcher.payloads == [b"after"])
