"""The transaction outbox: what shall happen on chain happens once, whatever crashes, stalls or reorganises.

    queue(key, …)     the intent, its nonce and its signed bytes in one durable write; nothing is sent yet
    step(now_ms)      sends, resends the same bytes, raises fees under the same nonce, follows receipts

    queued → sent → mined → safe → finalized        a receipt that vanishes puts mined and safe back to sent
                  ↘ reverted                        final once its block is finalized

Any answer of the node may be lost, so "already known" and "nonce too low" only mean: look for my hash. One process
sends for a key: the outbox file is locked while it is open. What is sent must be idempotent by itself on chain.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from lading import sqlite
from lading.account import Account, Transaction, transaction_hash
from lading.chain import FINALIZED, SAFE, Block, Chain, Receipt
from lading.errors import RejectedError, ServiceError
from lading.locks import take

QUEUED, SENT, MINED, IS_SAFE, IS_FINALIZED, REVERTED = (
    "queued",
    "sent",
    "mined",
    "safe",
    "finalized",
    "reverted",
)
BUMP_PER_MILLE = 125  # nodes want 10 % more for a replacement; 12.5 % leaves a margin
GAS_MARGIN_PERCENT = 20
TRIES_MAX = 5  # of a purpose whose transaction was mined and refused
SCHEMA_VERSION = 1
OPEN_MAX = 1000  # intents followed at once

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


@dataclass(frozen=True, slots=True)
class Fees:
    """What may be paid. `budget_wei` caps one transaction (gas limit times fee), replacements included."""

    priority_wei: int = 10**9
    budget_wei: int = 10**17
    bump_blocks: int = 3  # without a receipt for so many blocks: pay more
    resend_ms: int = 15_000  # without a receipt for so long: send the same bytes again


@dataclass(frozen=True, slots=True)
class Intent:
    """One row of the outbox. `tx_hash` is the mined one, else the newest; `closed`: nothing can change any more."""

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


@dataclass(frozen=True, slots=True)
class _Attempt:
    hash: bytes
    ordinal: int
    raw: bytes
    fee_max: int
    priority_fee: int


class Sender:
    """Sends for one account, from one outbox file."""

    def __init__(self, chain: Chain, account: Account, path: Path, fees: Fees) -> None:
        self.chain = chain
        self.account = account
        self._fees = fees
        self._lock = _lock(path.with_name(path.name + ".lock"))
        try:
            self._db = sqlite.open_named(path, "outbox_failed")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            sqlite.keep_version(self._db, path, SCHEMA_VERSION)
            self._db.executescript(_SCHEMA)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Let another process send."""
        self._db.close()
        os.close(self._lock)

    def queue(self, key: str, target: bytes, data: bytes, gas: int | None = None) -> Intent:
        """Record what shall be sent, once a key. Without `gas` it is estimated: RevertedError when refused already."""
        known = self.intent(key)
        if known is not None:
            return known
        if gas is None:
            gas = (
                self.chain.estimate(self.account.address, target or None, data)
                * (100 + GAS_MARGIN_PERCENT)
                // 100
            )
        fee_max, priority = self._fees_now(self.chain.head(), gas)
        pending = self.chain.nonce(self.account.address, "pending")
        with sqlite.transaction(self._db):
            nonce = max(pending, self._nonce_next())
            attempt = self._sign(
                Transaction(self.chain.chain_id, nonce, priority, fee_max, gas, target, data), 0
            )
            self._db.execute(
                "INSERT INTO intents(key, nonce, target, data, gas, state, tx_hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, nonce, target, data, gas, QUEUED, attempt.hash),
            )
            self._save(key, attempt)
        intent = self.intent(key)
        assert intent is not None, key
        return intent

    def attempt(self, purpose: str, target: bytes, data: bytes) -> Intent:
        """The intent of a purpose: queued the first time, and anew once the one before was finally refused."""
        newest = self.newest(purpose)
        if newest is not None and not (newest.state == REVERTED and newest.closed):
            return newest
        tries = 0 if newest is None else int(newest.key.rsplit("/", 1)[1]) + 1
        if tries >= TRIES_MAX:
            raise ServiceError("send_refused", f"{purpose} was mined and refused {tries} times")
        return self.queue(f"{purpose}/{tries}", target, data)

    def newest(self, purpose: str) -> Intent | None:
        """The newest intent of a purpose."""
        found = (self.intent(f"{purpose}/{tries}") for tries in reversed(range(TRIES_MAX)))
        return next((intent for intent in found if intent is not None), None)

    def intent(self, key: str) -> Intent | None:
        """The intent of a key, as last followed."""
        row = self._db.execute(f"SELECT {_FIELDS} FROM intents WHERE key = ?", (key,)).fetchone()
        return None if row is None else Intent(*row)

    def open_intents(self) -> list[Intent]:
        """Intents that can still change, by nonce."""
        rows = self._db.execute(
            f"SELECT {_FIELDS} FROM intents WHERE closed = 0 ORDER BY nonce LIMIT ?", (OPEN_MAX,)
        )
        return [Intent(*row) for row in rows]

    def step(self, now_ms: int) -> list[Intent]:
        """Send and follow everything once; the intents whose state changed."""
        before = self.open_intents()
        if not before:
            return []
        head = self.chain.head()
        levels = {IS_FINALIZED: self.chain.height(FINALIZED), IS_SAFE: self.chain.height(SAFE)}
        for intent in before:
            receipt = self._find(intent)
            if receipt is not None:
                self._follow(intent, receipt, levels)
            else:
                self._push(self._reopen(intent), head, now_ms)
        if any(intent.state in (QUEUED, SENT) for intent in self.open_intents()):
            self._look_again(levels)
        after = [self.intent(intent.key) for intent in before]
        return [
            new for old, new in zip(before, after, strict=True) if new is not None and new.state != old.state
        ]

    # Receipts

    def _look_again(self, levels: dict[str, int]) -> None:
        """Some chains mine at once: follow what was just sent."""
        for intent in self.open_intents():
            receipt = self._find(intent) if intent.state == SENT else None
            if receipt is not None:
                levels = {IS_FINALIZED: self.chain.height(FINALIZED), IS_SAFE: self.chain.height(SAFE)}
                self._follow(intent, receipt, levels)

    def _find(self, intent: Intent) -> Receipt | None:
        """A canonical receipt for any of the intent's transactions, newest first."""
        for attempt in self._attempts(intent.key):
            receipt = self.chain.receipt(attempt.hash)
            if receipt is not None and self._is_canonical(receipt):
                return receipt
        return None

    def _is_canonical(self, receipt: Receipt) -> bool:
        block = self.chain.block(receipt.block_number)
        return block is not None and block.hash == receipt.block_hash

    def _follow(self, intent: Intent, receipt: Receipt, levels: dict[str, int]) -> None:
        is_final = receipt.block_number <= levels[IS_FINALIZED]
        level = next((name for name, height in levels.items() if receipt.block_number <= height), MINED)
        state = level if receipt.ok else REVERTED
        if (state, receipt.block_hash, is_final) == (intent.state, intent.block_hash, bool(intent.closed)):
            return
        self._db.execute(
            "UPDATE intents SET state = ?, tx_hash = ?, block_number = ?, block_hash = ?, gas_used = ?, closed = ?,"
            " refusal = '' WHERE key = ?",
            (
                state,
                receipt.tx_hash,
                receipt.block_number,
                receipt.block_hash,
                receipt.gas_used,
                int(is_final),
                intent.key,
            ),
        )

    def _reopen(self, intent: Intent) -> Intent:
        """Back to sent, to be sent again now, if a receipt that was there has vanished."""
        if intent.state in (QUEUED, SENT):
            return intent
        self._db.execute(
            "UPDATE intents SET state = ?, block_number = 0, block_hash = x'', gas_used = 0, sent_ms = 0"
            " WHERE key = ?",
            (SENT, intent.key),
        )
        reopened = self.intent(intent.key)
        assert reopened is not None, intent.key
        return reopened

    # Sending

    def _push(self, intent: Intent, head: Block, now_ms: int) -> None:
        """Send what is due: first, again, dearer, or under a new nonce."""
        newest = self._attempts(intent.key)[0]
        if intent.state == SENT:
            is_stale = head.number - intent.sent_block >= self._fees.bump_blocks
            if not is_stale and now_ms - intent.sent_ms < self._fees.resend_ms:
                return
            if self._is_nonce_gone(intent):
                newest = self._renumber(intent, head)
            elif is_stale:
                newest = self._bump(intent, newest, head)
        refusal = self._hand_over(newest.raw)
        self._db.execute(
            "UPDATE intents SET state = ?, sent_block = ?, sent_ms = ?, refusal = ? WHERE key = ?",
            (SENT, head.number, now_ms, refusal, intent.key),
        )

    def _is_nonce_gone(self, intent: Intent) -> bool:
        """Whether a transaction that is not ours has the nonce, finally."""
        if self.chain.height(FINALIZED) < 0:
            return False
        return self.chain.nonce(self.account.address, FINALIZED) > intent.nonce and self._find(intent) is None

    def _hand_over(self, raw: bytes) -> str:
        """Send; a refusal is only noted, for the transaction may be there already: the receipt decides."""
        try:
            self.chain.send_raw(raw)
        except RejectedError as exc:
            return exc.text[:200]
        return ""

    def _bump(self, intent: Intent, newest: _Attempt, head: Block) -> _Attempt:
        """The same call under the same nonce for at least 12.5 % more; the old one again, where the budget ends."""
        now_max, now_priority = self._fees_now(head, intent.gas)
        fee_max = max(now_max, _more(newest.fee_max))
        priority = max(now_priority, _more(newest.priority_fee))
        if fee_max * intent.gas > self._fees.budget_wei:
            return newest
        chain_id = self.chain.chain_id
        transaction = Transaction(
            chain_id, intent.nonce, priority, fee_max, intent.gas, intent.target, intent.data
        )
        attempt = self._sign(transaction, newest.ordinal + 1)
        with sqlite.transaction(self._db):
            self._save(intent.key, attempt)
            self._db.execute("UPDATE intents SET tx_hash = ? WHERE key = ?", (attempt.hash, intent.key))
        return attempt

    def _renumber(self, intent: Intent, head: Block) -> _Attempt:
        """Another transaction of this key has taken the nonce, finally: none of ours can be mined any more."""
        fee_max, priority = self._fees_now(head, intent.gas)
        pending = self.chain.nonce(self.account.address, "pending")
        with sqlite.transaction(self._db):
            nonce = max(pending, self._nonce_next())
            chain_id = self.chain.chain_id
            transaction = Transaction(
                chain_id, nonce, priority, fee_max, intent.gas, intent.target, intent.data
            )
            attempt = self._sign(transaction, self._attempts(intent.key)[0].ordinal + 1)
            self._save(intent.key, attempt)
            self._db.execute(
                "UPDATE intents SET nonce = ?, tx_hash = ? WHERE key = ?", (nonce, attempt.hash, intent.key)
            )
        return attempt

    def _fees_now(self, head: Block, gas: int) -> tuple[int, int]:
        """(fee_max, priority) per gas: room for the base fee to double, within the budget."""
        cap = self._fees.budget_wei // gas
        fee_max = min(2 * head.base_fee + self._fees.priority_wei, cap)
        return fee_max, min(self._fees.priority_wei, fee_max)

    def _sign(self, transaction: Transaction, ordinal: int) -> _Attempt:
        raw = self.account.sign_transaction(transaction)
        return _Attempt(transaction_hash(raw), ordinal, raw, transaction.fee_max, transaction.priority_fee)

    # Rows

    def _nonce_next(self) -> int:
        row = self._db.execute("SELECT MAX(nonce) FROM intents").fetchone()
        return 0 if row[0] is None else int(row[0]) + 1

    def _save(self, key: str, attempt: _Attempt) -> None:
        self._db.execute(
            "INSERT INTO attempts(hash, key, ordinal, raw, fee_max, priority_fee) VALUES (?, ?, ?, ?, ?, ?)",
            (attempt.hash, key, attempt.ordinal, attempt.raw, attempt.fee_max, attempt.priority_fee),
        )

    def _attempts(self, key: str) -> list[_Attempt]:
        rows = self._db.execute(
            "SELECT hash, ordinal, raw, fee_max, priority_fee FROM attempts WHERE key = ? ORDER BY ordinal DESC",
            (key,),
        )
        return [_Attempt(*row) for row in rows]


def _more(fee: int) -> int:
    """At least 12.5 % more, rounded up."""
    return -(-fee * (1000 + BUMP_PER_MILLE) // 1000)


def _lock(path: Path) -> int:
    handle = take(path)
    if handle is None:
        raise ServiceError("sender_taken", f"{path}: another process sends for this key")
    return handle
