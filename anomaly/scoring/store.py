"""What is kept of the scoring, beside the rules' state in the stage's file: legs by key, offsets, what the log has."""

import sqlite3
from collections.abc import Iterable

from anomaly.scoring.block import Block
from anomaly.scoring.leg import Leg
from lading.fields import signed_64, unsigned_64
from lading.forecast import Forecast, is_forecast
from lading.tree import sha256

_ID_BYTES = 16
_SCHEMA = """
CREATE TABLE IF NOT EXISTS scored (
  key BLOB PRIMARY KEY, last_seq INTEGER, closed INTEGER, release TEXT, kept BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scored_said (id BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class ScoreStore:
    """Tables of one open state file. Every change is inside its `transaction`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(_SCHEMA)

    def load(self, key: bytes, block: Block, release: str) -> tuple[Leg, bool]:
        """A leg as it was kept, a new one where it was not; True: it was, by another release, and begins anew."""
        row = self._db.execute(
            "SELECT last_seq, closed, release, kept FROM scored WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return Leg(key), False
        last_seq, closed, by, kept = row
        leg = Leg(key, unsigned_64(last_seq), is_closed=bool(closed))
        if leg.is_closed:
            return leg, False
        if by == release:
            leg.restore(kept, block)
        return leg, by != release

    def save(self, legs: Iterable[Leg], block: Block, release: str) -> None:
        """Keep legs as they are; of a closed one only that it is closed."""
        rows = (
            (
                leg.key,
                signed_64(leg.last_frame_seq),
                leg.is_closed,
                release,
                None if leg.is_closed else leg.keep(block),
            )
            for leg in legs
        )
        self._db.executemany("INSERT OR REPLACE INTO scored VALUES (?, ?, ?, ?, ?)", rows)

    def add_said(self, records: Iterable[bytes]) -> None:
        """The log has these records, beyond what the state knows of."""
        self._db.executemany("INSERT OR IGNORE INTO scored_said VALUES (?)", ((_id(one),) for one in records))

    def is_said(self, record: bytes) -> bool:
        """True when the log has the record already."""
        found = self._db.execute("SELECT 1 FROM scored_said WHERE id = ?", (_id(record),)).fetchone()
        return found is not None

    def any_said(self) -> bool:
        """True when there is anything to ask `is_said` about."""
        return self._db.execute("SELECT 1 FROM scored_said LIMIT 1").fetchone() is not None

    def forget_said(self) -> None:
        """The scoring has come past all that was said."""
        self._db.execute("DELETE FROM scored_said")


def _id(record: bytes) -> bytes:
    """Of what it says, where that is the same on every machine; of a forecast, of what it is about."""
    return (Forecast.decode(record).key if is_forecast(record) else sha256(record))[:_ID_BYTES]
