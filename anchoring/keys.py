"""Key files of the accounts that one machine plays: made where they are missing, never overwritten."""

from pathlib import Path

from lading.account import Account

NAMES = ("deployer", "anchor", "settle", "carrier", "shipper")


def ensure_keys(folder: Path) -> dict[str, Account]:
    """The accounts of a data folder, by name; `<name>.key` with mode 0600 each."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in NAMES:
        path = folder / f"{name}.key"
        if not path.exists():
            Account.generate().save(path)
        found[name] = Account.load(path)
    return found
