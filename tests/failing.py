"""Files that fail: real ones, beneath whoever has them open."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
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


def _overwrite(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:  # in its place: a new file would be another one
        file.write(data)
