"""Checking a backup, and putting it into a folder where nothing is."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lading import topics
from lading.backup.manifest import DIGEST, NAME, Copied, Manifest, digest_of
from lading.backup.stores import positions_of
from lading.batch import BatchRecord
from lading.errors import ProofError, ServiceError
from lading.gateways import GatewayFile
from lading.log import SqliteLog, wall_ms
from lading.restored import Restored
from lading.settings import LadingSettings, load_shared
from lading.terminal import shown_time

NUMBERS_SKIPPED = 1_000  # orders of a gateway that may have been given since the backup
READ_RECORDS = 1_000

Note = Callable[[str], None]


def verify(folder: Path) -> Manifest:
    """Every file is there as it was copied, none is added, and no state is of a later log. ProofError says which."""
    manifest = Manifest.read(folder)
    known = {file.path for file in manifest.files} | {NAME, DIGEST}
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    for name, paths in (("lacks", known - there), ("has besides", there - known)):
        if paths:
            raise ProofError("backup_damaged", f"{folder} {name} {', '.join(sorted(paths)[:5])}")
    for file in manifest.files:
        _check_file(folder, file)
    for file in manifest.of_kind("store"):
        _check_positions(manifest, folder / file.path)
    return manifest


def _check_file(folder: Path, file: Copied) -> None:
    path = folder / file.path
    size = path.stat().st_size
    if size != file.bytes:
        raise ProofError("backup_damaged", f"{path}: {size} bytes, wanted {file.bytes}")
    found = digest_of(path)
    if found != file.sha256:
        raise ProofError("backup_damaged", f"{path}: SHA-256 {found}, wanted {file.sha256}")


def _check_positions(manifest: Manifest, path: Path) -> None:
    """A state that has followed the log further than the log goes is of another backup."""
    for topic, positions in positions_of(path).items():
        for partition, position in positions.items():
            end = manifest.log_ends.get(topic, {}).get(partition, 0)
            if position > end and topic in manifest.log_ends:
                raise ProofError(
                    "backup_mixed",
                    f"{path}: has followed {topic}:{partition} to {position}, the log ends at {end}",
                )


def restore(folder: Path, dest: Path, data: Path | None, note: Note) -> Path:
    """Put a backup into `dest`, its data folder where its settings say or at `data`; the settings file's path."""
    manifest = verify(folder)
    config, target = dest / "lading.toml", dest / (data or manifest.data)
    outside = [file for file in manifest.files if file.original]
    for path in (config, target):
        if path.resolve().is_relative_to(folder.resolve()):
            raise ServiceError("restore", f"{path} is in the backup, wanted a place outside of it")
    for path in (config, target, *(Path(file.original) for file in outside)):
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise ServiceError("restore", f"{path} is there already, wanted a place where nothing is")
    draft = target.with_name(target.name + ".unfinished")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        for file in manifest.files:
            _put(folder / file.path, _place(file, draft, config))
        _move_on(manifest, load_shared(config).lading.model_copy(update={"data": draft}))
        if target.exists():
            target.rmdir()
        draft.rename(target)
    except OSError as exc:
        raise ServiceError("restore", f"{dest}: {exc}") from exc
    note(f"{len(manifest.files)} files of {shown_time(manifest.created_ms)} in {target}")
    return config


def _place(file: Copied, data: Path, config: Path) -> Path:
    if file.kind == "config":
        return config
    return Path(file.original) if file.original else data / Path(file.path).relative_to("data")


def _put(source: Path, dest: Path) -> None:
    dest.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, dest)
    dest.chmod(0o600)
    with dest.open("rb") as file:
        os.fsync(file.fileno())


def _move_on(manifest: Manifest, lading: LadingSettings) -> None:
    """Pass over numbers that may have been used since the backup: of orders, and of intervals on the chain."""
    gateways, orders = lading.below(lading.gateways), lading.beside_operator(Path("orders.json"))
    if gateways.exists():
        issued: dict[str, int] = json.loads(orders.read_text()) if orders.exists() else {}
        ids = {entry.public.gateway_id.hex() for entry in GatewayFile(gateways).all()} | set(issued)
        orders.write_text(json.dumps({one: issued.get(one, 0) + NUMBERS_SKIPPED for one in sorted(ids)}))
    for log in manifest.of_kind("log"):
        path = _place(log, lading.data, Path())
        Restored(_interval_last(path), manifest.created_ms, wall_ms()).save(lading.data)


def _interval_last(path: Path) -> int:
    """The newest interval that the log has; 0 before the first."""
    log, newest = SqliteLog(path, is_still=True), 0
    positions: dict[int, int] = {}
    while records := log.read(topics.BATCHES, positions, READ_RECORDS):
        for record in records:
            positions[record.partition] = record.offset + 1
            newest = max(newest, BatchRecord.decode(record.value).interval)
    log.close()
    return newest
