"""Servers that the tests of services share."""

from collections.abc import Iterator

import pytest

from tests.services.kafka_broker import KafkaBroker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One broker for all that take a topic prefix of their own. It may not be killed: that wants an own one."""
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    try:
        yield broker.start()
    finally:
        broker.stop()
