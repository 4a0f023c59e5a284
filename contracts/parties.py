"""What carrier and shipper do themselves: put up the bond, see their credit, take it out."""

from lading import abi
from lading.account import Account
from lading.chain import Chain
from lading.deployment import Deployment
from lading.wallet import Wallet


def mint(chain: Chain, deployment: Deployment, account: Account, amount: int) -> None:
    """Make demo tokens; only the test token lets anyone."""
    token = abi.at(chain, "MockToken", deployment.token)
    Wallet(chain, account).transact(token, "mint", account.address, amount)


def deposit(chain: Chain, deployment: Deployment, carrier: Account, amount: int) -> None:
    """Hand `amount` of the carrier's tokens to the vault, for the escrow to lock."""
    wallet = Wallet(chain, carrier)
    wallet.transact(abi.at(chain, "MockToken", deployment.token), "approve", deployment.vault, amount)
    vault = abi.at(chain, "CreditVault", deployment.vault)
    wallet.transact(vault, "deposit", deployment.escrow, deployment.token, amount)


def credit_of(chain: Chain, deployment: Deployment, address: bytes) -> int:
    """What an address can take out of the vault: its credits, and its deposit as far as no agreement locks it."""
    vault = abi.at(chain, "CreditVault", deployment.vault)
    credit: int = vault.call("creditOf", deployment.token, address)
    return credit + _free(chain, deployment, address)


def withdraw(chain: Chain, deployment: Deployment, account: Account) -> int:
    """Take out all that the account can, to itself; how much."""
    free = _free(chain, deployment, account.address)
    credit = credit_of(chain, deployment, account.address) - free
    vault, wallet = abi.at(chain, "CreditVault", deployment.vault), Wallet(chain, account)
    if credit:
        wallet.transact(vault, "withdraw", deployment.token, credit, account.address)
    if free:
        wallet.transact(vault, "reclaim", deployment.escrow, deployment.token, free, account.address)
    return credit + free


def balance_of(chain: Chain, deployment: Deployment, address: bytes) -> int:
    """Tokens an address holds itself."""
    balance: int = abi.at(chain, "MockToken", deployment.token).call("balanceOf", address)
    return balance


def _free(chain: Chain, deployment: Deployment, address: bytes) -> int:
    """What an address deposited for the escrow that is not locked, or no longer."""
    vault = abi.at(chain, "CreditVault", deployment.vault)
    free, _locked = vault.call("depositOf", deployment.escrow, deployment.token, address)
    return int(free)
