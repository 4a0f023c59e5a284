"""The py-evm chain beneath `lading.evm`: its rules and its first block."""

from collections.abc import Mapping
from typing import Any

from eth.chains.base import MiningChain
from eth.constants import POST_MERGE_DIFFICULTY, POST_MERGE_NONCE
from eth.db import get_db_backend
from eth.vm.forks.prague import PragueVM

CHAIN_ID = 31_337
GAS_LIMIT = 30_000_000
_BLANK_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
_MiningChain: Any = MiningChain  # its declared types leave out most of what it has


class _LocalChain(_MiningChain):  # type: ignore[misc]
    chain_id = CHAIN_ID
    vm_configuration = ((0, PragueVM),)

    def create_header_from_parent(self, parent_header: Any, **fields: Any) -> Any:
        """Gas limit as before, and no wall clock: the time is the caller's, one second on until it is set."""
        own = {"gas_limit": parent_header.gas_limit, "timestamp": parent_header.timestamp + 1}
        return super().create_header_from_parent(parent_header, **(fields | own))


def new_chain(genesis_s: int, funded: Mapping[bytes, int]) -> Any:
    """A chain that begins then, with so many wei at each address."""
    return _LocalChain.from_genesis(get_db_backend(), _genesis(genesis_s), _accounts(funded))


def _genesis(time_s: int) -> dict[str, Any]:
    return {
        "coinbase": bytes(20),
        "difficulty": POST_MERGE_DIFFICULTY,
        "extra_data": b"",
        "gas_limit": GAS_LIMIT,
        "mix_hash": bytes(32),
        "nonce": POST_MERGE_NONCE,
        "receipt_root": _BLANK_ROOT,
        "timestamp": time_s,
        "transaction_root": _BLANK_ROOT,
    }


def _accounts(funded: Mapping[bytes, int]) -> dict[bytes, dict[str, Any]]:
    return {
        address: {"balance": wei, "nonce": 0, "code": b"", "storage": {}} for address, wei in funded.items()
    }
