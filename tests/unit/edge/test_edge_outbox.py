"""Promises of the outbox: durable on return, one owner, bounded, and a full disk stops nothing for good."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.gateway import FRAME_HEAD_BYTES, READING_BYTES, RUN_BYTES, Gateway
from edge.outbox import Outbox, read_summary
from edge.readings import NewReading
from edge.reserve import RESERVE_BYTES
from lading.cose import KeySigner
from lading.errors import RejectedError, ServiceError
from lading.frame import CLOSED, FRAME_READINGS_MAX, FRAME_RUNS_MAX, NO_ANCHOR, NO_LEG, make_run, seal
from lading.quantities import FAULT, Quantity
from lading.totals import EMPTY, Reading
from lading.tree import ZERO_HASH
from tests.gateways import KEY, T0_MS, check_chain, end_order, open_gateway, order, waiting_frames
from tests.unit.edge.test_failing_files import ANCHOR

REPOSITORY = Path(__file__).parents[3]


def test_a_late_start_makes_no_new_file(tmp_path: Path) -> None:
    """Moved away while a gateway waits to be opened: a new one would begin again at frame 0."""
    with pytest.raises(ServiceError, match=r"outbox\.sqlite"):
        Outbox(tmp_path / "outbox.sqlite", bytes(32), may_create=False)
    assert not (tmp_path / "outbox.sqlite").exists()
    Outbox(tmp_path / "outbox.sqlite", bytes(32)).close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """Two owners would sign two frames with one number; the second is refused by name."""
    gateway = open_gateway(tmp_path)
    with pytest.raises(ServiceError) as caught:
        open_gateway(tmp_path)
    assert caught.value.code == "outbox_locked"
    gateway.outbox.close()
    open_gateway(tmp_path)


def test_an_outbox_belongs_to_one_key(tmp_path: Path) -> None:
    """Another key's outbox is refused: its chain of frames is another gateway's."""
    open_gateway(tmp_path).outbox.close()
    with pytest.raises(ServiceError) as caught:
        Outbox(tmp_path / "outbox.sqlite", KeySigner.from_seed(b"other").public.gateway_id)
    assert caught.value.code == "outbox_key"


def test_a_summary_is_read_beside_the_running_gateway(tmp_path: Path) -> None:
    """`lading edge status` sees frames, readings and leg without the lock."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    gateway.take(1, T0_MS, 1)
    gateway.cut(T0_MS)
    gateway.take(1, T0_MS + 1, 1)
    summary = read_summary(tmp_path / "outbox.sqlite")
    assert (summary["frames_waiting"], summary["readings_pending"], summary["leg"]) == (1, 1, "open")
    assert summary["frames_waiting_bytes"] == gateway.outbox.waiting.bytes


@pytest.mark.parametrize(
    ("runs", "readings"), [(1, 1), (2, 1000), (FRAME_RUNS_MAX, 0), (256, FRAME_READINGS_MAX)]
)
def test_the_bound_on_a_frames_size_holds(runs: int, readings: int) -> None:
    """What the rule for a full outbox counts for a frame is at least what the frame takes, flags included."""
    each = readings // runs
    made = [
        make_run(
            channel,
            Quantity.TEMPERATURE,
            0,
            bytes(16),
            [Reading(k, T0_MS + k, -1, FAULT) for k in range(each)],
            EMPTY,
        )
        for channel in range(runs)
    ]
    frame = seal(KEY, NO_LEG, 0, ZERO_HASH, T0_MS, NO_ANCHOR, made)
    assert len(frame.encode()) <= FRAME_HEAD_BYTES + RUN_BYTES * runs + READING_BYTES * each * runs


def fill(gateway: Gateway, start_ms: int) -> int:
    """Take and cut until readings are refused; how many were taken."""
    taken = 0
    while True:
        batch = [NewReading(1, start_ms + 1_000 * (taken + k), 4_000) for k in range(10)]
        refused = gateway.take_all(batch)
        taken += len(batch) - len(refused)
        if refused:
            assert {r.error.code for r in refused} == {"outbox_full"}
            return taken
        gateway.cut(start_ms + 1_000 * taken)


def test_a_full_outbox_keeps_old_frames_and_refuses_new_readings(tmp_path: Path) -> None:
    """Full: readings are refused by name, the closing frame still fits, and removal makes room again."""
    gateway = open_gateway(tmp_path, bytes_max=20_000)
    gateway.obey(order(1), T0_MS)
    taken = fill(gateway, T0_MS)
    assert gateway.is_full()
    assert gateway.cut(T0_MS + 10**6) is not None or gateway.pending_count == 0
    assert gateway.cut(T0_MS + 10**6) is None
    assert gateway.outbox.waiting.bytes <= 20_000
    with pytest.raises(ServiceError, match="outbox_full"):
        gateway.obey(order(2, reference="leg-2"), T0_MS + 10**6)
    assert gateway.obey(end_order(3), T0_MS + 10**6)
    assert gateway.outbox.waiting.bytes <= 20_000
    frames = waiting_frames(gateway)
    assert frames[-1].header.leg_state == CLOSED
    assert len(check_chain(frames)[1]) == taken

    gateway.outbox.remove([frame.header.frame_seq for frame in frames[:-1]])
    assert gateway.obey(order(4, reference="leg-2"), T0_MS + 10**6)
    gateway.take(1, T0_MS + 10**7, 4_000)
    gateway.cut(T0_MS + 10**7)
    last = waiting_frames(gateway)[-1]
    assert last.header.previous_hash == frames[-1].header.hash
    assert last.runs[0].record.first_seq == taken


def drill_full_disk(gateway: Gateway, make_full, make_room) -> None:
    """Fill the disk in the middle of a leg: nothing taken is lost, acknowledged frames can go, the leg can close."""
    gateway.obey(order(1), T0_MS)
    taken = 0
    for k in range(20):
        gateway.take(1, T0_MS + 1_000 * k, 4_000)
        gateway.cut(T0_MS + 1_000 * k)
        taken += 1
    make_full()
    codes = set()
    for k in range(20, 400):
        now_ms = T0_MS + 1_000 * k
        refused = gateway.take_all([NewReading(1, now_ms, 4_000)])
        taken += not refused
        codes |= {r.error.code for r in refused}
        try:
            gateway.cut(now_ms)
        except ServiceError as exc:
            codes.add(exc.code)
    assert codes == {"disk_full"}
    oldest = [seq for seq, _ in gateway.outbox.frames_after(-1, 12)]
    kept = waiting_frames(gateway)[:12]
    gateway.outbox.remove(oldest)
    assert gateway.obey(end_order(2), T0_MS + 400_000)
    make_room()
    gateway.take(1, T0_MS + 500_000, 4_000)
    gateway.cut(T0_MS + 500_000)
    readings = check_chain(kept + waiting_frames(gateway))
    assert len(readings[1]) == taken + 1


def test_a_store_that_is_full_recovers_by_itself(tmp_path: Path) -> None:
    """SQLITE_FULL by a page limit: refused by name, then better without a restart."""
    gateway = open_gateway(tmp_path)
    database = gateway.outbox._db

    def set_limit(extra: int) -> None:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages + extra}")

    drill_full_disk(gateway, lambda: set_limit(2), lambda: set_limit(10**6))


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small tmpfs, needs root")
def test_a_disk_that_is_full_recovers_by_itself(tmp_path: Path) -> None:
    """ENOSPC on a real file system of 40 MiB that another program fills to the last byte."""
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", tmp_path], check=False)
    if mount.returncode:
        pytest.skip("no right to mount a tmpfs")
    try:
        gateway = open_gateway(tmp_path)
        assert (tmp_path / "outbox.sqlite.reserve").stat().st_blocks * 512 >= RESERVE_BYTES
        hog = tmp_path / "hog"

        def make_full() -> None:
            with hog.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    return

        make_full()

        def see_anchors() -> None:
            for n in range(1, 10_000):  # until what SQLite's own files still had is used up
                gateway.see_anchor(replace(ANCHOR, interval=n).encode())

        with pytest.raises(ServiceError, match="disk_full"):
            see_anchors()
        assert (tmp_path / "outbox.sqlite.reserve").exists()  # not for what can wait
        hog.unlink()
        drill_full_disk(gateway, make_full, hog.unlink)
        gateway.outbox.remove([seq for seq, _ in gateway.outbox.frames_after(-1, 1)])
        assert (tmp_path / "outbox.sqlite.reserve").exists()
        gateway.outbox.close()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


CHILD = """
import sys
from pathlib import Path
from edge.readings import NewReading
from tests.gateways import T0_MS, end_order, open_gateway, order
gateway = open_gateway(Path(sys.argv[1]))
start = int(sys.argv[2])
seq = gateway.order_seq
for k in range(start, start + 10**6):
    now_ms = T0_MS + 1_000 * k
    refused = gateway.take_all([NewReading(1, now_ms, k), NewReading(2, now_ms, 0)])
    assert not refused, refused
    print(k, flush=True)
    if k % 3 == 0:
        gateway.cut(now_ms)
    if k % 17 == 0:
        seq += 1
        gateway.obey(order(seq, reference=f"leg-{seq}") if k % 34 else end_order(seq, gateway.leg.order.reference)
                     if gateway.leg else order(seq), now_ms)
    if k % 5 == 0:
        gateway.outbox.remove([])
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_sigkill_at_any_instant_loses_nothing_taken(tmp_path: Path, seed: int) -> None:
    """Ten kills at random instants: all that take returned for is in exactly one frame of one unbroken chain."""
    rng = random.Random(seed)
    announced: list[int] = []
    start = 0
    for _ in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(start)], cwd=REPOSITORY, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        first = child.stdout.readline()
        assert first, "the child did not start"
        time.sleep(rng.uniform(0, 0.08))
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split(b"\n")[:-1]
        child.wait()
        announced += [int(first), *map(int, rest)]
        start = announced[-1] + 2  # one more may be durable than was announced
    gateway = open_gateway(tmp_path)
    gateway.cut(T0_MS + 10**9)
    values = [reading.value for reading in check_chain(waiting_frames(gateway))[1]]
    assert len(values) == len(set(values))
    assert set(announced) <= set(values)
    assert len(set(values) - set(announced)) <= 10
    gateway.outbox.close()


def test_a_failed_write_leaves_no_trace(tmp_path: Path) -> None:
    """After a refused write, position, totals and numbers are those of the store: the next reading continues them."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    gateway.take(1, T0_MS, 4_000)
    database = gateway.outbox._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    batch = [NewReading(1, T0_MS + 1 + k, 4_000) for k in range(5_000)]
    assert {r.error.code for r in gateway.take_all(batch)} == {"disk_full"}
    assert (gateway.pending_count, gateway.refused_count) == (1, 5_000)
    assert {r.error.code for r in gateway.take_all(batch, cut_ms=T0_MS + 9_000)} == {"disk_full"}
    assert (gateway.pending_count, gateway.frame_seq) == (1, 0)
    database.execute("PRAGMA max_page_count = 1000000")
    gateway.take(1, T0_MS + 10_000, 4_000)
    with pytest.raises(RejectedError):
        gateway.take(7, T0_MS, 0)
    gateway.cut(T0_MS + 10_000)
    assert [r.seq for r in check_chain(waiting_frames(gateway))[1]] == [0, 1]
