"""Transactions of a person at a command line: one at a time, waited for. Stages send by `lading.sending` instead."""

import time
from collections.abc import Callable
from typing import Any

from lading import abi
from lading.abi import Contract, artifact, interface
from lading.account import Account, Transaction
from lading.chain import Chain, Receipt, RevertedError
from lading.errors import ServiceError

GAS_MARGIN_PERCENT = 20
POLL_S = 0.05


class Wallet:
    """An account on a chain. `wait_s` bounds the wait for each receipt."""

    def __init__(
        self,
        chain: Chain,
        account: Account,
        wait_s: float = 60,
        priority_wei: int = 10**9,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.chain = chain
        self.account = account
        self._priority_wei = priority_wei
        self._polls_max = max(1, int(wait_s / POLL_S))
        self._sleep = sleep

    def create(self, name: str, *arguments: Any) -> Contract:
        """Deploy a committed contract."""
        data = artifact(name).bytecode + interface(name).encode_constructor(*arguments)
        receipt = self._send(b"", data, interface(name))
        if receipt.contract is None:
            raise ServiceError("wallet", f"{name} was mined without an address")
        return abi.at(self.chain, name, receipt.contract)

    def transact(self, contract: Contract, function: str, *arguments: Any) -> Receipt:
        """Call a contract by a transaction. RevertedError by the contract's name for it."""
        data = contract.interface.encode_call(function, *arguments)
        return self._send(contract.address, data, contract.interface)

    def send(self, to: bytes, data: bytes, names: abi.Interface) -> Receipt:
        """Raw calldata to an address; `names` has the names of its refusals."""
        return self._send(to, data, names)

    def pay(self, to: bytes, wei: int) -> Receipt:
        """Send ether."""
        return self._send(to, b"", abi.Interface("", ()), wei)

    def publish(self, raw: bytes) -> Receipt:
        """Bytes that another key signed."""
        return self._wait(self.chain.send_raw(raw))

    def _send(self, to: bytes, data: bytes, names: abi.Interface, wei: int = 0) -> Receipt:
        address = self.account.address
        try:
            gas = self.chain.estimate(address, to or None, data) * (100 + GAS_MARGIN_PERCENT) // 100
        except RevertedError as exc:
            raise names.named(exc) from exc
        fee_max = 2 * self.chain.head().base_fee + self._priority_wei
        nonce = self.chain.nonce(address, "pending")
        transaction = Transaction(self.chain.chain_id, nonce, self._priority_wei, fee_max, gas, to, data, wei)
        receipt = self._wait(self.chain.send_raw(self.account.sign_transaction(transaction)))
        if not receipt.ok:
            raise ServiceError("wallet", f"transaction {receipt.tx_hash.hex()} was mined and refused")
        return receipt

    def _wait(self, tx_hash: bytes) -> Receipt:
        for _ in range(self._polls_max):
            receipt = self.chain.receipt(tx_hash)
            if receipt is not None:
                return receipt
            self._sleep(POLL_S)
        raise ServiceError("wallet", f"transaction {tx_hash.hex()} is not mined")
