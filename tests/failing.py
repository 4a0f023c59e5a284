"""Files that fail: real ones, beneath whoever has them open."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def unreadable(path: Path, db: sqlite3.Connection) -> Iterator[None]:
    """Meanwhile a SQLite file in WAL mode has nothing but zeros on the disk, and its connection remembers no page."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA shrink_memory")
    whole = path.read_bytes()
    _overwrite(path, bytes(len(whole)))
    try:
        yield
    finally:
        _overwrite(path, whole)


@contextmanager
def locked(path: Path, _db: sqlite3.Connection | None = None) -> Iterator[None]:
    """Meanwhile a SQLite file can be read and not written: somebody else is writing, without end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def _overwrite(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:  # in its place: a new file would be another one
        file.write(data)
