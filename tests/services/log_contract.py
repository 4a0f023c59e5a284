"""What every log keeps, whatever holds it: subclass `LogContract` and give it a `make_log`."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Protocol

import pytest

from lading.errors import ServiceError
from lading.log import RECORD_BYTES_MAX, Log, Record, WatchedLog

TOPIC = "lading.frames.v1"
MakeLog = Callable[[], WatchedLog]
_SPAWN = multiprocessing.get_context("spawn")


class LogCase(Protocol):
    """What a service test gives: logs over one store (a picklable maker), fresh for each test."""

    make_log: MakeLog
    partitions: int


def drain(log: Log, topic: str, positions: dict[int, int] | None = None, count_max: int = 7) -> list[Record]:
    """Everything from the positions on, in small reads."""
    at = dict(positions or {})
    records: list[Record] = []
    while found := log.read(topic, at, count_max):
        assert len(found) <= count_max
        records += found
        for record in found:
            assert record.offset == at.get(record.partition, 0), "a hole or a step back"
            at[record.partition] = record.offset + 1
    return records


def append_many(make_log: MakeLog, writer: int, count: int) -> None:
    """A writer process: `count` records under three keys of its own, some alone and some together."""
    log = make_log()
    sent = 0
    while sent < count:
        items = [
            (b"%d/%d" % (writer, n % 3), b"%d" % n) for n in range(sent, min(sent + 1 + sent % 4, count))
        ]
        log.append(TOPIC, items)
        sent += len(items)


def append_until_killed(make_log: MakeLog, told: Connection) -> None:
    """Appends for ever and tells of each record only after `append` returned."""
    log = make_log()
    n = 0
    while True:
        log.append(TOPIC, [(b"key", b"%d" % n)])
        told.send_bytes(b"%d" % n)
        n += 1


def read_until_killed(make_log: MakeLog, told: Connection) -> None:
    """Reads four one by one, commits after the second, and tells of all."""
    log = make_log()
    at = log.committed("group", TOPIC)
    seen: list[bytes] = []
    for n in range(4):
        record = log.read(TOPIC, at, 1)[0]
        seen.append(record.value)
        at[record.partition] = record.offset + 1
        if n == 1:
            log.commit("group", TOPIC, at)
    told.send(seen)
    signal.pause()


class LogContract:
    """The shared tests. `case` is a fixture of the subclass."""

    def test_offsets_start_at_zero_without_holes(self, case: LogCase) -> None:
        """Each partition counts 0, 1, 2 …, and what append says is where the record is."""
        log = case.make_log()
        places = log.append(TOPIC, [(b"%d" % (n % 5), b"%d" % n) for n in range(20)])
        places += log.append(TOPIC, [(b"%d" % (n % 5), b"%d" % n) for n in range(20, 30)])
        records = drain(log, TOPIC)
        assert sorted(places) == sorted((r.partition, r.offset) for r in records)
        assert {(r.partition, r.offset): r.value for r in records} == {
            place: b"%d" % n for n, place in enumerate(places)
        }
        assert log.end(TOPIC) == {p: sum(r.partition == p for r in records) for p in range(case.partitions)}

    def test_ends_of_many_topics(self, case: LogCase) -> None:
        """Many topics' ends are those of each, also where a topic is not there."""
        log, writer = case.make_log(), case.make_log()
        writer.append("a.v1", [(b"%d" % n, b"") for n in range(5)])
        assert sum(log.end("a.v1").values()) == 5
        writer.append(TOPIC, [(b"k", b"")])
        names = ["a.v1", TOPIC, "lading.none.v1"]
        assert log.ends(names) == {topic: log.end(topic) for topic in names}
        assert sum(log.ends(names)["a.v1"].values()) == 5

    def test_waiting_ends_with_a_record(self, case: LogCase) -> None:
        """Who waits is told of a record of another opener, in any of the topics, long before the wait's own end."""
        log, writer = case.make_log(), case.make_log()
        at = {"a.v1": {}, TOPIC: {writer.append(TOPIC, [(b"k", b"1")])[0][0]: 1}}
        writer.append("a.v1", [(b"k", b"")])
        assert log.wait(at, 30)
        at["a.v1"] = log.end("a.v1")
        assert not log.wait(at, 0.3)
        timer = threading.Timer(0.3, writer.append, (TOPIC, [(b"k", b"2")]))
        timer.start()
        began_s = time.monotonic()
        while not log.wait(at, 30):
            pass
        assert time.monotonic() - began_s < 20
        timer.join()
        at[TOPIC] = log.end(TOPIC)
        assert not log.wait(at, 0.3)
        log.append(TOPIC, [(b"k", b"3")])
        assert log.wait(at, 30)

    def test_a_key_keeps_its_order_and_partition(self, case: LogCase) -> None:
        """The records of one key lie in one partition, in the order they were appended."""
        log = case.make_log()
        for n in range(40):
            log.append(TOPIC, [(b"key %d" % (n % 7), b"%d" % n)])
        records = drain(log, TOPIC)
        for key in {r.key for r in records}:
            own = [r for r in records if r.key == key]
            assert len({r.partition for r in own}) == 1
            assert [int(r.value) for r in own] == sorted(int(r.value) for r in own)

    def test_any_bytes_come_back(self, case: LogCase) -> None:
        """Keys and values are bytes: empty, zero bytes, and two megabytes."""
        log = case.make_log()
        items = [(b"", b""), (b"\0", b"\0\xff" * 3), (b"big", os.urandom(2 * 1024 * 1024))]
        log.append(TOPIC, items)
        assert sorted((r.key, r.value) for r in drain(log, TOPIC)) == sorted(items)

    def test_an_unknown_topic_is_empty(self, case: LogCase) -> None:
        """Reading before anyone wrote is no error."""
        log = case.make_log()
        assert log.read("lading.none.v1", {}, 10) == []
        assert set(log.end("lading.none.v1").values()) <= {0}
        assert log.committed("group", "lading.none.v1") == {}
        assert log.append(TOPIC, []) == []

    def test_topics_do_not_mix(self, case: LogCase) -> None:
        """A record is in the topic it was appended to, and nowhere else."""
        log = case.make_log()
        log.append("a.v1", [(b"k", b"1")])
        log.append("b.v1", [(b"k", b"2")])
        assert [r.value for r in drain(log, "a.v1")] == [b"1"]
        assert [r.value for r in drain(log, "b.v1")] == [b"2"]

    def test_two_groups_each_read_everything(self, case: LogCase) -> None:
        """What one group commits moves no other group, and a commit may go back."""
        log = case.make_log()
        log.append(TOPIC, [(b"k", b"%d" % n) for n in range(6)])
        partition = log.read(TOPIC, {}, 1)[0].partition
        log.commit("one", TOPIC, {partition: 4})
        assert log.committed("one", TOPIC) == {partition: 4}
        assert log.committed("two", TOPIC) == {}
        assert [r.value for r in drain(log, TOPIC, log.committed("one", TOPIC))] == [b"4", b"5"]
        assert len(drain(log, TOPIC, log.committed("two", TOPIC))) == 6
        log.commit("one", TOPIC, {partition: 1})
        assert log.committed("one", TOPIC) == {partition: 1}

    def test_another_opener_sees_it(self, case: LogCase) -> None:
        """What one opened log appended and committed, another reads at once."""
        writer, reader = case.make_log(), case.make_log()
        place = writer.append(TOPIC, [(b"k", b"v")])[0]
        writer.commit("group", TOPIC, {place[0]: 1})
        assert [r.value for r in reader.read(TOPIC, {}, 10)] == [b"v"]
        assert reader.committed("group", TOPIC) == {place[0]: 1}

    def test_concurrent_writers(self, case: LogCase) -> None:
        """Three processes at once: every record is there once, each key in its writer's order, no holes."""
        writers = [
            _SPAWN.Process(target=append_many, args=(case.make_log, w, 60), daemon=True) for w in range(3)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
            assert writer.exitcode == 0
        records = drain(case.make_log(), TOPIC)
        assert len(records) == 180
        for w in range(3):
            for k in range(3):
                own = [int(r.value) for r in records if r.key == b"%d/%d" % (w, k)]
                assert own == list(range(k, 60, 3))

    def test_what_was_appended_survives_kill(self, case: LogCase) -> None:
        """A writer killed with SIGKILL: every record that `append` returned for is there, once."""
        ours, theirs = _SPAWN.Pipe(duplex=False)
        child = _SPAWN.Process(target=append_until_killed, args=(case.make_log, theirs), daemon=True)
        child.start()
        assert ours.poll(60)
        told = [int(ours.recv_bytes()) for _ in range(25)]
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join(30)
        theirs.close()
        try:
            while ours.poll(0):
                told.append(int(ours.recv_bytes()))
        except EOFError:
            pass
        values = [int(r.value) for r in drain(case.make_log(), TOPIC)]
        assert values == list(range(len(values)))
        assert len(told) <= len(values) <= len(told) + 1

    def test_redelivery_after_a_kill(self, case: LogCase) -> None:
        """A reader killed before it commits leaves its records to the next, from the committed offset on."""
        log = case.make_log()
        log.append(TOPIC, [(b"k", b"%d" % n) for n in range(5)])
        ours, theirs = _SPAWN.Pipe(duplex=False)
        child = _SPAWN.Process(target=read_until_killed, args=(case.make_log, theirs), daemon=True)
        child.start()
        assert ours.poll(60)
        assert ours.recv() == [b"0", b"1", b"2", b"3"]
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join(30)
        again = drain(log, TOPIC, log.committed("group", TOPIC))
        assert [r.value for r in again] == [b"2", b"3", b"4"]

    def test_a_record_too_long_is_refused_whole(self, case: LogCase) -> None:
        """All or none: the short record beside one that is too long is not there either."""
        log = case.make_log()
        with pytest.raises(ServiceError) as refused:
            log.append(TOPIC, [(b"k", b"short"), (b"k", bytes(RECORD_BYTES_MAX + 1))])
        assert refused.value.code == "log_record"
        assert drain(log, TOPIC) == []
