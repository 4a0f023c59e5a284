"""What the embedded broker keeps on disk: sessions, subscriptions, retained and undelivered messages."""

import asyncio
import logging
from pathlib import Path
from typing import NamedTuple

from lading import sqlite
from lading.errors import ServiceError

BUSY_TIMEOUT_S = 30.0
LAZY_S = 0.2
RETRY_S = 0.5

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (client TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subscriptions (
  client TEXT NOT NULL, filter TEXT NOT NULL, qos INTEGER NOT NULL, PRIMARY KEY (client, filter)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retained (topic TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS letters (
  number INTEGER PRIMARY KEY, client TEXT NOT NULL, topic TEXT NOT NULL, data BLOB NOT NULL, retain INTEGER NOT NULL,
  share TEXT);
CREATE INDEX IF NOT EXISTS letters_client ON letters (client);
"""
_Change = tuple[str, tuple[object, ...]]
_log = logging.getLogger(__name__)


class Stored(NamedTuple):
    """An undelivered message."""

    number: int
    client: str
    topic: str
    data: bytes
    retain: bool
    share: str | None


class BrokerStore:
    """Changes are collected and written together; `flush` returns once those made so far are durable."""

    def __init__(self, path: Path) -> None:
        sqlite.make_folder(path, "broker_store")
        self._db = sqlite.open_named(path, "broker_store", BUSY_TIMEOUT_S)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        sqlite.keep_version(self._db, path, SCHEMA_VERSION)
        self._db.executescript(_SCHEMA)
        self._number = int(self._db.execute("SELECT coalesce(max(number), 0) FROM letters").fetchone()[0])
        self._changes: list[_Change] = []
        self._flushing: asyncio.Task[None] | None = None
        self._lazy: asyncio.TimerHandle | None = None

    def sessions(self) -> list[str]:
        """Client ids of persistent sessions."""
        return [str(row[0]) for row in self._db.execute("SELECT client FROM sessions ORDER BY client")]

    def subscriptions(self) -> list[tuple[str, str, int]]:
        """(client, filter, QoS)."""
        return list(self._db.execute("SELECT client, filter, qos FROM subscriptions ORDER BY client, filter"))

    def retained(self) -> list[tuple[str, bytes]]:
        """(topic, message)."""
        return list(self._db.execute("SELECT topic, data FROM retained ORDER BY topic"))

    def letters(self) -> list[Stored]:
        """Undelivered messages in order."""
        rows = self._db.execute(
            "SELECT number, client, topic, data, retain, share FROM letters ORDER BY number"
        )
        return [Stored(row[0], row[1], row[2], row[3], bool(row[4]), row[5]) for row in rows]

    def next_number(self) -> int:
        """A number for a new message."""
        self._number += 1
        return self._number

    def add_session(self, client: str) -> None:
        """Keep a session from now on."""
        self._change("INSERT OR IGNORE INTO sessions VALUES (?)", client)

    def drop_session(self, client: str) -> None:
        """Forget a session with all it has."""
        for table in ("letters", "subscriptions", "sessions"):
            self._change(f"DELETE FROM {table} WHERE client = ?", client)

    def subscribe(self, client: str, a_filter: str, qos: int) -> None:
        """Keep a subscription."""
        self._change("INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?)", client, a_filter, qos)

    def unsubscribe(self, client: str, a_filter: str) -> None:
        """Forget a subscription."""
        self._change("DELETE FROM subscriptions WHERE client = ? AND filter = ?", client, a_filter)

    def retain(self, topic: str, data: bytes) -> None:
        """Keep the retained message of a topic; an empty one clears it."""
        if data:
            self._change("INSERT OR REPLACE INTO retained VALUES (?, ?)", topic, data)
        else:
            self._change("DELETE FROM retained WHERE topic = ?", topic)

    def add(self, letter: Stored) -> None:
        """Keep a message until it is acknowledged."""
        self._change("INSERT OR REPLACE INTO letters VALUES (?, ?, ?, ?, ?, ?)", *letter)

    def remove(self, number: int) -> None:
        """A message was acknowledged. Not urgent: after a crash it comes once more."""
        self._change("DELETE FROM letters WHERE number = ?", number)
        if self._lazy is None:
            self._write_after(LAZY_S)

    async def flush(self) -> None:
        """Wait until what was changed so far is durable; everyone who waits shares one commit.

        On a disk that takes nothing just now it waits until it does: an error would end nothing but the task that
        was to acknowledge, and the publisher would wait for ever.
        """
        if not self._changes:
            return
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_soon())
        await asyncio.shield(self._flushing)

    def close(self) -> None:
        """Write what is left."""
        self.write()
        self._db.close()

    def write(self) -> None:
        """Write and commit now. ServiceError: nothing of it was written, and it stays to be written."""
        if self._lazy is not None:
            self._lazy.cancel()
            self._lazy = None
        if not self._changes:
            return
        with sqlite.transaction(self._db):
            for statement, values in self._changes:
                self._db.execute(statement, values)
        self._changes.clear()

    def _write_after(self, pause_s: float) -> None:
        self._lazy = asyncio.get_running_loop().call_later(pause_s, self._write_lazily)

    def _write_lazily(self) -> None:
        try:
            self.write()
        except ServiceError as exc:
            self._tell(exc)
            self._write_after(RETRY_S)

    @staticmethod
    def _tell(exc: ServiceError) -> None:
        _log.warning("%s: tried again in %s s", exc, RETRY_S)

    async def _flush_soon(self) -> None:
        await asyncio.sleep(0)  # the other messages of this turn of the loop join
        try:
            while True:
                try:
                    self.write()
                except ServiceError as exc:
                    self._tell(exc)
                    await asyncio.sleep(RETRY_S)
                else:
                    return
        finally:
            self._flushing = None

    def _change(self, statement: str, *values: object) -> None:
        self._changes.append((statement, values))
