"""Key files of the accounts that one machine plays: made where they are missing, never overwritten."""

from pathlib import Path

from lading.account import Account
from lading.chain import Chain
from lading.errors import LadingError, ServiceError
from lading.settings import Shared

OPERATORS = ("deployer", "carrier", "shipper")
BALANCE_WEI_MIN, BALANCE_WEI = 10**18, 10**21  # of test ether


def key_paths(shared: Shared, anchoring: Path, settle: Path) -> dict[str, Path]:
    """By account: the stages' where their tables say, the rest beside the operator's key."""
    own = {"anchor": shared.lading.below(anchoring), "settle": shared.lading.below(settle)}
    return {name: shared.lading.beside_operator(Path(f"{name}.key")) for name in OPERATORS} | own


def ensure_keys(paths: dict[str, Path]) -> dict[str, Account]:
    """The accounts by name, each in a file with mode 0600."""
    found = {}
    for name, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            Account.generate().save(path)
        found[name] = Account.load(path)
    return found


def fund_for_tests(chain: Chain, accounts: dict[str, Account]) -> int:
    """Ether out of nothing for accounts that have less than one, which only a node for tests gives; for how many.

    ServiceError `test_ether` where the node does not.
    """
    poor = [one for one in accounts.values() if chain.balance(one.address) < BALANCE_WEI_MIN]
    for account in poor:
        try:
            chain.rpc.request("anvil_setBalance", [f"0x{account.address.hex()}", hex(BALANCE_WEI)])
        except LadingError as exc:
            raise ServiceError("test_ether", f"the node gives none: {exc}") from exc
    return len(poor)
