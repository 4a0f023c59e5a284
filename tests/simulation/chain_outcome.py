"""What a chain drill has ended in: chain, log and outboxes against what the readings make due."""

import itertools
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import rlp  # type: ignore[import-untyped]

from contracts.parties import credit_of
from lading import abi, topics
from lading.batch import AnchorRecord, BatchRecord
from lading.chain import FINALIZED, Chain
from lading.deployment import Deployment
from lading.log import Log
from lading.settlement import Settlement
from tests.settling import BOND, CARRIER, SHIPPER
from tests.simulation.chain_stories import Wanted
from tests.simulation.outcome import check_intervals, records
from tests.simulation.parts import require

BUMP_PER_MILLE = 1125  # nodes want 10 % more of a replacement


@dataclass(frozen=True)
class Found:
    """How much there was of it."""

    payments: dict[str, int]
    intervals: int
    transactions: int
    refused: int
    attempts_most: int
    gas_used: int


def check(
    log: Log,
    chain: Chain,
    deployment: Deployment,
    wanted: Mapping[bytes, Wanted],
    outboxes: Mapping[Path, int],
) -> Found:
    """DrillError where something is missing, twice, wrong, or open. `outboxes`: each with its budget in wei."""
    settled = _check_settlements(log, chain, deployment, wanted)
    intervals = check_intervals(log, chain, deployment)
    _check_anchors(log, chain)
    sums = [_check_outbox(path, budget_wei) for path, budget_wei in outboxes.items()]
    return Found(
        dict(Counter(one.kind for one in settled)),
        intervals,
        *(sum(one[at] for one in sums) for at in (0, 1)),
        max(one[2] for one in sums),
        sum(one[3] for one in sums),
    )


def _check_settlements(
    log: Log, chain: Chain, deployment: Deployment, wanted: Mapping[bytes, Wanted]
) -> list[Settlement]:
    """Each agreement opened and settled once with the amount due, and so it is in the log, by its final block."""
    once = Counter(dict.fromkeys(wanted, 1))
    escrow = abi.at(chain, "PenaltyEscrow", deployment.escrow)
    opened = Counter(fields["agreement"] for _, fields in escrow.events("Opened"))
    paid = Counter(fields["agreement"] for _, fields in escrow.events("Concluded"))
    require(opened == once, f"opened {_named(opened, wanted)}")
    require(paid == once, f"settled {_named(paid, wanted)}")
    written = [Settlement.decode(record.value) for record in records(log, topics.SETTLEMENTS)]
    said = Counter(one.agreement for one in written)
    require(said == once, f"in the log {_named(said, wanted)}")
    for one in written:
        due = wanted[one.agreement]
        require(
            (one.kind, one.amount, one.leg_id) == (due.kind, due.amount, due.leg_id),
            f"{due.name}: paid {one.kind} {one.amount}, due {due.kind} {due.amount}",
        )
        _check_place(chain, one, due.name)
    _check_credits(chain, deployment, wanted)
    return written


def _check_place(chain: Chain, one: Settlement, name: str) -> None:
    """The log names the transaction, block and gas that the chain has finalized."""
    receipt = chain.receipt(one.tx_hash)
    said = (one.block_number, one.block_hash, one.gas_used)
    found = None if receipt is None else (receipt.block_number, receipt.block_hash, receipt.gas_used)
    require(found == said, f"{name}: the log says {said}, the chain {found}")
    require(one.block_number <= chain.height(FINALIZED), f"{name}: block {one.block_number} is not final")


def _check_credits(chain: Chain, deployment: Deployment, wanted: Mapping[bytes, Wanted]) -> None:
    """What both parties can take out is what was due, to the unit."""
    penalties = sum(one.amount for one in wanted.values() if one.kind == "penalty")
    found = tuple(credit_of(chain, deployment, one.address) for one in (CARRIER, SHIPPER))
    due = (len(wanted) * BOND - penalties, penalties)
    require(found == due, f"(carrier, shipper) can take out {found}, wanted {due}")


def _check_anchors(log: Log, chain: Chain) -> None:
    """An anchor that was called final once stays what it is, and is so on the chain."""
    final: dict[int, AnchorRecord] = {}
    for record in records(log, topics.ANCHORS):
        anchor = AnchorRecord.decode(record.value)
        if anchor.interval in final:
            require(
                anchor == final[anchor.interval], f"interval {anchor.interval} changed after it was final"
            )
        if anchor.state == "finalized":
            final[anchor.interval] = anchor
    for anchor in final.values():
        receipt, block = chain.receipt(anchor.tx_hash), chain.block(anchor.block_number)
        require(receipt is not None and block is not None, f"interval {anchor.interval} is not on the chain")
        assert receipt is not None
        assert block is not None
        require(
            (receipt.block_hash, block.hash, block.time_s * 1000, receipt.gas_used)
            == (anchor.block_hash, anchor.block_hash, anchor.block_time_ms, anchor.gas_used),
            f"interval {anchor.interval}: the log's anchor is not the chain's",
        )
    batches = {BatchRecord.decode(record.value).interval for record in records(log, topics.BATCHES)}
    require(final.keys() == batches, f"final are {sorted(final)} of {sorted(batches)}")


def _check_outbox(path: Path, budget_wei: int) -> tuple[int, int, int, int]:
    """Nothing is open, each fee is within the budget; (intents, refused ones, most attempts of one, gas)."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        rows = db.execute("SELECT key, state, closed, gas_used FROM intents").fetchall()
        tries = db.execute("SELECT key, raw FROM attempts ORDER BY key, ordinal").fetchall()
    finally:
        db.close()
    still = [(key, state) for key, state, closed, _ in rows if not closed]
    require(not still, f"{path.name}: still open are {still}")
    most = 0
    for key, own in itertools.groupby(tries, key=lambda row: row[0]):
        offers = [_Offer.of(raw) for _, raw in own]
        most = max(most, len(offers))
        require(
            all(one.fee_max * one.gas <= budget_wei for one in offers), f"{key} is dearer than the budget"
        )
        require(all(map(_Offer.is_outbid_by, offers, offers[1:])), f"{key}: a replacement pays too little")
    return len(rows), sum(state == "reverted" for _, state, *_ in rows), most, sum(row[3] for row in rows)


def open_count(path: Path) -> int:
    """Intents of an outbox that can still change."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        count: int = db.execute("SELECT count(*) FROM intents WHERE closed = 0").fetchone()[0]
        return count
    finally:
        db.close()


class _Offer(NamedTuple):
    """What a signed transaction pays, a gas, for which nonce."""

    nonce: int
    priority: int
    fee_max: int
    gas: int

    @staticmethod
    def of(raw: bytes) -> "_Offer":
        """From its bytes."""
        nonce, priority, fee_max, gas = (int.from_bytes(field, "big") for field in rlp.decode(raw[1:])[1:5])
        return _Offer(nonce, priority, fee_max, gas)

    def is_outbid_by(self, other: "_Offer") -> bool:
        """Whether a pool takes the other in its place; always under another nonce."""
        pairs = ((self.priority, other.priority), (self.fee_max, other.fee_max))
        return self.nonce != other.nonce or all(new * 1000 >= old * BUMP_PER_MILLE for old, new in pairs)


def _named(found: Mapping[bytes, int], wanted: Mapping[bytes, Wanted]) -> dict[str, int]:
    """Those that are not there once, by name."""
    keys = found.keys() | wanted.keys()
    named = {wanted[key].name if key in wanted else key.hex(): found.get(key, 0) for key in keys}
    return {name: count for name, count in sorted(named.items()) if count != 1}
