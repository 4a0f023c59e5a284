"""What of a chain is final, held against what it called final before: a node may lag, and another chain may answer.

The newest final block is kept in the outbox. Whatever a node says counts only if it still has that block.
"""

from dataclasses import dataclass

from lading import sqlite
from lading.chain import SAFE, Block, Chain, Event, Receipt
from lading.errors import ServiceError

SIGHTINGS_MAX = 100_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS final_block(
    id INTEGER PRIMARY KEY CHECK (id = 0), chain_id INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Levels:
    """Heights at one look; −1 where the node knows no such block."""

    head: Block
    safe: int
    finalized: int

    @property
    def is_final_at_once(self) -> bool:
        """Whether the chain has no blocks that it could take back."""
        return self.finalized >= self.head.number


class Finality:
    """One chain's, remembered in a database that has SCHEMA."""

    def __init__(self, chain: Chain, db: sqlite.NamedErrors) -> None:
        self._chain = chain
        self._db = db

    def look(self) -> Levels:
        """The heights now. ServiceError `chain_other`, `chain_behind` or `chain_rewritten` where they cannot count."""
        self._check_last()
        final = self._chain.final_block()
        levels = Levels(self._chain.head(), self._chain.height(SAFE), -1 if final is None else final.number)
        if final is not None:
            self._remember(final)
        return levels

    def _check_last(self) -> None:
        row = self._db.execute("SELECT chain_id, number, hash FROM final_block").fetchone()
        if row is None:
            return
        chain_id, number, block_hash = row
        found_id = self._chain.chain_id_now()
        if found_id != chain_id:
            raise ServiceError("chain_other", f"the node is of chain {found_id}, wanted {chain_id}")
        block = self._chain.block(number)
        if block is None:
            raise ServiceError("chain_behind", f"the node has no block {number}, which was final already")
        if block.hash != block_hash:
            raise ServiceError(
                "chain_rewritten",
                f"block {number} is 0x{block.hash.hex()}, and 0x{block_hash.hex()} was final:"
                " this is not the chain that the outbox is of",
            )

    def _remember(self, final: Block) -> None:
        """A node that lags behind another changes nothing."""
        self._db.execute(
            "INSERT INTO final_block VALUES (0, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
            " SET number = excluded.number, hash = excluded.hash WHERE excluded.number > number",
            (self._chain.chain_id, final.number, final.hash),
        )


class Sightings:
    """Events that are final, by two looks: one answer may come from a node that still has a branch given up."""

    def __init__(self, chain: Chain, finality: Finality) -> None:
        self._chain = chain
        self._finality = finality
        self._seen: dict[bytes, bytes] = {}  # transaction → the final block it was seen in

    def receipt(self, event: Event) -> Receipt | None:
        """Of the event's transaction, in the event's own block, once that is final; None before."""
        levels = self._finality.look()
        receipt = self._chain.receipt(event.tx_hash)
        if receipt is None or receipt.block_hash != event.block_hash:
            return None
        block = self._chain.block(receipt.block_number)
        if block is None or block.hash != receipt.block_hash or block.number > levels.finalized:
            return None
        if levels.is_final_at_once or self._seen.get(event.tx_hash) == receipt.block_hash:
            self._seen.pop(event.tx_hash, None)
            return receipt
        if len(self._seen) >= SIGHTINGS_MAX:
            self._seen.clear()
        self._seen[event.tx_hash] = receipt.block_hash
        return None
