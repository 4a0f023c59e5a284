"""The log: appending and reading records of 2 KB, in SQLite and on Apache Kafka, beside plain kafka-python."""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from benchmarks.measure import Result, Work, compare
from lading.kafka.clients import Broker
from lading.kafka.log import KafkaLog
from lading.log import Log, SqliteLog
from tests.services.kafka_broker import KafkaBroker, fresh_prefix

RECORD_BYTES = 2048
RECORDS, RECORDS_QUICK = 40_000, 10_000
A_CALL = 1_000
SINGLES, SINGLES_QUICK = 300, 100
PARTITIONS = 3
ITEMS = [(b"key %d" % (n % 64), os.urandom(RECORD_BYTES)) for n in range(A_CALL)]
TUNED = {"linger_ms": 20, "batch_size": 262_144}  # what plain kafka-python is fastest with


def append_all(log: Log, topic: str, records: int) -> None:
    """Appends of a thousand, each awaited."""
    for _ in range(records // A_CALL):
        log.append(topic, ITEMS)


def read_all(log: Log, topic: str, records: int) -> None:
    """Reads of a thousand until all were read."""
    at: dict[int, int] = {}
    seen = 0
    while seen < records:
        for record in log.read(topic, at, A_CALL):
            at[record.partition] = record.offset + 1
            seen += 1


def produce_all(producer: KafkaProducer, topic: str, records: int) -> None:
    """The peer: sends, and a flush at the end of each thousand."""
    for _ in range(records // A_CALL):
        for n, (key, value) in enumerate(ITEMS):
            producer.send(topic, value, key, partition=n % PARTITIONS)
        producer.flush()


def consume_all(consumer: KafkaConsumer, topic: str, records: int) -> None:
    """The peer: polls of a thousand."""
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    consumer.assign(places)
    for place in places:
        consumer.seek(place, 0)
    seen = 0
    while seen < records:
        seen += sum(len(found) for found in consumer.poll(1000, max_records=A_CALL).values())


def latencies_ms(call: Callable[[], object], singles: int) -> tuple[float, float]:
    """p50 and p99 of single calls."""
    taken = []
    for _ in range(singles):
        begin = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begin) * 1000)
    return statistics.median(taken), sorted(taken)[int(len(taken) * 0.99)]


@contextmanager
def logs() -> Iterator[tuple[KafkaBroker, KafkaLog, SqliteLog]]:
    """A broker with its log, and a file."""
    folder = Path(tempfile.mkdtemp(prefix="lading-bench-"))
    broker = KafkaBroker(folder / "kafka")
    try:
        broker.start()
        ours = KafkaLog(Broker(broker.bootstrap), partitions=PARTITIONS, prefix=fresh_prefix())
        yield broker, ours, SqliteLog(folder / "log.sqlite", partitions=PARTITIONS)
        ours.close()
    finally:
        broker.kill()
        shutil.rmtree(folder)


def run(*, quick: bool) -> list[Result]:
    """Many at a time, and one at a time."""
    records = RECORDS_QUICK if quick else RECORDS
    with logs() as (broker, ours, file):
        topics = count()

        def fresh() -> str:
            name = f"topic-{next(topics)}"
            ours.create(name)
            file.create(name)
            return name

        bootstrap, prefix = broker.bootstrap, ours.prefix
        plain = KafkaProducer(bootstrap_servers=bootstrap)
        tuned = KafkaProducer(bootstrap_servers=bootstrap, **TUNED)
        consumer = KafkaConsumer(bootstrap_servers=bootstrap)
        topic = fresh()
        appends = {
            "KafkaLog": Work(lambda: append_all(ours, topic, records), records),
            "SqliteLog": Work(lambda: append_all(file, topic, records), records),
            "kafka-python, tuned": Work(lambda: produce_all(tuned, prefix + topic, records), records),
            "kafka-python": Work(lambda: produce_all(plain, prefix + topic, records), records),
        }
        data = (
            f"{records} records of {RECORD_BYTES} bytes, {A_CALL} a call, {PARTITIONS} partitions, one broker"
        )
        appended = compare("appending to the log", "records/s", data, appends, quick=quick)
        reads = {
            "KafkaLog": Work(lambda: read_all(ours, topic, records), records),
            "SqliteLog": Work(lambda: read_all(file, topic, records), records),
            "kafka-python": Work(lambda: consume_all(consumer, prefix + topic, records), records),
        }
        read = compare("reading the log", "records/s", data, reads, quick=quick)
        return [
            replace(appended, notes=_append_notes(ours, file, plain, topic, quick)),
            replace(read, notes=_read_notes(ours, file, topic, quick)),
        ]


def _append_notes(
    ours: KafkaLog, file: SqliteLog, plain: KafkaProducer, topic: str, quick: bool
) -> dict[str, float]:
    key, value = ITEMS[0]
    name = ours.prefix + topic
    calls: dict[str, Callable[[], object]] = {
        "KafkaLog": lambda: ours.append(topic, ITEMS[:1]),
        "SqliteLog": lambda: file.append(topic, ITEMS[:1]),
        "kafka-python": lambda: plain.send(name, value, key, partition=0).get(10),
    }
    return _notes("one record, ms", calls, quick)


def _read_notes(ours: KafkaLog, file: SqliteLog, topic: str, quick: bool) -> dict[str, float]:
    """A read at the end, where there is nothing; and a record appended and read back."""
    notes: dict[str, float] = {}
    for name, log in (("KafkaLog", ours), ("SqliteLog", file)):
        ends = log.end(topic)
        notes |= _notes(
            "nothing to read, ms", {name: lambda log=log, ends=ends: log.read(topic, ends, A_CALL)}, quick
        )
        notes |= _notes("append and read back, ms", {name: lambda log=log: _through(log, topic)}, quick)
    return notes


def _through(log: Log, topic: str) -> None:
    before = log.end(topic)
    log.append(topic, ITEMS[:1])
    while not log.read(topic, before, A_CALL):
        pass


def _notes(what: str, calls: dict[str, Callable[[], object]], quick: bool) -> dict[str, float]:
    notes = {}
    for name, call in calls.items():
        call()
        notes[f"{name}: {what}, p50"], notes[f"{name}: {what}, p99"] = latencies_ms(
            call, SINGLES_QUICK if quick else SINGLES
        )
    return notes
