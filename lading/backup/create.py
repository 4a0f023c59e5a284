"""Making a backup beside the running stages.

The order makes it whole (docs/operations.md has the reasons): what the broker holds; the stages' states; then the log,
so that no state has followed further than the log goes; then a local chain, which like a real one is never behind the
log; then the archive's files of the batches that this log says are archived; keys and lists last.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from lading import sqlite, topics
from lading.backup.manifest import Copied, Manifest, Positions, digest_of
from lading.backup.stores import Site, Source
from lading.batch import BatchRecord
from lading.errors import ServiceError
from lading.log import Log, OpenLog, SqliteLog, wall_ms
from lading.opening import open_log
from lading.settings import load_shared

READ_RECORDS = 1_000
ARCHIVE_GROUP = "archive"
_ORDER = ("store", "log", "chain", "archive", "file", "key", "config")

Note = Callable[[str], None]


def create(config: Path, dest: Path, *, with_keys: bool, note: Note) -> Manifest:
    """Copy an installation into a new folder. ServiceError: nothing is left under its name."""
    shared = load_shared(config)
    draft = dest.with_name(dest.name + ".unfinished")
    for path in (dest, draft):
        if path.exists():
            raise ServiceError("backup", f"{path} is there already, wanted a new folder")
    if dest.resolve().is_relative_to(shared.lading.data.resolve()):
        raise ServiceError(
            "backup", f"{dest} is in the data folder, which later backups copy: wanted another"
        )
    try:
        draft.mkdir(parents=True, mode=0o700)
        manifest = _fill(Site.of(config, shared), draft, with_keys=with_keys, note=note)
        manifest.write(draft)
        _sync(draft)
        draft.rename(dest)
        _sync_path(dest.parent)
    except OSError as exc:
        raise ServiceError("backup", f"{draft}: {exc}") from exc
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def _fill(site: Site, dest: Path, *, with_keys: bool, note: Note) -> Manifest:
    sources, left_out = site.sources(with_keys=with_keys)
    sources.sort(key=lambda one: (_ORDER.index(one.kind), one.path != site.broker_store))
    copied: list[Copied] = []
    ends: Positions = {}
    for kind in _ORDER:
        if kind == "archive":
            ends = _log_ends(site, dest, sources)
            sources_now = _archive_sources(site, dest, sources)
        else:
            sources_now = [one for one in sources if one.kind == kind]
        for source in sources_now:
            note(f"{source.kind} {source.path}")
            copied.append(_copy(source, dest))
    data = site.shared.lading.data
    return Manifest(
        wall_ms(),
        str(data.relative_to(site.config.parent)) if data.is_relative_to(site.config.parent) else str(data),
        site.shared.log.kind,
        ends,
        tuple(copied),
        tuple(left_out),
    )


def _copy(source: Source, dest: Path) -> Copied:
    path = dest / source.place
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if source.kind in ("store", "log", "chain"):
        _copy_sqlite(source.path, path)
    elif source.kind == "archive":
        _link_or_copy(source.path, path)
    else:
        shutil.copyfile(source.path, path)
    if source.kind != "archive":  # its files may be links, whose mode is the original's
        path.chmod(0o600)
    return Copied(source.place, source.kind, path.stat().st_size, digest_of(path), source.original)


def _copy_sqlite(source: Path, dest: Path) -> None:
    """SQLite's online backup in one read of the file: as it was at one instant, whoever writes it meanwhile."""
    try:
        with closing(sqlite.connect_beside(source)) as old, closing(sqlite3.connect(dest)) as new:
            old.backup(new, pages=-1)
            new.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
    except sqlite3.Error as exc:
        raise ServiceError("backup_store", f"{source}: {exc}") from exc


def _link_or_copy(source: Path, dest: Path) -> None:
    """Archive files never change; a link costs nothing where the disk is the same."""
    try:
        os.link(source, dest)
    except OSError:
        shutil.copyfile(source, dest)


def _log_ends(site: Site, dest: Path, sources: list[Source]) -> Positions:
    """Where the log's topics end: in the copy, or with a broker's log now, after the states were copied."""
    log = _log_of(site, dest, sources)
    try:
        return {topic: log.end(topic) for topic in topics.LOG_TOPICS}
    finally:
        log.close()


def _archive_sources(site: Site, dest: Path, sources: list[Source]) -> list[Source]:
    """The files of every batch that the log says is archived; newer ones have no place in this log."""
    log = _log_of(site, dest, sources)
    try:
        locations = _archived(log)
    finally:
        log.close()
    paths = [site.archive / f"{location}" for location in locations]
    paths += [path.with_suffix(".frames") for path in paths]
    paths += sorted(site.archive.glob("*.jsonl"))
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ServiceError(
            "backup_archive",
            f"{missing[0]} and {len(missing) - 1} more are not there, though the log says that they are archived: "
            "`lading archive rebuild` writes them again",
        )
    is_below = site.archive.is_relative_to(site.shared.lading.data)
    top = f"data/{site.archive.relative_to(site.shared.lading.data)}" if is_below else "outside/archive"
    return [
        Source(
            path,
            "archive",
            f"{top}/{path.relative_to(site.archive)}",
            "" if is_below else str(path),
        )
        for path in sorted(paths)
    ]


def _archived(log: Log) -> list[str]:
    done = log.committed(ARCHIVE_GROUP, topics.BATCHES)
    found: list[str] = []
    positions: dict[int, int] = {}
    while records := log.read(topics.BATCHES, positions, READ_RECORDS):
        for record in records:
            positions[record.partition] = record.offset + 1
            if record.offset < done.get(record.partition, 0):
                found.append(BatchRecord.decode(record.value).location)
    return found


def _log_of(site: Site, dest: Path, sources: list[Source]) -> OpenLog:
    copied = next((one for one in sources if one.kind == "log"), None)
    if site.shared.log.kind != "sqlite":
        return open_log(site.shared)
    if copied is None:
        raise ServiceError("backup", f"{site.log}: there is no log, wanted an installation that has run")
    return SqliteLog(dest / copied.place, is_still=True)


def _sync(folder: Path) -> None:
    for here, _, names in os.walk(folder):
        for name in names:
            _sync_path(Path(here) / name)
        _sync_path(Path(here))


def _sync_path(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
