"""The files of an installation, by what they are and how they are copied."""

import os
import sqlite3
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lading import sqlite
from lading.backup.manifest import LeftOut, Positions
from lading.cose import KeySigner
from lading.errors import LadingError, ServiceError
from lading.opening import open_gateways
from lading.settings import Shared

_SQLITE_HEAD = b"SQLite format 3\0"
_PASSING = ("-wal", "-shm", "-journal", ".lock", ".new", ".partial", ".reserve")
_KEY_SUFFIXES = (".key", ".token", ".password")
KEY_BYTES_MAX = 64 * 1024
WHY_NO_EDGE = (
    "a gateway's outbox put back would sign numbers again that it has signed, and two frames of one number prove a "
    "stolen key"
)
WHY_NO_GATEWAY_KEY = (
    "a key without its outbox would begin at frame 0 again; make the gateway a new key instead"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A file to copy: what it is, and where it goes below the backup."""

    path: Path
    kind: str
    place: str
    original: str = ""


@dataclass(frozen=True)
class Site:
    """Where the stores of an installation are, by its settings."""

    config: Path
    shared: Shared
    log: Path
    broker_store: Path
    archive: Path
    edge: Path
    elsewhere: tuple[Path, ...]  # files that settings name outside of the data folder

    @staticmethod
    def of(config: Path, shared: Shared) -> "Site":
        """From the settings file; tables are read as they stand, since stages' models are the stages'."""
        tables = tomllib.loads(config.read_text("utf-8-sig"))

        def below(stage: str, key: str, default: str) -> Path:
            return shared.lading.below(Path(_text(tables.get(stage, {}).get(key), default)))

        data = shared.lading.data.resolve()
        named = {Path(text) for text in _texts(tables) if os.path.isabs(text)}
        outside = {path for path in named if path.is_file() and data not in path.resolve().parents}
        return Site(
            config,
            shared,
            shared.lading.below(shared.log.path),
            below("ingest", "broker_store", "broker.sqlite"),
            below("ingest", "archive", "archive"),
            below("edge", "folder", "edge"),
            tuple(sorted(outside)),
        )

    def sources(self, *, with_keys: bool) -> tuple[list[Source], list[LeftOut]]:
        """Every file but the archive's batches, in no order; and what stays here."""
        gateways = {entry.public.gateway_id for entry in open_gateways(self.shared).all()}
        found: list[Source] = [Source(self.config, "config", "lading.toml")]
        left_out: list[LeftOut] = [LeftOut(str(self.edge), WHY_NO_EDGE)] if self.edge.exists() else []
        for path, place, original in self._files():
            kind = self._kind(path)
            if kind == "key" and _is_gateway_key(path, gateways):
                left_out.append(LeftOut(str(path), WHY_NO_GATEWAY_KEY))
            elif kind == "key" and not with_keys:
                left_out.append(LeftOut(str(path), "keys were left out by request"))
            else:
                found.append(Source(path, kind, place, original))
        return found, left_out

    def _files(self) -> Iterator[tuple[Path, str, str]]:
        """(path, place in the backup, where it was if outside of the data folder)."""
        data = self.shared.lading.data
        for folder, folders, names in os.walk(data):
            here = Path(folder)
            folders[:] = sorted(name for name in folders if here / name not in (self.edge, self.archive))
            for name in sorted(names):
                path = here / name
                if not name.endswith(_PASSING) and path.is_file() and not path.is_symlink():
                    yield path, f"data/{path.relative_to(data)}", ""
        for number, path in enumerate(self.elsewhere):
            yield path, f"outside/{number:03d}-{path.name}", str(path)

    def _kind(self, path: Path) -> str:
        with path.open("rb") as file:
            head = file.read(KEY_BYTES_MAX)
        if not head.startswith(_SQLITE_HEAD):
            is_key = path.name.endswith(_KEY_SUFFIXES) or b"PRIVATE KEY" in head
            return "key" if is_key else "file"
        if path.resolve() == self.log.resolve():
            return "log"
        return "chain" if {"genesis", "blocks"} <= tables_of(path) else "store"


def tables_of(path: Path) -> set[str]:
    """Names of a SQLite file's tables."""
    db = sqlite.connect_beside(path)
    try:
        return {str(row[0]) for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as exc:
        raise ServiceError("backup_store", f"{path}: {exc}") from exc
    finally:
        db.close()


def positions_of(path: Path) -> Positions:
    """Up to where a copied state has followed the log; empty for a store that does not."""
    db = sqlite.connect_still(path)
    try:
        columns = [str(row[1]) for row in db.execute("PRAGMA table_info(positions)")]
        if columns[:2] != ["topic", "partition"]:
            return {}
        found: Positions = {}
        for topic, partition, position in db.execute(f"SELECT topic, partition, {columns[2]} FROM positions"):
            found.setdefault(topic, {})[int(partition)] = int(position)
    except sqlite3.Error as exc:
        raise ServiceError("backup_store", f"{path}: {exc}") from exc
    finally:
        db.close()
    return found


def _is_gateway_key(path: Path, gateways: set[bytes]) -> bool:
    try:
        return KeySigner.load(path).public.gateway_id in gateways
    except LadingError:
        return False


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _text(value: object, default: str) -> str:
    return value if isinstance(value, str) else default
