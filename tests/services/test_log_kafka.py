"""The log on the real Kafka keeps the log's contract, with one partition and with several."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from lading.errors import ServiceError
from lading.kafka.clients import PARTITION_FETCH_BYTES, Broker
from lading.kafka.log import KafkaLog
from lading.log import RECORD_BYTES_MAX, partition_of, wall_ms
from tests.ports import free_port
from tests.services.kafka_broker import KafkaBroker, fresh_prefix
from tests.services.log_contract import TOPIC, LogContract, MakeLog, drain


@dataclass
class KafkaCase:
    make_log: MakeLog
    partitions: int


class TestKafkaLog(LogContract):
    @pytest.fixture(params=[1, 3])
    def case(self, kafka: KafkaBroker, request: pytest.FixtureRequest) -> KafkaCase:
        make_log = partial(KafkaLog, Broker(kafka.bootstrap), partitions=request.param, prefix=fresh_prefix())
        return KafkaCase(make_log, request.param)


@pytest.fixture
def log(kafka: KafkaBroker) -> Iterator[KafkaLog]:
    """A log of three partitions."""
    log = KafkaLog(Broker(kafka.bootstrap), partitions=3, prefix=fresh_prefix(), read_bytes_max=100_000)
    yield log
    log.close()


NOT_READ = 2**62


def test_a_read_is_bounded_in_bytes(log: KafkaLog) -> None:
    """A read stops after the record that passes the bound: never empty while there is one, never endless."""
    log.append(TOPIC, [(b"k", bytes(40_000)) for _ in range(10)] + [(b"k", bytes(500_000))])
    partition = partition_of(b"k", 3)
    assert len(log.read(TOPIC, {}, 100)) == 3
    assert len(log.read(TOPIC, {partition: 10}, 100)) == 1
    assert len(drain(log, TOPIC, count_max=100)) == 11


def test_a_long_partition_does_not_starve_another(log: KafkaLog) -> None:
    """While one partition has ever more, what is in the others is read too: after one fetch's worth at most."""
    places = log.append(
        TOPIC, [(b"long", bytes(1000)) for _ in range(20_000)] + [(b"%d" % n, b"") for n in range(9)]
    )
    others = {place for place in places if place[0] != places[0][0]}
    at = dict[int, int]()
    seen = 0
    while others:
        records = log.read(TOPIC, at, 500)
        for record in records:
            at[record.partition] = record.offset + 1
            others.discard((record.partition, record.offset))
        seen += len(records)
    assert seen < 2 * PARTITION_FETCH_BYTES // 1000 < 20_000


def test_single_records_by_their_place(log: KafkaLog) -> None:
    """A record is found by its place with the other partitions left out, also amid reading on elsewhere."""
    items = [(b"%d" % (n % 7), b"%d" % n) for n in range(300)]
    places = log.append(TOPIC, items)
    at = dict[int, int]()
    for n in range(0, 300, 13):
        for record in log.read(TOPIC, at, 20):
            at[record.partition] = record.offset + 1
        partition, offset = places[n]
        for others in (dict.fromkeys(range(3), NOT_READ), log.end(TOPIC)):
            (record,) = log.read(TOPIC, {**others, partition: offset}, 1)
            assert (record.partition, record.offset, record.key, record.value) == (
                partition,
                offset,
                *items[n],
            )
    assert len(drain(log, TOPIC)) == 300


def test_partitions_read_apart(log: KafkaLog) -> None:
    """Readers that each follow one partition, in turns and in batches of their own, each see its records in order."""
    log.append(TOPIC, [(b"%d" % (n % 11), b"%d" % n) for n in range(3000)])
    at = dict.fromkeys(range(3), 0)
    for turn in range(60):
        for partition in range(3):
            positions = {**dict.fromkeys(range(3), NOT_READ), partition: at[partition]}
            records = log.read(TOPIC, positions, 20 + 10 * partition)
            assert [r.offset for r in records] == list(range(at[partition], at[partition] + len(records)))
            assert {r.partition for r in records} <= {partition}
            at[partition] += len(records) if turn % 5 else 0  # a step that failed reads again
    ends = log.end(TOPIC)
    assert all(at[partition] == ends[partition] for partition in (1, 2))
    assert at[0] == min(ends[0], 48 * 20)


def test_past_the_end_there_is_nothing_yet(log: KafkaLog) -> None:
    """A position beyond the end is no error, for one record or many; what comes there later is read."""
    partition = partition_of(b"k", 3)
    log.append(TOPIC, [(b"k", b"0")])
    for count in (1, 100):
        assert log.read(TOPIC, {partition: 2}, count) == []
    log.append(TOPIC, [(b"k", b"1"), (b"k", b"2")])
    for count in (1, 100):
        assert [r.value for r in log.read(TOPIC, {partition: 2}, count)] == [b"2"]


def test_what_was_deleted_is_a_hole(log: KafkaLog, kafka: KafkaBroker) -> None:
    """Reading from before the oldest record fails and says where the log begins: it never jumps over what is gone."""
    partition = partition_of(b"k", 3)
    log.append(TOPIC, [(b"k", b"%d" % n) for n in range(10)])
    assert len(log.read(TOPIC, {}, 4)) == 4
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.delete_records({TopicPartition(log.prefix + TOPIC, partition): 6})
    admin.close()
    fresh = KafkaLog(Broker(kafka.bootstrap), partitions=3, prefix=log.prefix)
    for count in (1, 100):
        with pytest.raises(ServiceError, match=rf"log_hole: .*partition {partition} begins at 6, wanted 0"):
            fresh.read(TOPIC, {}, count)
    assert [r.value for r in fresh.read(TOPIC, {partition: 6}, 100)] == [b"6", b"7", b"8", b"9"]
    assert fresh.begin(TOPIC)[partition] == 6
    fresh.close()


def test_threads_share_a_log(log: KafkaLog) -> None:
    """Threads append and read through one log: each record once, each key in order, each reader sees all."""

    def work(thread: int) -> int:
        at = dict[int, int]()
        seen = 0
        for n in range(30):
            log.append(TOPIC, [(b"%d" % thread, b"%d" % n)])
            for record in log.read(TOPIC, at, 10):
                at[record.partition] = record.offset + 1
                seen += 1
            log.commit(f"group-{thread}", TOPIC, at)
        while records := log.read(TOPIC, at, 10):
            at |= {record.partition: record.offset + 1 for record in records}
            seen += len(records)
        return seen

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(work, range(4)))
    records = drain(log, TOPIC)
    assert max(seen) <= len(records) == 120
    for thread in range(4):
        assert [int(r.value) for r in records if r.key == b"%d" % thread] == list(range(30))


def test_time_is_when_it_was_appended(log: KafkaLog) -> None:
    """The broker's clock at the append, within seconds of ours."""
    log.append(TOPIC, [(b"k", b"v")])
    assert abs(log.read(TOPIC, {}, 1)[0].time_ms - wall_ms()) < 60_000


def test_topics_are_made_to_last(kafka: KafkaBroker) -> None:
    """No retention, room for the longest record, and with `fsync` on disk before they are acknowledged."""
    log = KafkaLog(Broker(kafka.bootstrap), prefix=fresh_prefix(), fsync=True)
    log.create(TOPIC)
    log.append(TOPIC, [(b"k", bytes(RECORD_BYTES_MAX))])
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    found = admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, log.prefix + TOPIC)], config_filter="all"
    )
    admin.close()
    log.close()
    values = found["topic"][log.prefix + TOPIC]
    kept = {name: values[name]["value"] for name in ("retention.ms", "retention.bytes", "flush.messages")}
    assert kept == {"retention.ms": "-1", "retention.bytes": "-1", "flush.messages": "1"}


def test_a_broker_that_is_not_there(unused_port: int) -> None:
    """Every call fails in bounded time and says to whom it could not get; nothing adds up while it goes on."""
    log = KafkaLog(Broker(f"127.0.0.1:{unused_port}", request_s=0.5), answer_s=0.5, append_s=0.5)

    def try_all() -> tuple[int, int]:
        for use in (
            lambda: log.append(TOPIC, [(b"k", b"v")]),
            lambda: log.read(TOPIC, {}, 1),
            lambda: log.end(TOPIC),
            lambda: log.commit("g", TOPIC, {0: 1}),
        ):
            with pytest.raises(ServiceError, match=rf"log_failed: .*{unused_port}"):
                use()
        return threading.active_count(), open_files()

    try_all()
    logging.disable()  # pytest keeps what is logged, and with it the errors and their sockets
    try:
        threads, files = try_all()
        for _ in range(3):
            assert try_all() <= (threads, files + 2), "what a call leaves behind adds up"
    finally:
        logging.disable(logging.NOTSET)
    log.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def unused_port() -> int:
    """A port that nothing listens on."""
    return free_port()
