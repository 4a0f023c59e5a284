"""The newest anchor reaches gateways over MQTT, whenever they or the broker come."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from anchoring.announcing import Announcer
from lading.batch import AnchorRecord
from lading.mqtt import Broker
from lading.topics import anchors_topic
from tests.services.brokers import BROKERS, AnyBroker, make_broker

LIMIT_S = 120


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyBroker]:
    broker = make_broker(request.param, tmp_path)
    yield broker
    broker.stop()


def anchor(interval: int) -> AnchorRecord:
    """A finalized anchor."""
    word = interval.to_bytes(32, "big")
    return AnchorRecord(interval, word, 1, 31_337, bytes(20), word, interval, word, 1000, 52_000, "finalized")


def next_anchor(port: int, tenant: str, interval: int) -> AnchorRecord:
    """What a gateway that connects now gets, once it is of this interval."""
    found: list[AnchorRecord] = []
    there = threading.Event()

    def take(_client: Client, _data: object, message: MQTTMessage) -> None:
        record = AnchorRecord.decode(message.payload)
        if record.interval == interval:
            found.append(record)
            there.set()

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = take
    client.connect("127.0.0.1", port)
    client.subscribe(anchors_topic(tenant), qos=1)
    client.loop_start()
    try:
        assert there.wait(LIMIT_S), f"anchor {interval} did not come"
    finally:
        client.disconnect()
        client.loop_stop()
    return found[0]


def test_newest_anchor_is_retained(broker: AnyBroker) -> None:
    """Announced before the broker is up, it is there once it is; each tenant's topic has the newest."""
    announcer = Announcer(Broker("127.0.0.1", broker.port), "announcer")
    try:
        announcer(anchor(1), ["demo"])
        broker.start()
        assert next_anchor(broker.port, "demo", 1) == anchor(1)
        announcer(anchor(2), ["demo", "north"])
        assert next_anchor(broker.port, "demo", 2) == anchor(2)
        assert next_anchor(broker.port, "north", 2) == anchor(2)
    finally:
        announcer.close()
