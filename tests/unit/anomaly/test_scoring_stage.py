"""The scoring on the log: killed, torn, moved or of another release, each record is in the log once, the same."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import structlog

from anomaly.scoring import engine
from anomaly.scoring.stage import GROUP, Scores, lag
from anomaly.stage import Anomaly
from anomaly.state import State
from anomaly.worker import RETRY_S, Worker
from lading import topics
from lading.cose import KeySigner
from lading.episode import Episode, read_anomaly
from lading.episode import Scores as Sheet
from lading.errors import ServiceError
from lading.frame import IDLE, NO_ANCHOR, Frame, LegRef, make_run, seal
from lading.log import Log, SqliteLog, partition_of
from lading.partitions import PartitionLog
from lading.quantities import Quantity
from lading.totals import EMPTY
from lading.tree import ZERO_HASH
from tests.legs import GATEWAY, SALT, Leg
from tests.unit.anomaly.harness import OPERATORS, Bench
from tests.unit.anomaly.scoring_twin import twin, wild_leg, wild_readings
from tests.unit.anomaly.test_anomaly_crash import CHILD_S_MAX, FailingLog, PowerCut, TornLog
from tests.unit.anomaly.test_scoring import plain, scored

KILLS = 6
STEPS_MAX = 10_000


def make_legs() -> list[Leg]:
    """Three legs of three gateways."""
    return [
        wild_leg(n, reference=f"leg-{n}", count=900, gateway=KeySigner.from_seed(f"gateway {n}".encode()))
        for n in range(3)
    ]


def mixed(legs: list[Leg]) -> list[Frame]:
    """Their frames as they come: in turn."""
    return [frame for frames in zip(*(leg.frames for leg in legs), strict=True) for frame in frames]


@contextmanager
def opened(log: Log, state: Path, **bounds: int) -> Iterator[Scores]:
    """The scoring over a state file of its own. Not closed in order: what was not kept is lost."""
    file = State(state)
    try:
        yield Scores(log, file, **{"keep_s": 0, **bounds})
    finally:
        file.close()


def run(scores: Scores) -> None:
    """Step until there is nothing new and all is kept."""
    idle = 0
    for _ in range(STEPS_MAX):
        idle = 0 if scores.step() else idle + 1
        if idle == 2:
            return
    raise AssertionError("the scoring does not come to rest")


def said(log: Log) -> list[bytes]:
    """Every anomaly in the log."""
    return [record.value for record in log.read(topics.ANOMALIES, {}, 100_000)]


def wanted(legs: list[Leg]) -> list[bytes]:
    """What an undisturbed engine says of the legs' frames in turn."""
    return [one.encode() for one in scored(mixed(legs))]


def test_scores_are_in_the_log_and_legs_apart(tmp_path: Path) -> None:
    """Each leg has what its twin says, and the group's position is where the log ends."""
    legs, bench = make_legs(), Bench(tmp_path)
    bench.frames(mixed(legs))
    with opened(bench.log, tmp_path / "state.sqlite", records_max=7) as scores:
        run(scores)
    found = [read_anomaly(record) for record in said(bench.log)]
    for leg in legs:
        own = [one for one in found if one.leg.gateway_id == leg.begin.gateway]
        assert plain(own) == twin(leg.frames)
    assert lag(bench.log) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_power_cut_between_log_and_state(tmp_path: Path, seed: int) -> None:
    """The power goes before or after an append: the same records, each once, in the same order."""
    legs, bench, rng = make_legs(), Bench(tmp_path), random.Random(seed)
    bench.frames(mixed(legs))
    log, cuts = FailingLog(tmp_path / "log.sqlite", rng), 0
    while True:
        bounds = {"records_max": rng.randint(1, 4), "keep_readings": rng.choice([1, 300, 10**9])}
        bounds["keep_s"] = rng.choice([0, 10**9])
        try:
            with opened(
                log, tmp_path / "state.sqlite", channels_cached_max=rng.choice([1, 100]), **bounds
            ) as scores:
                run(scores)
            break
        except PowerCut:
            cuts += 1
    assert cuts >= 2
    assert said(bench.log) == wanted(legs)


def test_an_append_that_failed_in_part(tmp_path: Path) -> None:
    """The scoring goes on in the same process, and writes none of what the append did leave again."""
    legs, bench = make_legs(), Bench(tmp_path)
    bench.frames(mixed(legs))
    log = TornLog(tmp_path / "log.sqlite", random.Random(1))
    with opened(log, tmp_path / "state.sqlite", records_max=20) as scores:
        idle = 0
        while idle < 2:
            try:
                idle = 0 if scores.step() else idle + 1
            except ServiceError:
                idle = 0
    assert log.torn >= 2
    assert said(bench.log) == wanted(legs)


def test_killed_at_random_instants(tmp_path: Path) -> None:
    """SIGKILL while frames keep coming, rules and scores together; then left alone."""
    legs, bench, rng = make_legs(), Bench(tmp_path), random.Random(12)
    for leg in legs:
        bench.order(leg)
    frames = mixed(legs)
    share = len(frames) // KILLS + 1
    for at in range(KILLS):
        bench.frames(frames[at * share : (at + 1) * share])
        child = start_child(tmp_path)
        time.sleep(rng.uniform(0.0, 0.2))  # the instant of the kill: nothing is waited for
        child.kill()
        child.wait()
    child = start_child(tmp_path)
    out, _ = child.communicate(timeout=CHILD_S_MAX)
    assert out.strip() == "idle"
    assert said(bench.log) == wanted(legs)
    assert len(bench.said()) > 0


class NoTopic(SqliteLog):
    """A log that takes no anomalies, as Kafka does before somebody makes their topic."""

    is_made = False

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """See `Log.append`."""
        if topic == topics.ANOMALIES and not self.is_made:
            raise ServiceError("log_topic", "no such topic, by the test")
        return super().append(topic, items)


def test_scores_that_fail_keep_nobody(tmp_path: Path) -> None:
    """Without their topic the rules go on; once it is there, so do the scores, and nothing is missing."""
    legs, bench = make_legs(), Bench(tmp_path)
    for leg in legs:
        bench.order(leg)
    bench.frames(mixed(legs))
    log, now_s = NoTopic(tmp_path / "log.sqlite"), [0.0]
    rules = Anomaly(log, tmp_path / "state.sqlite", OPERATORS)
    worker = Worker(rules, partial(Scores, log, rules.state), lambda: now_s[0])
    with structlog.testing.capture_logs() as logs:
        while worker.judge() + worker.score():
            pass
    assert [(one["event"], one["code"]) for one in logs] == [("scoring_failed", "log_topic")]
    assert len(bench.said()) >= len(legs)
    assert said(bench.log) == []
    log.is_made = True
    assert worker.score() == 0
    now_s[0] += RETRY_S
    while worker.score():
        pass
    worker.close()
    assert said(bench.log) == wanted(legs)


class NoCommit(SqliteLog):
    """A log that takes no positions for a while."""

    is_full = False

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        if self.is_full:
            raise ServiceError("log_full", "no room, by the test")
        super().commit(group, topic, positions)


def test_what_was_judged_before_a_failure_is_scored(tmp_path: Path) -> None:
    """A step of the rules that fails once they have judged has nothing left to do when it is tried again."""
    leg, bench = make_legs()[0], Bench(tmp_path)
    bench.order(leg)
    log = NoCommit(tmp_path / "log.sqlite")
    rules = Anomaly(log, tmp_path / "state.sqlite", OPERATORS)
    worker = Worker(rules, partial(Scores, log, rules.state, keep_s=0))
    bench.frames(leg.frames[:3])
    while worker.judge() + worker.score() or not worker.is_scored:
        pass
    bench.frames(leg.frames[3:])
    log.is_full = True
    with pytest.raises(ServiceError, match="log_full"):
        worker.judge()
    log.is_full = False
    for _ in range(3):
        worker.judge()
        worker.score()
    worker.close()
    assert said(bench.log) == wanted([leg])


def test_a_full_disk_keeps_the_scores_waiting(tmp_path: Path) -> None:
    """Without room for their tables they fail by that name, and the process lives; with room nothing is missing."""
    leg, bench, now_s = make_legs()[0], Bench(tmp_path), [0.0]
    bench.order(leg)
    bench.frames(leg.frames)
    rules = Anomaly(bench.log, tmp_path / "state.sqlite", OPERATORS)
    worker = Worker(rules, partial(Scores, bench.log, rules.state), lambda: now_s[0])
    while worker.judge():
        pass
    db = rules.state.db
    pages_max = db.execute("PRAGMA max_page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    with structlog.testing.capture_logs() as logs:
        assert worker.score() == 0
    assert [(one["event"], one["code"]) for one in logs] == [("scoring_failed", "disk_full")]
    db.execute(f"PRAGMA max_page_count = {pages_max}")
    now_s[0] += RETRY_S
    while worker.score():
        pass
    worker.close()
    assert said(bench.log) == wanted([leg])


def start_child(folder: Path) -> "subprocess.Popen[str]":
    """Rules and scores in a process, past its start."""
    command = [sys.executable, "-m", "tests.unit.anomaly.scoring_child", str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_a_partition_moves(tmp_path: Path) -> None:
    """Two partitions; one goes to a machine that has no state of it, then back to one whose state is old."""
    legs = make_legs()
    log = SqliteLog(tmp_path / "log.sqlite", partitions=2)
    parts = {partition_of(leg.begin.gateway, 2) for leg in legs}
    assert parts == {0, 1}, "the gateways' ids were chosen so"
    frames = mixed(legs)
    views = [PartitionLog(log, partition, 2) for partition in range(2)]
    for at, place in enumerate(("here", "there", "here")):
        share = frames[at * len(frames) // 3 : (at + 1) * len(frames) // 3]
        log.append(topics.FRAMES, [(frame.header.gateway_id, frame.encode()) for frame in share])
        for partition, view in enumerate(views):
            with opened(view, tmp_path / f"{place}-{partition}.sqlite", records_max=5) as scores:
                run(scores)
    found = said(log)
    assert len(found) == len(set(found))
    assert sorted(found) == sorted(wanted(legs))


def test_a_closed_leg_stays_closed(tmp_path: Path) -> None:
    """Frames of it that come again, by another way or another process, are passed over: it does not begin anew."""
    leg, bench = wild_leg(3), Bench(tmp_path)
    bench.frames(leg.frames)
    with opened(bench.log, tmp_path / "state.sqlite") as scores:
        run(scores)
        bench.frames(leg.frames[:3])
        with structlog.testing.capture_logs() as logs:
            run(scores)
        bench.frames(leg.frames[-2:])
    assert [(one["event"], one["closed"]) for one in logs] == [("frames_not_scored", 3)]
    with opened(bench.log, tmp_path / "state.sqlite") as scores:
        run(scores)
    assert said(bench.log) == [one.encode() for one in scored(leg.frames)]


def test_another_release_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that another release kept is not loaded: the leg goes on with nothing learned, and the log says so."""
    leg, bench = wild_leg(5), Bench(tmp_path)
    bench.frames(leg.frames[:8])
    with opened(bench.log, tmp_path / "state.sqlite") as scores:
        run(scores)
    before = said(bench.log)
    monkeypatch.setattr(engine, "release", lambda: "0123456789abcdef")
    bench.frames(leg.frames[8:])
    with structlog.testing.capture_logs() as logs, opened(bench.log, tmp_path / "state.sqlite") as scores:
        run(scores)
    assert [one["event"] for one in logs] == ["scoring_begun_anew"]
    later = [read_anomaly(record) for record in said(bench.log)[len(before) :]]
    assert {(one.leg.release, one.leg.first_frame_seq) for one in later} == {("0123456789abcdef", 8)}
    assert plain(later) == twin(leg.frames[8:])


def test_between_legs_and_channels_that_come_later(tmp_path: Path) -> None:
    """A gateway without orders is scored, too, and a channel that appears after months begins then."""
    bench = Bench(tmp_path)
    readings, later = wild_readings(1, 1_400), wild_readings(2, 1_400)[1_000:]
    frames: list[Frame] = []
    for at in range(0, 1_400, 100):
        runs = [make_run(3, Quantity.TEMPERATURE, at, SALT, readings[at : at + 100], EMPTY)]
        if at >= 1_000:
            new = later[at - 1_000 : at - 900]
            runs.append(make_run(4, Quantity.HUMIDITY, at, SALT, new, EMPTY))
        previous = frames[-1].header.hash if frames else ZERO_HASH
        idle = LegRef(IDLE, bytes(32), bytes(32))
        frames.append(seal(GATEWAY, idle, len(frames), previous, readings[at + 99].time_ms, NO_ANCHOR, runs))
    bench.frames(frames)
    with opened(bench.log, tmp_path / "state.sqlite") as scores:
        run(scores)
    found = [read_anomaly(record) for record in said(bench.log)]
    assert plain(found) == twin(frames)
    assert 3 in {one.channel for one in found if isinstance(one, Episode)}
    sheets = [one for one in found if isinstance(one, Sheet)]
    assert [len(one.channels) for one in sheets] == [2]


def test_the_log_says_how_far_it_came(tmp_path: Path) -> None:
    """The group's position moves now and then, so that a monitor sees a scoring that is behind; and state is kept."""
    leg, bench = wild_leg(6), Bench(tmp_path)
    bench.frames(leg.frames)
    assert lag(bench.log) == len(leg.frames)
    now_s, file = [0.0], State(tmp_path / "state.sqlite")
    scores = Scores(bench.log, file, records_max=15, keep_s=5.0, commit_s=1.0, monotonic_s=lambda: now_s[0])
    scores.step()
    assert lag(bench.log) == len(leg.frames) - 15
    scores.step()
    assert lag(bench.log) == len(leg.frames) - 15
    now_s[0] += 1.0
    scores.step()
    assert lag(bench.log) == 0
    assert not scores.is_at_rest
    now_s[0] += 4.0
    scores.step()
    assert scores.is_at_rest
    assert bench.log.committed(GROUP, topics.FRAMES) == {0: len(leg.frames)}
    file.close()
