"""What the writer keeps beside the log: positions, what corrections need, and how it is doing, in one SQLite file.

It may be lost: then the log is written again from its beginning (frames from the committed position on), which changes
nothing that is there.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lading import sqlite
from lading.errors import ServiceError
from lading.fields import signed_64
from lading.locks import held

INTERVALS_MAX = 100_000
"""Newest intervals whose event time is kept, for the lag of their anchors."""
REFUSED_MAX = 100
REFUSED_BYTES_MAX = 1_000

_ERRORS = ("series_state", "a state file that takes what was written")
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (
  topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS legs (leg BLOB PRIMARY KEY, reference TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS limits (hash BLOB PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS verdicts (
  leg BLOB NOT NULL, gateway BLOB NOT NULL, limits BLOB NOT NULL,
  time_ns INTEGER NOT NULL, until_ms INTEGER NOT NULL, verdict BLOB NOT NULL,
  PRIMARY KEY (leg, gateway, limits));
CREATE TABLE IF NOT EXISTS risks (
  leg BLOB NOT NULL, gateway BLOB NOT NULL, limits BLOB NOT NULL,
  channel INTEGER NOT NULL, quantity INTEGER NOT NULL, release TEXT NOT NULL, side TEXT NOT NULL,
  PRIMARY KEY (leg, gateway, limits, channel, quantity, release, side)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS intervals (interval INTEGER PRIMARY KEY, last_event_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refused (
  no INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL, line BLOB NOT NULL,
  points INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS health (one INTEGER PRIMARY KEY CHECK (one = 1), document TEXT NOT NULL)
"""


class LegKey(NamedTuple):
    """What a verdict is about."""

    leg: bytes
    gateway: bytes
    limits: bytes


class Written(NamedTuple):
    """A leg's newest verdict among the points: its point's time, and the latest horizon of all its verdicts."""

    time_ns: int
    until_ms: int
    verdict: bytes


class OfRisk(NamedTuple):
    """Which of a leg's series a risk is of. `release`: as the tag has it; `side`: upper, lower."""

    channel: int
    quantity: int
    release: str
    side: str


class Refused(NamedTuple):
    """A line that was not taken, and why; or `count` of them, that only InfluxDB knows."""

    code: str
    reason: str
    line: bytes
    points: int = 1


class SeriesState:
    """The file. One process writes; others read beside it (`is_beside`), and never wait for what it is writing."""

    def __init__(self, path: Path, *, is_beside: bool = False) -> None:
        sqlite.make_folder(path, "series_state")
        is_there = path.exists()
        with sqlite.service_errors(*_ERRORS):
            self._db = sqlite.connect(path)
            if is_beside and is_there:
                self._db.execute("PRAGMA query_only = ON")
                return
            sqlite.to_wal(self._db, sqlite.BUSY_TIMEOUT_S)
            # What a power cut takes from the end is written again from the positions.
            self._db.execute("PRAGMA synchronous = NORMAL")
            sqlite.keep_version(self._db, path, SCHEMA_VERSION)
            sqlite.create(self._db, _SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        with sqlite.service_errors(*_ERRORS), sqlite.transaction(self._db):
            yield

    def positions(self, topic: str) -> dict[int, int]:
        """Next offset to read, by partition."""
        return dict(self._rows("SELECT partition, next FROM positions WHERE topic = ?", topic))

    def set_positions(self, topic: str, positions: Mapping[int, int]) -> None:
        """Remember the next offsets."""
        rows = [(topic, partition, offset) for partition, offset in positions.items()]
        self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)

    def add_leg(self, leg: bytes, reference: str) -> None:
        """A leg's reference: its id commits to it, so there is one."""
        self._db.execute("INSERT OR IGNORE INTO legs VALUES (?, ?)", (leg, reference))

    def reference_of(self, leg: bytes) -> str | None:
        """A leg's reference."""
        for (reference,) in self._rows("SELECT reference FROM legs WHERE leg = ?", leg):
            return str(reference)
        return None

    def legs(self) -> list[tuple[str, str]]:
        """(id in hex, reference) of every leg."""
        rows = self._rows("SELECT leg, reference FROM legs ORDER BY leg")
        return [(bytes(leg).hex(), str(reference)) for leg, reference in rows]

    def add_limits(self, limits_hash: bytes, document: bytes) -> None:
        """A limits document by its hash."""
        self._db.execute("INSERT OR IGNORE INTO limits VALUES (?, ?)", (limits_hash, document))

    def limits(self, limits_hash: bytes) -> bytes | None:
        """A limits document."""
        for (document,) in self._rows("SELECT document FROM limits WHERE hash = ?", limits_hash):
            return bytes(document)
        return None

    def verdict(self, key: LegKey) -> Written | None:
        """What was written last of a leg."""
        query = "SELECT time_ns, until_ms, verdict FROM verdicts WHERE (leg, gateway, limits) = (?, ?, ?)"
        for row in self._rows(query, *key):
            return Written(*row)
        return None

    def set_verdict(self, key: LegKey, written: Written) -> None:
        """What was written last of a leg, now."""
        self._db.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?)", (*key, *written))

    def risks(self, key: LegKey) -> list[OfRisk]:
        """What forecasts have said of a leg."""
        query = (
            "SELECT channel, quantity, release, side FROM risks WHERE (leg, gateway, limits) = (?, ?, ?)"
            " ORDER BY channel, quantity, release, side"
        )
        return [OfRisk(*row) for row in self._rows(query, *key)]

    def add_risks(self, key: LegKey, risks: Iterable[OfRisk]) -> None:
        """A forecast says something of these."""
        rows = [(*key, *one) for one in risks]
        self._db.executemany("INSERT OR IGNORE INTO risks VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def add_batch(self, interval: int, last_event_ms: int) -> None:
        """An interval's newest event time is the greatest of its batches'."""
        self._db.execute(
            "INSERT INTO intervals VALUES (?, ?) ON CONFLICT (interval) DO UPDATE"
            " SET last_event_ms = max(last_event_ms, excluded.last_event_ms)",
            (signed_64(interval), last_event_ms),
        )
        if interval % 1_000 == 0:
            self._db.execute(
                "DELETE FROM intervals WHERE interval < ?", (signed_64(interval - INTERVALS_MAX),)
            )

    def last_event_ms(self, interval: int) -> int | None:
        """An interval's newest event time."""
        for (time_ms,) in self._rows(
            "SELECT last_event_ms FROM intervals WHERE interval = ?", signed_64(interval)
        ):
            return int(time_ms)
        return None

    def count(self, name: str, amount: int) -> None:
        """Count on."""
        if amount:
            self._db.execute(
                "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
                (name, amount),
            )

    def counts(self) -> dict[str, int]:
        """Everything counted since the file began."""
        return dict(self._rows("SELECT name, count FROM counts ORDER BY name"))

    def add_refused(self, at_ms: int, refused: Iterable[Refused]) -> None:
        """Keep the newest lines that were refused."""
        rows = [(at_ms, one.code, one.reason, one.line[:REFUSED_BYTES_MAX], one.points) for one in refused]
        self._db.executemany(
            "INSERT INTO refused (at_ms, code, reason, line, points) VALUES (?, ?, ?, ?, ?)", rows
        )
        self._db.execute("DELETE FROM refused WHERE no <= (SELECT max(no) FROM refused) - ?", (REFUSED_MAX,))

    def refused(self) -> list[tuple[int, Refused]]:
        """(time in ms, line), oldest first."""
        rows = self._rows("SELECT at_ms, code, reason, line, points FROM refused ORDER BY no")
        return [
            (int(at_ms), Refused(code, reason, bytes(line), points))
            for at_ms, code, reason, line, points in rows
        ]

    def set_health(self, document: Mapping[str, Any]) -> None:
        """How the writer is doing, for `status`."""
        self._db.execute("INSERT OR REPLACE INTO health VALUES (1, ?)", (json.dumps(document),))

    def health(self) -> dict[str, Any] | None:
        """What the writer said last; None before it first ran."""
        for (document,) in self._rows("SELECT document FROM health"):
            found: dict[str, Any] = json.loads(document)
            return found
        return None

    def _rows(self, query: str, *values: object) -> list[Any]:
        with sqlite.service_errors(*_ERRORS):
            return self._db.execute(query, values).fetchall()


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the state file's lock while writing. ServiceError `series_state` when another process does."""
    sqlite.make_folder(path, "series_state")
    with held(path.with_name(f"{path.name}.lock")) as is_mine:
        if not is_mine:
            raise ServiceError("series_state", f"another process writes with {path}, wanted one")
        yield
