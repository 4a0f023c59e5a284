"""The brokers that a test can run on: MQTT 3.1.1 alone (amqtt), and the real one that deployments use (Mosquitto)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.services.amqtt_broker import AmqttBroker
from tests.services.mosquitto import Mosquitto

BROKERS = ("amqtt", "mosquitto")


class AnyBroker(Protocol):
    """A broker that can be stopped and started again on its port."""

    port: int

    def start(self) -> object:
        """Listen."""

    def stop(self) -> None:
        """End."""


def make_broker(kind: str, folder: Path) -> AnyBroker:
    """One of BROKERS, not yet started."""
    return Mosquitto(folder) if kind == "mosquitto" else AmqttBroker()


@contextmanager
def running_broker(kind: str, folder: Path) -> Iterator[AnyBroker]:
    """A broker for the length of a test."""
    broker = make_broker(kind, folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
