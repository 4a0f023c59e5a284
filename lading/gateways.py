"""Which gateways are known, for whom, and from when until when: the view of the registry that stages read offline.

`Gateways` is the port: a file here, the registry on chain elsewhere. The file is JSON,
`{"gateways": [{"key": "<x ‖ y in hex>", "tenant": "demo", "valid_from_ms": 0, "valid_until_ms": null,
"name": "truck-1"}]}`, written whole and renamed into place, and read again when it changes.
"""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Protocol

from lading.cose import KEY_BYTES, PublicKey, gateway_id_of
from lading.errors import LadingError, ServiceError
from lading.fields import TIME_MS_MAX
from lading.names import tenant_id

GATEWAYS_MAX = 1_000_000
NAME_CHARS_MAX = 64
ENTRIES_CACHED_MAX = 8_192


@dataclass(frozen=True)
class GatewayEntry:
    """One enrolled gateway. Its key speaks for times from valid_from_ms until before valid_until_ms (None: open)."""

    public: PublicKey
    tenant: str
    valid_from_ms: int = 0
    valid_until_ms: int | None = None
    name: str = ""


class Gateways(Protocol):
    """A view of the gateway registry."""

    def find(self, gateway_id: bytes) -> GatewayEntry | None:
        """The gateway's entry, if it is enrolled."""


class GatewayFile:
    """The gateways in a JSON file; a changed file is read again on the next `find`. A missing file knows none.

    May be shared by threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._rows: dict[bytes, _Row] = {}
        self._entries: dict[bytes, GatewayEntry] = {}

    def find(self, gateway_id: bytes) -> GatewayEntry | None:
        """See `Gateways.find`. ServiceError `gateways_file` when the file is not what it should be."""
        with self._lock:
            self._refresh()
            entry = self._entries.get(gateway_id)
            row = self._rows.get(gateway_id)
            if entry is None and row is not None:
                if len(self._entries) >= ENTRIES_CACHED_MAX:
                    self._entries.clear()
                entry = self._entries[gateway_id] = self._entry(row)
            return entry

    def tenant_of(self, gateway_id: bytes) -> str:
        """The gateway's tenant; ServiceError `gateway_unknown`."""
        entry = self.find(gateway_id)
        if entry is None:
            raise ServiceError("gateway_unknown", f"{gateway_id.hex()} is not in {self._path}")
        return entry.tenant

    def all(self) -> list[GatewayEntry]:
        """Every entry, in the file's order."""
        with self._lock:
            self._refresh()
            return [self._entry(row) for row in self._rows.values()]

    def _entry(self, row: "_Row") -> GatewayEntry:
        try:
            return GatewayEntry(PublicKey.decode(row.key), *row[1:])
        except LadingError as exc:
            raise ServiceError("gateways_file", f"{self._path}: {exc}") from exc

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._rows, self._entries = None, {}, {}
            return
        except OSError as exc:
            raise ServiceError("gateways_file", f"{self._path}: {exc}") from exc
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp != self._stamp:
            self._rows, self._entries = _read(self._path), {}
            self._stamp = stamp


class _Row(NamedTuple):
    """An entry as the file has it: a key object is kilobytes, and is made when it is needed."""

    key: bytes
    tenant: str
    valid_from_ms: int
    valid_until_ms: int | None
    name: str


def save_gateways(path: Path, entries: Iterable[GatewayEntry]) -> None:
    """Write the file anew: durable, and never half there."""
    rows = [
        {
            "key": entry.public.encode().hex(),
            "tenant": entry.tenant,
            "valid_from_ms": entry.valid_from_ms,
            "valid_until_ms": entry.valid_until_ms,
            "name": entry.name,
        }
        for entry in entries
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"gateways": rows}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read(path: Path) -> dict[bytes, _Row]:
    try:
        rows = json.loads(path.read_text("utf-8"), object_hook=_row)
        if not isinstance(rows, list) or not all(isinstance(row, _Row) for row in rows):
            raise ValueError("no object with a list of gateways")
        if len(rows) > GATEWAYS_MAX:
            raise ValueError(f"{len(rows)} gateways, wanted at most {GATEWAYS_MAX}")
        return {gateway_id_of(row.key): row for row in rows}
    except KeyError as exc:
        raise ServiceError("gateways_file", f"{path}: a gateway without {exc}") from exc
    except (OSError, ValueError, TypeError, LadingError) as exc:
        raise ServiceError("gateways_file", f"{path}: {exc}") from exc


def _row(row: dict[str, Any]) -> Any:
    """Called for each object as it is read, so that only the rows stay; the outermost gives its list."""
    if set(row) == {"gateways"}:
        return row["gateways"]
    unknown = set(row) - {"key", "tenant", "valid_from_ms", "valid_until_ms", "name"}
    if unknown:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    tenant_id(row["tenant"])
    valid_from_ms, valid_until_ms = row.get("valid_from_ms", 0), row.get("valid_until_ms")
    for time_ms in (valid_from_ms, 0 if valid_until_ms is None else valid_until_ms):
        if not isinstance(time_ms, int) or not 0 <= time_ms <= TIME_MS_MAX:
            raise ValueError(f"time {time_ms!r}, wanted milliseconds from 0 to {TIME_MS_MAX}")
    key = bytes.fromhex(row["key"])
    if len(key) != KEY_BYTES:
        raise ValueError(f"key of {len(key)} bytes, wanted {KEY_BYTES}")
    name = str(row.get("name", ""))[:NAME_CHARS_MAX]
    return _Row(key, sys.intern(row["tenant"]), valid_from_ms, valid_until_ms, name)
