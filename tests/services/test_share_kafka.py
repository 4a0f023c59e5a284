"""Partitions shared out by a real Kafka: all are somebody's, none is two processes', and who dies gives his up."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from lading.kafka.clients import Broker
from lading.kafka.share import KafkaShare
from lading.partitions import Workers
from tests.services.kafka_broker import KafkaBroker
from tests.waiting import until

COUNT = 6
TOPIC = "lading.raw.v1"
SESSION_S = 1.5
_SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    times = {"group.min.session.timeout.ms": "1000", "group.initial.rebalance.delay.ms": "1500"}
    server = KafkaBroker(tmp_path_factory.mktemp("kafka"), times).start()
    admin = KafkaAdminClient(bootstrap_servers=server.bootstrap)
    admin.create_topics([NewTopic(TOPIC, COUNT, 1)])
    admin.close()
    yield server
    server.kill()


class Noted:
    """A worker that has its partition's file while it is open; two at once would show."""

    def __init__(self, folder: Path, partition: int) -> None:
        self._path = folder / f"open-{partition}"
        os.close(os.open(self._path, os.O_CREAT | os.O_EXCL))

    def close(self) -> None:
        self._path.unlink()


def member(bootstrap: str, group: str, folder: str, told: Connection) -> None:
    """A process of the group: tells whenever its partitions change; ends in good order on SIGTERM."""
    place = Path(folder)
    share = KafkaShare(Broker(bootstrap), TOPIC, group, session_s=SESSION_S)
    workers: Workers[Any] = Workers(share, lambda p: Noted(place, p), lambda p: place / f"state-{p}")
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    said: frozenset[int] | None = None
    while not stopping:
        now = frozenset(workers.now())
        if now != said:
            told.send(sorted(now))
            said = now
    workers.close()


class Member:
    """One of the group's processes, and the last that it told."""

    def __init__(self, broker: KafkaBroker, group: str, folder: Path) -> None:
        self._told, theirs = _SPAWN.Pipe(duplex=False)
        arguments = (broker.bootstrap, group, str(folder), theirs)
        self.process = _SPAWN.Process(target=member, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self._has: list[int] = []

    @property
    def has(self) -> list[int]:
        try:
            while self._told.poll(0):
                self._has = self._told.recv()
        except EOFError:
            self._has = []
        return self._has

    def end(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)
        self.process.join(30)


@pytest.fixture
def join(broker: KafkaBroker, tmp_path: Path) -> Iterator[Callable[[], Member]]:
    members: list[Member] = []

    def start() -> Member:
        members.append(Member(broker, tmp_path.name, tmp_path))
        return members[-1]

    yield start
    for one in members:
        one.process.kill()
        one.process.join()


def shared_out(*members: Member) -> Callable[[], bool]:
    """Whether every partition is exactly one member's, and none has two more than another."""

    def check() -> bool:
        counts = [len(one.has) for one in members]
        everything = sorted(p for one in members for p in one.has)
        return everything == list(range(COUNT)) and max(counts) - min(counts) <= 1

    return check


def test_two_and_four_share_the_work(join: Callable[[], Member]) -> None:
    """One has all; two have half each; four share; who leaves in good order or is killed leaves his to the rest."""
    one = join()
    until(shared_out(one))
    two = join()
    until(shared_out(one, two))
    three, four = join(), join()
    until(shared_out(one, two, three, four))
    two.end(signal.SIGTERM)
    assert two.process.exitcode == 0
    until(shared_out(one, three, four))


def test_the_killed_ones_partitions_go_to_the_rest(join: Callable[[], Member], tmp_path: Path) -> None:
    """SIGKILL: within the session's time his partitions are another's. His open files show that he did not close."""
    one, two = join(), join()
    until(shared_out(one, two))
    lost = set(two.has)
    two.end(signal.SIGKILL)
    for partition in lost:
        (tmp_path / f"open-{partition}").unlink()
    until(lambda: sorted(one.has) == list(range(COUNT)))


def test_who_hangs_keeps_his_state(join: Callable[[], Member], tmp_path: Path) -> None:
    """SIGSTOP: the group gives his partitions away, but their state stays locked until he is gone."""
    one, two = join(), join()
    until(shared_out(one, two))
    held = set(two.has)
    assert two.process.pid is not None
    os.kill(two.process.pid, signal.SIGSTOP)
    one_had = set(one.has)
    until(lambda: (tmp_path / f"state-{min(held)}.owner.lock").exists())
    two.end(signal.SIGKILL)
    for partition in held:
        (tmp_path / f"open-{partition}").unlink()
    until(lambda: sorted(one.has) == list(range(COUNT)))
    assert one_had.isdisjoint(held)


def test_who_lost_his_does_not_claim_it(join: Callable[[], Member]) -> None:
    """Two that the group gave up come back beside a third, in one round: all partitions are somebody's.

    Who claims what he has lost is waited for, to release it: then some are nobody's, for ever.
    """
    one, two = join(), join()
    until(shared_out(one, two))
    for stopped in (one, two):
        assert stopped.process.pid is not None
        os.kill(stopped.process.pid, signal.SIGSTOP)
    time.sleep(2 * SESSION_S)
    three = join()
    for stopped in (one, two):
        assert stopped.process.pid is not None
        os.kill(stopped.process.pid, signal.SIGCONT)
    until(shared_out(one, two, three))


def test_a_broker_that_restarts_keeps_the_group_at_work(
    broker: KafkaBroker, join: Callable[[], Member]
) -> None:
    """The broker is killed and started again: all partitions are somebody's again."""
    one, two = join(), join()
    until(shared_out(one, two))
    broker.kill()
    broker.start()
    until(shared_out(one, two))
    three = join()
    until(shared_out(one, two, three))
