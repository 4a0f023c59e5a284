"""Promises of the stage: its clock, a restart (flush times stand where they stood), an outbox that fails."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import pytest

from edge.clock import EventClock
from edge.gateway import Gateway
from edge.outbox import Outbox
from edge.publisher import Publisher
from edge.runner import Runner, Unopened
from edge.simulation import ClockUnset, Reefer, Stories
from edge.simulation.reefer import reefer_design
from edge.sources import SimulatedSource
from edge.stage import FAILURES_MAX, Edge
from lading.cose import KeySigner
from lading.errors import ServiceError
from lading.mqtt import Broker
from tests.failing import locked, unreadable
from tests.gateways import OPERATOR, TENANT, waiting_frames

MINUTE_MS, FLUSH_MS = 60_000, 600_000
BEGIN_MS = 1_750_032_000_000
FailingFile = Callable[[Path, sqlite3.Connection], AbstractContextManager[None]]


def test_a_machine_whose_clock_is_set() -> None:
    """Three hours forward after a minute: flush times go on as before, readings are held to the clock that is right."""
    monotonic_s, wall_ms = [100.0], [1_000_000]
    clock = EventClock(1_000_000, 1.0, lambda: monotonic_s[0], lambda: wall_ms[0])
    monotonic_s[0], wall_ms[0] = 160.0, 1_060_000 + 3 * 3_600_000
    assert (clock.now_ms(), clock.shown_ms()) == (1_060_000, 1_060_000 + 3 * 3_600_000)


def test_event_time_that_is_not_now() -> None:
    """Of a simulation or recording the machine's clock says nothing."""
    monotonic_s = [100.0]
    clock = EventClock(1_000_000, 60.0, lambda: monotonic_s[0])
    monotonic_s[0] = 101.0
    assert clock.shown_ms() == clock.now_ms() == 1_060_000


def runner(folder: Path, name: str = "stage", port: int = 1) -> Runner:
    """A reefer whose clock is unset from its 20th minute on, over what its outbox has."""
    key = KeySigner.from_seed(name.encode())
    outbox = Outbox(folder / "outbox.sqlite", key.public.gateway_id)
    gateway = Gateway(
        outbox, key, OPERATOR.public, TENANT, dict.fromkeys(range(1, 10), 1), clock_floor_ms=BEGIN_MS
    )
    stories = Stories([ClockUnset(BEGIN_MS + 20 * MINUTE_MS, BEGIN_MS + 90 * MINUTE_MS)])
    machine = Reefer(random.Random(1), BEGIN_MS, reefer_design(5.0, 4.0), stories)
    count = max(gateway.taken.values(), default=0)
    source = SimulatedSource(machine, BEGIN_MS, MINUTE_MS, None, count, gateway.newest_ms)
    publisher = Publisher(gateway, TENANT, Broker("127.0.0.1", port))
    return Runner(name, gateway, publisher, source, None, FLUSH_MS, False)


def next_ms(one: Runner) -> int:
    """When the source's next batch is due."""
    due_ms = one.next_ms()
    assert due_ms is not None
    return due_ms


def take(one: Runner) -> int:
    """The source's next batch."""
    return one.take(next_ms(one), lambda *_: None)


@pytest.mark.parametrize("failing_file", [locked, unreadable])
@pytest.mark.parametrize("is_cut_due", [False, True])
def test_an_outbox_that_fails_loses_nothing_of_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cut_due: bool, failing_file: FailingFile
) -> None:
    """Meanwhile the same batch is tried; afterwards none is missing or doubled, and none counts as refused."""
    monkeypatch.setattr("edge.outbox.LOCK_WAIT_MS", 50)
    failing, calm = runner(tmp_path / "failing"), runner(tmp_path / "calm")
    while failing.due_ms is None or (next_ms(failing) < failing.due_ms) == is_cut_due:
        take(failing)
    with failing_file(tmp_path / "failing/outbox.sqlite", failing.gateway.outbox._db):
        due_ms = next_ms(failing)
        for _ in range(2):
            with pytest.raises(ServiceError, match="outbox"):
                take(failing)
            assert next_ms(failing) == due_ms
    for _ in range(3):
        take(failing)
    while calm.gateway.taken[1] < failing.gateway.taken[1]:
        take(calm)
    assert next_ms(failing) == next_ms(calm)
    assert failing.gateway.taken == calm.gateway.taken
    assert failing.gateway.refused_count == 0
    values = [
        [
            reading[:3]
            for frame in waiting_frames(one.gateway)
            for run in frame.runs
            for reading in run.readings
        ]
        for one in (failing, calm)
    ]
    assert values[0] == values[1]
    for one in (failing, calm):
        one.gateway.outbox.close()


def test_a_file_that_goes_on_failing_ends_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name and after a bound, so that it is opened anew; not one that recovers, nor a disk that is full for long."""
    monkeypatch.setattr("edge.stage.BACKOFF_S", 0.0)
    one = runner(tmp_path)
    noted: list[str] = []
    edge = Edge([one], EventClock(BEGIN_MS, 0.0), lambda event, _, exc: noted.append(f"{event} {exc.code}"))
    database = one.gateway.outbox._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    while len(noted) <= 2 * FAILURES_MAX:
        edge.step()
    assert set(noted) == {"outbox_failed disk_full"}
    database.execute("PRAGMA max_page_count = 1000000")
    edge.step()
    for _ in range(2):
        with unreadable(tmp_path / "outbox.sqlite", database):
            for _ in range(FAILURES_MAX):
                edge.step()
            assert "not a database" in one.failing
        edge.step()
        assert one.failing == ""
    with unreadable(tmp_path / "outbox.sqlite", database):
        for _ in range(FAILURES_MAX):
            edge.step()
        with pytest.raises(ServiceError, match="not a database"):
            edge.step()
    edge.stop()


@pytest.mark.parametrize("is_file_bad", [False, True])
def test_one_gateway_whose_file_fails_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_file_bad: bool
) -> None:
    """Its file alone is opened anew, as often as it takes; none of its readings is missing or doubled."""
    monkeypatch.setattr("edge.stage.BACKOFF_S", 0.0)
    well, bad = runner(tmp_path / "well", "well"), runner(tmp_path / "bad", "bad")
    edge = Edge([well, bad], EventClock(BEGIN_MS, 0.0), lambda *_: None)
    edge.step()
    taken, database = bad.gateway.taken[1], bad.gateway.outbox._db
    with unreadable(tmp_path / "bad/outbox.sqlite", database) if is_file_bad else nullcontext():
        if not is_file_bad:
            database.close()  # what no trying again mends
        for _ in range(FAILURES_MAX + 3 * is_file_bad):
            edge.step()
            assert bad.failing
        assert well.failing == ""
        if is_file_bad:  # at full speed, too, nobody waits for it any more
            assert well.next_ms() > bad.next_ms() + 2 * well.flush_ms
    for _ in range(2):
        edge.step()
    assert (bad.failing, bad.failures) == ("", 0)
    assert bad.gateway.taken[1] > taken
    bad.gateway.cut(bad.clock_ms)
    runs = [run for frame in waiting_frames(bad.gateway) for run in frame.runs if run.record.channel == 1]
    assert [one.seq for run in runs for one in run.readings] == list(range(bad.gateway.taken[1]))
    edge.stop()


def test_one_gateway_rests_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a step that failed it waits a while before the next; the others' readings wait for nothing."""
    monkeypatch.setattr("edge.stage.BACKOFF_S", 20.0)  # longer than the test, and no hour where it fails
    well, bad = runner(tmp_path / "well", "well"), runner(tmp_path / "bad", "bad")
    clock_s = [0.0]
    edge = Edge([bad, well], EventClock(BEGIN_MS, 1.0, lambda: clock_s[0]), lambda *_: None)
    with unreadable(tmp_path / "bad/outbox.sqlite", bad.gateway.outbox._db):
        for minute in range(1, 4):
            clock_s[0] = 60.0 * minute
            edge.step()
            assert well.gateway.taken[1] == 1 + minute
    assert bad.failures == 1
    monkeypatch.setattr(bad, "rest_until_s", 0.0)
    edge.step()
    assert bad.gateway.taken == well.gateway.taken
    edge.stop()


def test_a_gateway_that_is_opened_late_and_has_no_broker_stops_no_other(tmp_path: Path) -> None:
    """It is named and closed, and tried again from the beginning."""
    well, ports = runner(tmp_path / "well", "well"), [0, 1]
    late = Unopened("late", "", lambda: runner(tmp_path / "late", "late", ports.pop(0)))
    noted: list[str] = []
    edge = Edge(
        [well], EventClock(BEGIN_MS, 0.0), lambda event, name, _: noted.append(f"{event} {name}"), [late]
    )
    for names in (["well"], ["well", "late"]):
        edge._open_due_s = 0.0
        edge.step()
        assert [one.name for one in edge.runners] == names
        assert noted == ["gateway_failed late"]
    assert "127.0.0.1:0" in late.failing
    edge.stop()


def test_a_file_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    """Its numbers would be given twice. What is gone is named; with it back, all goes on."""
    one = runner(tmp_path)
    take(one)
    taken, file = one.gateway.taken, tmp_path / "outbox.sqlite"
    one.gateway.outbox._db.close()  # all is in the file itself then
    file.rename(tmp_path / "away")
    for content in (None, b""):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ServiceError, match=r"outbox\.sqlite") as failed:
            one.gateway.reopen()
        assert failed.value.code == "outbox"
        with pytest.raises(ServiceError, match=r"outbox\.sqlite"):
            take(one)
    (tmp_path / "away").rename(file)
    one.gateway.reopen()
    assert one.gateway.taken == taken
    one.gateway.outbox.close()


def test_an_older_file_in_its_place_is_refused(tmp_path: Path) -> None:
    """What a copy from before would sign has been signed: it is named, and with the right file back all goes on."""
    one = runner(tmp_path)
    file = tmp_path / "outbox.sqlite"
    one.gateway.outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    older = file.read_bytes()
    while not one.gateway.frame_seq:
        take(one)
    frames = one.gateway.frame_seq
    one.gateway.outbox._db.close()
    newer = file.read_bytes()
    file.write_bytes(older)
    for act in (one.gateway.reopen, partial(take, one)):
        with pytest.raises(ServiceError, match="found frame 0 and order 0, wanted the file with frame 1"):
            act()
    one.gateway.outbox._db.close()
    file.write_bytes(newer)
    one.gateway.reopen()
    assert one.gateway.frame_seq == frames
    take(one)
    one.gateway.outbox.close()


def test_a_restart_while_the_clock_is_unset(tmp_path: Path) -> None:
    """Placeholder times do not say when readings were taken; the next frame is cut when it would have been."""
    first = runner(tmp_path)
    for _ in range(38):
        take(first)
    assert first.due_ms == BEGIN_MS + 40 * MINUTE_MS
    first.gateway.outbox.close()
    again = runner(tmp_path)
    assert again.gateway.newest_ms < BEGIN_MS + 21 * MINUTE_MS
    assert again.due_ms == first.due_ms
    again.gateway.outbox.close()
