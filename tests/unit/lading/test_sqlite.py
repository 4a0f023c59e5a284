"""Promise: SQLite files open side by side, change whole or not at all, and fail as ServiceErrors."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lading import sqlite
from lading.errors import ServiceError

SCHEMA = "CREATE TABLE IF NOT EXISTS one(value INTEGER); CREATE TABLE IF NOT EXISTS two(value INTEGER);"
OPENERS = 8
ROWS = 5_000


def count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM one").fetchone()[0])


def test_a_transaction_is_whole(tmp_path: Path) -> None:
    """What an error of any kind leaves half done is undone, and the next transaction begins afresh."""
    db, other = sqlite.connect(tmp_path / "a.sqlite"), sqlite.connect(tmp_path / "a.sqlite")
    sqlite.create(db, SCHEMA)

    def interrupted() -> None:
        with sqlite.transaction(db):
            db.execute("INSERT INTO one VALUES (1)")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with sqlite.transaction(db):
        db.execute("INSERT INTO one VALUES (2)")
    assert count(other) == 1


def test_a_transaction_is_alone(tmp_path: Path) -> None:
    """A second writer is refused once it has waited."""
    db, other = (sqlite.connect(tmp_path / "a.sqlite", busy_timeout_s=0.01) for _ in range(2))
    with (
        sqlite.transaction(db),
        pytest.raises(sqlite3.OperationalError, match="locked"),
        sqlite.transaction(other),
    ):
        pytest.fail("two writers at once")


def test_openers_wait_for_one_another(tmp_path: Path) -> None:
    """Many may turn WAL on and make the tables at once."""
    begin, failures = threading.Barrier(OPENERS), []

    def open_one() -> None:
        begin.wait()
        try:
            db = sqlite.connect(tmp_path / "a.sqlite", 30)
            sqlite.to_wal(db, 30)
            sqlite.create(db, SCHEMA)
        except sqlite3.Error as exc:
            failures.append(exc)

    threads = [threading.Thread(target=open_one) for _ in range(OPENERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sqlite.connect(tmp_path / "a.sqlite").execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_wal_is_waited_for_within_a_bound(tmp_path: Path) -> None:
    """A file that stays locked is given up."""
    holder, db = (sqlite.connect(tmp_path / "a.sqlite", busy_timeout_s=0.01) for _ in range(2))
    sqlite.create(holder, SCHEMA)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite.to_wal(db, 0.05)


def test_errors_are_service_errors(tmp_path: Path) -> None:
    """With the caller's code, and what was found and wanted."""
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"no database, but longer than a header of one: " * 4)
    with pytest.raises(ServiceError, match="not a database, wanted a state file") as refused:  # noqa: SIM117
        with sqlite.service_errors("state_failed", "a state file"):
            sqlite.create(sqlite.connect(path), SCHEMA)
    assert refused.value.code == "state_failed"


def test_a_full_file_is_named_and_whole(tmp_path: Path) -> None:
    """No room is `disk_full`, whatever writes; nothing of the transaction stays, and it goes on when there is room."""
    db = sqlite.open_named(tmp_path / "a.sqlite", "outbox_failed")
    sqlite.create(db, SCHEMA)
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    rows = [(value,) for value in range(100_000)]

    def write() -> None:
        with sqlite.transaction(db):
            db.execute("INSERT INTO two VALUES (1)")
            db.executemany("INSERT INTO one VALUES (?)", rows)

    with pytest.raises(ServiceError) as refused:
        write()
    assert refused.value.code == "disk_full"
    assert count(db) == 0
    db.execute(f"PRAGMA max_page_count = {100 * pages}")
    write()
    assert count(db) == 100_000


def test_other_errors_have_the_store_s_name(tmp_path: Path) -> None:
    """A file that is no database, or a table that is not there, is a ServiceError of the code that the opener gave."""
    (tmp_path / "a.sqlite").write_bytes(b"no database" * 1_000)
    with pytest.raises(ServiceError) as refused:
        sqlite.open_named(tmp_path / "a.sqlite", "outbox_failed").execute("SELECT 1 FROM one")
    assert refused.value.code == "outbox_failed"


def one_by_one(rows: sqlite3.Cursor) -> Iterator[tuple[int]]:
    """By fetchone."""
    while (row := rows.fetchone()) is not None:
        yield row


def by_hundreds(rows: sqlite3.Cursor) -> Iterator[tuple[int]]:
    """By fetchmany."""
    while found := rows.fetchmany(100):
        yield from found


@pytest.mark.parametrize(
    "rest",
    [
        list,
        lambda rows: rows.fetchall(),
        lambda rows: list(one_by_one(rows)),
        lambda rows: list(by_hundreds(rows)),
        lambda rows: [next(rows) for _ in range(ROWS - 1)],
    ],
    ids=["iterated", "fetchall", "fetchone", "fetchmany", "next"],
)
def test_a_file_that_fails_amid_its_rows(
    tmp_path: Path, rest: Callable[[sqlite3.Cursor], list[tuple[int]]]
) -> None:
    """However the rows are taken, it is a ServiceError of the store's code; when the file is whole again they come."""
    path = tmp_path / "a.sqlite"
    db = sqlite.open_named(path, "index_failed")
    db.execute("PRAGMA cache_size = 1")  # page: so that the rows are read from the file, not remembered
    sqlite.create(db, SCHEMA)
    with sqlite.transaction(db):
        db.executemany("INSERT INTO one VALUES (?)", [(value,) for value in range(ROWS)])
    rows = db.execute("SELECT value FROM one ORDER BY rowid")
    assert rows.fetchone() == (0,)
    whole = path.read_bytes()
    os.truncate(path, len(whole) // 2)
    with pytest.raises(ServiceError) as failed:
        rest(rows)
    assert failed.value.code == "index_failed"
    path.write_bytes(whole)
    assert [value for (value,) in db.execute("SELECT value FROM one ORDER BY rowid")] == list(range(ROWS))
