"""An EVM chain in this process (py-evm), behind the same JSON-RPC words as a real node; for demos and tests.

Deterministic: the same transactions at the same times give the same blocks. py-evm stops at Prague and has no P-256
precompile, so contracts run their fallback here. It is a demo chain: nothing that matters may be tested only on it.
"""

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth import EVM_RECURSION_LIMIT
from eth.abc import SignedTransactionAPI
from eth.exceptions import VMError
from eth.vm.spoof import SpoofTransaction
from eth_hash.auto import keccak
from eth_utils.exceptions import ValidationError
from rlp import DeserializationError  # type: ignore[import-untyped]

from lading.chain import RevertedError
from lading.errors import LadingError, RejectedError, ServiceError
from lading.evm_chain import CHAIN_ID, GAS_LIMIT, new_chain
from lading.evm_pool import Pool
from lading.evm_store import Store
from lading.evm_words import (
    address_of,
    block_json,
    from_hex,
    log_matches,
    price_paid,
    reverted,
    to_hex,
)

# py_ecc has just raised it to 100,000: JSON as deep as that would overrun the stack and end the process.
sys.setrecursionlimit(EVM_RECURSION_LIMIT)


PRIORITY_FEE = 10**9


@dataclass(slots=True)
class _Mined:
    """A block as we answer for it."""

    header: Any
    receipts: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    logs: list[dict[str, Any]] = field(default_factory=list)


class EvmNode:
    """One chain. A block is mined for each transaction, or, with `auto_mine` off, by `mine()`.

    `now_s` dates the blocks (at least one second after the parent). `safe_depth` and `finalized_depth` are how many
    blocks behind the head those tags are. With a `store` file the chain outlives the process: blocks are written before
    they are answered for, and run again at the start.
    """

    def __init__(
        self,
        funded: Mapping[bytes, int],
        now_s: Callable[[], int],
        auto_mine: bool = True,
        safe_depth: int = 0,
        finalized_depth: int = 0,
        store: Path | None = None,
    ) -> None:
        self.auto_mine = auto_mine
        self._now_s = now_s
        self._depths = {"latest": 0, "pending": 0, "safe": safe_depth, "finalized": finalized_depth}
        self._lock = threading.RLock()
        self._store = None if store is None else Store(store)
        genesis_s = now_s() if self._store is None else self._store.genesis_s(now_s())
        self._chain = new_chain(genesis_s, funded)
        self._blocks = [_Mined(self._chain.get_canonical_block_header_by_number(0))]
        self._pool = Pool()
        self._where: dict[bytes, int] = {}  # transaction hash → block number
        self._forks = 0
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: "lading/py-evm",
            "net_version": lambda: str(CHAIN_ID),
            "eth_chainId": lambda: hex(CHAIN_ID),
            "eth_blockNumber": lambda: hex(len(self._blocks) - 1),
            "eth_gasPrice": lambda: hex(self._blocks[-1].header.base_fee_per_gas + PRIORITY_FEE),
            "eth_maxPriorityFeePerGas": lambda: hex(PRIORITY_FEE),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getTransactionCount": self._nonce,
            "eth_getBalance": lambda address, tag="latest": hex(
                self._state(tag).get_balance(address_of(address))
            ),
            "eth_getCode": lambda address, tag="latest": to_hex(
                self._state(tag).get_code(address_of(address))
            ),
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_sendRawTransaction": self._send_raw,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getLogs": self._logs,
            "evm_mine": lambda: self.mine(),
        }
        self._replay()

    def request(self, method: str, params: list[Any]) -> Any:
        """Answer one JSON-RPC request."""
        found = self._methods.get(method)
        if found is None:
            raise ServiceError("chain_rpc", f"{method} is not known here")
        with self._lock:
            return found(*params)

    def mine(self) -> str:
        """Mine one block of the pending transactions that can go, perhaps of none."""
        with self._lock:
            self._open_block()
            mined = []
            for transaction in self._pool.executable(self._chain):
                self._apply(transaction)
                mined.append(transaction)
            block_hash = self._close_block()
            for transaction in mined:
                self._pool.drop(transaction)
            return to_hex(block_hash)

    def reorganise(self, depth: int) -> None:
        """Replace the last `depth` blocks by empty ones and one more; their transactions are forgotten."""
        with self._lock:
            self._take_back(depth)
            self._forks += 1
            for _ in range(depth + 1):
                self._open_block()
                self._close_block()

    # Blocks

    def _replay(self) -> None:
        """Run the stored blocks again, and leave the file as it is: a start may be cut short."""
        for time_s, forks, raws in [] if self._store is None else self._store.blocks():
            self._forks = forks
            self._chain.set_header_timestamp(time_s)
            self._mined = _Mined(None)
            for raw in raws:
                self._apply(self._chain.get_vm().get_transaction_builder().decode(raw))
            self._add_block()

    def _open_block(self) -> None:
        self._chain.set_header_timestamp(max(self._now_s(), self._blocks[-1].header.timestamp + 1))
        self._mined = _Mined(None)

    def _apply(self, transaction: SignedTransactionAPI) -> None:
        gas_before = self._chain.header.gas_used
        try:
            _, receipt, computation = self._chain.apply_transaction(transaction)
        except (ValidationError, VMError) as exc:
            self._pool.drop(transaction)
            self._take_back(0)
            raise RejectedError("chain_refused", str(exc)) from exc
        index = len(self._mined.receipts)
        created = computation.msg.storage_address if transaction.to == b"" else None
        logs = [
            {
                "address": to_hex(address),
                "topics": [to_hex(topic.to_bytes(32, "big")) for topic in topics],
                "data": to_hex(data),
                "transactionHash": to_hex(transaction.hash),
                "transactionIndex": hex(index),
                "logIndex": hex(len(self._mined.logs) + at),
                "removed": False,
            }
            for at, (address, topics, data) in enumerate(receipt.logs)
        ]
        self._mined.logs += logs
        self._mined.receipts[transaction.hash] = {
            "transactionHash": to_hex(transaction.hash),
            "transactionIndex": hex(index),
            "from": to_hex(transaction.sender),
            "to": to_hex(transaction.to) if transaction.to else None,
            "contractAddress": to_hex(created) if created else None,
            "status": "0x1" if receipt.state_root == b"\x01" else "0x0",
            "gasUsed": hex(receipt.gas_used - gas_before),
            "cumulativeGasUsed": hex(receipt.gas_used),
            "effectiveGasPrice": hex(price_paid(transaction, self._chain.header.base_fee_per_gas)),
            "type": "0x2",
            "logs": logs,
            "logsBloom": "0x" + "00" * 256,
        }

    def _close_block(self) -> bytes:
        block = self._add_block()
        if self._store is not None:
            raws = [transaction.encode() for transaction in block.transactions]
            try:
                self._store.put(block.number, block.header.timestamp, self._forks, raws)
            except ServiceError:
                self._take_back(1)
                raise
        block_hash: bytes = block.hash
        return block_hash

    def _take_back(self, depth: int) -> None:
        kept = len(self._blocks) - depth
        assert 0 < kept <= len(self._blocks), f"cannot take back {depth} of {len(self._blocks)} blocks"
        for mined in self._blocks[kept:]:
            for tx_hash in mined.receipts:
                del self._where[tx_hash]
        del self._blocks[kept:]
        parent, chaindb = self._blocks[-1].header, self._chain.chaindb
        chaindb._set_as_canonical_chain_head(chaindb.db, parent, parent.parent_hash)
        self._chain.header = self._chain.create_header_from_parent(parent)

    def _add_block(self) -> Any:
        seed = self._blocks[-1].header.hash + self._forks.to_bytes(4, "big")
        block = self._chain.mine_block(coinbase=bytes(20), mix_hash=keccak(seed), blob_gas_used=0)
        self._mined.header = block.header
        place = {"blockNumber": hex(block.number), "blockHash": to_hex(block.hash)}
        for entry in [*self._mined.receipts.values(), *self._mined.logs]:
            entry.update(place)
        for tx_hash in self._mined.receipts:
            self._where[tx_hash] = block.number
        self._blocks.append(self._mined)
        return block

    # Requests

    def _send_raw(self, raw: str) -> str:
        try:
            transaction = self._chain.get_vm().get_transaction_builder().decode(from_hex(raw))
            transaction.validate()
        except (DeserializationError, ValidationError, TypeError, IndexError) as exc:
            raise RejectedError("chain_refused", f"transaction does not decode: {exc}") from exc
        if transaction.chain_id not in (CHAIN_ID, None):  # None: signed for any chain, before EIP-155
            raise RejectedError("chain_refused", f"chain id {transaction.chain_id}, wanted {CHAIN_ID}")
        if transaction.hash in self._where:
            raise RejectedError("chain_refused", "already known")
        replaced = self._pool.admit(transaction, self._state("latest"))
        if self.auto_mine:
            try:
                self._mine_all()
            except LadingError:
                if transaction.hash not in self._where:
                    self._pool.withdraw(transaction, replaced)
                    raise
        return to_hex(transaction.hash)

    def _mine_all(self) -> None:
        """One block, and more where one does not hold what can go."""
        self.mine()
        while next(self._pool.executable(self._chain), None) is not None:
            self.mine()

    def _call(self, fields: dict[str, str], tag: str = "latest") -> str:
        header = self._chain.header if tag in ("latest", "pending") else self._header(tag)
        return to_hex(self._run(fields, header, GAS_LIMIT).output)

    def _estimate(self, fields: dict[str, str], tag: str = "latest") -> str:
        """What a run uses and a sixteenth more: calls within it may pass on at most 63 of 64 parts of their gas."""
        header = self._chain.header
        used = GAS_LIMIT - self._run(fields, header, GAS_LIMIT).get_gas_remaining()
        enough = used
        while enough < GAS_LIMIT:
            enough = min(enough + used // 16, GAS_LIMIT)
            try:
                self._run(fields, header, enough)
            except RevertedError:
                continue
            break
        return hex(enough)

    def _run(self, fields: dict[str, str], header: Any, gas: int) -> Any:
        """Try a call in a header's block and forget it."""
        state = self._chain.get_vm(at_header=self._unpaid(header)).state
        snapshot = state.snapshot()
        try:
            computation = state.apply_transaction(self._spoof(fields, gas))
        except (ValidationError, VMError) as exc:
            raise ServiceError("chain_rpc", f"the call cannot run: {exc}") from exc
        finally:
            state.revert(snapshot)
        if computation.is_error:
            raise reverted(computation.error)
        return computation

    def _unpaid(self, header: Any) -> Any:
        """The header to try a call in: at the time the next block would have, gas for nothing, as nodes do."""
        return header.copy(timestamp=max(self._now_s(), header.timestamp), base_fee_per_gas=0)

    def _spoof(self, fields: dict[str, str], gas: int) -> Any:
        sender = address_of(fields.get("from", "0x" + "00" * 20))
        unsigned = (
            self._chain.get_vm()
            .get_transaction_builder()
            .new_unsigned_dynamic_fee_transaction(
                chain_id=CHAIN_ID,
                nonce=self._state("latest").get_nonce(sender),
                max_priority_fee_per_gas=0,
                max_fee_per_gas=0,
                gas=gas,
                to=address_of(fields["to"]) if fields.get("to") else b"",
                value=int(fields.get("value", "0x0"), 16),
                data=from_hex(fields.get("data") or fields.get("input") or "0x"),
                access_list=(),
            )
        )
        return SpoofTransaction(unsigned, from_=sender)

    def _receipt(self, tx_hash: str) -> dict[str, Any] | None:
        number = self._where.get(from_hex(tx_hash))
        return None if number is None else self._blocks[number].receipts[from_hex(tx_hash)]

    def _nonce(self, address: str, tag: str = "latest") -> str:
        sender = address_of(address)
        nonce: int = self._state(tag).get_nonce(sender)
        while tag == "pending" and (sender, nonce) in self._pool:
            nonce += 1
        return hex(nonce)

    def _block_by_number(self, tag: str, _full: bool = False) -> dict[str, Any] | None:
        number = self._number(tag)
        return self._json(number) if 0 <= number < len(self._blocks) else None

    def _block_by_hash(self, block_hash: str, _full: bool = False) -> dict[str, Any] | None:
        wanted = from_hex(block_hash)
        return next(
            (self._json(n) for n, mined in enumerate(self._blocks) if mined.header.hash == wanted), None
        )

    def _json(self, number: int) -> dict[str, Any]:
        mined = self._blocks[number]
        return block_json(mined.header, mined.receipts)

    def _logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = (
            self._number(query.get("fromBlock", "latest")),
            self._number(query.get("toBlock", "latest")),
        )
        return [
            log
            for mined in self._blocks[max(first, 0) : last + 1]
            for log in mined.logs
            if log_matches(log, query.get("address"), query.get("topics") or [])
        ]

    def _number(self, tag: str) -> int:
        if tag.startswith("0x"):
            return int(tag, 16)
        return 0 if tag == "earliest" else len(self._blocks) - 1 - self._depths[tag]

    def _header(self, tag: str) -> Any:
        number = self._number(tag)
        if not 0 <= number < len(self._blocks):
            raise ServiceError("chain_rpc", f"there is no block {tag}")
        return self._blocks[number].header

    def _state(self, tag: str) -> Any:
        return self._chain.get_vm(at_header=self._header(tag)).state
