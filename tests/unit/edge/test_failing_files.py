"""An outbox whose file fails: named errors, nothing lost or taken twice, and all goes on once it is whole again."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge.gateway import Gateway
from edge.outbox import Outbox
from edge.readings import NewReading
from lading.batch import AnchorRecord
from lading.errors import ServiceError
from tests.failing import unreadable
from tests.gateways import T0_MS, check_chain, end_order, open_gateway, order, waiting_frames

ANCHOR = AnchorRecord(
    7, bytes(32), 1, 1, bytes(20), bytes(32), 5, bytes(range(32)), T0_MS, 60_000, "finalized"
)
READS: dict[str, Callable[[Outbox], object]] = {
    "load": Outbox.load,
    "has_closed": lambda outbox: outbox.has_closed(bytes(16)),
    "frames_after": lambda outbox: outbox.frames_after(-1, 10),
    "frame": lambda outbox: outbox.frame(0),
    "remove": lambda outbox: outbox.remove([0]),
}
ACTS: dict[str, Callable[[Gateway], object]] = {
    "cut": lambda gateway: gateway.cut(T0_MS),
    "obey": lambda gateway: gateway.obey(end_order(2), T0_MS),
    "see_anchor": lambda gateway: gateway.see_anchor(ANCHOR.encode()),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, read: Callable[[Outbox], object]) -> None:
    """Whatever is asked of it; afterwards it answers as before."""
    gateway = open_gateway(tmp_path)
    gateway.take(1, T0_MS, 4_000)
    gateway.cut(T0_MS)
    before = gateway.outbox.load()
    with unreadable(tmp_path / "outbox.sqlite", gateway.outbox._db):
        with pytest.raises(ServiceError, match=r"outbox\.sqlite: .*SQLITE_NOTADB") as failed:
            read(gateway.outbox)
        assert failed.value.code == "outbox"
    assert gateway.outbox.waiting.count == 1
    read(gateway.outbox)
    assert gateway.outbox.load() == before


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_what_a_failing_file_did_not_take_is_framed_once(
    tmp_path: Path, act: Callable[[Gateway], object]
) -> None:
    """Neither what it took nor what it has can be known meanwhile, so nothing is done; then each reading comes once."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    gateway.take(1, T0_MS, 1)
    batch = [NewReading(1, T0_MS + n, n) for n in (2, 3, 4)]
    with unreadable(tmp_path / "outbox.sqlite", gateway.outbox._db):
        for _ in range(2):
            tried = gateway.try_all(batch)
            assert (tried.left, tried.refused) == (batch, [])
        with pytest.raises(ServiceError, match="outbox"):
            act(gateway)
    act(gateway)
    assert gateway.try_all(batch).failure is None
    gateway.cut(T0_MS + 5)
    readings = check_chain(waiting_frames(gateway))[1]
    assert [(one.value, one.flags) for one in readings] == [(n, 0) for n in (1, 2, 3, 4)]
    assert gateway.refused_count == 0


def test_what_is_tried_again_keeps_its_order(tmp_path: Path) -> None:
    """A disk without room for many readings might take the few after them, which then were in their way."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    database = gateway.outbox._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages + 2}")
    many = [NewReading(1, T0_MS + n, 4_000) for n in range(5_000)]
    batch = [*many, NewReading(1, T0_MS + 2**32, 4_000)]  # a frame of its own: no run spans as much
    tried = gateway.try_all(batch)
    assert tried.failure is not None
    assert tried.failure.code == "disk_full"
    assert tried.left == batch
    database.execute("PRAGMA max_page_count = 1000000")
    assert gateway.try_all(tried.left).failure is None
    gateway.cut(T0_MS + 2**32)
    readings = check_chain(waiting_frames(gateway))[1]
    assert [(one.time_ms, one.flags) for one in readings] == [(new.time_ms, 0) for new in batch]


def test_a_reserve_that_cannot_be_given_is_no_room(tmp_path: Path) -> None:
    """On a full disk: what the reserve was for waits, as without one."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    reserve = tmp_path / "outbox.sqlite.reserve"
    reserve.unlink(missing_ok=True)
    reserve.mkdir()
    database = gateway.outbox._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")

    def begin_legs() -> None:
        for n in range(2, 60):
            gateway.obey(order(n, reference=f"leg-{n}"), T0_MS + n)

    with pytest.raises(ServiceError, match="disk_full"):
        begin_legs()
    database.execute("PRAGMA max_page_count = 1000000")
    assert gateway.obey(order(99, reference="leg-99"), T0_MS + 99)


CORRUPT = {
    "pending": "UPDATE pending SET readings = x'00'",
    "totals": "UPDATE channels SET totals = x'00'",
    "leg": "UPDATE state SET leg = x'00'",
    "state": "DELETE FROM state",
}


@pytest.mark.parametrize("change", CORRUPT.values(), ids=CORRUPT)
def test_content_that_nobody_wrote_is_a_failing_file(tmp_path: Path, change: str) -> None:
    """Of a file that SQLite reads: by name, so that no order is refused for it, and well once it is as it was."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    gateway.take(1, T0_MS, 1)
    gateway.cut(T0_MS)
    gateway.take(1, T0_MS + 1, 2)
    before, database = gateway.outbox.load(), gateway.outbox._db
    with closing(sqlite3.connect(":memory:")) as whole:
        database.backup(whole)
        database.execute(change)
        gateway._must_load = True
        for act in (*ACTS.values(), Gateway.reopen):
            with pytest.raises(ServiceError) as failed:
                act(gateway)
            assert failed.value.code in ("outbox", "outbox_key")
        with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as other:
            whole.backup(other)
    gateway.reopen()
    assert gateway.outbox.load() == before
    assert gateway.obey(end_order(2), T0_MS + 2)
    gateway.outbox.close()
