"""What carrier and shipper do themselves: put up the bond, see their credit, take it out."""

from collections.abc import Iterable
from typing import NamedTuple

from contracts.agreements import Agreement
from lading import abi
from lading.account import Account
from lading.chain import Chain
from lading.deployment import Deployment
from lading.errors import RejectedError
from lading.wallet import Wallet


def mint(chain: Chain, deployment: Deployment, account: Account, amount: int) -> None:
    """Make demo tokens of the deployment's; only the test token lets anyone."""
    mint_of(chain, deployment.token, account, amount)


def mint_of(chain: Chain, token: bytes, account: Account, amount: int) -> None:
    """The same of any test token."""
    Wallet(chain, account).transact(abi.at(chain, "MockToken", token), "mint", account.address, amount)


def deposit(chain: Chain, deployment: Deployment, carrier: Account, amount: int) -> None:
    """Hand `amount` of the carrier's tokens to the vault, for the escrow to lock."""
    deposit_for(Wallet(chain, carrier), deployment.vault, deployment.escrow, deployment.token, amount)


def deposit_for(wallet: Wallet, vault: bytes, product: bytes, token: bytes, amount: int) -> None:
    """Hand `amount` of a token to the vault, for one of its products. RejectedError `balance` where it is not there."""
    kind, owner = abi.at(wallet.chain, "MockToken", token), wallet.account.address
    held = int(kind.call("balanceOf", owner))
    if held < amount:
        about = f"{held:,} of the token's smallest units, wanted {amount:,}; a trial's token is made by --test-tokens"
        raise RejectedError("balance", f"0x{owner.hex()} holds {about}")
    wallet.transact(kind, "approve", vault, amount)
    wallet.transact(abi.at(wallet.chain, "CreditVault", vault), "deposit", product, token, amount)


class Backing(NamedTuple):
    """What stands behind a bond that is not locked yet.

    `free`: the carrier's deposit that nothing locks; `wanted`: of it, this bond and those of `others` that wait too.
    """

    free: int
    wanted: int
    others: int

    @property
    def missing(self) -> int:
        """What the deposit lacks for all of them."""
        return max(self.wanted - self.free, 0)


def backing_of(
    chain: Chain, deployment: Deployment, agreement: Agreement, waiting: Iterable[Agreement]
) -> Backing:
    """The carrier's free deposit against this bond, beside those of other agreements that wait to be opened."""
    terms = agreement.terms
    place = (agreement.domain, terms.carrier, terms.token)
    others = [
        one.terms.bond
        for one in waiting
        if (one.domain, one.terms.carrier, one.terms.token) == place and one.id != agreement.id
    ]
    free = _free(chain, deployment, agreement.domain.escrow, terms.carrier)
    return Backing(free, terms.bond + sum(others), len(others))


def credit_of(chain: Chain, deployment: Deployment, address: bytes) -> int:
    """What an address can take out of the vault: its credits, and its deposits as far as no agreement locks them."""
    vault = abi.at(chain, "CreditVault", deployment.vault)
    credit: int = vault.call("creditOf", deployment.token, address)
    return credit + sum(
        _free(chain, deployment, product, address) for product in _products(chain, deployment)
    )


def withdraw(chain: Chain, deployment: Deployment, account: Account) -> int:
    """Take out all that the account can, to itself; how much."""
    vault, wallet = abi.at(chain, "CreditVault", deployment.vault), Wallet(chain, account)
    credit = taken = int(vault.call("creditOf", deployment.token, account.address))
    if credit:
        wallet.transact(vault, "withdraw", deployment.token, credit, account.address)
    for product in _products(chain, deployment):
        free = _free(chain, deployment, product, account.address)
        if free:
            wallet.transact(vault, "reclaim", product, deployment.token, free, account.address)
            taken += free
    return taken


def balance_of(chain: Chain, deployment: Deployment, address: bytes) -> int:
    """Tokens an address holds itself."""
    balance: int = abi.at(chain, "MockToken", deployment.token).call("balanceOf", address)
    return balance


def _products(chain: Chain, deployment: Deployment) -> tuple[bytes, ...]:
    """Every contract that deposits may be for: the escrows, and the pools of the cover."""
    escrows = (deployment.escrow, *deployment.escrows_before)
    if deployment.cover is None:
        return escrows
    return (*escrows, abi.at(chain, "ParametricCover", deployment.cover).call("pools"))


def _free(chain: Chain, deployment: Deployment, escrow: bytes, address: bytes) -> int:
    """What an address deposited for an escrow that is not locked, or no longer."""
    vault = abi.at(chain, "CreditVault", deployment.vault)
    free, _locked = vault.call("depositOf", escrow, deployment.token, address)
    return int(free)
