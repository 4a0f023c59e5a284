"""Servers that the tests of services share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.brokers import BROKERS, AnyBroker, running_broker
from tests.services.kafka_broker import KafkaBroker
from tests.services.mosquitto import Mosquitto


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One broker for all that take a topic prefix of their own. It may not be killed: that wants an own one."""
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    try:
        yield broker.start()
    finally:
        broker.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """The broker that deployments use, of one test. Modules that want another, or other settings, have their own."""
    server = Mosquitto(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture(params=BROKERS)
def any_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyBroker]:
    """Each broker that gateways may meet, in turn."""
    with running_broker(request.param, tmp_path) as broker:
        yield broker
