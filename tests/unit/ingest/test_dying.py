"""Killed at any write to the log, ingest and archive go on as if nothing had been: nothing lost, nothing twice."""

import fcntl
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.archive import Archive
from ingest.stage import Ingest
from lading import topics
from lading.batch import BatchLeaf, BatchRecord, location
from lading.decoding import decode_frame
from lading.frame import Frame
from lading.log import SqliteLog
from lading.names import tenant_id
from lading.tree import ZERO_HASH, root, sha256
from tests.dying import Died, DyingLog, Fuse
from tests.unit.ingest.truck import BEGIN_MS, OPERATORS, TENANT, Fleet, Truck

Message = tuple[str, bytes]


def story() -> tuple[list[Truck], list[list[Message]]]:
    """Batches with everything in them: orders, frames out of order and twice, garbage, a clone, a stranger."""
    rng = random.Random(5)
    trucks = [Truck("a", 1), Truck("b", 2)]
    messages: list[Message] = [(truck.order_topic, truck.order()) for truck in trucks]
    for truck in trucks:
        frames = truck.messages(8, 2)
        other = decode_frame(frames[3][1])
        forged = Frame(
            decode_frame(truck.frame(1).encode()).header, other.signature, other.runs
        )  # another frame's signature
        messages += [
            *frames,
            frames[2],
            (truck.topic, forged.encode()),
            (truck.topic, b"garbage " + truck.id),
        ]
    messages.append((Truck("stranger").topic, Truck("stranger").frame(0, state=0).encode()))
    rng.shuffle(messages)
    clone = Truck("a", 1, seed=9)
    clone.order()
    messages += clone.messages(2, 2)
    return trucks, [messages[at : at + 6] for at in range(0, len(messages), 6)]


def run(folder: Path, fuse: Fuse) -> dict[str, list[bytes]]:
    """Give every batch until it is taken, opening ingest anew after each death; what the log has in the end."""
    trucks, batches = story()
    log = SqliteLog(folder / "log.sqlite")

    def open_ingest() -> Ingest:
        return Ingest(
            DyingLog(log, fuse), folder / "ingest.sqlite", Fleet(*trucks), OPERATORS, now_ms=lambda: BEGIN_MS
        )

    ingest = open_ingest()
    for batch in batches:
        for _ in range(3):
            try:
                ingest.take(batch)
                break
            except Died:
                ingest.close()
                ingest = open_ingest()
    assert ingest.state.waiting_count() == 0
    for truck in trucks:
        seqs = [
            decode_frame(r.value).header.frame_seq
            for r in log.read(topics.FRAMES, {}, 99)
            if r.key == truck.id
        ]
        assert seqs == list(range(8))
    ingest.close()
    return {topic: sorted(r.value for r in log.read(topic, {}, 999)) for topic in topics.LOG_TOPICS}


def test_ingest_killed_at_any_write(tmp_path: Path) -> None:
    """However far it got, the same batch given again ends in the same log."""
    calm = Fuse()
    (tmp_path / "calm").mkdir()
    wanted = run(tmp_path / "calm", calm)
    assert len(wanted[topics.FRAMES]) == 16
    assert len(wanted[topics.CLONES]) == 2
    assert calm.burnt >= 16
    for place in range(1, calm.burnt + 1):
        folder = tmp_path / str(place)
        folder.mkdir()
        assert run(folder, Fuse(place)) == wanted, f"killed at write {place}"


@pytest.fixture
def batched(tmp_path: Path) -> SqliteLog:
    """A log with three batches of one truck."""
    truck = Truck()
    log = SqliteLog(tmp_path / "log.sqlite")
    ingest = Ingest(log, tmp_path / "ingest.sqlite", Fleet(truck), OPERATORS)
    ingest.take([(truck.order_topic, truck.order()), *truck.messages(9, 4)])
    ingest.close()
    previous = ZERO_HASH
    for seq in (1, 2, 3):
        records = log.read(topics.FRAMES, {0: 3 * seq - 3}, 3)
        hashes = [decode_frame(record.value).header.hash for record in records]
        name = sha256(location(TENANT, seq).encode())
        leaf = BatchLeaf(tenant_id(TENANT), seq, root(hashes), 3, 0, 2**40, previous, name)
        record = BatchRecord(leaf, TENANT, seq, ((0, 3 * seq - 3, 3 * seq - 1),), 0, 1, ())
        log.append(topics.BATCHES, [(leaf.tenant, record.encode())])
        previous = leaf.hash
    return log


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_archive_killed_at_any_commit(batched: SqliteLog, tmp_path: Path) -> None:
    """A batch whose offset was not committed is written again, to the same bytes."""

    def archive(name: str, fuse: Fuse) -> Callable[[], object]:
        return Archive(DyingLog(batched, fuse), tmp_path / name, lambda _: TENANT, group=name).step

    calm = Fuse()
    archive("calm", calm)()
    wanted = files(tmp_path / "calm")
    assert sorted(wanted) == [
        f"demo/0000000{n}.{suffix}" for n in (1, 2, 3) for suffix in ("frames", "parquet")
    ]
    for place in range(1, calm.burnt + 1):
        with pytest.raises(Died):
            archive(f"a{place}", Fuse(place))()
        archive(f"a{place}", Fuse())()
        assert files(tmp_path / f"a{place}") == wanted


def test_what_a_killed_archive_left_behind_does_no_harm(batched: SqliteLog, tmp_path: Path) -> None:
    """A half-written file lies under another name, and is written over."""
    folder = tmp_path / "archive"
    (folder / TENANT).mkdir(parents=True)
    (folder / TENANT / "00000001.parquet.new").write_bytes(b"PAR1 half")
    Archive(batched, folder, lambda _: TENANT).step()
    assert all(name.endswith((".parquet", ".frames")) for name in files(folder))


def test_only_one_process_writes_an_archive(batched: SqliteLog, tmp_path: Path) -> None:
    """While another one writes, there is nothing to do."""
    archive = Archive(batched, tmp_path / "archive", lambda _: TENANT)
    (tmp_path / "archive").mkdir()
    with (tmp_path / "archive" / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert archive.step() == []
    assert len(archive.step()) == 3
