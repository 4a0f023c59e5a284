"""Where the contracts are: deployment.json, written by `lading anchoring deploy`, read by all who use the chain."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lading.errors import MalformedError, ServiceError

ADDRESS_BYTES = 20
FILE_BYTES_MAX = 65_536
_NAMES = ("gateways", "anchors", "vault", "escrow", "token")


@dataclass(frozen=True, slots=True)
class Deployment:
    """Contract addresses on one chain; `block` is the first block that can hold their events."""

    chain_id: int
    block: int
    gateways: bytes
    anchors: bytes
    vault: bytes
    escrow: bytes
    token: bytes

    def save(self, path: Path) -> None:
        """Write the file whole, or leave the old one."""
        document = {
            name: f"0x{value.hex()}" if isinstance(value, bytes) else value
            for name, value in asdict(self).items()
        }
        draft = path.with_name(path.name + ".new")
        draft.write_text(json.dumps(document, indent=2) + "\n")
        draft.replace(path)

    @staticmethod
    def load(path: Path) -> "Deployment":
        """ServiceError `deployment` when there is none; MalformedError when it is another thing."""
        try:
            text = path.read_text()
        except OSError as exc:
            raise ServiceError(
                "deployment", f"{path}: {exc.strerror}; `lading anchoring deploy` writes one"
            ) from exc
        if len(text) > FILE_BYTES_MAX:
            raise MalformedError(
                "deployment", f"{path}: {len(text)} characters, wanted at most {FILE_BYTES_MAX}"
            )
        try:
            document = json.loads(text)
            addresses = {name: bytes.fromhex(document[name].removeprefix("0x")) for name in _NAMES}
            deployment = Deployment(int(document["chain_id"]), int(document["block"]), **addresses)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise MalformedError("deployment", f"{path}: {exc!r}") from exc
        short = [name for name, address in addresses.items() if len(address) != ADDRESS_BYTES]
        if short:
            raise MalformedError(
                "deployment", f"{path}: {', '.join(short)} no addresses of {ADDRESS_BYTES} bytes"
            )
        return deployment
