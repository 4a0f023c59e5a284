"""What a transaction costs on each kind of chain, by the formulas that the chains document; integers in wei.

- L1: gas · (base fee + tip), gas at least the floor of EIP-7623.
- OP stack since Fjord: the same for execution, and a data fee by the FastLZ size of the signed transaction;
  since Isthmus an operator fee, whose scalar counts a hundred million times as much since Jovian.
- Arbitrum: (gas + L1 gas) · base fee, where the L1 gas pays 16 units a byte of the Brotli size, at the price of L1.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import brotli

from contracts.fees import fastlz
from contracts.fees.transactions import Measured

GAS_OF_TRANSACTION = 21_000
FLOOR_GAS_PER_TOKEN = 10  # EIP-7623
TOKENS_PER_BYTE = 4  # of one that is not zero; a zero byte is one token

FJORD_INTERCEPT = -42_585_600
FJORD_PER_BYTE = 836_500
FJORD_SIZE_MIN = 100 * 10**6  # millionths of a byte, as the two above

ARBITRUM_UNITS_PER_BYTE = 16
ARBITRUM_STATIC_BYTES = 140
BROTLI_QUALITY = 0  # what Arbitrum nodes price by


@dataclass(frozen=True, slots=True)
class Fee:
    """`data_bytes` is the size that the data fee is for: compressed as the chain counts, as sent on L1."""

    gas: int
    data_bytes: int
    execution_wei: int
    data_wei: int
    operator_wei: int

    @property
    def total_wei(self) -> int:
        """What the sender pays."""
        return self.execution_wei + self.data_wei + self.operator_wei


class Prices(Protocol):
    """A chain's prices, which say what a transaction costs there."""

    @property
    def chain(self) -> str:
        """`l1`, `op` or `arbitrum`."""
        ...

    def fee(self, transaction: Measured) -> Fee:
        """What the transaction costs at these prices."""
        ...


def floor_gas(calldata: bytes) -> int:
    """The least gas a transaction with this calldata pays since Prague (EIP-7623)."""
    zeros = calldata.count(0)
    tokens = zeros + TOKENS_PER_BYTE * (len(calldata) - zeros)
    return GAS_OF_TRANSACTION + FLOOR_GAS_PER_TOKEN * tokens


@dataclass(frozen=True, slots=True)
class L1Prices:
    """Ethereum's, and those of chains that charge as it does."""

    base_fee_wei: int
    tip_wei: int

    @property
    def chain(self) -> str:
        """The kind."""
        return "l1"

    def fee(self, transaction: Measured) -> Fee:
        """Calldata is part of the gas: there is no fee of its own for data."""
        gas = max(transaction.gas, floor_gas(transaction.calldata))
        return Fee(gas, len(transaction.raw), gas * (self.base_fee_wei + self.tip_wei), 0, 0)


class Fork(StrEnum):
    """Which formula the operator fee has."""

    ISTHMUS = "isthmus"
    JOVIAN = "jovian"


@dataclass(frozen=True, slots=True)
class OpPrices:
    """Of an OP-stack chain: its own gas price, and L1's with the scalars of its SystemConfig."""

    base_fee_wei: int
    tip_wei: int
    l1_base_fee_wei: int
    l1_blob_base_fee_wei: int
    base_fee_scalar: int
    blob_base_fee_scalar: int
    operator_scalar: int
    operator_constant: int
    fork: Fork

    @property
    def chain(self) -> str:
        """The kind."""
        return "op"

    def fee(self, transaction: Measured) -> Fee:
        """Execution with the EIP-7623 floor, the data fee of Fjord, and the fork's operator fee."""
        gas = max(transaction.gas, floor_gas(transaction.calldata))
        size = max(FJORD_SIZE_MIN, FJORD_INTERCEPT + FJORD_PER_BYTE * fastlz.size(transaction.raw))
        price = 16 * self.base_fee_scalar * self.l1_base_fee_wei
        price += self.blob_base_fee_scalar * self.l1_blob_base_fee_wei
        execution_wei = gas * (self.base_fee_wei + self.tip_wei)
        return Fee(gas, size // 10**6, execution_wei, size * price // 10**12, self._operator_wei(gas))

    def _operator_wei(self, gas: int) -> int:
        scaled = gas * self.operator_scalar
        return (scaled * 100 if self.fork is Fork.JOVIAN else scaled // 10**6) + self.operator_constant


@dataclass(frozen=True, slots=True)
class ArbitrumPrices:
    """Of an Arbitrum chain: its own gas price, and its estimate of L1's. A tip buys nothing there."""

    base_fee_wei: int
    l1_base_fee_wei: int

    @property
    def chain(self) -> str:
        """The kind."""
        return "arbitrum"

    def fee(self, transaction: Measured) -> Fee:
        """The data fee is paid in gas, so `gas` holds both parts."""
        size = len(brotli.compress(transaction.raw, quality=BROTLI_QUALITY)) + ARBITRUM_STATIC_BYTES
        data_gas = size * ARBITRUM_UNITS_PER_BYTE * self.l1_base_fee_wei // self.base_fee_wei
        execution_wei = transaction.gas * self.base_fee_wei
        return Fee(transaction.gas + data_gas, size, execution_wei, data_gas * self.base_fee_wei, 0)
