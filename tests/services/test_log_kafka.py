"""The log on the real Kafka keeps the log's contract, with one partition and with several."""

from dataclasses import dataclass
from functools import partial

import pytest

from lading.kafka.clients import Broker
from lading.kafka.log import KafkaLog
from tests.services.kafka_broker import KafkaBroker, fresh_prefix
from tests.services.log_contract import LogContract, MakeLog


@dataclass
class KafkaCase:
    make_log: MakeLog
    partitions: int


class TestKafkaLog(LogContract):
    @pytest.fixture(params=[1, 3])
    def case(self, kafka: KafkaBroker, request: pytest.FixtureRequest) -> KafkaCase:
        make_log = partial(KafkaLog, Broker(kafka.bootstrap), partitions=request.param, prefix=fresh_prefix())
        return KafkaCase(make_log, request.param)
