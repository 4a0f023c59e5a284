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
    """What the vault owes an address."""
    credit: int = abi.at(chain, "CreditVault", deployment.vault).call("creditOf", deployment.token, address)
    return credit


def withdraw(chain: Chain, deployment: Deployment, account: Account) -> int:
    """Take all of the account's credit out, to itself; how much."""
    amount = credit_of(chain, deployment, account.address)
    if amount:
        vault = abi.at(chain, "CreditVault", deployment.vault)
        Wallet(chain, account).transact(vault, "withdraw", deployment.token, amount, account.address)
    return amount


def balance_of(chain: Chain, deployment: Deployment, address: bytes) -> int:
    """Tokens an address holds itself."""
    balance: int = abi.at(chain, "MockToken", deployment.token).call("balanceOf", address)
    return balance
