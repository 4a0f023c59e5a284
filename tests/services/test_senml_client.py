"""Packs of a public SenML library, in JSON and CBOR, come out of the gateway's frames as they went in; none is lost
while the outbox cannot be written."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.clock import EventClock
from edge.gateway import Gateway
from edge.link import Acked, Came
from edge.meters import why_failing
from edge.outbox import Outbox
from edge.publisher import Publisher
from edge.runner import Runner
from edge.sources import SenmlListener
from edge.stage import Edge
from lading.cose import KeySigner
from lading.mqtt import Broker
from lading.quantities import DERIVED, Quantity
from lading.topics import gateway_topic
from lading.totals import Reading
from tests.failing import locked
from tests.gateways import OPERATOR
from tests.services.clients import PublicClient
from tests.services.mosquitto import Mosquitto
from tests.services.mqtt_client import Client
from tests.services.test_edge_run import TENANT, Site, check_frames
from tests.waiting import until

LIMIT_S = 60.0
SENSORS = [("temp", "Cel", 1), ("humid", "%RH", 2), ("door", "open", 3)]
SITE = "flush_s = 1\n[[edge.gateways]]\nname = 'gw'\nsource = 'senml'\n" + "".join(
    f"[[edge.gateways.sensor]]\nname = 'urn:dev:ow:1:{name}'\nunit = '{unit}'\nchannel = {channel}\n"
    for name, unit, channel in SENSORS
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    server = Mosquitto(tmp_path, log_type="subscribe").start()
    yield server
    server.stop()


@pytest.fixture
def site(tmp_path: Path, broker: Mosquitto) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", broker, SITE, ("gw",))
    process = site.start()
    until(lambda: "/senml" in broker.log, LIMIT_S)
    yield site
    process.kill()
    process.communicate()
    site.client.disconnect()


def test_kpn_senml(site: Site) -> None:
    """Base name, time and unit; floats, integers and booleans; the same times and values by either encoding."""
    maker = PublicClient("kpn-senml")
    begin_s = int(time.time()) - 600
    topic = gateway_topic(TENANT, site.keys["gw"].public.gateway_id, "senml")
    for number, encoding in enumerate((0, 1)):
        time_s = begin_s + 10 * number  # the library takes the base time from them
        records = [
            ["temp", {"value": 4.1 + number, "unit": "Cel", "time": time_s}],
            ["temp", {"value": -3, "unit": "Cel", "time": time_s + 5}],
            ["humid", {"value": 55.5, "time": time_s}],
            ["door", {"value": True, "time": time_s}],
        ]
        made = maker.ask(base="urn:dev:ow:1:", time=begin_s, unit="%RH", records=records)[encoding]
        payload = bytes.fromhex(made) if encoding else made.encode()
        site.client.publish(topic, payload, qos=1).wait_for_publish(10)
    until(lambda: sum(frame.reading_count for frame in site.of("gw")) == 8, LIMIT_S)
    found = check_frames(site, "gw")
    begin_ms = 1000 * begin_s
    assert [(one.time_ms - begin_ms, one.value) for one in found[1]] == [
        (0, 4_100), (5_000, -3_000), (10_000, 5_100), (15_000, -3_000),
    ]  # fmt: skip
    assert [(one.time_ms - begin_ms, one.value) for one in found[2]] == [(0, 55_500), (10_000, 55_500)]
    assert [(one.time_ms - begin_ms, one.value) for one in found[3]] == [(0, 1_000), (10_000, 1_000)]
    assert {one.flags for readings in found.values() for one in readings} == {DERIVED}
    maker.kill()


PACKS = 40  # more than a broker sends without an acknowledgement
SENSOR = {("temp", int(Quantity.TEMPERATURE)): 1}
LINE = '[{{"n":"temp","u":"Cel","v":4.5,"t":{}}}]'


class Heard:
    """A gateway of one channel that hears packs, in this process, and their sender."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        key = KeySigner.from_seed(b"gw")
        self.path = folder / "outbox.sqlite"
        self.outbox = Outbox(self.path, key.public.gateway_id)
        self.gateway = Gateway(self.outbox, key, OPERATOR.public, TENANT, {1: 1}, clock_floor_ms=0)
        self.noted: list[str] = []
        self.topic = gateway_topic(TENANT, self.gateway.gateway_id, "senml")
        self.listener = SenmlListener(
            self.gateway,
            Broker("127.0.0.1", broker.port),
            self.topic,
            SENSOR,
            lambda what, _: self.noted.append(what),
            0,
        )
        self.listener.start()
        until(lambda: self.topic in broker.log, LIMIT_S)
        self.sender = Client(broker.port, "sender")
        self._now_s = int(time.time())

    def send(self, count: int, qos: int = 1, *, retain: bool = False) -> None:
        """Packs of one reading each, a second apart."""
        for n in range(count):
            pack = LINE.format(self._now_s - count + n).encode()
            self.sender.client.publish(self.topic, pack, qos, retain)
        self.sender.send("behind/it", b"")

    def step(self) -> int:
        return self.listener.step(self._now_s * 1000, self._now_s * 1000)

    def until(self, condition: Callable[[], object]) -> None:
        """Step until something is so."""
        until(lambda: (self.step(), condition())[1], LIMIT_S)

    def require_all(self, count: int) -> None:
        """Each of the packs is in the outbox once, as it was sent."""
        first_s = self._now_s - count
        assert self.outbox.load().pending[1] == [
            Reading(n, (first_s + n) * 1000, 4_500, DERIVED) for n in range(count)
        ]

    def reconnect(self) -> None:
        """The connection is lost, and there is another one, before the listener's next step."""
        link = self.listener._link
        assert link._client is not None
        found = link._client.socket()
        assert found is not None
        before = link._connection
        found.shutdown(socket.SHUT_RDWR)
        until(lambda: link._connection > before, LIMIT_S)

    def take(self) -> list[Came]:
        """What came, in the listener's place."""
        return [event for event in self.listener._link.events() if isinstance(event, Came)]

    def flush(self) -> None:
        """Until the broker has read all that the listener said, answers too."""
        link = self.listener._link
        link.publish("behind/it", b"")
        until(lambda: any(isinstance(event, Acked) for event in link.events()), LIMIT_S)

    def require_answered(self) -> None:
        """Nothing comes again, which it would before anything new."""
        self.flush()
        self.reconnect()
        self.send(1)
        until(lambda: self.came, LIMIT_S)
        assert self.came == 1

    def restart(self, broker: Mosquitto) -> None:
        """The broker is killed and comes back: it has forgotten the session."""
        subscribed = broker.log.count(self.topic)
        broker.kill()
        broker.start()
        until(lambda: broker.log.count(self.topic) > subscribed, LIMIT_S)
        until(self.sender.client.is_connected, LIMIT_S)

    @property
    def came(self) -> int:
        """Packs that the listener has not taken from its link."""
        return sum(isinstance(event, Came) for event in list(self.listener._link._events))

    def close(self) -> None:
        self.sender.close()
        self.listener.stop()
        self.outbox.close()


@pytest.fixture
def heard(tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    monkeypatch.setattr("edge.outbox.LOCK_WAIT_MS", 50)
    heard = Heard(tmp_path, broker)
    yield heard
    heard.close()


def test_packs_wait_for_the_outbox(heard: Heard) -> None:
    """While it cannot be written none is acknowledged; once it can be, all come in, over the same connection."""
    with locked(heard.path):
        heard.send(PACKS)
        end_s = time.monotonic() + 1
        while time.monotonic() < end_s:
            assert heard.step() == 0
    heard.until(lambda: heard.gateway.pending_count == PACKS)
    assert heard.noted == ["senml_waits"]
    heard.require_all(PACKS)


def test_a_listener_whose_outbox_fails_is_shown(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits counts as a failed step of its gateway, which /readyz names, and is well once it is taken."""
    monkeypatch.setattr("edge.stage.BACKOFF_S", 0.0)
    publisher = Publisher(heard.gateway, TENANT, Broker("127.0.0.1", 1))
    runner = Runner("gw", heard.gateway, publisher, None, heard.listener, 3_600_000, False)
    edge = Edge([runner], EventClock(1000 * heard._now_s, 1.0), lambda *_: None)
    with locked(heard.path):
        heard.send(1)
        until(lambda: (edge.step(), runner.failures == 3)[1], LIMIT_S)
        assert "outbox.sqlite" in why_failing([runner])
    until(lambda: (edge.step(), heard.gateway.pending_count == 1)[1], LIMIT_S)
    assert (why_failing([runner]), runner.failures) == ("", 0)


def test_packs_of_qos_0_wait_too(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a bound, beyond which they are refused and counted, also those that wait when the process ends."""
    with locked(heard.path):
        heard.send(2, qos=0)
        heard.until(lambda: len(heard.listener._waiting) == 2)
    heard.until(lambda: heard.gateway.pending_count == 2)
    heard.require_all(2)
    monkeypatch.setattr("edge.sources.WAITING_MAX", 1)
    with locked(heard.path):
        heard.send(2, qos=0)
        heard.until(lambda: heard.gateway.refused_count == 1)
        heard.listener.stop()
    assert heard.gateway.refused_count == 2
    assert heard.noted == ["senml_waits", "senml_waits", "senml_refused", "senml_refused"]


def test_a_retained_pack_is_no_reading_of_now(heard: Heard) -> None:
    """Published so it is taken as it comes, and not once more with each connection."""
    heard.send(1, retain=True)
    heard.until(lambda: heard.gateway.pending_count == 1)
    heard.flush()
    heard.reconnect()
    heard.until(lambda: len(heard.noted) == 2)
    assert (heard.noted, heard.gateway.pending_count) == (["senml_link_down", "senml_refused"], 1)


@pytest.mark.parametrize("is_heard_waiting", [False, True])
def test_packs_that_come_again_are_taken_once(heard: Heard, is_heard_waiting: bool) -> None:
    """With the next connection, before or after the outbox took them that waited over the one that was lost."""
    with locked(heard.path):
        heard.send(2)
        heard.until(lambda: len(heard.listener._waiting) == 2)
        heard.reconnect()
        until(lambda: heard.came == 2, LIMIT_S)
        if is_heard_waiting:
            heard.until(lambda: not heard.came)
    heard.until(lambda: heard.gateway.pending_count)
    heard.until(lambda: not heard.came and not heard.listener._waiting)
    heard.require_all(2)
    assert heard.noted == ["senml_waits", "senml_link_down"]
    heard.require_answered()


def test_packs_whose_acknowledgement_was_lost_are_taken_once(heard: Heard) -> None:
    """They came, and the connection was lost before they were answered; after the second answer they come no more."""
    heard.send(2)
    until(lambda: heard.came == 2, LIMIT_S)
    heard.reconnect()
    until(lambda: heard.came == 4, LIMIT_S)
    heard.until(lambda: not heard.came)
    heard.require_all(2)
    heard.require_answered()


def test_an_answer_over_a_lost_connection_is_none(heard: Heard, broker: Mosquitto) -> None:
    """A broker that forgot the session gives its numbers anew: a pack that nobody has taken would be answered."""
    heard.send(1)
    until(lambda: heard.came, LIMIT_S)
    (old,) = heard.take()
    heard.restart(broker)
    heard.send(1)
    until(lambda: heard.came, LIMIT_S)
    (new,) = heard.take()
    assert (new.mid, new.connection) == (old.mid, old.connection + 1)
    heard.listener._link.ack(old)
    heard.flush()
    heard.reconnect()
    until(lambda: heard.came, LIMIT_S)
    assert [(one.payload, one.is_again) for one in heard.take()] == [(new.payload, True)]


def test_equal_bytes_after_a_session_that_was_forgotten_are_a_new_pack(
    heard: Heard, broker: Mosquitto
) -> None:
    """A pack waits, or is durable, when the broker forgets the session: what it then says is new, with any number."""
    with locked(heard.path):
        heard.send(1)
        heard.until(lambda: heard.listener._waiting)
        heard.restart(broker)
        heard.send(1)
        until(lambda: heard.came, LIMIT_S)
        heard.until(lambda: not heard.came)
    heard.until(lambda: heard.gateway.pending_count == 2)
    heard.restart(broker)
    heard.send(1)  # number 1, as those before it
    until(lambda: heard.came, LIMIT_S)
    heard.reconnect()  # and comes again
    until(lambda: heard.came == 2, LIMIT_S)
    assert [(one.mid, one.is_again) for one in heard.take()] == [(1, False), (1, True)]
    heard.reconnect()  # the listener has seen neither, and sees the third
    heard.until(lambda: heard.gateway.pending_count == 3)
