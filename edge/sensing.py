"""Brokers of a gateway, and the listener to its third-party sensors, from the settings."""

import threading
from collections.abc import Callable
from dataclasses import replace

from edge.gateway import Gateway
from edge.settings import SENSING, BrokerSettings, EdgeSettings, GatewaySettings, milliseconds
from edge.sources import Listener, SenmlListener
from edge.sparkplug.listener import SparkplugListener
from edge.sparkplug.values import Sensor
from edge.units import UNITS
from lading.errors import LadingError, ServiceError
from lading.mqtt import Broker, broker_of, with_files
from lading.settings import Shared
from lading.topics import gateway_topic


def make_listener(
    shared: Shared,
    own: EdgeSettings,
    gateway: Gateway,
    one: GatewaySettings,
    note: Callable[[str, LadingError], None],
    woken: threading.Event,
) -> Listener | None:
    """None for a source without third-party sensors. ServiceError where there should be some."""
    if one.source not in SENSING:
        return None
    if not one.sensor:
        raise ServiceError(
            "settings",
            f"gateway {one.name} has no sensors; `lading edge listen --gateway {one.name}` shows those that are there",
        )
    broker, floor_ms = local_broker(shared, own, one.name), milliseconds(own.clock_floor)
    if one.source == "senml":
        topic = gateway_topic(shared.lading.tenant, gateway.gateway_id, "senml")
        named = {(sensor.name, int(UNITS[sensor.unit].quantity)): sensor.channel for sensor in one.sensor}
        return SenmlListener(gateway, broker, topic, named, note, floor_ms, woken)
    return SparkplugListener(
        gateway,
        broker,
        one.sparkplug.host_id or f"lading-{gateway.gateway_id.hex()[:16]}",
        [Sensor(sensor.name, sensor.unit, sensor.channel) for sensor in one.sensor],
        note,
        floor_ms,
        reorder_ms=round(one.sparkplug.reorder_s * 1000),
        history_ms=round(one.sparkplug.history_s * 1000),
        may_ask=one.sparkplug.rebirth,
        woken=woken,
    )


def frames_broker(shared: Shared, own: EdgeSettings, name: str) -> Broker:
    """Table `mqtt`, with what `edge.link` says otherwise."""
    return _spoken(shared, name, broker_of(shared, name), own.link)


def local_broker(shared: Shared, own: EdgeSettings, name: str) -> Broker:
    """Where third-party sensors publish: table `edge.local`, or else the broker that frames go to."""
    if own.local.host is None:
        return frames_broker(shared, own, name)
    return _spoken(shared, name, Broker(own.local.host, own.local.port), own.local)


def _spoken(shared: Shared, name: str, broker: Broker, how: BrokerSettings) -> Broker:
    broker = replace(broker, protocol=how.protocol)
    if how.user is not None:
        password = how.password.get_secret_value() if how.password else None
        broker = replace(broker, user=how.user, password=password)
    return with_files(shared, name, broker, how.ca, how.certificate, how.key)
