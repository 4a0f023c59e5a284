"""The SQLite log keeps the log's contract, with one partition and with several."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from lading.errors import ServiceError
from lading.log import SqliteLog
from tests.services.log_contract import TOPIC, LogContract, MakeLog, drain


@dataclass
class SqliteCase:
    make_log: MakeLog
    partitions: int


class TestSqliteLog(LogContract):
    @pytest.fixture(params=[1, 3])
    def case(self, tmp_path: Path, request: pytest.FixtureRequest) -> SqliteCase:
        return SqliteCase(partial(SqliteLog, tmp_path / "log.db", partitions=request.param), request.param)


def test_a_full_log_pushes_back(tmp_path: Path) -> None:
    """At its bound the log refuses, keeps and gives what it has, and takes again under a higher bound."""
    log = SqliteLog(tmp_path / "log.db", bytes_max=1_000_000)
    for _ in range(10):
        log.append(TOPIC, [(b"k", bytes(50_000))])
    with pytest.raises(ServiceError) as refused:
        log.append(TOPIC, [(b"k", bytes(50_000)) for _ in range(10)])
    assert refused.value.code == "log_full"
    taken = len(drain(log, TOPIC))
    assert taken == 10
    log.commit("group", TOPIC, {0: taken})
    log.close()
    wider = SqliteLog(tmp_path / "log.db", bytes_max=2_000_000)
    assert wider.append(TOPIC, [(b"k", b"more")]) == [(0, taken)]


def test_a_read_is_bounded_in_bytes(tmp_path: Path) -> None:
    """A read stops after the record that passes the bound: never empty while there is one, never endless."""
    log = SqliteLog(tmp_path / "log.db", read_bytes_max=1000)
    log.append(TOPIC, [(b"k", bytes(400)) for _ in range(10)] + [(b"k", bytes(5000))])
    assert len(log.read(TOPIC, {}, 100)) == 3
    assert len(log.read(TOPIC, {0: 10}, 100)) == 1


def test_a_long_partition_does_not_starve_another(tmp_path: Path) -> None:
    """Every partition with records is in a read whose count is at least the partitions."""
    log = SqliteLog(tmp_path / "log.db", partitions=2)
    log.append(TOPIC, [(b"%d" % (n % 8), b"") for n in range(200)])
    assert {r.partition for r in log.read(TOPIC, {}, 10)} == {0, 1}


def test_an_existing_topic_keeps_its_partitions(tmp_path: Path) -> None:
    """Another opener's setting does not move keys of a topic that exists."""
    log = SqliteLog(tmp_path / "log.db", partitions=3)
    before = log.append(TOPIC, [(b"key", b"1")])[0]
    after = SqliteLog(tmp_path / "log.db", partitions=1).append(TOPIC, [(b"key", b"2")])[0]
    assert after == (before[0], before[1] + 1)


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """Of an installation with a dozen files, which."""
    (tmp_path / "log.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ServiceError, match=r"log_failed: .*log\.sqlite: file is not a database"):
        SqliteLog(tmp_path / "log.sqlite")
