"""Transactions of `lading.evm` that wait for a block."""

from collections.abc import Iterator
from typing import Any

from eth.abc import SignedTransactionAPI

from lading.errors import RejectedError
from lading.evm_chain import GAS_LIMIT
from lading.evm_words import outbids

PENDING_MAX = 1000

Place = tuple[bytes, int]  # sender and nonce


class Pool:
    """One transaction for each sender and nonce, bounded."""

    def __init__(self) -> None:
        self.waiting: dict[Place, SignedTransactionAPI] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self.waiting

    def admit(self, transaction: SignedTransactionAPI, state: Any) -> SignedTransactionAPI | None:
        """Let it wait; what it replaces. RejectedError `chain_refused` where it may not, by the state it would meet."""
        known = self.waiting.get(_place(transaction))
        if known is not None and known.hash == transaction.hash:
            raise RejectedError("chain_refused", "already known")
        if transaction.gas > GAS_LIMIT:
            raise RejectedError(
                "chain_refused", f"gas {transaction.gas}, wanted at most a block's {GAS_LIMIT}"
            )
        if transaction.nonce < state.get_nonce(transaction.sender):
            raise RejectedError("chain_refused", f"nonce too low: {transaction.nonce}")
        cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if cost > state.get_balance(transaction.sender):
            raise RejectedError("chain_refused", "insufficient funds for gas * price + value")
        if known is not None and not outbids(transaction, known):
            raise RejectedError("chain_refused", "replacement transaction underpriced")
        if len(self.waiting) >= PENDING_MAX:
            raise RejectedError("chain_refused", "txpool is full")
        self.waiting[_place(transaction)] = transaction
        return known

    def withdraw(self, transaction: SignedTransactionAPI, replaced: SignedTransactionAPI | None) -> None:
        """Its sender is told that it was not taken; whose are in the pool were told that theirs were."""
        self.drop(transaction)
        if replaced is not None:
            self.waiting[_place(replaced)] = replaced

    def drop(self, transaction: SignedTransactionAPI) -> None:
        """It waits no more: it is in a block, or can be in none."""
        self.waiting.pop(_place(transaction), None)

    def executable(self, chain: Any) -> Iterator[SignedTransactionAPI]:
        """What can go into the chain's open block, by sender and nonce. Apply each before the next is asked for."""
        for (sender, nonce), transaction in sorted(self.waiting.items()):
            header = chain.header
            has_room = transaction.gas <= header.gas_limit - header.gas_used
            if not has_room or transaction.max_fee_per_gas < header.base_fee_per_gas:
                continue
            if nonce == chain.get_vm().state.get_nonce(sender):
                yield transaction


def _place(transaction: SignedTransactionAPI) -> Place:
    return transaction.sender, transaction.nonce
