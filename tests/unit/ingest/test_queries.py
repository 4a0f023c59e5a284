"""What the archive answers: readings of a leg, what is missing, what is there twice."""

from pathlib import Path

import pytest

from ingest.archive import Archive, read_frames
from ingest.queries import Queries
from ingest.stage import Ingest
from lading import topics
from lading.batch import BatchLeaf, BatchRecord, location
from lading.decoding import decode_frame
from lading.errors import ServiceError
from lading.frame import IDLE
from lading.log import SqliteLog
from lading.names import tenant_id
from lading.tree import ZERO_HASH, root, sha256
from tests.unit.ingest.truck import BEGIN_MS, OPERATORS, TENANT, Fleet, Truck


@pytest.fixture
def truck() -> Truck:
    return Truck(channels=1)


@pytest.fixture
def log(tmp_path: Path, truck: Truck) -> SqliteLog:
    """Frames 0, 1 and 3 of a truck: two readings outside a leg, then a leg with three missing; and their batch."""
    log = SqliteLog(tmp_path / "log.sqlite")
    clock = [BEGIN_MS]
    ingest = Ingest(log, tmp_path / "ingest.sqlite", Fleet(truck), OPERATORS, now_ms=lambda: clock[0])
    idle = (truck.topic, truck.frame(2, state=IDLE).encode())
    order = (truck.order_topic, truck.order())
    leg = truck.messages(3, 3)
    ingest.take([idle, order, leg[0], leg[2]])
    clock[0] += 10**9
    ingest.step()
    ingest.close()
    hashes = [decode_frame(record.value).header.hash for record in log.read(topics.FRAMES, {}, 10)]
    name = sha256(location(TENANT, 1).encode())
    leaf = BatchLeaf(tenant_id(TENANT), 1, root(hashes), 3, 0, 2**40, ZERO_HASH, name)
    log.append(topics.BATCHES, [(leaf.tenant, BatchRecord(leaf, TENANT, 1, ((0, 0, 2),), 0, 1, ()).encode())])
    return log


def test_coverage_and_series(tmp_path: Path, log: SqliteLog, truck: Truck) -> None:
    """Counts, gaps and missing readings by leg and channel, hand-counted."""
    queries = Queries(tmp_path / "archive")
    assert queries.readings_count() == 0
    assert queries.coverage() == []
    Archive(log, tmp_path / "archive", lambda _: TENANT).step()
    leg = truck.leg.leg_id.hex()
    assert queries.readings_count() == 8
    assert queries.readings_count(leg) == 6
    idle, inside = queries.coverage()
    assert (idle.leg, idle.readings, idle.first_seq, idle.missing) == (None, 2, 0, 0)
    assert (inside.leg, inside.readings, inside.first_seq, inside.missing) == (leg, 6, 2, 3)
    assert (inside.first_ms, inside.last_ms) == (BEGIN_MS + 2 * 60_000, BEGIN_MS + 10 * 60_000)
    assert inside.longest_gap_ms == 4 * 60_000
    assert queries.duplicates() == 0
    assert len(queries.series(leg, 1).value) == 6
    assert len(queries.series(leg, 2).value) == 0
    assert len(queries.gateway_series(truck.id.hex(), 1).value) == 8
    assert queries.sql("SELECT count(*) AS n FROM readings") == (["n"], [(8,)])
    with pytest.raises(ServiceError, match="query"):
        queries.sql("SELECT nonsense FROM readings")


def test_the_frames_file_has_the_signed_bytes(tmp_path: Path, log: SqliteLog) -> None:
    """Every frame as it was signed, with its place in the log, in leaf order."""
    Archive(log, tmp_path / "archive", lambda _: TENANT).step()
    wanted = [(r.partition, r.offset, r.value) for r in log.read(topics.FRAMES, {}, 10)]
    assert list(read_frames(tmp_path / "archive" / TENANT / "00000001.frames")) == wanted


def test_a_batch_that_is_not_the_logs_is_refused(tmp_path: Path, log: SqliteLog) -> None:
    """A root that is not over the frames in the log leaves no file behind that looks finished."""
    record = BatchRecord.decode(log.read(topics.BATCHES, {}, 1)[0].value)
    other = BatchRecord(record.leaf, TENANT, 1, ((0, 0, 1),), 0, 1, ())
    with pytest.raises(ServiceError, match="archive_batch"):
        Archive(log, tmp_path / "archive", lambda _: TENANT).write(other)
    assert list((tmp_path / "archive").glob("*/*.parquet")) == []


@pytest.mark.parametrize("place", [TENANT, ".lock", ""])
def test_a_folder_that_cannot_be_made_keeps_the_batch_waiting(
    tmp_path: Path, log: SqliteLog, place: str
) -> None:
    """Of a tenant, of the archive, or its lock: a named error, and the batch is written once it can be."""
    archive = Archive(log, tmp_path / "archive", lambda _: TENANT)
    wrong = tmp_path / "archive" / place
    wrong.parent.mkdir(exist_ok=True)
    if place == ".lock":
        wrong.mkdir()
    else:
        wrong.write_text("no folder")
    for _ in range(2):
        with pytest.raises(ServiceError, match=r"^(archive|lock)_failed: "):
            archive.step()
    wrong.rename(tmp_path / "wrong")
    assert [one.readings for one in archive.step()] == [8]
