"""The AnchorRegistry contract in anchoring's words."""

from collections.abc import Sequence
from typing import Any

from lading import abi
from lading.batch import AnchorRecord, AnchorState, BatchRecord
from lading.chain import FINALIZED, SAFE, Chain, Event, RevertedError


class Registry:
    """The registry at an address. `first_block`: the first that can hold its events."""

    def __init__(self, chain: Chain, address: bytes, first_block: int = 0) -> None:
        self.address = address
        self._first_block = first_block
        self._chain = chain
        self._contract = abi.at(chain, "AnchorRegistry", address)

    def anchor_call(self, interval: int, super_root: bytes, records: Sequence[BatchRecord]) -> bytes:
        """Call data that anchors an interval."""
        return self._contract.interface.encode_call("anchor", interval, super_root, len(records))

    def head(self) -> int:
        """The newest interval anchored; 0 before the first."""
        newest: int = self._contract.call("head")
        return newest

    def has(self, interval: int, super_root: bytes, batch_count: int) -> bool:
        """Whether the interval is anchored with this root already."""
        found = self._find(interval)
        return found is not None and (found[1]["superRoot"], found[1]["batchCount"]) == (
            super_root,
            batch_count,
        )

    def find(self, interval: int) -> AnchorRecord | None:
        """The anchor as the chain tells it: for an interval whose transaction this outbox does not know."""
        found = self._find(interval)
        receipt = None if found is None else self._chain.receipt(found[0].tx_hash)
        if found is None or receipt is None or receipt.block_hash != found[0].block_hash:
            return None
        fields = found[1]
        return AnchorRecord(
            interval,
            fields["superRoot"],
            fields["batchCount"],
            self._chain.chain_id,
            self.address,
            receipt.tx_hash,
            receipt.block_number,
            receipt.block_hash,
            fields["anchoredS"] * 1000,
            receipt.gas_used,
            self._level(receipt.block_number),
        )

    def named(self, exc: RevertedError) -> RevertedError:
        """A refusal under the contract's name for it."""
        return self._contract.interface.named(exc)

    def _find(self, interval: int) -> tuple[Event, dict[str, Any]] | None:
        found = self._contract.events("Anchored", interval.to_bytes(32, "big"), first=self._first_block)
        return found[-1] if found else None

    def _level(self, block_number: int) -> AnchorState:
        if block_number <= self._chain.height(FINALIZED):
            return "finalized"
        return "safe" if block_number <= self._chain.height(SAFE) else "mined"
