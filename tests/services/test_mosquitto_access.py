"""The access list and certificates on the real Mosquitto: each path that must be open is, each other one is denied."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from lading.acl import access_list
from lading.certs import Authority, utc_now
from lading.cose import KeySigner
from lading.gateways import GatewayEntry
from lading.mqtt import Broker, secure
from lading.topics import anchors_topic, gateway_topic
from tests.services.mosquitto import Mosquitto
from tests.waiting import until

NOT_AUTHORIZED = 135
QUIET_S = 0.3
SHARE = "lading-ingest-3f9a1c"
TRUCK, OTHER, NORTH = (KeySigner.from_seed(name) for name in (b"truck", b"other", b"north"))
ENTRIES = (
    GatewayEntry(TRUCK.public, "demo", name="truck"),
    GatewayEntry(OTHER.public, "demo", name="other"),
    GatewayEntry(NORTH.public, "north", name="north"),
)
IDS = {entry.name: entry.public.gateway_id for entry in ENTRIES}


def topic(name: str, kind: str, tenant: str = "demo") -> str:
    """A gateway's topic."""
    return gateway_topic(tenant, IDS[name], kind)


@dataclass
class Site:
    """A Mosquitto with TLS, its authority, and clients by name."""

    folder: Path
    broker: Mosquitto
    authority: Authority
    clients: list["Guest"] = field(default_factory=list)

    def address(self, name: str, ca: str = "certs/ca.crt") -> Broker:
        crt, key = (self.folder / "certs" / f"{name}.{suffix}" for suffix in ("crt", "key"))
        return Broker("127.0.0.1", self.broker.port, "5", self.folder / ca, crt, key)

    def join(self, name: str, *filters: str) -> "Guest":
        """A client that is connected."""
        guest = Guest(self.address(name), *filters)
        self.clients.append(guest)
        until(lambda: guest.is_in)
        return guest

    def is_let_in(self, address: Broker) -> bool:
        """Whether a client gets a CONNACK that says yes."""
        guest = Guest(address)
        until(lambda: guest.is_in or guest.is_out)
        guest.close()
        return guest.is_in


class Guest:
    """MQTT 5: what came, and the reason code of each PUBACK."""

    def __init__(self, address: Broker, *filters: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.reasons: dict[int, int] = {}
        self.is_in = self.is_out = False
        self.client = client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        secure(client, address)
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda *_: setattr(self, "is_out", True)
        client.on_disconnect = lambda *_: setattr(self, "is_out", True)
        client.on_message = lambda _c, _d, message: self.got.append((message.topic, message.payload))
        client.on_publish = lambda _c, _d, mid, reason, _p: self.reasons.update({mid: reason.value})
        client.on_subscribe = lambda *_: setattr(self, "is_in", True)
        self._filters = filters
        client.connect_async(address.host, address.port, 30)
        client.loop_start()

    def _on_connect(self, client: paho.Client, _d: object, _f: object, reason: object, _p: object) -> None:
        if getattr(reason, "is_failure", True):
            self.is_out = True
        elif self._filters:
            client.subscribe([(one, paho.SubscribeOptions(qos=1)) for one in self._filters])
        else:
            self.is_in = True

    def send(self, where: str, payload: bytes = b"x", *, retain: bool = False) -> int:
        """Publish with QoS 1: the PUBACK's reason code."""
        mid = self.client.publish(where, payload, 1, retain).mid
        until(lambda: mid in self.reasons)
        return self.reasons[mid]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    authority = Authority.create(tmp_path / "certs", utc_now())
    authority.issue_server("server", ("127.0.0.1",), utc_now())
    for entry in ENTRIES:
        authority.issue_client(entry.name, entry.public.gateway_id.hex(), utc_now())
    for name in ("ingest", "anchoring", "operator", "series", "health", "stranger", "probe"):
        authority.issue_client(name, name, utc_now())
    broker = Mosquitto(tmp_path, "tls")
    install(tmp_path, broker)
    broker.acl.write_text(access_list(ENTRIES, 0, {"probe": "truck"}))
    broker.start()
    site = Site(tmp_path, broker, authority)
    yield site
    for client in site.clients:
        client.close()
    broker.stop()


def install(folder: Path, broker: Mosquitto) -> None:
    """Give the broker its files."""
    for name in ("ca.crt", "ca.crl", "server.crt", "server.key"):
        shutil.copy(folder / "certs" / name, broker.certs / name)


def quiet(guest: Guest, after: Callable[[], object]) -> list[tuple[str, bytes]]:
    """What a client gets of something that was accepted, given time for it."""
    after()
    time.sleep(QUIET_S)  # that nothing comes has no condition to wait for
    return guest.got


def test_each_does_its_work(site: Site) -> None:
    """Frames, status, orders, anchors and receipts pass from those who write them to those who read them."""
    ingest = site.join("ingest", "$share/lading-ingest/lading/v1/+/+/frames", "lading/v1/+/+/assignment")
    series = site.join("series", "lading/v1/+/+/status")
    mine = [topic("truck", kind) for kind in ("assignment", "receipt", "senml")]
    truck, probe = site.join("truck", *mine, anchors_topic("demo")), site.join("probe")
    operator, anchoring = site.join("operator"), site.join("anchoring")
    health = site.join("health", "$SYS/broker/uptime")
    assert truck.send(topic("truck", "frames"), b"frame") == 0
    assert truck.send(topic("truck", "status"), b"status", retain=True) == 0
    assert operator.send(topic("truck", "assignment"), b"order", retain=True) == 0
    assert anchoring.send(anchors_topic("demo"), b"anchor", retain=True) == 0
    assert ingest.send(topic("truck", "receipt"), b"receipt") == 0
    assert probe.send(topic("truck", "senml"), b"pack") == 0
    until(lambda: len(ingest.got) == 2 and len(truck.got) == 4 and series.got and health.got)
    assert sorted(payload for _, payload in ingest.got) == [b"frame", b"order"]
    assert sorted(payload for _, payload in truck.got) == [b"anchor", b"order", b"pack", b"receipt"]
    assert ingest.send(topic("truck", "assignment"), b"order", retain=True) == 0, "orders the broker has lost"


@pytest.mark.parametrize(
    ("who", "where"),
    [
        ("truck", topic("other", "frames")),
        ("truck", topic("other", "status")),
        ("truck", topic("truck", "frames", "north")),
        ("truck", topic("north", "frames", "north")),
        ("truck", topic("truck", "assignment")),
        ("truck", topic("other", "assignment")),
        ("truck", topic("truck", "receipt")),
        ("truck", topic("truck", "senml")),
        ("truck", anchors_topic("demo")),
        ("ingest", topic("truck", "frames")),
        ("ingest", anchors_topic("demo")),
        ("anchoring", topic("truck", "assignment")),
        ("anchoring", topic("truck", "frames")),
        ("operator", topic("truck", "frames")),
        ("operator", topic("truck", "receipt")),
        ("operator", anchors_topic("demo")),
        ("series", topic("truck", "status")),
        ("health", "anything"),
        ("probe", topic("truck", "frames")),
        ("probe", topic("other", "senml")),
        ("stranger", topic("truck", "frames")),
    ],
)
def test_others_topics_cannot_be_written(site: Site, who: str, where: str) -> None:
    """MQTT 5's PUBACK says not authorised, and nobody gets the message: with MQTT 3.1.1 it would say nothing."""
    assert site.join(who).send(where, retain=True) == NOT_AUTHORIZED
    everything = site.join("ingest", "lading/v1/+/+/frames", "lading/v1/+/+/assignment")
    assert quiet(everything, lambda: None) == []


@pytest.mark.parametrize(
    ("who", "filters"),
    [
        ("truck", ("lading/v1/demo/+/frames", "#")),
        ("truck", ("$share/g/lading/v1/+/+/frames",)),
        ("operator", ("lading/v1/+/+/frames",)),
        ("series", ("lading/v1/+/+/frames",)),
        ("stranger", ("#", "$share/lading-ingest/lading/v1/+/+/frames")),
    ],
)
def test_others_frames_cannot_be_read(site: Site, who: str, filters: tuple[str, ...]) -> None:
    """A filter over everything brings nothing that is not one's own; a share of ingest's stays with ingest."""
    ingest = site.join("ingest", f"$share/{SHARE}/lading/v1/+/+/frames")
    spy, other = site.join(who, *filters), site.join("other")
    assert quiet(spy, lambda: [other.send(topic("other", "frames"), b"%d" % n) for n in range(20)]) == []
    until(lambda: len(ingest.got) == 20)


def test_who_knows_the_shares_name_takes_from_ingest(site: Site) -> None:
    """Mosquitto lets anyone join a shared subscription, and drops what falls to one who may not read it.

    So the share's name is a secret (docs/security.md), and what went this way is sent again (ADR 0041).
    """
    ingest = site.join("ingest", f"$share/{SHARE}/lading/v1/+/+/frames")
    thief, other = site.join("stranger", f"$share/{SHARE}/lading/v1/+/+/frames"), site.join("other")
    assert [other.send(topic("other", "frames"), b"%d" % n) for n in range(20)] == [0] * 20
    until(lambda: len(ingest.got) == 10)
    assert thief.got == []


def test_another_tenants_anchors_cannot_be_read(site: Site) -> None:
    """A gateway reads its own tenant's."""
    north = site.join("north", "lading/v1/+/anchors")
    anchoring = site.join("anchoring")
    assert quiet(north, lambda: anchoring.send(anchors_topic("demo"))) == []


def test_who_is_not_let_in(site: Site) -> None:
    """No certificate, another authority's, one that has expired, one that is revoked, and a plain connection."""
    assert site.is_let_in(site.address("truck"))
    assert not site.is_let_in(replace(site.address("truck"), certificate=None, key=None))
    assert not site.is_let_in(replace(site.address("truck"), ca=None, certificate=None, key=None))
    site.authority.issue_client("old", IDS["truck"].hex(), utc_now(), days=-1)
    assert not site.is_let_in(site.address("old"))
    foreign = Authority.create(site.folder / "foreign", utc_now())
    foreign.issue_client("truck", IDS["truck"].hex(), utc_now())
    certs = site.folder / "foreign"
    assert not site.is_let_in(
        replace(site.address("truck"), certificate=certs / "truck.crt", key=certs / "truck.key")
    )
    other = site.address("other")
    assert site.is_let_in(other)
    shutil.copytree(site.folder / "certs", site.folder / "kept")
    site.authority.revoke("other", utc_now())
    install(site.folder, site.broker)
    site.broker.stop()
    site.broker.start()
    kept = replace(
        other, certificate=site.folder / "kept" / "other.crt", key=site.folder / "kept" / "other.key"
    )
    assert not site.is_let_in(kept)
    assert site.is_let_in(site.address("truck"))


def test_a_broker_that_is_not_who_it_says_is_not_spoken_to(site: Site) -> None:
    """Another authority's broker, and one whose certificate names another host, get no CONNECT."""
    Authority.create(site.folder / "foreign", utc_now())
    assert not site.is_let_in(site.address("truck", ca="foreign/ca.crt"))
    site.authority.issue_server("elsewhere", ("broker.example.org",), utc_now())
    for suffix in (".crt", ".key"):
        shutil.copy(site.folder / "certs" / f"elsewhere{suffix}", site.broker.certs / f"server{suffix}")
    site.broker.stop()
    site.broker.start()
    assert not site.is_let_in(site.address("truck"))
    assert "New client connected" not in site.broker.log
