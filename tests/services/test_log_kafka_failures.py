"""The log on a real broker that is killed, stopped, away, or whose producer hangs: nothing lost, nothing twice."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from lading.errors import ServiceError
from lading.kafka.clients import DELIVERY_MS, Broker
from lading.kafka.log import KafkaLog
from lading.log import Record, partition_of
from tests.services.kafka_broker import KafkaBroker, fresh_prefix
from tests.services.log_contract import drain
from tests.waiting import until

TOPIC = "lading.frames.v1"
PARTITIONS = 3
APPEND_S, ANSWER_S, STALL_S, REQUEST_S = 4.0, 2.0, 2.0, 1.0
PAUSE_S = 0.01  # between a writer's appends: the broker, which shares the cores, has work to do


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker of this module's own. Every test leaves it running."""
    own = KafkaBroker(tmp_path_factory.mktemp("kafka-own"))
    try:
        yield own.start()
    finally:
        own.kill()


MakeLog = Callable[[], KafkaLog]


EXPIRES = pytest.mark.parametrize(
    "make_log", [1, DELIVERY_MS], ids=["expires", "never expires"], indirect=True
)
"""Also with producers that let what they have sent expire, as soon as they can: that wedges kafka-python's."""


@pytest.fixture
def make_log(broker: KafkaBroker, request: pytest.FixtureRequest) -> Iterator[MakeLog]:
    """Logs over the same fresh topics, closed at the end."""
    prefix, opened = fresh_prefix(), list[KafkaLog]()

    def make() -> KafkaLog:
        log = KafkaLog(
            Broker(broker.bootstrap, request_s=REQUEST_S),
            partitions=PARTITIONS,
            prefix=prefix,
            append_s=APPEND_S,
            answer_s=ANSWER_S,
            stall_s=STALL_S,
            delivery_ms=getattr(request, "param", DELIVERY_MS),
        )
        opened.append(log)
        return log

    yield make
    for log in opened:
        log.close()


class Writer:
    """What every stage does: append; after a failure read what is there, and append only what is not."""

    def __init__(self, log: KafkaLog, name: str, keys: int = 5) -> None:
        self._log = log
        self._keys = [b"%s/%d" % (name.encode(), n) for n in range(keys)]
        self._next = dict.fromkeys(self._keys, 0)
        self._must_read = False
        self._read_to: dict[int, int] = {}
        self.acked: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        self.failures = 0

    def step(self, each: int = 3) -> None:
        """Append the next values of every key."""
        try:
            if self._must_read:
                self._learn()
            items = [(key, b"%d" % (self._next[key] + n)) for n in range(each) for key in self._keys]
            places = self._log.append(TOPIC, items)
        except ServiceError:
            self._must_read = True
            self.failures += 1
            return
        self.acked.update(zip(places, items, strict=True))
        for key in self._keys:
            self._next[key] += each

    def _learn(self) -> None:
        while records := self._log.read(TOPIC, self._read_to, 1000):
            for record in records:
                self._read_to[record.partition] = record.offset + 1
                if record.key in self._next:
                    self._next[record.key] = int(record.value) + 1
        self._must_read = False


def all_records(log: KafkaLog) -> list[Record]:
    """What the log has, once it can be read."""
    found = list[Record]()

    def can_read() -> bool:
        try:
            found[:] = drain(log, TOPIC, count_max=1000)
        except ServiceError:
            return False
        return True

    until(can_read)
    return found


def check_kept(records: list[Record], writers: list[Writer]) -> None:
    """Every acknowledged record where it was said to be; every key 0, 1, 2 … without a hole or a repetition."""
    there = {(r.partition, r.offset): (r.key, r.value) for r in records}
    for writer in writers:
        assert writer.acked.items() <= there.items()
    for key in {r.key for r in records}:
        own = [int(r.value) for r in records if r.key == key]
        assert own == list(range(len(own))), key


@contextmanager
def working(writers: list[Writer]) -> Iterator[None]:
    """Writers at work, each in a thread."""
    stop = threading.Event()

    def work(writer: Writer) -> None:
        while not stop.wait(PAUSE_S):
            writer.step()

    threads = [threading.Thread(target=work, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(4 * APPEND_S)
            assert not thread.is_alive(), "an append has no end"


def grows(writers: list[Writer]) -> None:
    """Every writer gets on from here."""
    before = [len(writer.acked) for writer in writers]
    until(lambda: all(len(w.acked) > n for w, n in zip(writers, before, strict=True)))


@pytest.mark.slow
def test_killed_under_load(broker: KafkaBroker, make_log: MakeLog) -> None:
    """kill -9 and restart, twice while three processes' worth of writers append: none lost, none twice."""
    writers = [Writer(make_log(), f"w{n}") for n in range(3)]
    with working(writers):
        for _ in range(2):
            grows(writers)
            broker.kill()
            broker.start()
        grows(writers)
    check_kept(all_records(make_log()), writers)


@pytest.mark.slow
def test_away_longer_than_an_append_waits(broker: KafkaBroker, make_log: MakeLog) -> None:
    """While the broker is away each call fails in bounded time; once back, the log works within seconds."""
    log = make_log()
    writer = Writer(log, "w")
    writer.step()
    broker.kill()
    try:
        for _ in range(2):
            begin_s = time.monotonic()
            writer.step()
            assert time.monotonic() - begin_s < APPEND_S + ANSWER_S + 3
            begin_s = time.monotonic()
            with pytest.raises(ServiceError, match="log_failed"):
                log.read(TOPIC, {}, 10_000)
            assert time.monotonic() - begin_s < APPEND_S + ANSWER_S + 3
        assert writer.failures == 2
    finally:
        broker.start()
    begin_s, done = time.monotonic(), len(writer.acked)
    while len(writer.acked) == done:
        writer.step()
    assert time.monotonic() - begin_s < 5
    check_kept(all_records(make_log()), [writer])


@EXPIRES
@pytest.mark.slow
def test_stopped_and_continued(broker: KafkaBroker, make_log: MakeLog) -> None:
    """A broker that hangs and then does what it was asked before: none lost, none twice, whatever expired by then."""
    writers = [Writer(make_log(), f"w{n}") for n in range(2)]
    with working(writers):
        for hangs_s in (0.5, 3.0, 8.0):
            grows(writers)
            broker.pause()
            threading.Timer(hangs_s, broker.resume).start()
            time.sleep(hangs_s)
        grows(writers)
    check_kept(all_records(make_log()), writers)


@EXPIRES
def test_what_was_not_taken_comes_later(broker: KafkaBroker, make_log: MakeLog) -> None:
    """What was sent while the broker was away comes, in order: by its producer, or by another if it expired there."""
    log = make_log()
    key = b"k"
    place = log.append(TOPIC, [(key, b"0")])[0]
    broker.kill()
    try:
        with pytest.raises(ServiceError):
            log.append(TOPIC, [(key, b"%d" % n) for n in range(1, 40)])
    finally:
        broker.start()
    with capture_logs() as said:
        records = all_records(log)
    healed = [line["sent_again"] for line in said if line["event"] == "log_producer_healed"]
    assert healed == ([39] if log._appender._delivery_ms == 1 else [])
    assert [int(r.value) for r in records] == list(range(40))
    assert log.append(TOPIC, [(key, b"40")]) == [(place[0], 40)]


def test_a_producer_that_hangs_is_replaced(make_log: MakeLog) -> None:
    """The broker answers and the producer's own thread does nothing: seen after `stall_s`, within the same append."""
    log = make_log()
    log.append(TOPIC, [(b"k", b"0")])
    producer = log._appender._producer
    assert producer is not None
    producer._sender.run_once = lambda: time.sleep(0.1)
    with capture_logs() as said:
        places = log.append(TOPIC, [(b"k", b"1"), (b"k", b"1"), (b"k", b"2")])
    partition = partition_of(b"k", PARTITIONS)
    assert places == [(partition, 1), (partition, 2), (partition, 3)]
    assert [line["event"] for line in said] == ["log_producer_healed"]
    assert [r.value for r in all_records(log)] == [b"0", b"1", b"1", b"2"]


def test_an_append_that_failed_is_not_passed_over(broker: KafkaBroker, make_log: MakeLog) -> None:
    """Who appends again without having read what became of the first is refused once."""
    log = make_log()
    log.append(TOPIC, [(b"k", b"0")])
    broker.pause()
    try:
        with pytest.raises(ServiceError):
            log.append(TOPIC, [(b"k", b"1")])
    finally:
        broker.resume()
    with pytest.raises(ServiceError, match="read the log again"):
        log.append(TOPIC, [(b"k", b"1")])
    assert [r.value for r in all_records(log)] == [b"0", b"1"]
    log.append(TOPIC, [(b"k", b"2")])
    assert [r.value for r in all_records(log)] == [b"0", b"1", b"2"]


def test_a_full_disk(broker: KafkaBroker, make_log: MakeLog) -> None:
    """A broker whose disk is full ends, with what it acknowledged on it. Given room, everything goes on by itself."""
    log = make_log()
    writer = Writer(log, "w", keys=1)
    writer.step()  # its topic is made while there is room
    broker.fill_up(1_000_000)
    while not writer.failures:
        writer.step(each=5_000)
    assert broker.wait_ended() != 0
    begin_s = time.monotonic()
    writer.step()
    assert time.monotonic() - begin_s < APPEND_S + ANSWER_S + 3
    assert writer.failures == 2
    broker.start()
    done = len(writer.acked)
    until(lambda: (writer.step(), len(writer.acked) > done)[1])
    check_kept(all_records(make_log()), [writer])


def test_a_reader_goes_on_over_a_restart(broker: KafkaBroker, make_log: MakeLog) -> None:
    """Reading along while the broker restarts: each record once, in order, and no more than a few seconds late."""
    writer, reader = make_log(), make_log()
    at, seen = dict[int, int](), list[bytes]()

    def read_on() -> None:
        for record in reader.read(TOPIC, at, 2):
            at[record.partition] = record.offset + 1
            seen.append(record.value)

    for n in range(10):
        writer.append(TOPIC, [(b"k", b"%d" % n)])
    until(lambda: (read_on(), len(seen) >= 4)[1])
    broker.kill()
    with pytest.raises(ServiceError, match="log_failed"):
        drain(reader, TOPIC, at, count_max=2)
    broker.start()
    begin_s = time.monotonic()
    while len(seen) < 10:
        try:
            read_on()
        except ServiceError:
            assert time.monotonic() - begin_s < 5
    assert seen == [b"%d" % n for n in range(10)]
