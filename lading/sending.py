"""The transaction outbox: what shall happen on chain happens once, whatever crashes, stalls or reorganises.

    queue(key, …)     the intent, its nonce and its signed bytes in one durable write; nothing is sent yet
    step(now_ms)      sends, resends the same bytes, raises fees under the same nonce, follows receipts

    queued → sent → mined → safe → finalized        a receipt that vanishes puts mined and safe back to sent
                  ↘ reverted                        final once its block is finalized

Any answer of the node may be lost, so "already known" and "nonce too low" only mean: look for my hash. A receipt is
final only when it was seen in the same block before: one answer may come from a node that lags. One process sends for a
key: the outbox file is locked while it is open. What is sent must be idempotent by itself on chain.
"""

from dataclasses import dataclass
from itertools import count
from pathlib import Path

import structlog

from lading import sqlite
from lading.account import Account, Transaction, transaction_hash
from lading.chain import FINALIZED, Block, Chain, Receipt
from lading.errors import RejectedError, ServiceError
from lading.finality import Finality, Levels
from lading.intents import (
    IS_FINALIZED,
    IS_SAFE,
    MINED,
    QUEUED,
    REVERTED,
    SENT,
    Attempt,
    Call,
    Intent,
    Intents,
)

BUMP_PER_MILLE = 125  # nodes want 10 % more for a replacement; 12.5 % leaves a margin
GAS_MARGIN_PERCENT = 20
TRIES_MAX = 5  # of a purpose whose transaction was mined and refused
FILL = "fill/"  # purpose of a transaction that only takes a nonce
FILLS_MAX = 16  # nonces filled at once
TAKEN = "the nonce is taken by another transaction of this key"
_KNOWN = ("already", "known", "nonce too low")  # refusals that only mean: look for my hash
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Fees:
    """What may be paid. `budget_wei` caps one transaction (gas limit times fee), replacements included."""

    priority_wei: int = 10**9
    budget_wei: int = 10**17
    bump_blocks: int = 3  # without a receipt for so many blocks: pay more
    resend_ms: int = 15_000  # without a receipt for so long: send the same bytes again


class Sender:
    """Sends for one account, from one outbox file."""

    def __init__(self, chain: Chain, account: Account, path: Path, fees: Fees) -> None:
        self.chain = chain
        self.account = account
        self._fees = fees
        self._intents = Intents(path)
        self.finality = Finality(chain, self._intents.db)

    def close(self) -> None:
        """Let another process send."""
        self._intents.close()

    def queue(self, key: str, target: bytes, data: bytes, gas: int | None = None) -> Intent:
        """Record what shall be sent, once a key. Without `gas` it is estimated: RevertedError when refused already."""
        known = self.intent(key)
        if known is not None:
            return known
        if gas is None:
            gas = self._gas(target, data)
        head, pending = self.chain.head(), self.chain.nonce(self.account.address, "pending")
        with sqlite.transaction(self._intents.db):
            self._add(key, max(pending, self._intents.nonce_next()), Call(target, data, gas), head)
        return self._intents.known(key)

    def attempt(self, purpose: str, target: bytes, data: bytes, tries_max: int = TRIES_MAX) -> Intent:
        """The intent of a purpose: queued the first time, and anew once the one before was finally refused.

        ServiceError `send_refused` where it is not tried any more, or the node cannot say what it would cost.
        """
        newest = self.newest(purpose)
        if newest is not None and not is_refused(newest):
            return newest
        tries = 0 if newest is None else int(newest.key.rsplit("/", 1)[1]) + 1
        if tries >= tries_max:
            raise ServiceError("send_refused", f"{purpose} was mined and refused {tries} times")
        return self.queue(f"{purpose}/{tries}", target, data, self._estimate(target, data))

    def has(self, purpose: str) -> bool:
        """Whether a purpose was queued already and not finally refused: `attempt` would change nothing."""
        newest = self.newest(purpose)
        return newest is not None and not is_refused(newest)

    def newest(self, purpose: str) -> Intent | None:
        """The newest intent of a purpose."""
        newest = None
        for tries in count():
            intent = self.intent(f"{purpose}/{tries}")
            if intent is None:
                break
            newest = intent
        return newest

    def intent(self, key: str) -> Intent | None:
        """The intent of a key, as last followed."""
        return self._intents.get(key)

    def has_unmined(self, function: str, target: bytes) -> bool:
        """Whether a purpose that begins with this function is on its way to a contract."""
        return any(
            intent.target == target and intent.state in (QUEUED, SENT) and intent.key.split()[0] == function
            for intent in self.open_intents()
        )

    def open_intents(self) -> list[Intent]:
        """Intents that can still change, by nonce."""
        return self._intents.open()

    def waits(self) -> dict[str, str]:
        """Why open intents wait, by key: the budget allows no more, the node refuses, the nonce is taken."""
        return {intent.key: intent.refusal for intent in self.open_intents() if intent.refusal}

    def step(self, now_ms: int) -> list[Intent]:
        """Send and follow everything once; the intents whose state changed."""
        before = self.open_intents()
        if not before:
            return []
        levels = self.finality.look()
        for intent in before:
            receipt = self._find(intent)
            if receipt is not None:
                self._follow(intent, receipt, levels)
            else:
                self._push(self._reopen(intent, levels.head), levels.head, now_ms)
        if any(intent.state == SENT for intent in self.open_intents()):
            self._look_again()
        after = [self.intent(intent.key) for intent in before]
        return [
            new for old, new in zip(before, after, strict=True) if new is not None and new.state != old.state
        ]

    # Receipts

    def _look_again(self) -> None:
        """Some chains mine at once: follow what was just sent."""
        for intent in self.open_intents():
            receipt = self._find(intent) if intent.state == SENT else None
            if receipt is not None:
                self._follow(intent, receipt, self.finality.look())

    def _find(self, intent: Intent) -> Receipt | None:
        """A canonical receipt for any of the intent's transactions: of one that succeeded, else of the newest."""
        refused = None
        for attempt in self._intents.attempts(intent.key):
            receipt = self.chain.receipt(attempt.hash)
            if receipt is not None and self._is_canonical(receipt):
                if receipt.ok:
                    return receipt
                refused = refused or receipt
        return refused

    def _is_canonical(self, receipt: Receipt) -> bool:
        block = self.chain.block(receipt.block_number)
        return block is not None and block.hash == receipt.block_hash

    def _follow(self, intent: Intent, receipt: Receipt, levels: Levels) -> None:
        is_final = receipt.block_number <= levels.finalized and (
            levels.is_final_at_once or intent.block_hash == receipt.block_hash
        )
        level = IS_SAFE if receipt.block_number <= levels.safe else MINED
        level = IS_FINALIZED if is_final else level
        state = level if receipt.ok else REVERTED
        if (state, receipt.block_hash, is_final) != (intent.state, intent.block_hash, bool(intent.closed)):
            self._intents.set_mined(intent.key, state, receipt, closed=is_final)

    def _reopen(self, intent: Intent, head: Block) -> Intent:
        """Back to sent, to be sent again now, if a receipt that was there has vanished."""
        if intent.state in (QUEUED, SENT):
            return intent
        self._intents.set_lost(intent.key, head.number)
        return self._intents.known(intent.key)

    # Sending

    def _push(self, intent: Intent, head: Block, now_ms: int) -> None:
        """Send what is due: first, again, dearer, or under a new nonce."""
        newest, waits = self._intents.attempts(intent.key)[0], ""
        if intent.state == SENT:
            is_stale = self._is_stale(intent, newest, head)
            if not is_stale and now_ms - intent.sent_ms < self._fees.resend_ms:
                return
            if self._is_nonce_gone(intent):
                self._give_up_nonce(intent, head)
                return
            if is_stale:
                self._fill_before(intent, head)
                newest, waits = self._bump(intent, newest, head)
        self._send(intent, newest, head, now_ms, waits)

    def _is_stale(self, intent: Intent, newest: Attempt, head: Block) -> bool:
        """Whether more must be paid: blocks pass without it, or do not take it for what it offers."""
        return head.number - intent.sent_block >= self._fees.bump_blocks or newest.fee_max < head.base_fee

    def _send(self, intent: Intent, attempt: Attempt, head: Block, now_ms: int, waits: str) -> None:
        """What is lost on its way is due again at once, and not yet for more."""
        self._intents.set_sent(intent.key, head.number, 0, waits)
        reason = self._hand_over(attempt.raw)
        reason = waits or reason
        self._intents.set_sent(intent.key, head.number, now_ms, reason)
        if (
            reason and reason.split(":")[0] != intent.refusal.split(":")[0]
        ):  # its numbers change with each block
            _log.warning("transaction_waits", key=intent.key, nonce=intent.nonce, reason=reason)

    def _hand_over(self, raw: bytes) -> str:
        """Send; a refusal is only noted, for the transaction may be there already: the receipt decides."""
        try:
            self.chain.send_raw(raw)
        except RejectedError as exc:
            return "" if any(word in exc.text.lower() for word in _KNOWN) else f"refused: {exc.text}"
        return ""

    def _bump(self, intent: Intent, newest: Attempt, head: Block) -> tuple[Attempt, str]:
        """The same call under the same nonce for at least 12.5 % more; the old one, and why, where the budget ends."""
        now_max, now_priority = self._fees_now(head, intent.gas)
        fee_max = max(now_max, _more(newest.fee_max))
        priority = max(now_priority, _more(newest.priority_fee))
        if fee_max * intent.gas > self._fees.budget_wei:
            return newest, (
                f"budget: dearer would be {fee_max * intent.gas} wei, wanted at most {self._fees.budget_wei};"
                f" offered {newest.fee_max} a gas, the block's fee is {head.base_fee}"
            )
        attempt = self._sign(intent.nonce, intent.call, (fee_max, priority), newest.ordinal + 1)
        with sqlite.transaction(self._intents.db):
            self._intents.replace(intent.key, intent.nonce, attempt)
        return attempt, ""

    # Nonces

    def _is_nonce_gone(self, intent: Intent) -> bool:
        """Whether a transaction that is not ours has the nonce, finally."""
        if self.chain.final_block() is None:
            return False
        return self.chain.nonce(self.account.address, FINALIZED) > intent.nonce and self._find(intent) is None

    def _give_up_nonce(self, intent: Intent, head: Block) -> None:
        """None of its transactions can be mined any more: a new nonce, once it was found so at two steps."""
        if intent.refusal != TAKEN:
            self._intents.set_refusal(intent.key, TAKEN)
            return
        if intent.key.startswith(FILL):
            self._intents.remove(intent.key)
            return
        pending = self.chain.nonce(self.account.address, "pending")
        with sqlite.transaction(self._intents.db):
            nonce = max(pending, self._intents.nonce_next())
            ordinal = self._intents.attempts(intent.key)[0].ordinal + 1
            attempt = self._sign(nonce, intent.call, self._fees_now(head, intent.gas), ordinal)
            self._intents.replace(intent.key, nonce, attempt)
            self._intents.set_sent(intent.key, head.number, 0, "")  # it goes out at the next step
        _log.warning("nonce_taken", key=intent.key, nonce=intent.nonce, nonce_new=nonce)

    def _fill_before(self, intent: Intent, head: Block) -> None:
        """Nonces below, that neither the chain nor the outbox has, keep it waiting: take them with empty transactions.

        Such a hole stays where a transaction that is not ours was counted and then lost.
        """
        own = self.account.address
        first = self.chain.nonce(own)
        held = self._intents.nonces(first, intent.nonce)
        free = [nonce for nonce in range(first, min(intent.nonce, first + FILLS_MAX)) if nonce not in held]
        if not free:
            return
        call = Call(own, b"", self.chain.estimate(own, own, b""))
        with sqlite.transaction(self._intents.db):
            for nonce in free:
                self._add(f"{FILL}{nonce}", nonce, call, head)
        _log.warning("nonces_filled", first=free[0], count=len(free), waiting=intent.key)

    # Attempts

    def _gas(self, target: bytes, data: bytes) -> int:
        estimate = self.chain.estimate(self.account.address, target or None, data)
        return estimate * (100 + GAS_MARGIN_PERCENT) // 100

    def _estimate(self, target: bytes, data: bytes) -> int:
        """The gas; a call that burns all there is fails by the node's own words, and stops nobody else's."""
        try:
            return self._gas(target, data)
        except ServiceError as exc:
            if exc.code != "chain_rpc":
                raise
            raise ServiceError("send_refused", exc.text) from exc

    def _add(self, key: str, nonce: int, call: Call, head: Block) -> None:
        """A new intent, signed. Within a transaction."""
        self._intents.add(key, nonce, call, self._sign(nonce, call, self._fees_now(head, call.gas), 0))

    def _fees_now(self, head: Block, gas: int) -> tuple[int, int]:
        """(fee_max, priority) per gas: room for the base fee to double, within the budget."""
        cap = self._fees.budget_wei // gas
        fee_max = min(2 * head.base_fee + self._fees.priority_wei, cap)
        return fee_max, min(self._fees.priority_wei, fee_max)

    def _sign(self, nonce: int, call: Call, fees: tuple[int, int], ordinal: int) -> Attempt:
        fee_max, priority = fees
        transaction = Transaction(
            self.chain.chain_id, nonce, priority, fee_max, call.gas, call.target, call.data
        )
        raw = self.account.sign_transaction(transaction)
        return Attempt(transaction_hash(raw), ordinal, raw, fee_max, priority)


def is_refused(intent: Intent) -> bool:
    """Whether it was mined, refused, and stays so."""
    return intent.state == REVERTED and bool(intent.closed)


def _more(fee: int) -> int:
    """At least 12.5 % more, rounded up."""
    return -(-fee * (1000 + BUMP_PER_MILLE) // 1000)
