"""Where each frame was anchored: a cache in SQLite of what the log says, rebuilt from it when lost.

The log's batch and anchor records are the truth. One transaction takes an interval in: its batches, where its frames
are, and how far the log was read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anchoring.batches import BatchedFrame, Head
from lading import sqlite, topics
from lading.batch import AnchorRecord, BatchRecord
from lading.fields import signed_64
from lading.log import Record

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches(
    interval INTEGER NOT NULL, batch_index INTEGER NOT NULL, tenant_name TEXT NOT NULL, batch_seq INTEGER NOT NULL,
    record BLOB NOT NULL, PRIMARY KEY (interval, batch_index));
CREATE UNIQUE INDEX IF NOT EXISTS batches_of ON batches(tenant_name, batch_seq);
CREATE TABLE IF NOT EXISTS frames(
    gateway_id BLOB NOT NULL, frame_seq INTEGER NOT NULL, interval INTEGER NOT NULL, batch_index INTEGER NOT NULL,
    leaf_index INTEGER NOT NULL, PRIMARY KEY (gateway_id, frame_seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS anchors(interval INTEGER PRIMARY KEY, record BLOB NOT NULL, finalized INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS positions(
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS cut(id INTEGER PRIMARY KEY CHECK (id = 0), time_ms INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame was anchored."""

    interval: int
    batch_index: int
    leaf_index: int


class Index:
    """Batches, anchors and the places of frames. `path` may be ':memory:'."""

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite.open_named(path, "index_failed")
        self._db.execute("PRAGMA journal_mode=WAL")
        sqlite.keep_version(self._db, path, SCHEMA_VERSION)
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add_interval(
        self, records: Sequence[BatchRecord], frames: Sequence[BatchedFrame], positions: Mapping[int, int]
    ) -> None:
        """Take in an interval's records and its frames in log order; the batch topic was read up to `positions`."""
        batch_of = {record.tenant_name: record.batch_index for record in records}
        leaf_next = dict.fromkeys(batch_of.values(), 0)
        rows: list[tuple[bytes, int, int, int, int]] = []
        for frame in frames:
            batch = batch_of[frame.tenant_name]
            rows.append(
                (frame.gateway_id, signed_64(frame.frame_seq), records[0].interval, batch, leaf_next[batch])
            )
            leaf_next[batch] += 1
        assert [leaf_next[record.batch_index] for record in records] == [r.leaf.frame_count for r in records]
        taken = {partition: last + 1 for partition, _, last in records[0].positions}
        with sqlite.transaction(self._db):
            self._db.executemany(
                "INSERT INTO batches VALUES (?, ?, ?, ?, ?)",
                [(r.interval, r.batch_index, r.tenant_name, r.leaf.batch_seq, r.encode()) for r in records],
            )
            self._db.executemany("INSERT OR IGNORE INTO frames VALUES (?, ?, ?, ?, ?)", rows)
            self._move(topics.FRAMES, taken)
            self._move(topics.BATCHES, positions)

    def add_anchors(self, found: Sequence[Record], positions: Mapping[int, int]) -> None:
        """Take in anchor records from the log; a later one replaces the earlier of its interval."""
        rows = [(record, AnchorRecord.decode(record.value)) for record in found]
        with sqlite.transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO anchors VALUES (?, ?, ?)",
                [(anchor.interval, record.value, anchor.state == "finalized") for record, anchor in rows],
            )
            self._move(topics.ANCHORS, positions)

    def positions(self, topic: str) -> dict[int, int]:
        """Next offsets by partition: read so far, or, of frames, put into intervals so far."""
        return dict(
            self._db.execute("SELECT partition, next FROM positions WHERE topic = ?", (topic,)).fetchall()
        )

    def head(self, tenant_name: str) -> Head:
        """A tenant's newest batch."""
        row = self._db.execute(
            "SELECT record FROM batches WHERE tenant_name = ? ORDER BY batch_seq DESC LIMIT 1", (tenant_name,)
        ).fetchone()
        if row is None:
            return Head()
        leaf = BatchRecord.decode(row[0]).leaf
        return Head(leaf.batch_seq, leaf.hash)

    def tenants(self) -> list[str]:
        """Names of the tenants that have a batch."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT tenant_name FROM batches ORDER BY 1")]

    def interval_last(self) -> int:
        """The newest interval; 0 before the first."""
        row = self._db.execute("SELECT MAX(interval) FROM batches").fetchone()
        return int(row[0] or 0)

    def batches(self, interval: int) -> list[BatchRecord]:
        """An interval's batch records in batch order."""
        rows = self._db.execute(
            "SELECT record FROM batches WHERE interval = ? ORDER BY batch_index", (interval,)
        )
        return [BatchRecord.decode(row[0]) for row in rows]

    def anchor(self, interval: int) -> AnchorRecord | None:
        """The newest anchor record of an interval."""
        row = self._db.execute("SELECT record FROM anchors WHERE interval = ?", (interval,)).fetchone()
        return None if row is None else AnchorRecord.decode(row[0])

    def unfinished(self) -> list[int]:
        """Intervals that are not finalized, ascending."""
        rows = self._db.execute(
            "SELECT DISTINCT interval FROM batches WHERE interval NOT IN"
            " (SELECT interval FROM anchors WHERE finalized = 1) ORDER BY 1"
        )
        return [row[0] for row in rows]

    def counts(self) -> dict[str, int]:
        """Intervals by state; `cut` ones have no anchor record yet."""
        found: dict[str, int] = {}
        for (record,) in self._db.execute(
            "SELECT anchors.record FROM (SELECT DISTINCT interval FROM batches) b LEFT JOIN anchors USING (interval)"
        ):
            state = "cut" if record is None else AnchorRecord.decode(record).state
            found[state] = found.get(state, 0) + 1
        return found

    def newest_finalized(self) -> AnchorRecord | None:
        """The newest finalized anchor."""
        row = self._db.execute("SELECT MAX(interval) FROM anchors WHERE finalized = 1").fetchone()
        return None if row[0] is None else self.anchor(row[0])

    def place(self, gateway_id: bytes, frame_seq: int) -> Place | None:
        """Where a frame is; None when it is in no interval yet."""
        row = self._db.execute(
            "SELECT interval, batch_index, leaf_index FROM frames WHERE gateway_id = ? AND frame_seq = ?",
            (gateway_id, signed_64(frame_seq)),
        ).fetchone()
        return None if row is None else Place(*row)

    def cut_ms(self) -> int | None:
        """When the newest interval was cut, if this index saw it."""
        row = self._db.execute("SELECT time_ms FROM cut").fetchone()
        return None if row is None else int(row[0])

    def set_cut_ms(self, time_ms: int) -> None:
        """Remember when the newest interval was cut."""
        self._db.execute("INSERT OR REPLACE INTO cut VALUES (0, ?)", (time_ms,))

    def _move(self, topic: str, positions: Mapping[int, int]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
            [(topic, partition, offset) for partition, offset in positions.items()],
        )
