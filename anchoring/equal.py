"""The same contracts at the same addresses on every chain: CREATE2 by the deterministic deployment proxy.

An address follows from the proxy, a fixed salt, and the creation code with its arguments: who finds code at such an
address knows what was deployed there. Where a chain has no proxy yet, its one presigned transaction puts it there.
"""

from typing import Any, Protocol

from eth_hash.auto import keccak

from lading import abi
from lading.abi import Contract, artifact, interface
from lading.errors import ServiceError
from lading.tree import sha256
from lading.wallet import Wallet

PROXY = bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c")
PROXY_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039"
    "578182fd5b8082525050506014600cf3"
)
PROXY_SIGNER = bytes.fromhex("3fab184622dc19b6109349b94811493bf2a45362")
PROXY_COST_WEI = 100_000 * 100 * 10**9  # gas limit and gas price that are signed
PROXY_TRANSACTION = bytes.fromhex(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe"
    + PROXY_CODE.hex()
    + "1ba0"
    + "22" * 32
    + "a0"
    + "22" * 32
)


class Creator(Protocol):
    """Puts a committed contract on the chain."""

    def create(self, name: str, *arguments: Any) -> Contract:
        """The contract, there now."""
        ...


class EqualCreator:
    """Creates through the proxy; what is there already stays as it is. `went_on`: something was."""

    def __init__(self, wallet: Wallet) -> None:
        self.went_on = False
        self._wallet = wallet
        self._chain = wallet.chain
        publish_proxy(wallet)

    def create(self, name: str, *arguments: Any) -> Contract:
        """ServiceError when nothing is at the address afterwards."""
        address = equal_address(name, *arguments)
        if self._chain.code(address):
            self.went_on = True
        else:
            self._wallet.send(PROXY, salt(name) + _creation_code(name, *arguments), interface(name))
        if not self._chain.code(address):
            raise ServiceError("wallet", f"{name} is not at 0x{address.hex()} after its creation")
        return abi.at(self._chain, name, address)


def salt(name: str) -> bytes:
    """Fixed for a contract's name."""
    return sha256(b"lading " + name.encode())


def equal_address(name: str, *arguments: Any) -> bytes:
    """Where a committed contract with these arguments is on every chain."""
    return _address(salt(name), _creation_code(name, *arguments))


def publish_proxy(wallet: Wallet) -> None:
    """Put the proxy on a chain that has none: its signer is paid what the transaction costs, then it is sent."""
    chain = wallet.chain
    if not chain.code(PROXY):
        missing = PROXY_COST_WEI - chain.balance(PROXY_SIGNER)
        if missing > 0:
            wallet.pay(PROXY_SIGNER, missing)
        wallet.publish(PROXY_TRANSACTION)
    if chain.code(PROXY) != PROXY_CODE:
        raise ServiceError("wallet", f"0x{PROXY.hex()} is not the deployment proxy on chain {chain.chain_id}")


def _creation_code(name: str, *arguments: Any) -> bytes:
    return artifact(name).bytecode + interface(name).encode_constructor(*arguments)


def _address(salted: bytes, code: bytes) -> bytes:
    digest: bytes = keccak(b"\xff" + PROXY + salted + keccak(code))
    return digest[12:]
