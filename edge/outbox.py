"""What a gateway must not forget, in one SQLite file: position, legs, readings not yet framed, frames not yet taken.

Every change is one transaction, durable on return (WAL, synchronous=FULL). Disk use is bounded: `bytes_max` for
frames (docs/adr/0010-outbox-full.md) and a few MiB for SQLite itself.
"""

import os
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge.reserve import RESERVE_BYTES, Reserve
from lading import sqlite
from lading.errors import MalformedError, ServiceError
from lading.frame import NO_ANCHOR, AnchorSeen
from lading.locks import take
from lading.totals import EMPTY, Reading, Totals
from lading.tree import ZERO_HASH

SCHEMA_VERSION = 2
FRAMES_REMOVED_MAX = 1024
LOCK_WAIT_MS = 5000
SEQ_MAX = 2**63 - 1  # what SQLite stores
CLOSED_LEGS_MAX = 16_384  # the newest: ten a day for four years, in 2 MiB

_PENDING = struct.Struct(">HQQiH")
_SCHEMA = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1), gateway BLOB NOT NULL,
    frame_seq INTEGER NOT NULL, previous BLOB NOT NULL, order_seq BLOB NOT NULL, order_hash BLOB NOT NULL,
    leg BLOB, anchor_interval INTEGER NOT NULL, anchor_hash BLOB NOT NULL, anchor_ms INTEGER NOT NULL) STRICT;
CREATE TABLE channels (
    channel INTEGER PRIMARY KEY, next_seq INTEGER NOT NULL, last_ms INTEGER NOT NULL, totals BLOB NOT NULL) STRICT;
CREATE TABLE pending (id INTEGER PRIMARY KEY, readings BLOB NOT NULL) STRICT;
CREATE TABLE frames (frame_seq INTEGER PRIMARY KEY, frame BLOB NOT NULL) STRICT;
"""
_SINCE_2 = """
CREATE TABLE closed_legs (id INTEGER PRIMARY KEY, leg_id BLOB NOT NULL UNIQUE) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the chain of frames stands. `leg` is the payload of the begin order that is being obeyed."""

    frame_seq: int = 0
    previous_hash: bytes = ZERO_HASH
    order_seq: int = 0
    order_hash: bytes = ZERO_HASH
    leg: bytes | None = None
    anchor: AnchorSeen = NO_ANCHOR
    anchor_ms: int = 0


@dataclass(slots=True)
class ChannelPosition:
    """Next sequence number, time of the last reading (-1: none yet), totals of the leg as framed so far."""

    next_seq: int = 0
    last_ms: int = -1
    totals: Totals = EMPTY


@dataclass
class Snapshot:
    """All that is stored, but the frames."""

    position: Position
    channels: dict[int, ChannelPosition] = field(default_factory=dict)
    pending: dict[int, list[Reading]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Frames that nobody else is known to have."""

    count: int
    bytes: int


class Outbox:
    """One gateway's file. One process at a time: two would sign two different frames with one number."""

    def __init__(self, path: Path, gateway_id: bytes, *, may_create: bool = True) -> None:
        self._path = path
        self._gateway_id = gateway_id
        self._reserve = Reserve(path.with_name(path.name + ".reserve"))
        sqlite.make_folder(path, "outbox")
        self._synchronous = ""
        self._lock = _lock(path.with_name(path.name + ".lock"))
        try:
            self.waiting = self._open(may_create=may_create)
        except BaseException:
            os.close(self._lock)
            raise
        self._reserve.keep()

    def _open(self, *, may_create: bool) -> Waiting:
        """Without `may_create`, a file that is gone or empty is refused: its numbers would be given a second time."""
        uri = f"{self._path.absolute().as_uri()}?mode={'rwc' if may_create else 'rw'}"
        try:
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=LOCK_WAIT_MS / 1000)
            self._prepare(self._gateway_id, may_create=may_create)
            count, total = self._db.execute("SELECT count(*), total(length(frame)) FROM frames").fetchone()
        except sqlite3.Error as exc:
            raise _service_error(self._path, exc) from exc
        return Waiting(count, int(total))

    def reopen(self) -> None:
        """Open the file anew and keep the lock. ServiceError: then all fails, until a later call succeeds."""
        with suppress(sqlite3.Error):
            self._db.close()
        self._synchronous = ""
        try:
            self.waiting = self._open(may_create=False)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Give the file to whoever comes next."""
        self._db.close()
        os.close(self._lock)

    def load(self) -> Snapshot:
        """What is stored, with the readings not yet framed counted into the channels' positions."""
        with self._named():
            try:
                return self._load()
            except (struct.error, TypeError, MalformedError) as exc:
                raise ServiceError("outbox", f"{self._path}: {exc}, wanted what was written") from exc

    def _load(self) -> Snapshot:
        row = self._db.execute(
            "SELECT frame_seq, previous, order_seq, order_hash, leg, anchor_interval, anchor_hash, anchor_ms FROM state"
        ).fetchone()
        seq, previous, order_seq, order_hash, leg, interval, anchor_hash, anchor_ms = row
        anchor = AnchorSeen(interval, anchor_hash)
        position = Position(seq, previous, int.from_bytes(order_seq), order_hash, leg, anchor, anchor_ms)
        channels = {
            channel: ChannelPosition(next_seq, last_ms, Totals.decode(totals))
            for channel, next_seq, last_ms, totals in self._db.execute("SELECT * FROM channels")
        }
        pending: dict[int, list[Reading]] = {}
        for (blob,) in self._db.execute("SELECT readings FROM pending ORDER BY id"):
            for channel, *values in _PENDING.iter_unpack(blob):
                pending.setdefault(channel, []).append(Reading(*values))
        for channel, readings in pending.items():
            totals = channels.get(channel, ChannelPosition()).totals
            channels[channel] = ChannelPosition(readings[-1].seq + 1, readings[-1].time_ms, totals)
        return Snapshot(position, channels, pending)

    def add(self, readings: Iterable[tuple[int, Reading]]) -> None:
        """Keep readings, by channel, that are not framed yet."""
        pack = _PENDING.pack
        blob = b"".join([pack(channel, *reading) for channel, reading in readings])
        self._write(
            lambda: self._db.execute("INSERT INTO pending (readings) VALUES (?)", (blob,)),
            may_use_reserve=False,
        )

    def commit(
        self,
        position: Position,
        channels: dict[int, ChannelPosition],
        frames: Sequence[tuple[int, bytes]],
        *,
        may_use_reserve: bool,
        closed: bytes | None = None,
    ) -> None:
        """Frames, the position after them and the channels' positions, all or nothing; no reading is pending then.

        `closed`: the leg that the frames close.
        """

        def write() -> None:
            # First, so that the frame may use its pages on a full disk.
            self._db.execute("DELETE FROM pending")
            self._db.executemany("INSERT INTO frames VALUES (?, ?)", frames)
            self._db.executemany(
                "INSERT OR REPLACE INTO channels VALUES (?, ?, ?, ?)",
                [(n, c.next_seq, c.last_ms, c.totals.encode()) for n, c in channels.items()],
            )
            self._save(position)
            if closed is not None:
                self._keep_closed(closed)

        self._write(write, may_use_reserve=may_use_reserve)
        self._count(len(frames), sum(len(frame) for _, frame in frames))

    def has_closed(self, leg_id: bytes) -> bool:
        """Whether a leg is among the newest CLOSED_LEGS_MAX that were closed."""
        query = "SELECT 1 FROM closed_legs WHERE leg_id = ?"
        with self._named():
            return self._db.execute(query, (leg_id,)).fetchone() is not None

    def move(self, position: Position) -> None:
        """Change the position alone: an anchor was seen. It can wait, so the reserve is not for it."""
        self._write(lambda: self._save(position), may_use_reserve=False)

    def frames_after(self, frame_seq: int, count_max: int) -> list[tuple[int, bytes]]:
        """The oldest frames waiting with a greater number than `frame_seq` (-1: from the oldest on)."""
        query = "SELECT frame_seq, frame FROM frames WHERE frame_seq > ? ORDER BY frame_seq LIMIT ?"
        with self._named():
            return self._db.execute(query, (frame_seq, count_max)).fetchall()

    def frame(self, frame_seq: int) -> bytes | None:
        """A waiting frame by its number."""
        if frame_seq > SEQ_MAX:
            return None
        with self._named():
            row = self._db.execute("SELECT frame FROM frames WHERE frame_seq = ?", (frame_seq,)).fetchone()
        return row[0] if row else None

    def remove(self, frame_seqs: Sequence[int]) -> None:
        """Forget frames that somebody else has, durable. Works on a full disk too.

        The one change that need not be durable at once: after a crash such a frame is sent again, and dropped there.
        """
        for at in range(0, len(frame_seqs), FRAMES_REMOVED_MAX):
            self._remove(frame_seqs[at : at + FRAMES_REMOVED_MAX])
        self._reserve.keep()

    def _remove(self, frame_seqs: Sequence[int]) -> None:
        marks = ",".join("?" * len(frame_seqs))
        query = f"SELECT count(*), total(length(frame)) FROM frames WHERE frame_seq IN ({marks})"
        delete = f"DELETE FROM frames WHERE frame_seq IN ({marks})"
        with self._named():
            found = self._db.execute(query, frame_seqs).fetchone()
        self._write(lambda: self._db.execute(delete, frame_seqs), may_use_reserve=True, synchronous="NORMAL")
        self._count(-found[0], -int(found[1]))

    def _count(self, count: int, size: int) -> None:
        self.waiting = Waiting(self.waiting.count + count, self.waiting.bytes + size)

    def _keep_closed(self, leg_id: bytes) -> None:
        newest = self._db.execute(
            "INSERT OR REPLACE INTO closed_legs (leg_id) VALUES (?) RETURNING id", (leg_id,)
        ).fetchone()[0]
        self._db.execute("DELETE FROM closed_legs WHERE id <= ?", (newest - CLOSED_LEGS_MAX,))

    def _save(self, p: Position) -> None:
        place = (p.frame_seq, p.previous_hash, p.order_seq.to_bytes(8), p.order_hash)
        self._db.execute(
            "UPDATE state SET frame_seq = ?, previous = ?, order_seq = ?, order_hash = ?, leg = ?,"
            " anchor_interval = ?, anchor_hash = ?, anchor_ms = ?",
            (*place, p.leg, *p.anchor, p.anchor_ms),
        )

    def _write(
        self, change: Callable[[], object], *, may_use_reserve: bool, synchronous: str = "FULL"
    ) -> None:
        """One transaction. On a full disk the reserve file makes room once, for what must not fail."""
        self._be_synchronous(synchronous)
        try:
            with self._transaction():
                change()
        except ServiceError as exc:
            if exc.code != "disk_full" or not may_use_reserve or not self._reserve.give():
                raise
            with self._transaction():
                change()

    def _be_synchronous(self, wanted: str) -> None:
        """How durable the next transaction is on return. Nothing else may be written before it is so."""
        if wanted != self._synchronous:
            self._synchronous = ""
            with self._named():
                self._db.execute(f"PRAGMA synchronous = {wanted}")
            self._synchronous = wanted

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # a closed connection, too, is one that the next statement names
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """A transaction that could not be rolled back is first, or its changes would be seen."""
        self._roll_back()
        try:
            yield
        except sqlite3.Error as exc:
            self._forget_pages()
            raise _service_error(self._path, exc) from exc

    def _forget_pages(self) -> None:
        """What was read wrong is read again: SQLite would remember it."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA shrink_memory")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._named(), sqlite.transaction(self._db):
            yield

    def _prepare(self, gateway_id: bytes, *, may_create: bool) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = WAL")
        self._be_synchronous("FULL")
        db.execute(f"PRAGMA journal_size_limit = {RESERVE_BYTES}")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0 and not may_create:
            raise ServiceError("outbox", f"{self._path} is empty, wanted what was in it")
        if version == 0:
            with self._transaction():
                for statement in filter(str.strip, (_SCHEMA + _SINCE_2).split(";")):
                    db.execute(statement)
                db.execute(
                    "INSERT INTO state VALUES (1, ?, 0, ?, ?, ?, NULL, 0, ?, 0)",
                    (gateway_id, ZERO_HASH, bytes(8), ZERO_HASH, ZERO_HASH),
                )
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version == 1:
            with self._transaction():
                db.execute(_SINCE_2)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise ServiceError(
                "outbox_version", f"{self._path} has version {version}, wanted {SCHEMA_VERSION}"
            )
        (owner,) = db.execute("SELECT gateway FROM state").fetchone() or (b"",)
        if owner != gateway_id:
            raise ServiceError(
                "outbox_key", f"{self._path} is of gateway {owner.hex()}, the key's is {gateway_id.hex()}"
            )


def read_summary(path: Path) -> dict[str, int | str | None]:
    """What an outbox holds, read beside the process that uses it: for `lading edge status`."""
    try:
        db = sqlite.connect_beside(path)
        row = db.execute(
            "SELECT gateway, frame_seq, order_seq, leg IS NOT NULL, anchor_interval FROM state"
        ).fetchone()
        count, total = db.execute("SELECT count(*), total(length(frame)) FROM frames").fetchone()
        pending = db.execute("SELECT total(length(readings)) FROM pending").fetchone()[0]
        db.close()
    except sqlite3.Error as exc:
        raise _service_error(path, exc) from exc
    return {
        "gateway": row[0].hex(),
        "frame_seq_next": row[1],
        "order_seq": int.from_bytes(row[2]),
        "leg": "open" if row[3] else "idle",
        "anchor_interval": row[4],
        "frames_waiting": count,
        "frames_waiting_bytes": int(total),
        "readings_pending": int(pending) // _PENDING.size,
    }


def _lock(path: Path) -> int:
    handle = take(path, mode=0o600)
    if handle is None:
        raise ServiceError("outbox_locked", f"{path}: another process runs this gateway")
    return handle


def _service_error(path: Path, exc: sqlite3.Error) -> ServiceError:
    code = getattr(exc, "sqlite_errorname", "")
    if code == "SQLITE_FULL":
        return ServiceError("disk_full", f"{path}: no space left")
    return ServiceError("outbox", f"{path}: {exc} ({code})")
