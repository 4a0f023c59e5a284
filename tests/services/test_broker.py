"""The embedded broker loses nothing it acknowledged: real sockets, paho on both sides."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.broker import Broker
from ingest.broker_delivery import BrokerLimits
from tests.services.broker_contract import BrokerContract
from tests.services.mqtt_client import ALL_FRAMES, FRAMES, Client, numbered
from tests.waiting import until


@pytest.fixture
def broker() -> Iterator[Broker]:
    server = Broker()
    server.start()
    yield server
    server.stop()


class TestEmbeddedBroker(BrokerContract):
    """The embedded broker keeps what Lading relies on."""


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


def test_a_look_at_the_port_is_no_error(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Who connects and goes, as a supervisor that waits for the port, leaves no line."""
    socket.create_connection(("127.0.0.1", broker.port)).close()
    publisher = Client(broker.port, "truck")  # comes later, so what the broker says of the look is there
    publisher.send("lading/v1/demo/00/assignment", b"order", retain=True)
    publisher.close()
    assert not [record for record in caplog.records if "No data " in record.getMessage()]
