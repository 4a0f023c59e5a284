"""What ingest remembers: which frames the log has, which frames wait, the orders, what was refused.

One SQLite file. The log is the truth: the state notes up to which log offset it has followed, and whoever opens
it next follows the rest, so that a crash between the two never counts a frame twice (see `ingest.stage`).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lading import sqlite
from lading.fields import signed_64, unsigned_64

BUSY_TIMEOUT_S = 30.0
SCHEMA_VERSION = 1
GATEWAYS_CACHED_MAX = 20_000
OVERDUE_BYTES_MAX = 64 * 1024 * 1024

_SCHEMA = """
CREATE TABLE IF NOT EXISTS gateways (no INTEGER PRIMARY KEY, gateway BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS frames (
  no INTEGER NOT NULL, frame_seq INTEGER NOT NULL, hash BLOB NOT NULL, partition INTEGER NOT NULL,
  at INTEGER NOT NULL, PRIMARY KEY (no, frame_seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
  no INTEGER NOT NULL, frame_seq INTEGER NOT NULL, hash BLOB NOT NULL, reason TEXT NOT NULL,
  since_ms INTEGER NOT NULL, origin TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (no, frame_seq));
CREATE INDEX IF NOT EXISTS waiting_since ON waiting (since_ms);
CREATE TABLE IF NOT EXISTS orders (
  no INTEGER NOT NULL, order_seq INTEGER NOT NULL, leg BLOB NOT NULL, limits_hash BLOB NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY (no, order_seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS orders_leg ON orders (no, leg);
CREATE TABLE IF NOT EXISTS limits (hash BLOB PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS seen (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (
  topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (code TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""
GAP, LIMITS = "gap", "limits"
_ERRORS = ("state_failed", "a state file that takes and gives rows")


class Place(NamedTuple):
    """A frame that the log has: its hash, and where."""

    hash: bytes
    partition: int
    offset: int


class Waiting(NamedTuple):
    """A frame that waits for the one before it (`gap`) or for its order (`limits`)."""

    gateway: bytes
    frame_seq: int
    hash: bytes
    reason: str
    since_ms: int
    origin: str
    data: bytes


class State:
    """The state file; everything happens inside `transaction`. Several processes may share it, one at a time.

    `is_replayed`: what it has can be read again from the log, from any of its own earlier positions on. Then a commit
    need not be on the disk: a power failure may take the last ones, whole and in order, and a kill takes none.
    """

    def __init__(self, path: Path | str, *, is_replayed: bool = False) -> None:
        sqlite.make_folder(path, _ERRORS[0])
        with sqlite.service_errors(*_ERRORS):
            self._db = sqlite.connect(path, BUSY_TIMEOUT_S)
            sqlite.to_wal(self._db, BUSY_TIMEOUT_S)
            self._db.execute(f"PRAGMA synchronous = {'NORMAL' if is_replayed else 'FULL'}")
            sqlite.keep_version(self._db, path, SCHEMA_VERSION)
            sqlite.create(self._db, _SCHEMA)
        self._numbers: dict[bytes, int] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One at a time over all processes; all or nothing; durable at the end, as the file is."""
        with sqlite.service_errors(*_ERRORS):
            try:
                with sqlite.transaction(self._db):
                    yield
            except BaseException:
                self._numbers.clear()
                raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # Frames that the log has.

    def place(self, gateway: bytes, frame_seq: int) -> Place | None:
        """Where the log has the frame of this number."""
        row = self._db.execute(
            "SELECT hash, partition, at FROM frames WHERE no = ? AND frame_seq = ?",
            (self._number(gateway), signed_64(frame_seq)),
        ).fetchone()
        return None if row is None else Place(*row)

    def add_frames(self, rows: Iterable[tuple[bytes, int, bytes, int, int]]) -> None:
        """(gateway, frame_seq, hash, partition, offset) of frames that the log has now; they wait no longer."""
        found = [(self._number(gateway), signed_64(seq), *rest) for gateway, seq, *rest in rows]
        self._db.executemany("INSERT OR IGNORE INTO frames VALUES (?, ?, ?, ?, ?)", found)

    def newest(self, gateway: bytes) -> int | None:
        """The greatest frame_seq that the log has of a gateway."""
        row = self._db.execute(  # those from 2^63 on are stored below 0
            "SELECT coalesce((SELECT max(frame_seq) FROM frames WHERE no = ?1 AND frame_seq < 0),"
            " (SELECT max(frame_seq) FROM frames WHERE no = ?1))",
            (self._number(gateway),),
        ).fetchone()
        return None if row[0] is None else unsigned_64(row[0])

    def frame_count(self) -> int:
        """Frames that the log has."""
        return int(self._db.execute("SELECT count(*) FROM frames").fetchone()[0])

    def gateways(self) -> list[tuple[bytes, int, int, int]]:
        """(gateway, frames, newest frame_seq, gaps) of each gateway with frames."""
        rows = self._db.execute(
            "SELECT gateway, count(*), max(frame_seq), max(frame_seq) + 1 - count(*)"
            " FROM frames JOIN gateways USING (no) GROUP BY no ORDER BY gateway"
        )
        return [(bytes(gateway), int(n), int(newest), int(gaps)) for gateway, n, newest, gaps in rows]

    # Frames that wait.

    def add_waiting(self, waiting: Waiting) -> None:
        """Keep a frame. One that waits already keeps its time; what it waits for may change."""
        self._db.execute(
            "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (no, frame_seq) DO UPDATE SET reason = excluded.reason",
            (self._number(waiting.gateway), signed_64(waiting.frame_seq), *waiting[2:]),
        )

    def remove_waiting(self, gateway: bytes, frame_seq: int) -> None:
        """Forget a frame that waited."""
        self._db.execute(
            "DELETE FROM waiting WHERE no = ? AND frame_seq = ?",
            (self._number(gateway), signed_64(frame_seq)),
        )

    def waiting(self, gateway: bytes, frame_seq: int) -> Waiting | None:
        """The frame that waits under this number."""
        found = self._waiting("no = ? AND frame_seq = ?", (self._number(gateway), signed_64(frame_seq)), 1)
        return found[0] if found else None

    def waiting_of(self, gateway: bytes, reason: str, count_max: int) -> list[Waiting]:
        """The first that wait of a gateway, by number."""
        return self._waiting(
            "no = ? AND reason = ? ORDER BY frame_seq", (self._number(gateway), reason), count_max
        )

    def overdue(self, before_ms: int, count_max: int, bytes_max: int = OVERDUE_BYTES_MAX) -> list[Waiting]:
        """Frames that wait since before a time, oldest first, up to the one that passes `bytes_max`."""
        rows = self._db.execute(
            "SELECT no, frame_seq, length(data) FROM waiting WHERE since_ms < ?"
            " ORDER BY since_ms, no, frame_seq LIMIT ?",
            (before_ms, count_max),
        ).fetchall()
        found: list[Waiting] = []
        for no, frame_seq, size in rows:
            if bytes_max <= 0:
                break
            found += self._waiting("no = ? AND frame_seq = ?", (no, frame_seq), 1)
            bytes_max -= size
        return found

    def waiting_count(self, gateway: bytes | None = None) -> int:
        """How many wait: of a gateway, or in all."""
        if gateway is None:
            return int(self._first("SELECT count(*) FROM waiting")[0])
        number = self._number(gateway)
        return int(self._db.execute("SELECT count(*) FROM waiting WHERE no = ?", (number,)).fetchone()[0])

    def waiting_since(self) -> int | None:
        """Since when the frame waits that waits for longest, ms."""
        row = self._first("SELECT min(since_ms) FROM waiting")
        return None if row[0] is None else int(row[0])

    def waiting_newest_ms(self) -> int | None:
        """Since when the frame waits that came last, ms."""
        row = self._first("SELECT max(since_ms) FROM waiting")
        return None if row[0] is None else int(row[0])

    def waiting_gateways(self) -> set[bytes]:
        """Gateways with a frame that waits."""
        rows = self._db.execute("SELECT gateway FROM gateways WHERE no IN (SELECT DISTINCT no FROM waiting)")
        return {bytes(row[0]) for row in rows}

    def _waiting(self, where: str, values: tuple[int | str, ...], count_max: int) -> list[Waiting]:
        rows = self._db.execute(
            "SELECT gateway, frame_seq, hash, reason, since_ms, origin, data"
            f" FROM waiting JOIN gateways USING (no) WHERE {where} LIMIT ?",
            (*values, count_max),
        ).fetchall()
        return [Waiting(bytes(row[0]), unsigned_64(row[1]), *row[2:]) for row in rows]

    # Orders and limits.

    def add_order(
        self, gateway: bytes, order_seq: int, leg: bytes, limits: tuple[bytes, bytes] | None, digest: bytes
    ) -> None:
        """An order that the log has; `limits` is (hash, document) of a begin."""
        if limits:
            self._db.execute("INSERT OR IGNORE INTO limits VALUES (?, ?)", limits)
        self._db.execute(
            "INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?)",
            (self._number(gateway), signed_64(order_seq), leg, limits[0] if limits else b"", digest),
        )

    def order(self, gateway: bytes, order_seq: int) -> bytes | None:
        """SHA-256 of the order of this number."""
        row = self._db.execute(
            "SELECT hash FROM orders WHERE no = ? AND order_seq = ?",
            (self._number(gateway), signed_64(order_seq)),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def limits_hash_of(self, gateway: bytes, leg: bytes) -> bytes | None:
        """Hash of the limits that a leg was begun with."""
        row = self._db.execute(
            "SELECT limits_hash FROM orders WHERE no = ? AND leg = ? AND limits_hash != x'' LIMIT 1",
            (self._number(gateway), leg),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def limits_document(self, limits_hash: bytes) -> bytes:
        """The limits of a hash that an order has."""
        row = self._db.execute("SELECT document FROM limits WHERE hash = ?", (limits_hash,)).fetchone()
        assert row is not None, f"no limits {limits_hash.hex()}, which an order has"
        return bytes(row[0])

    # What was refused before, positions, counts.

    def is_seen(self, digest: bytes) -> bool:
        """Whether a refusal or proof with this digest is in the log already."""
        return self._db.execute("SELECT 1 FROM seen WHERE digest = ?", (digest,)).fetchone() is not None

    def add_seen(self, digests: Iterable[bytes]) -> None:
        """Note what the log has."""
        self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", [(digest,) for digest in digests])

    def forget_seen(self, digest: bytes) -> None:
        """A dead letter that is tried again may be written again."""
        self._db.execute("DELETE FROM seen WHERE digest = ?", (digest,))

    def positions(self, topic: str) -> dict[int, int]:
        """Up to which offsets the state has followed a topic of the log."""
        with sqlite.service_errors(*_ERRORS):
            rows = self._db.execute("SELECT partition, next_offset FROM positions WHERE topic = ?", (topic,))
            return {int(partition): int(offset) for partition, offset in rows}

    def set_positions(self, topic: str, positions: dict[int, int]) -> None:
        """Note up to which offsets."""
        rows = [(topic, partition, offset) for partition, offset in positions.items()]
        self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)

    def count(self, code: str, by: int) -> None:
        """Add to a counter that outlives the process."""
        self._db.execute(
            "INSERT INTO counts VALUES (?, ?) ON CONFLICT (code) DO UPDATE SET count = count + excluded.count",
            (code, by),
        )

    def counts(self) -> dict[str, int]:
        """Counters by code."""
        with sqlite.service_errors(*_ERRORS):
            rows = self._db.execute("SELECT code, count FROM counts ORDER BY code")
            return {str(code): int(n) for code, n in rows}

    def data_version(self) -> int:
        """Changes when another connection has written the file."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def _first(self, query: str) -> tuple[Any, ...]:
        """The one row of a figure, which is asked outside of transactions, too."""
        with sqlite.service_errors(*_ERRORS):
            row: tuple[Any, ...] = self._db.execute(query).fetchone()
            return row

    def _number(self, gateway: bytes) -> int:
        number = self._numbers.get(gateway)
        if number is None:
            if len(self._numbers) >= GATEWAYS_CACHED_MAX:
                self._numbers.clear()
            row = self._db.execute("SELECT no FROM gateways WHERE gateway = ?", (gateway,)).fetchone()
            if row is None:
                cursor = self._db.execute("INSERT INTO gateways (gateway) VALUES (?)", (gateway,))
                row = (cursor.lastrowid,)
            number = self._numbers[gateway] = int(row[0])
        return number
