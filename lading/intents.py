"""The transaction outbox's file: intents, the signed bytes of each, the nonces they hold, the newest final block."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lading import finality, sqlite
from lading.chain import Receipt
from lading.errors import ServiceError
from lading.locks import take

QUEUED, SENT, MINED, IS_SAFE, IS_FINALIZED, REVERTED = (
    "queued",
    "sent",
    "mined",
    "safe",
    "finalized",
    "reverted",
)
SCHEMA_VERSION = 1
OPEN_MAX = 1000  # intents followed at once
REFUSAL_CHARS_MAX = 200

_SCHEMA = """
CREATE TABLE IF NOT EXISTS intents(
    key TEXT PRIMARY KEY, nonce INTEGER NOT NULL UNIQUE, target BLOB NOT NULL, data BLOB NOT NULL, gas INTEGER NOT NULL,
    state TEXT NOT NULL, tx_hash BLOB NOT NULL, block_number INTEGER NOT NULL DEFAULT 0,
    block_hash BLOB NOT NULL DEFAULT x'', gas_used INTEGER NOT NULL DEFAULT 0, sent_block INTEGER NOT NULL DEFAULT 0,
    sent_ms INTEGER NOT NULL DEFAULT 0, closed INTEGER NOT NULL DEFAULT 0, refusal TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS open_intents ON intents(nonce) WHERE closed = 0;
CREATE TABLE IF NOT EXISTS attempts(
    hash BLOB PRIMARY KEY, key TEXT NOT NULL, ordinal INTEGER NOT NULL, raw BLOB NOT NULL,
    fee_max INTEGER NOT NULL, priority_fee INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS attempts_of ON attempts(key, ordinal);
"""
_FIELDS = (
    "key, nonce, target, data, gas, state, tx_hash, block_number, block_hash, gas_used, sent_block, sent_ms, closed,"
    " refusal"
)


class Call(NamedTuple):
    """What a transaction does. `target` empty creates a contract."""

    target: bytes
    data: bytes
    gas: int


@dataclass(frozen=True, slots=True)
class Intent:
    """One row of the outbox. `tx_hash` is the mined one, else the newest; `closed`: nothing can change any more.

    `refusal`: why it waits, as far as is known; "" while it goes its way.
    """

    key: str
    nonce: int
    target: bytes
    data: bytes
    gas: int
    state: str
    tx_hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int
    sent_block: int
    sent_ms: int
    closed: int
    refusal: str

    @property
    def call(self) -> Call:
        """What it does."""
        return Call(self.target, self.data, self.gas)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Signed bytes of an intent; the newest has the highest ordinal. Fees in wei a gas."""

    hash: bytes
    ordinal: int
    raw: bytes
    fee_max: int
    priority_fee: int


class Intents:
    """One account's outbox. The file is locked while it is open: ServiceError `sender_taken`."""

    def __init__(self, path: Path) -> None:
        self._lock = _lock(path.with_name(path.name + ".lock"))
        try:
            self.db = sqlite.open_named(path, "outbox_failed")
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=FULL")
            sqlite.keep_version(self.db, path, SCHEMA_VERSION)
            self.db.executescript(_SCHEMA + finality.SCHEMA)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Let another process send."""
        self.db.close()
        os.close(self._lock)

    def get(self, key: str) -> Intent | None:
        """The intent of a key."""
        row = self.db.execute(f"SELECT {_FIELDS} FROM intents WHERE key = ?", (key,)).fetchone()
        return None if row is None else Intent(*row)

    def known(self, key: str) -> Intent:
        """The intent of a key that is there."""
        intent = self.get(key)
        assert intent is not None, key
        return intent

    def open(self) -> list[Intent]:
        """Intents that can still change, by nonce."""
        rows = self.db.execute(
            f"SELECT {_FIELDS} FROM intents WHERE closed = 0 ORDER BY nonce LIMIT ?", (OPEN_MAX,)
        )
        return [Intent(*row) for row in rows]

    def attempts(self, key: str) -> list[Attempt]:
        """An intent's, newest first."""
        rows = self.db.execute(
            "SELECT hash, ordinal, raw, fee_max, priority_fee FROM attempts WHERE key = ? ORDER BY ordinal DESC",
            (key,),
        )
        return [Attempt(*row) for row in rows]

    def nonce_next(self) -> int:
        """One more than the highest that an intent ever had."""
        row = self.db.execute("SELECT MAX(nonce) FROM intents").fetchone()
        return 0 if row[0] is None else int(row[0]) + 1

    def nonces(self, first: int, end: int) -> set[int]:
        """Those from `first` to before `end` that an intent has."""
        rows = self.db.execute("SELECT nonce FROM intents WHERE nonce >= ? AND nonce < ?", (first, end))
        return {row[0] for row in rows}

    def add(self, key: str, nonce: int, call: Call, attempt: Attempt) -> None:
        """A new intent with its first attempt. To be called within a transaction."""
        self.db.execute(
            "INSERT INTO intents(key, nonce, target, data, gas, state, tx_hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key, nonce, *call, QUEUED, attempt.hash),
        )
        self._save(key, attempt)

    def replace(self, key: str, nonce: int, attempt: Attempt) -> None:
        """A further attempt, perhaps under another nonce. To be called within a transaction."""
        self._save(key, attempt)
        self.db.execute("UPDATE intents SET nonce = ?, tx_hash = ? WHERE key = ?", (nonce, attempt.hash, key))

    def remove(self, key: str) -> None:
        """Forget an intent that nobody needs any more."""
        with sqlite.transaction(self.db):
            self.db.execute("DELETE FROM attempts WHERE key = ?", (key,))
            self.db.execute("DELETE FROM intents WHERE key = ?", (key,))

    def set_mined(self, key: str, state: str, receipt: Receipt, *, closed: bool) -> None:
        """What the receipt says, and how final its block is."""
        self.db.execute(
            "UPDATE intents SET state = ?, tx_hash = ?, block_number = ?, block_hash = ?, gas_used = ?, closed = ?,"
            " refusal = '' WHERE key = ?",
            (
                state,
                receipt.tx_hash,
                receipt.block_number,
                receipt.block_hash,
                receipt.gas_used,
                int(closed),
                key,
            ),
        )

    def set_lost(self, key: str, head: int) -> None:
        """Its receipt has vanished: to be sent again now."""
        self.db.execute(
            "UPDATE intents SET state = ?, block_number = 0, block_hash = x'', gas_used = 0, sent_ms = 0,"
            " sent_block = ? WHERE key = ?",
            (SENT, head, key),
        )

    def set_sent(self, key: str, head: int, sent_ms: int, refusal: str) -> None:
        """Handed over at a height; with `sent_ms` 0 it is due again at once."""
        self.db.execute(
            "UPDATE intents SET state = ?, sent_block = ?, sent_ms = ?, refusal = ? WHERE key = ?",
            (SENT, head, sent_ms, refusal[:REFUSAL_CHARS_MAX], key),
        )

    def set_refusal(self, key: str, refusal: str) -> None:
        """Why it waits."""
        self.db.execute("UPDATE intents SET refusal = ? WHERE key = ?", (refusal, key))

    def _save(self, key: str, attempt: Attempt) -> None:
        self.db.execute(
            "INSERT INTO attempts(hash, key, ordinal, raw, fee_max, priority_fee) VALUES (?, ?, ?, ?, ?, ?)",
            (attempt.hash, key, attempt.ordinal, attempt.raw, attempt.fee_max, attempt.priority_fee),
        )


def _lock(path: Path) -> int:
    handle = take(path)
    if handle is None:
        raise ServiceError("sender_taken", f"{path}: another process sends for this key")
    return handle
