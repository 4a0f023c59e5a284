"""What is final: by two looks, in the event's own block, on the chain that was final before."""

from pathlib import Path

import pytest

from lading import finality, sqlite
from lading.account import Account, Transaction
from lading.chain import Chain, Event
from lading.evm import EvmNode
from lading.finality import Finality, Sightings
from tests.services.chain_contract import CREATE

ACCOUNT = Account.from_seed(b"finality")
FEE = 10**10
DEPTH = 3


class Net:
    """A node that mines when told, and a contract whose event was mined."""

    def __init__(self, folder: Path) -> None:
        self.node = EvmNode(
            {ACCOUNT.address: 10**21}, lambda: 1_700_000_000, auto_mine=False, finalized_depth=DEPTH
        )
        self.chain = Chain(self.node)
        db = sqlite.open_named(folder / "seen.sqlite", "outbox_failed")
        db.executescript(finality.SCHEMA)
        self.finality = Finality(self.chain, db)
        self.sightings = Sightings(self.chain, self.finality)
        self._send(0, b"", CREATE)
        receipt = self.chain.receipt(self.tx_hash)
        assert receipt is not None
        assert receipt.contract is not None
        self.contract = receipt.contract
        self._send(1, self.contract, bytes(32))

    def _send(self, nonce: int, to: bytes, data: bytes) -> None:
        transaction = Transaction(self.chain.chain_id, nonce, 10**9, FEE, 200_000, to, data)
        self.raw = ACCOUNT.sign_transaction(transaction)
        self.tx_hash = self.chain.send_raw(self.raw)
        self.node.mine()

    def event(self) -> Event:
        """The event, as the chain has it now."""
        (event,) = self.chain.events(self.contract, [])
        return event


@pytest.fixture
def net(tmp_path: Path) -> Net:
    return Net(tmp_path)


def test_final_by_two_looks(net: Net) -> None:
    """Nothing before the block is final; then one look takes note, and the next tells."""
    event, told = net.event(), []
    for _ in range(DEPTH + 2):
        told.append(net.sightings.receipt(event) is not None)
        net.node.mine()
    assert told == [False] * DEPTH + [False, True]
    receipt = net.sightings.receipt(event)
    assert receipt is None or receipt.block_hash == event.block_hash


def test_event_of_a_lost_branch_is_never_final(net: Net) -> None:
    """The same transaction is mined again in another block: only the event of that block can be final."""
    lost = net.event()
    net.node.reorganise(1)
    net.chain.send_raw(net.raw)
    for _ in range(DEPTH + 3):
        net.node.mine()
    now = net.event()
    assert lost.tx_hash == now.tx_hash
    assert [net.sightings.receipt(lost) for _ in range(3)] == [None] * 3
    assert net.sightings.receipt(now) is None
    receipt = net.sightings.receipt(now)
    assert receipt is not None
    assert receipt.block_hash == now.block_hash != lost.block_hash


def test_a_chain_that_is_final_at_once_needs_one_look(tmp_path: Path) -> None:
    """Where no block can be taken back, there is nothing to wait for."""
    net = Net(tmp_path)
    net.node._depths["finalized"] = 0
    assert net.sightings.receipt(net.event()) is not None
    assert net.finality.look().is_final_at_once
