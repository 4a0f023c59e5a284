"""What every chain behind the Rpc port must do; run on py-evm in process, on it over HTTP, and on anvil."""

import time

import pytest
from eth_hash.auto import keccak

from lading.account import Account, Transaction, transaction_hash
from lading.chain import Chain, Receipt, RevertedError
from lading.errors import RejectedError

SENDER = Account.from_seed(b"chain tests")
WEI = 10**20
GAS = 200_000
MINED_S_MAX = 10

# Runtime code: SSTORE(0, CALLDATALOAD(0)); LOG1(0, 0x20 of memory = CALLDATALOAD(0), topic 7); RETURN that word,
# but with an empty calldata REVERT with the four bytes of Refused().
REFUSED = keccak(b"Refused()")[:4]
RUNTIME = bytes.fromhex(
    "36" "601457"  # CALLDATASIZE, JUMPI to 0x14
    + "63" + REFUSED.hex() + "60e01b" "600052" "6004" "6000" "fd"  # PUSH4 Refused, SHL 224, MSTORE, REVERT(0, 4)
    + "5b" "600035" "80" "600055" "600052" "6007" "6020" "6000" "a1" "6020" "6000" "f3"
)  # fmt: skip
CREATE = bytes.fromhex(f"60{len(RUNTIME):02x}600c60003960{len(RUNTIME):02x}6000f3") + RUNTIME


class ChainContract:
    """The shared tests. The `chain` fixture gives a chain where SENDER has WEI and nothing else has happened."""

    def send(
        self,
        chain: Chain,
        to: bytes,
        data: bytes,
        nonce: int | None = None,
        *,
        priority_fee: int = 10**9,
        gas: int = GAS,
    ) -> bytes:
        """Send a transaction of SENDER."""
        fee = 2 * (chain.head().base_fee + priority_fee) - 10**9
        nonce = chain.nonce(SENDER.address) if nonce is None else nonce
        raw = SENDER.sign_transaction(Transaction(chain.chain_id, nonce, priority_fee, fee, gas, to, data))
        tx_hash = chain.send_raw(raw)
        assert tx_hash == transaction_hash(raw)
        return tx_hash

    def mined(self, chain: Chain, tx_hash: bytes) -> Receipt:
        """The receipt, when there is one."""
        until = time.monotonic() + MINED_S_MAX
        while (receipt := chain.receipt(tx_hash)) is None:
            assert time.monotonic() < until, f"{tx_hash.hex()} is not mined"
            time.sleep(0.01)
        return receipt

    def deploy(self, chain: Chain) -> bytes:
        """The test contract's address."""
        receipt = self.mined(chain, self.send(chain, b"", CREATE))
        assert receipt.ok
        assert receipt.contract is not None
        return receipt.contract

    def test_chain_begins(self, chain: Chain) -> None:
        """The chain names itself, has a head, and shows the account's funds."""
        assert chain.chain_id == 31_337
        assert chain.block("latest") == chain.head()
        assert chain.block(10**9) is None
        assert chain.balance(SENDER.address) == WEI
        assert chain.nonce(SENDER.address) == 0

    def test_contract_is_created_and_called(self, chain: Chain) -> None:
        """A created contract has its code; a call answers and changes nothing."""
        address = self.deploy(chain)
        assert chain.code(address) == RUNTIME
        assert chain.call(address, bytes(31) + b"\x2a") == bytes(31) + b"\x2a"
        assert chain.nonce(SENDER.address) == 1

    def test_refusal_has_its_data(self, chain: Chain) -> None:
        """A contract's custom error arrives with its bytes, from a call and from an estimate."""
        address = self.deploy(chain)
        with pytest.raises(RevertedError) as called:
            chain.call(address, b"")
        assert called.value.data == REFUSED
        with pytest.raises(RevertedError) as estimated:
            chain.estimate(SENDER.address, address, b"")
        assert estimated.value.data == REFUSED

    def test_refused_transaction_has_a_receipt(self, chain: Chain) -> None:
        """A transaction that reverts is mined, not ok, without events."""
        receipt = self.mined(chain, self.send(chain, self.deploy(chain), b""))
        assert not receipt.ok
        assert receipt.events == ()

    def test_events_are_found(self, chain: Chain) -> None:
        """Events come by contract, topic and block range, with the place they happened."""
        address = self.deploy(chain)
        hashes = []
        for value in (1, 2):
            hashes.append(self.send(chain, address, bytes(31) + bytes([value])))
            self.mined(chain, hashes[-1])
        found = chain.events(address, [bytes(31) + b"\x07"])
        assert [event.tx_hash for event in found] == hashes
        assert [event.data[-1] for event in found] == [1, 2]
        assert chain.events(address, [bytes(31) + b"\x08"]) == []
        assert chain.events(address, [None], first=found[1].block_number) == found[1:]
        receipt = self.mined(chain, hashes[1])
        assert receipt.events == (found[1],)
        block = chain.block(receipt.block_number)
        assert block is not None
        assert block.hash == receipt.block_hash

    def test_estimate_suffices(self, chain: Chain) -> None:
        """The estimate is at least what is used."""
        address = self.deploy(chain)
        estimate = chain.estimate(SENDER.address, address, bytes(31) + b"\x05")
        receipt = self.mined(chain, self.send(chain, address, bytes(31) + b"\x05"))
        assert receipt.gas_used <= estimate <= GAS

    def test_same_bytes_twice(self, chain: Chain) -> None:
        """Bytes sent again are refused or taken as known; they happen once."""
        raw_hash = self.send(chain, b"", CREATE)
        self.mined(chain, raw_hash)
        with pytest.raises(RejectedError):
            self.send(chain, b"", CREATE, nonce=0)
        receipt = self.mined(chain, raw_hash)
        assert receipt.ok
        assert chain.nonce(SENDER.address) == 1

    def test_unknown_receipt(self, chain: Chain) -> None:
        """There is no receipt of what was never sent."""
        assert chain.receipt(bytes(32)) is None
