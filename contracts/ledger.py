"""What the log says of legs, as far as payments need it: a cache in SQLite, rebuilt from the log when lost.

Where each frame is, which batch it is in, the newest anchor of each interval, the newest verdict of each leg, and
which settlements and payouts were written. Each topic's records and how far it was read move together.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lading import sqlite, topics
from lading.batch import AnchorRecord, BatchRecord
from lading.decoding import decode_header
from lading.errors import ServiceError
from lading.fields import signed_64
from lading.frame import IDLE
from lading.log import Log, Record, require_reached
from lading.payout import Payout, decode_settled
from lading.settlement import Settlement
from lading.verdict import Verdict, VerdictRecord

READ_RECORDS = 2_000
SEQ_MAX = 2**63 - 1
LEG_FRAMES_MAX = 100_000  # looked at for the newest that counts
SCHEMA_VERSION = 5
_TABLES = ("positions", "frames", "leg_frames", "batches", "anchors", "verdicts", "settlements", "payouts")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS positions(
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS frames(
    hash BLOB PRIMARY KEY, partition INTEGER NOT NULL, at INTEGER NOT NULL, leg_state INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leg_frames(
    leg_id BLOB NOT NULL, gateway_id BLOB NOT NULL, limits_hash BLOB NOT NULL, seq INTEGER NOT NULL,
    hash BLOB NOT NULL, PRIMARY KEY (leg_id, gateway_id, limits_hash, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches(
    tenant BLOB NOT NULL, partition INTEGER NOT NULL, last INTEGER NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (tenant, partition, last));
CREATE TABLE IF NOT EXISTS anchors(interval INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS verdicts(
    leg_id BLOB NOT NULL, gateway_id BLOB NOT NULL, limits_hash BLOB NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (leg_id, gateway_id, limits_hash));
CREATE TABLE IF NOT EXISTS settlements(
    agreement BLOB NOT NULL, leg_index INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (agreement, leg_index));
CREATE TABLE IF NOT EXISTS payouts(cover BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
"""
_TOPICS = (topics.FRAMES, topics.BATCHES, topics.ANCHORS, topics.VERDICTS, topics.SETTLEMENTS)


@dataclass(frozen=True, slots=True)
class KnownFrame:
    """Where a frame is in the log; leg_state as in its header."""

    partition: int
    offset: int
    leg_state: int


class Ledger:
    """The settlement stage's view of the log. `path` may be ':memory:'."""

    def __init__(self, log: Log, path: Path | str) -> None:
        self._log = log
        self._db = sqlite.open_named(path, "ledger_failed")
        self._db.execute("PRAGMA journal_mode=WAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise ServiceError(
                "store_version", f"{path} is of version {version}, wanted at most {SCHEMA_VERSION}"
            )
        if version < SCHEMA_VERSION:  # an older one's cache: the log is read anew
            self._db.executescript("".join(f"DROP TABLE IF EXISTS {table};" for table in _TABLES))
        self._db.executescript(f"{_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION};")
        for topic in _TOPICS:
            require_reached(log, topic, self._positions(topic))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def catch_up(self) -> None:
        """Take in all that is new in the log."""
        for topic in _TOPICS:
            positions = self._positions(topic)
            while found := self._log.read(topic, positions, READ_RECORDS):
                for record in found:
                    positions[record.partition] = record.offset + 1
                self._take(topic, found, positions)

    def verdict(self, leg_id: bytes, gateway_id: bytes, limits_hash: bytes) -> Verdict | None:
        """The newest verdict of a leg as this gateway signs it under these limits: a leg id alone is not unique."""
        row = self._db.execute(
            "SELECT record FROM verdicts WHERE leg_id = ? AND gateway_id = ? AND limits_hash = ?",
            (leg_id, gateway_id, limits_hash),
        ).fetchone()
        return None if row is None else VerdictRecord.decode(row[0]).verdict

    def frame(self, frame_hash: bytes) -> KnownFrame | None:
        """Where a frame is in the log, and its leg state."""
        row = self._db.execute(
            "SELECT partition, at, leg_state FROM frames WHERE hash = ?", (frame_hash,)
        ).fetchone()
        return None if row is None else KnownFrame(*row)

    def leg_frames(self, verdict: Verdict) -> Iterator[tuple[int, bytes]]:
        """(frame_seq, frame hash) from a verdict's first frame on, newest first; of a fork, up to where it forked.

        A verdict is said anew when it changes, not for each frame: an open leg has newer frames than its verdict names.
        """
        horizon = verdict.horizon
        last_seq = signed_64(horizon.last_frame_seq) if verdict.state == "forked" else SEQ_MAX
        seqs = (signed_64(horizon.first_frame_seq), last_seq)
        rows = self._db.execute(
            "SELECT seq, hash FROM leg_frames WHERE leg_id = ? AND gateway_id = ? AND limits_hash = ?"
            " AND seq BETWEEN ? AND ? ORDER BY seq DESC LIMIT ?",
            (verdict.leg_id, verdict.gateway_id, verdict.limits_hash, *seqs, LEG_FRAMES_MAX),
        )
        yield from rows

    def batch_at(self, tenant: bytes, partition: int, offset: int) -> BatchRecord | None:
        """The tenant's batch that holds a position of the frames' topic."""
        row = self._db.execute(
            "SELECT record FROM batches WHERE tenant = ? AND partition = ? AND last >= ? ORDER BY last LIMIT 1",
            (tenant, partition, offset),
        ).fetchone()
        record = None if row is None else BatchRecord.decode(row[0])
        if record is None or not any(
            p == partition and first <= offset <= last for p, first, last in record.positions
        ):
            return None
        return record

    def anchor(self, interval: int) -> AnchorRecord | None:
        """The newest anchor record of an interval."""
        row = self._db.execute("SELECT record FROM anchors WHERE interval = ?", (interval,)).fetchone()
        return None if row is None else AnchorRecord.decode(row[0])

    def settled_legs(self, agreement: bytes) -> dict[int, Settlement]:
        """The settlements of an agreement that were written to the log, by leg."""
        rows = self._db.execute("SELECT record FROM settlements WHERE agreement = ?", (agreement,))
        found = [Settlement.decode(row[0]) for row in rows]
        return {one.leg_index: one for one in found}

    def settled_count(self, agreement: bytes) -> int:
        """How many of its legs' settlements were written to the log."""
        (count,) = self._db.execute(
            "SELECT count(*) FROM settlements WHERE agreement = ?", (agreement,)
        ).fetchone()
        return int(count)

    def settlements(self) -> list[Settlement]:
        """All that were written."""
        rows = self._db.execute("SELECT record FROM settlements ORDER BY rowid")
        return [Settlement.decode(row[0]) for row in rows]

    def payout(self, cover: bytes) -> Payout | None:
        """What was written of a cover's end."""
        row = self._db.execute("SELECT record FROM payouts WHERE cover = ?", (cover,)).fetchone()
        return None if row is None else Payout.decode(row[0])

    def _positions(self, topic: str) -> dict[int, int]:
        rows = self._db.execute("SELECT partition, next FROM positions WHERE topic = ?", (topic,))
        return dict(rows.fetchall())

    def _take(self, topic: str, found: Sequence[Record], positions: dict[int, int]) -> None:
        with sqlite.transaction(self._db):
            for statement, rows in _rows(topic, found):
                self._db.executemany(statement, rows)
            self._db.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                [(topic, partition, offset) for partition, offset in positions.items()],
            )


_Rows = tuple[str, list[tuple[object, ...]]]


def _rows(topic: str, found: Sequence[Record]) -> Iterable[_Rows]:
    """What to insert for records of a topic."""
    if topic == topics.FRAMES:
        return _frame_rows(found)
    if topic == topics.BATCHES:
        batches = [(BatchRecord.decode(record.value), record.value) for record in found]
        rows: list[tuple[object, ...]] = [
            (batch.leaf.tenant, partition, last, value)
            for batch, value in batches
            for partition, _, last in batch.positions
        ]
        return [("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)", rows)]
    if topic == topics.ANCHORS:
        rows = [(AnchorRecord.decode(record.value).interval, record.value) for record in found]
        return [("INSERT OR REPLACE INTO anchors VALUES (?, ?)", rows)]
    if topic == topics.VERDICTS:
        verdicts = [(VerdictRecord.decode(record.value).verdict, record.value) for record in found]
        rows = [
            (verdict.leg_id, verdict.gateway_id, verdict.limits_hash, value) for verdict, value in verdicts
        ]
        return [("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", rows)]
    return _settled_rows(found)


def _settled_rows(found: Sequence[Record]) -> Iterable[_Rows]:
    settled: list[tuple[object, ...]] = []
    payouts: list[tuple[object, ...]] = []
    for record in found:
        one = decode_settled(record.value)
        if isinstance(one, Payout):
            payouts.append((one.cover, record.value))
        else:
            settled.append((one.agreement, one.leg_index, record.value))
    return [
        ("INSERT OR IGNORE INTO settlements VALUES (?, ?, ?)", settled),
        ("INSERT OR IGNORE INTO payouts VALUES (?, ?)", payouts),
    ]


def _frame_rows(found: Sequence[Record]) -> Iterable[_Rows]:
    headers = [(decode_header(record.value), record) for record in found]
    frames: list[tuple[object, ...]] = [
        (header.hash, r.partition, r.offset, header.leg_state) for header, r in headers
    ]
    of_legs: list[tuple[object, ...]] = [
        (header.leg_id, header.gateway_id, header.limits_hash, signed_64(header.frame_seq), header.hash)
        for header, _ in headers
        if header.leg_state != IDLE
    ]
    return [
        ("INSERT OR IGNORE INTO frames VALUES (?, ?, ?, ?)", frames),
        ("INSERT OR IGNORE INTO leg_frames VALUES (?, ?, ?, ?, ?)", of_legs),
    ]
