"""Where the contracts are: deployment.json, written by `lading anchoring deploy`, read by all who use the chain."""

import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lading.errors import MalformedError, ServiceError

ADDRESS_BYTES = 20
FILE_BYTES_MAX = 65_536
ESCROWS_BEFORE_MAX = 16
_NAMES = ("gateways", "anchors", "vault", "escrow", "token")
_OPTIONAL = ("cover", "manager")


@dataclass(frozen=True, slots=True)
class Deployment:
    """Contract addresses on one chain; `block` is the first block that can hold their events.

    `cover`: the insurance, where there is one. `manager`: the AccessManager that administers, None under direct keys.
    `escrows_before`: escrows of earlier versions, oldest first, whose open agreements are still served.
    """

    chain_id: int
    block: int
    gateways: bytes
    anchors: bytes
    vault: bytes
    escrow: bytes
    token: bytes
    cover: bytes | None = None
    manager: bytes | None = None
    escrows_before: tuple[bytes, ...] = ()

    def save(self, path: Path) -> None:
        """Write the file whole, or leave the old one."""
        document = {name: _written(value) for name, value in asdict(self).items() if value not in (None, ())}
        draft = path.with_name(path.name + ".new")
        draft.write_text(json.dumps(document, indent=2) + "\n")
        draft.replace(path)

    @staticmethod
    def load(path: Path) -> "Deployment":
        """ServiceError `deployment` when there is none; MalformedError when it is another thing."""
        try:
            text = path.read_text("utf-8")
        except OSError as exc:
            raise ServiceError(
                "deployment", f"{path}: {exc.strerror}; `lading anchoring deploy` writes one"
            ) from exc
        except UnicodeDecodeError as exc:
            raise MalformedError("deployment", f"{path}: {exc}") from exc
        if len(text) > FILE_BYTES_MAX:
            raise MalformedError(
                "deployment", f"{path}: {len(text)} characters, wanted at most {FILE_BYTES_MAX}"
            )
        try:
            return _read(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise MalformedError("deployment", f"{path}: {exc!r}") from exc


@cache
def known_deployments() -> dict[int, Deployment]:
    """Deployments that everyone may use, by chain id: contracts/deployments.json; ABIs are in contracts/artifacts."""
    return read_known(json.loads((files("contracts") / "deployments.json").read_text()))


def read_known(document: dict[str, Any]) -> dict[int, Deployment]:
    """By chain id, which each entry must repeat. MalformedError otherwise."""
    try:
        found = {int(chain_id): _read(entry) for chain_id, entry in document["chains"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise MalformedError("deployment", f"contracts/deployments.json: {exc!r}") from exc
    wrong = [chain_id for chain_id, entry in found.items() if entry.chain_id != chain_id]
    if wrong:
        raise MalformedError("deployment", f"contracts/deployments.json: {wrong} name other chains inside")
    return found


def _read(document: dict[str, Any]) -> Deployment:
    """ValueError, KeyError, TypeError or AttributeError where it is another thing."""
    addresses = {name: _address(name, document[name]) for name in _NAMES}
    addresses |= {name: _address(name, document[name]) for name in _OPTIONAL if name in document}
    before = tuple(_address("escrows_before", one) for one in document.get("escrows_before", []))
    if len(before) > ESCROWS_BEFORE_MAX:
        raise ValueError(f"{len(before)} escrows_before, wanted at most {ESCROWS_BEFORE_MAX}")
    return Deployment(int(document["chain_id"]), int(document["block"]), **addresses, escrows_before=before)


def _written(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_written(one) for one in value]
    return f"0x{value.hex()}" if isinstance(value, bytes) else value


def _address(name: str, text: str) -> bytes:
    address = bytes.fromhex(text.removeprefix("0x"))
    if len(address) != ADDRESS_BYTES:
        raise ValueError(f"{name} is no address of {ADDRESS_BYTES} bytes")
    return address
