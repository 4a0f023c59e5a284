"""JSON-RPC's words for a py-evm chain: hexadecimal in and out, blocks, log filters, what the pool asks."""

from collections.abc import Iterable
from typing import Any

from eth.abc import SignedTransactionAPI
from eth.exceptions import Revert, VMError

from lading.chain import RevertedError

PRICE_BUMP_PERCENT = 10  # what geth's pool asks of a replacement


def block_json(header: Any, tx_hashes: Iterable[bytes]) -> dict[str, Any]:
    """A block as JSON-RPC shows it."""
    return {
        "number": hex(header.block_number),
        "hash": to_hex(header.hash),
        "parentHash": to_hex(header.parent_hash),
        "timestamp": hex(header.timestamp),
        "baseFeePerGas": hex(header.base_fee_per_gas),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "miner": to_hex(header.coinbase),
        "stateRoot": to_hex(header.state_root),
        "mixHash": to_hex(header.mix_hash),
        "transactions": [to_hex(tx_hash) for tx_hash in tx_hashes],
    }


def log_matches(log: dict[str, Any], address: str | list[str] | None, topics: list[Any]) -> bool:
    """Whether a log entry is of the address and has the topics, in places; None is any."""
    addresses = [address] if isinstance(address, str) else address
    if addresses and log["address"] not in [one.lower() for one in addresses]:
        return False
    if len(topics) > len(log["topics"]):
        return False
    pairs = zip(topics, log["topics"], strict=False)
    return all(want is None or have in ([want] if isinstance(want, str) else want) for want, have in pairs)


def outbids(transaction: SignedTransactionAPI, waiting: SignedTransactionAPI) -> bool:
    """Whether a replacement pays enough more for the pool to take it."""

    def enough(new: int, old: int) -> bool:
        return new * 100 >= old * (100 + PRICE_BUMP_PERCENT)

    return enough(transaction.max_fee_per_gas, waiting.max_fee_per_gas) and enough(
        transaction.max_priority_fee_per_gas, waiting.max_priority_fee_per_gas
    )


def price_paid(transaction: SignedTransactionAPI, base_fee: int) -> int:
    """Wei per gas that a transaction pays."""
    price: int = min(transaction.max_fee_per_gas, base_fee + transaction.max_priority_fee_per_gas)
    return price


def reverted(error: VMError) -> RevertedError:
    """Our error for what ended a run."""
    data = (
        error.args[0]
        if isinstance(error, Revert) and error.args and isinstance(error.args[0], bytes)
        else b""
    )
    return RevertedError("reverted", f"execution reverted: {type(error).__name__} 0x{data.hex()}", data)


def to_hex(data: bytes) -> str:
    """0x and hexadecimal digits."""
    return "0x" + data.hex()


def from_hex(text: str) -> bytes:
    """The bytes of 0x and hexadecimal digits; ValueError."""
    return bytes.fromhex(text[2:])


def address_of(text: str) -> bytes:
    """20 bytes; ValueError."""
    address = from_hex(text)
    if len(address) != 20:
        raise ValueError(f"{text!r} is no address")
    return address
