"""Packs of a public SenML library, in JSON and CBOR, come out of the gateway's frames as they went in; none is lost
while the outbox cannot be written."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge import outbox
from edge.gateway import Gateway
from edge.outbox import Outbox
from edge.sources import SenmlListener
from lading.cose import KeySigner
from lading.mqtt import Broker
from lading.quantities import DERIVED, Quantity
from lading.topics import gateway_topic
from lading.totals import Reading
from tests.gateways import OPERATOR
from tests.services.clients import PublicClient
from tests.services.mosquitto import Mosquitto
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


def test_packs_wait_for_the_outbox(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it cannot be written none is acknowledged; once it can be, all come in, over the same connection."""
    monkeypatch.setattr(outbox, "LOCK_WAIT_MS", 50)
    key = KeySigner.from_seed(b"gw")
    store = Outbox(tmp_path / "outbox.sqlite", key.public.gateway_id)
    gateway = Gateway(store, key, OPERATOR.public, TENANT, {1: 1}, clock_floor_ms=0)
    topic = gateway_topic(TENANT, gateway.gateway_id, "senml")
    noted: list[str] = []
    listener = SenmlListener(
        gateway,
        Broker("127.0.0.1", broker.port),
        topic,
        SENSOR,
        lambda what, _: noted.append(what),
        0,
    )
    listener.start()
    until(lambda: topic in broker.log, LIMIT_S)
    sender = paho.Client(CallbackAPIVersion.VERSION2)
    sender.connect("127.0.0.1", broker.port)
    sender.loop_start()
    now_s = int(time.time())

    def step() -> int:
        return listener.step(now_s * 1000, now_s * 1000)

    with closing(sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for at in range(PACKS):
            sender.publish(topic, LINE.format(now_s - PACKS + at), qos=1).wait_for_publish(10)
        end_s = time.monotonic() + 1
        while time.monotonic() < end_s:
            assert step() == 0

    def is_all_in() -> bool:
        step()
        return gateway.pending_count == PACKS

    until(is_all_in, LIMIT_S)
    assert noted == ["senml_waits"]
    assert store.load().pending[1] == [
        Reading(at, (now_s - PACKS + at) * 1000, 4_500, DERIVED) for at in range(PACKS)
    ]
    sender.disconnect()
    sender.loop_stop()
    listener.stop()
    store.close()
