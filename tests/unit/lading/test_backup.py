"""Promises of backups: whole while stages write, refused when damaged or mixed, and never a gateway's own past."""

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.outbox import Outbox
from ingest.archive import Archive
from ingest.stage import Ingest
from lading import topics
from lading.backup.create import create
from lading.backup.manifest import Manifest, digest_of
from lading.backup.restore import NUMBERS_SKIPPED, restore, verify
from lading.batch import BatchLeaf, BatchRecord, location
from lading.decoding import decode_frame
from lading.errors import LadingError, ProofError, ServiceError
from lading.gateways import GatewayFile, save_gateways
from lading.log import SqliteLog
from lading.names import tenant_id
from lading.settings import load_shared
from lading.tree import ZERO_HASH, root, sha256
from tests.unit.ingest.truck import OPERATOR, OPERATORS, TENANT, Truck

FRAMES = 6


class World:
    """A data folder as stages fill it: a log, ingest's state, a batch in the archive, keys, an outbox."""

    def __init__(self, folder: Path, log: str = "log.sqlite") -> None:
        self.folder = folder
        self.config = folder / "lading.toml"
        self.data = folder / "data"
        self.truck = Truck()
        (self.data / "keys").mkdir(parents=True)
        self.config.write_text(f'[lading]\ntenant = "{TENANT}"\ndata = "data"\n[log]\npath = "{log}"\n')
        OPERATOR.save(self.data / "operator.pem")
        self.truck.signer.save(self.data / "keys" / "truck-1.pem")
        save_gateways(self.data / "gateways.json", [self.truck.entry()])
        (self.data / "edge" / "truck-1").mkdir(parents=True)
        Outbox(self.data / "edge" / "truck-1" / "outbox.sqlite", self.truck.id).close()
        self.log = SqliteLog(load_shared(self.config).lading.below(Path(log)))
        self.ingest = self.open_ingest(self.data, self.log)
        self.messages = [(self.truck.order_topic, self.truck.order())]
        self.messages += [(self.truck.topic, self.truck.frame().encode()) for _ in range(FRAMES)]
        self.ingest.take(self.messages)
        self._archive()

    @staticmethod
    def open_ingest(data: Path, log: SqliteLog) -> Ingest:
        return Ingest(log, data / "ingest.sqlite", GatewayFile(data / "gateways.json"), OPERATORS)

    def send(self, count: int = 1) -> None:
        """More frames into the log."""
        new = [(self.truck.topic, self.truck.frame().encode()) for _ in range(count)]
        self.messages += new
        self.ingest.take(new)

    def back_up(self, name: str = "backup", *, with_keys: bool = True) -> Path:
        dest = self.folder / name
        create(self.config, dest, with_keys=with_keys, note=lambda line: None)
        return dest

    def close(self) -> None:
        self.ingest.close()
        self.log.close()

    def _archive(self) -> None:
        records = self.log.read(topics.FRAMES, {}, 1_000)
        place = location(TENANT, 1)
        frames = root([decode_frame(record.value).header.hash for record in records])
        leaf = BatchLeaf(
            tenant_id(TENANT), 1, frames, len(records), 0, 2**40, ZERO_HASH, sha256(place.encode())
        )
        record = BatchRecord(leaf, TENANT, 1, ((0, 0, len(records) - 1),), 0, 1, ())
        self.log.append(topics.BATCHES, [(leaf.tenant, record.encode())])
        assert Archive(self.log, self.data / "archive", lambda gateway: TENANT).step()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    one = World(tmp_path / "old")
    yield one
    one.close()


def log_of(data: Path) -> list[bytes]:
    log = SqliteLog(data / "log.sqlite")
    found = [record.value for record in log.read(topics.FRAMES, {}, 10_000)]
    log.close()
    return found


def test_what_was_acknowledged_is_put_back_and_goes_on(world: World, tmp_path: Path) -> None:
    """Log, states, archive, lists and keys are there again; the stage opens them and takes what comes next."""
    backup = world.back_up()
    verify(backup)
    config = restore(backup, tmp_path / "new", None, lambda line: None)
    data = load_shared(config).lading.data
    assert data == tmp_path / "new" / "data"
    assert log_of(data) == [message for _, message in world.messages[1:]]
    for name in ("00000001.parquet", "00000001.frames"):
        assert (data / "archive" / TENANT / name).read_bytes() == (
            world.data / "archive" / TENANT / name
        ).read_bytes()
    assert (data / "operator.pem").stat().st_mode & 0o777 == 0o600
    log = SqliteLog(data / "log.sqlite")
    stage = world.open_ingest(data, log)
    again, new = world.messages[-1], (world.truck.topic, world.truck.frame().encode())
    assert [outcome.action for outcome in stage.take([again, new])] == ["dropped", "taken"]
    stage.close()
    log.close()


def test_no_gateway_is_put_back(world: World, tmp_path: Path) -> None:
    """Neither its outbox nor its key: either would sign numbers again. The manifest says so."""
    manifest = Manifest.read(world.back_up())
    assert {Path(one.path).name for one in manifest.left_out} == {"edge", "truck-1.pem"}
    assert all("number" in one.reason or "frame 0" in one.reason for one in manifest.left_out)
    restore(world.folder / "backup", tmp_path / "new", None, lambda line: None)
    assert not list((tmp_path / "new").rglob("outbox*"))
    assert not list((tmp_path / "new").rglob("truck-1.pem"))


def test_order_numbers_that_may_have_been_used_are_passed_over(world: World, tmp_path: Path) -> None:
    """Whatever was ordered since the backup: the next number is another, also of a gateway that had none."""
    restore(world.back_up(), tmp_path / "new", None, lambda line: None)
    issued = json.loads((tmp_path / "new" / "data" / "orders.json").read_text())
    assert issued == {world.truck.id.hex(): NUMBERS_SKIPPED}


def test_a_restore_that_breaks_off_leaves_no_data_folder(world: World, tmp_path: Path) -> None:
    """Before the numbers are passed over nothing stands where a stage would begin with it."""
    (world.data / "orders.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        restore(world.back_up(), tmp_path / "new", None, lambda line: None)
    assert not (tmp_path / "new" / "data").exists()


def test_keys_can_stay_out(world: World) -> None:
    """`--without-keys`: no private key is anywhere in the copy."""
    backup = world.back_up(with_keys=False)
    assert not [path for path in backup.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]


def test_only_the_owner_reads_a_backup(world: World) -> None:
    """The folder is closed to others, and so is every file but the archive's, which may be links."""
    backup = world.back_up()
    assert backup.stat().st_mode & 0o777 == 0o700
    modes = {path.stat().st_mode & 0o077 for path in (backup / "data").glob("*") if path.is_file()}
    assert modes == {0}


def test_damage_is_found_wherever_it_is(world: World, tmp_path: Path) -> None:
    """One byte of any file changed, cut or missing, or a file added: refused, and nothing is put back."""
    backup = world.back_up()
    paths = sorted(path.relative_to(backup) for path in backup.rglob("*") if path.is_file())
    assert len(paths) >= 8
    for number, path in enumerate(paths):
        for harm in ("flip", "cut", "remove"):
            copy = tmp_path / f"{harm}-{number}"
            shutil.copytree(backup, copy)
            data = bytearray((copy / path).read_bytes())
            data[len(data) // 2] ^= 1
            if harm == "remove":
                (copy / path).unlink()
            else:
                (copy / path).write_bytes(data if harm == "flip" else data[:-1])
            with pytest.raises(LadingError):
                restore(copy, tmp_path / "new", None, lambda line: None)
            shutil.rmtree(copy)
    (backup / "data" / "more").write_bytes(b"")
    with pytest.raises(ProofError, match="has besides"):
        verify(backup)
    assert not (tmp_path / "new").exists()


def test_a_state_of_a_later_log_is_refused(world: World) -> None:
    """Files of two backups with a manifest made to fit: the state has followed further than the log goes."""
    first = world.back_up("first")
    world.send(3)
    second = world.back_up("second")
    later = second / "data" / "ingest.sqlite"
    shutil.copyfile(later, first / "data" / "ingest.sqlite")
    manifest = Manifest.read(first)
    files = tuple(
        replace(file, bytes=later.stat().st_size, sha256=digest_of(later))
        if file.path == "data/ingest.sqlite"
        else file
        for file in manifest.files
    )
    replace(manifest, files=files).write(first)
    with pytest.raises(ProofError, match=r"backup_mixed.*lading\.frames\.v1"):
        verify(first)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "data/../../x", ""])
def test_a_manifest_cannot_name_a_place_outside(world: World, path: str) -> None:
    """Paths that leave the backup's folder are refused before anything is read."""
    backup = world.back_up()
    manifest = Manifest.read(backup)
    replace(manifest, files=(replace(manifest.files[0], path=path), *manifest.files[1:])).write(backup)
    with pytest.raises(LadingError, match="leaves the backup"):
        verify(backup)


def test_nothing_is_overwritten(world: World, tmp_path: Path) -> None:
    """Neither an old backup by a new one, nor an installation by a backup."""
    backup = world.back_up()
    with pytest.raises(ServiceError, match="there already"):
        world.back_up()
    with pytest.raises(ServiceError, match="there already"):
        restore(backup, world.folder, None, lambda line: None)
    (tmp_path / "new" / "data").mkdir(parents=True)
    (tmp_path / "new" / "data" / "log.sqlite").write_bytes(b"other")
    with pytest.raises(ServiceError, match="there already"):
        restore(backup, tmp_path / "new", None, lambda line: None)


def test_no_backup_lies_in_what_it_copies(world: World) -> None:
    """One in the data folder would be in every later one, and a restore into a backup would damage it."""
    with pytest.raises(ServiceError, match="in the data folder"):
        create(world.config, world.data / "backup", with_keys=True, note=lambda line: None)
    backup = world.back_up()
    with pytest.raises(ServiceError, match="in the backup"):
        restore(backup, backup / "new", None, lambda line: None)
    verify(backup)


def test_stores_outside_of_the_data_folder_are_copied(tmp_path: Path) -> None:
    """A log on a disk of its own is in the backup, and goes back to where it was, if nothing is there."""
    world = World(tmp_path / "old", str(tmp_path / "fast" / "log.sqlite"))
    backup = world.back_up()
    world.close()
    with pytest.raises(ServiceError, match="fast"):
        restore(backup, tmp_path / "new", None, lambda line: None)
    shutil.rmtree(tmp_path / "fast")
    restore(backup, tmp_path / "new", None, lambda line: None)
    assert len(log_of(tmp_path / "fast")) == FRAMES


def test_backups_under_load_are_whole(world: World, tmp_path: Path) -> None:
    """Ten backups while frames go in: each opens, lacks nothing of before it began, and takes the rest once."""
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            world.send(5)

    thread = threading.Thread(target=load)
    thread.start()
    before: list[int] = []
    try:
        for number in range(10):
            before.append(len(world.messages) - 5)
            world.back_up(f"backup-{number}")
    finally:
        stop.set()
        thread.join()
    everything = [message for _, message in world.messages[1:]]
    assert len(everything) > FRAMES + 10
    for number, count in enumerate(before):
        dest = tmp_path / f"new-{number}"
        restore(world.folder / f"backup-{number}", dest, None, lambda line: None)
        assert len(log_of(dest / "data")) >= count - 1
        log = SqliteLog(dest / "data" / "log.sqlite")
        stage = world.open_ingest(dest / "data", log)
        stage.take(world.messages)
        stage.close()
        log.close()
        assert log_of(dest / "data") == everything


def test_a_backup_that_breaks_off_leaves_nothing(world: World) -> None:
    """No room: the command says so and fails; there is no half backup under the name or beside it."""
    world.send(200)
    command = [sys.executable, "-m", "lading.cli", "backup", "create", "backup"]
    done = subprocess.run(
        command,
        cwd=world.folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024)),
    )
    assert done.returncode == 2
    assert "backup" in done.stderr
    assert sorted(os.listdir(world.folder)) == ["data", "lading.toml"]


def test_an_archive_that_lacks_files_is_said(world: World) -> None:
    """The log says that a batch is archived, and its file is gone: no backup is made of that."""
    (world.data / "archive" / TENANT / "00000001.frames").unlink()
    with pytest.raises(ServiceError, match="archive rebuild"):
        world.back_up()
