"""What a local chain keeps to outlive its process."""

from pathlib import Path

import rlp  # type: ignore[import-untyped]

from lading import sqlite


class Store:
    """Blocks as what made them: time and transactions, in SQLite."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite.open_named(path, "chain_store")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(
            "CREATE TABLE IF NOT EXISTS genesis(id INTEGER PRIMARY KEY CHECK (id = 0), time_s INTEGER NOT NULL);"
            "CREATE TABLE IF NOT EXISTS blocks(number INTEGER PRIMARY KEY, time_s INTEGER NOT NULL,"
            " forks INTEGER NOT NULL, transactions BLOB NOT NULL);"
        )

    def genesis_s(self, now_s: int) -> int:
        """When the chain began; now, if it begins now."""
        self._db.execute("INSERT OR IGNORE INTO genesis VALUES (0, ?)", (now_s,))
        return int(self._db.execute("SELECT time_s FROM genesis").fetchone()[0])

    def blocks(self) -> list[tuple[int, int, list[bytes]]]:
        """(time, forks, raw transactions) of each block after the genesis."""
        rows = self._db.execute("SELECT time_s, forks, transactions FROM blocks ORDER BY number").fetchall()
        return [(time_s, forks, rlp.decode(raws)) for time_s, forks, raws in rows]

    def put(self, number: int, time_s: int, forks: int, raws: list[bytes]) -> None:
        """Write a block; one that takes its place takes its followers' too."""
        with sqlite.transaction(self._db):
            self._db.execute("DELETE FROM blocks WHERE number >= ?", (number,))
            self._db.execute(
                "INSERT INTO blocks VALUES (?, ?, ?, ?)", (number, time_s, forks, rlp.encode(raws))
            )
