"""What the stage keeps: offsets, orders, clones, where frames lie, leg states and finality, in one SQLite file.

Everything a step changes is one transaction, so the state always belongs to the offsets beside it.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import NamedTuple

from lading import sqlite
from lading.fields import signed_64, unsigned_64
from lading.rules import LegTrack, SignedAs

BUSY_TIMEOUT_S = 10.0
SCHEMA_VERSION = 1
_ERRORS = ("state_failed", "a state file of the anomaly stage")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (
  topic TEXT, partition INTEGER, next INTEGER, PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
  leg BLOB, gateway BLOB, limits BLOB, order_seq INTEGER, message BLOB,
  PRIMARY KEY (leg, gateway, limits)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clones (
  gateway BLOB, frame_seq BLOB, hash BLOB, sent_ms INTEGER,
  PRIMARY KEY (gateway, frame_seq, hash)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS legs (
  no INTEGER PRIMARY KEY, leg BLOB, gateway BLOB, limits BLOB, tenant BLOB,
  first_seq BLOB, last_seq BLOB, closing_seq BLOB, waiting INTEGER, said BLOB, said_ms INTEGER, snapshot BLOB,
  UNIQUE (leg, gateway, limits));
CREATE INDEX IF NOT EXISTS legs_by_gateway ON legs (gateway);
CREATE INDEX IF NOT EXISTS legs_waiting ON legs (tenant) WHERE waiting;
CREATE TABLE IF NOT EXISTS frames (
  leg_no INTEGER, frame_seq BLOB, partition INTEGER, at INTEGER, hash BLOB,
  PRIMARY KEY (leg_no, frame_seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
  tenant BLOB, batch_seq BLOB, interval BLOB, partition INTEGER, next INTEGER,
  PRIMARY KEY (tenant, batch_seq, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS finalized (interval BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS final_until (
  tenant BLOB, partition INTEGER, next INTEGER, PRIMARY KEY (tenant, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS final_batches (tenant BLOB PRIMARY KEY, batch_seq BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS emitted (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latest (
  leg BLOB, gateway BLOB, limits BLOB, id BLOB, PRIMARY KEY (leg, gateway, limits)) WITHOUT ROWID;
"""


class LegKey(NamedTuple):
    """A leg as its frames name it."""

    leg: bytes
    gateway: bytes
    limits: bytes


class Spot(NamedTuple):
    """Where a frame lies in the log, and its hash."""

    partition: int
    at: int
    hash: bytes


@dataclass(slots=True)
class Leg:
    """A leg's row. `track` is None until its begin order is there. Frame numbers None before the first frame."""

    no: int
    key: LegKey
    tenant: bytes | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    closing_seq: int | None = None
    waiting: bool = False  # for finality alone
    said: bytes = b""  # digest of what the last verdict said
    said_ms: int = 0  # and its horizon's time
    snapshot: bytes | None = None
    track: LegTrack | None = None

    @property
    def channel_count(self) -> int:
        """Channels whose state is in memory; a leg without its order counts as one."""
        return len(self.track.tracks) if self.track else 1

    @property
    def end_seq(self) -> int:
        """The greatest frame_seq that counts: the closing frame's, or the greatest there is."""
        seq = self.closing_seq if self.closing_seq is not None else self.last_seq
        assert seq is not None, "a leg's row is made for a frame"
        return seq


def _u64(number: int) -> bytes:
    """SQLite's integers are signed: frame and batch numbers are kept as 8 bytes that sort alike."""
    return number.to_bytes(8, "big")


def _number(data: bytes | None) -> int | None:
    return None if data is None else int.from_bytes(data, "big")


class State:
    """The stage's SQLite file. One process at a time, its threads in turns; every change is inside `transaction`."""

    def __init__(self, path: Path | str) -> None:
        self._held = ExitStack()
        self._lock = RLock()
        with sqlite.service_errors(*_ERRORS):
            # A second process would work on stale state.
            self._held.enter_context(sqlite.held(path, BUSY_TIMEOUT_S))
            self._db = sqlite.connect(path, BUSY_TIMEOUT_S)
            self._db.execute("PRAGMA journal_mode = WAL")
            # What a power cut takes from the end is done again from the offsets: the log is what is durable.
            self._db.execute("PRAGMA synchronous = NORMAL")
            sqlite.keep_version(self._db, path, SCHEMA_VERSION)
            self._db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nothing of another thread's between."""
        with self.alone(), sqlite.transaction(self._db):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Between the transactions of other threads. A file that fails is a ServiceError, `disk_full` without room."""
        with self._lock, sqlite.service_errors(*_ERRORS):
            yield

    @property
    def db(self) -> sqlite3.Connection:
        """The open file, for tables of others in it."""
        return self._db

    def close(self) -> None:
        """Close the file, for another process to open."""
        self._db.close()
        self._held.close()

    def positions(self, topic: str) -> dict[int, int]:
        """Next offset to read, by partition."""
        with self.alone():  # it is asked between steps, too
            return dict(self._db.execute("SELECT partition, next FROM positions WHERE topic = ?", (topic,)))

    def set_positions(self, topic: str, positions: Mapping[int, int]) -> None:
        """Remember the next offsets."""
        rows = [(topic, partition, offset) for partition, offset in positions.items()]
        self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)

    def add_order(self, key: LegKey, order_seq: int, message: bytes) -> bool:
        """Keep a begin order, of several the one with the least order_seq. True when it is the one now."""
        known = self._db.execute(
            "SELECT order_seq FROM orders WHERE (leg, gateway, limits) = (?, ?, ?)", key
        ).fetchone()
        if known and unsigned_64(known[0]) <= order_seq:
            return False
        self._db.execute(
            "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?)", (*key, signed_64(order_seq), message)
        )
        return True

    def order(self, key: LegKey) -> bytes | None:
        """The begin order's message."""
        row = self._db.execute(
            "SELECT message FROM orders WHERE (leg, gateway, limits) = (?, ?, ?)", key
        ).fetchone()
        return None if row is None else bytes(row[0])

    def add_signed(self, gateway: bytes, signed: Iterable[SignedAs]) -> None:
        """Keep what a gateway signed more than once under one frame_seq."""
        rows = [(gateway, _u64(one.frame_seq), one.hash, one.sent_ms) for one in signed]
        self._db.executemany("INSERT OR IGNORE INTO clones VALUES (?, ?, ?, ?)", rows)

    def signed(self, gateway: bytes, first_seq: int, last_seq: int) -> list[SignedAs]:
        """What a gateway signed more than once, from first_seq to last_seq."""
        rows = self._db.execute(
            "SELECT frame_seq, hash, sent_ms FROM clones WHERE gateway = ? AND frame_seq BETWEEN ? AND ?",
            (gateway, _u64(first_seq), _u64(last_seq)),
        )
        return [SignedAs(int.from_bytes(seq, "big"), value, sent_ms) for seq, value, sent_ms in rows]

    def find_leg(self, key: LegKey) -> Leg | None:
        """A leg by its key, without its track."""
        return self._leg("(leg, gateway, limits) = (?, ?, ?)", key)

    def leg(self, no: int) -> Leg:
        """A leg by its row's number."""
        leg = self._leg("no = ?", (no,))
        assert leg is not None, f"no leg {no}"
        return leg

    def _leg(self, where: str, values: tuple[object, ...]) -> Leg | None:
        row = self._db.execute(f"SELECT * FROM legs WHERE {where}", values).fetchone()
        if row is None:
            return None
        no, leg, gateway, limits, tenant, first, last, closing, waiting, said, said_ms, snapshot = row
        numbers = (_number(first), _number(last), _number(closing))
        return Leg(no, LegKey(leg, gateway, limits), tenant, *numbers, bool(waiting), said, said_ms, snapshot)

    def add_leg(self, key: LegKey) -> Leg:
        """A new leg's row."""
        cursor = self._db.execute(
            "INSERT INTO legs (leg, gateway, limits, waiting, said, said_ms) VALUES (?, ?, ?, 0, x'', 0)", key
        )
        assert cursor.lastrowid is not None
        return Leg(cursor.lastrowid, key)

    def save_legs(self, legs: Iterable[Leg]) -> None:
        """Write legs' rows; their snapshots are up to date."""
        rows = [
            (
                leg.tenant,
                *(
                    None if seq is None else _u64(seq)
                    for seq in (leg.first_seq, leg.last_seq, leg.closing_seq)
                ),
                leg.waiting,
                leg.said,
                leg.said_ms,
                leg.snapshot,
                leg.no,
            )
            for leg in legs
        ]
        self._db.executemany(
            "UPDATE legs SET tenant = ?, first_seq = ?, last_seq = ?, closing_seq = ?, waiting = ?, said = ?,"
            " said_ms = ?, snapshot = ? WHERE no = ?",
            rows,
        )

    def legs_of(self, gateway: bytes) -> list[int]:
        """Numbers of a gateway's legs."""
        return [no for (no,) in self._db.execute("SELECT no FROM legs WHERE gateway = ?", (gateway,))]

    def legs_waiting(self, tenant: bytes) -> list[int]:
        """Numbers of a tenant's legs that wait for finality alone."""
        return [
            no for (no,) in self._db.execute("SELECT no FROM legs WHERE tenant = ? AND waiting", (tenant,))
        ]

    def add_frame(self, leg_no: int, frame_seq: int, spot: Spot) -> None:
        """Remember where a leg's frame lies."""
        self._db.execute("INSERT INTO frames VALUES (?, ?, ?, ?, ?)", (leg_no, _u64(frame_seq), *spot))

    def drop_frame(self, leg_no: int, frame_seq: int) -> None:
        """Forget a frame that turned out not to be of the leg."""
        self._db.execute("DELETE FROM frames WHERE leg_no = ? AND frame_seq = ?", (leg_no, _u64(frame_seq)))

    def frame(self, leg_no: int, frame_seq: int) -> Spot | None:
        """Where a leg's frame lies."""
        row = self._db.execute(
            "SELECT partition, at, hash FROM frames WHERE leg_no = ? AND frame_seq = ?",
            (leg_no, _u64(frame_seq)),
        ).fetchone()
        return None if row is None else Spot(*row)

    def frame_bounds(self, leg_no: int) -> tuple[int | None, int | None]:
        """Least and greatest frame_seq of a leg."""
        row = self._db.execute(
            "SELECT min(frame_seq), max(frame_seq) FROM frames WHERE leg_no = ?", (leg_no,)
        ).fetchone()
        return _number(row[0]), _number(row[1])

    def frame_tops(self, leg_no: int, first_seq: int, last_seq: int) -> dict[int, int]:
        """The greatest offset by partition of a leg's frames from first_seq to last_seq."""
        rows = self._db.execute(
            "SELECT partition, max(at) FROM frames WHERE leg_no = ? AND frame_seq BETWEEN ? AND ?"
            " GROUP BY partition",
            (leg_no, _u64(first_seq), _u64(last_seq)),
        )
        return dict(rows.fetchall())

    def is_emitted(self, verdict_id: bytes) -> bool:
        """True when the log has the verdict already."""
        return self._db.execute("SELECT 1 FROM emitted WHERE id = ?", (verdict_id,)).fetchone() is not None

    def add_emitted(self, key: LegKey, verdict_id: bytes) -> None:
        """Remember a verdict that the log has, as its leg's latest."""
        self._db.execute("INSERT OR IGNORE INTO emitted VALUES (?)", (verdict_id,))
        self._db.execute("INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?)", (*key, verdict_id))

    def latest(self, key: LegKey) -> bytes | None:
        """Id of the leg's latest verdict in the log."""
        row = self._db.execute(
            "SELECT id FROM latest WHERE (leg, gateway, limits) = (?, ?, ?)", key
        ).fetchone()
        return None if row is None else bytes(row[0])

    def add_batch(
        self, tenant: bytes, batch_seq: int, interval: int, positions: Iterable[tuple[int, int, int]]
    ) -> None:
        """A batch that is not known to be final."""
        rows = [
            (tenant, _u64(batch_seq), _u64(interval), partition, last + 1) for partition, _, last in positions
        ]
        self._db.executemany("INSERT OR IGNORE INTO batches VALUES (?, ?, ?, ?, ?)", rows)

    def add_finalized(self, interval: int) -> None:
        """An interval whose anchor is finalized."""
        self._db.execute("INSERT OR IGNORE INTO finalized VALUES (?)", (_u64(interval),))

    def finalize_batches(self) -> set[bytes]:
        """Move each tenant's line of final frames over its next batches in finalized intervals. Tenants that moved."""
        moved = set()
        for (tenant,) in self._db.execute("SELECT DISTINCT tenant FROM batches").fetchall():
            while self._finalize_next(tenant):
                moved.add(tenant)
        return moved

    def _finalize_next(self, tenant: bytes) -> bool:
        row = self._db.execute("SELECT batch_seq FROM final_batches WHERE tenant = ?", (tenant,)).fetchone()
        batch = (tenant, _u64(int.from_bytes(row[0], "big") + 1 if row else 1))
        rows = self._db.execute(
            "SELECT partition, next FROM batches JOIN finalized USING (interval)"
            " WHERE tenant = ? AND batch_seq = ?",
            batch,
        ).fetchall()
        if not rows:
            return False
        self._db.executemany(
            "INSERT OR REPLACE INTO final_until VALUES (?, ?, ?)", [(tenant, *row) for row in rows]
        )
        self._db.execute("INSERT OR REPLACE INTO final_batches VALUES (?, ?)", batch)
        self._db.execute("DELETE FROM batches WHERE tenant = ? AND batch_seq <= ?", batch)
        return True

    def final_until(self, tenant: bytes) -> dict[int, int]:
        """By partition the offset before which all of a tenant's frames are in finalized anchors."""
        return dict(
            self._db.execute("SELECT partition, next FROM final_until WHERE tenant = ?", (tenant,)).fetchall()
        )
