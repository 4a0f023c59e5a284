"""Rounds over the partitions of a process: the rules at once, the scores beside them."""

import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from anomaly.rounds import Rounds, score_round
from anomaly.scoring.stage import Scores
from anomaly.worker import Worker
from lading import topics
from lading.errors import ServiceError
from lading.partitions import WholeShare, Workers
from tests.unit.anomaly.harness import Bench
from tests.unit.anomaly.scoring_twin import wild_leg


def opened(bench: Bench) -> tuple[Rounds, Workers[Worker]]:
    """Rounds over the bench's one partition."""

    def open_worker(_partition: int) -> Worker:
        rules = bench.stage()
        return Worker(rules, partial(Scores, bench.log, rules.state))

    workers = Workers(WholeShare(1), open_worker, lambda _: bench.folder / "state.sqlite")
    return Rounds(workers, bench.log, 60.0), workers


def test_rules_do_not_wait_for_scores(tmp_path: Path) -> None:
    """What comes after a scoring is judged at once, and scored by the next."""
    bench, leg = Bench(tmp_path), wild_leg(1, count=300)
    bench.order(leg)
    bench.frames(leg.frames[:2])
    rounds, workers = opened(bench)
    while rounds.step():
        score_round(workers)
    said = len(bench.said())
    bench.frames(leg.frames[2:])
    assert rounds.step() == len(leg.frames) - 2
    assert len(bench.said()) > said
    assert rounds.step() == 0
    assert score_round(workers) == len(leg.frames) - 2
    workers.close()


def test_scores_of_another_thread_are_the_same(tmp_path: Path) -> None:
    """Scored while the rules judge and keep, on one state file: the same marks as one after the other."""
    found = []
    for is_beside in (False, True):
        folder = tmp_path / str(is_beside)
        folder.mkdir()
        bench = Bench(folder)
        rounds, workers = opened(bench)
        over = threading.Event()

        def scoring(workers: Workers[Worker] = workers, over: threading.Event = over) -> None:
            while not over.is_set():
                score_round(workers)

        thread = threading.Thread(target=scoring)
        if is_beside:
            thread.start()
        for number in range(1, 5):
            leg = wild_leg(number, count=300)
            bench.order(leg)
            for frame in leg.frames:
                bench.frames([frame])
                rounds.step()
                if not is_beside:
                    score_round(workers)
        over.set()
        if is_beside:
            thread.join(60)
        while score_round(workers):
            pass
        found.append([record.value for record in bench.log.read(topics.ANOMALIES, {}, 100_000)])
        workers.close()
    assert found[0]
    assert found[0] == found[1]


def test_a_rest_beside_a_failing_state_ends_nothing(tmp_path: Path) -> None:
    """Where the rules have read to cannot be known then; the next step says why, and goes on once it can."""
    bench, leg = Bench(tmp_path), wild_leg(1, count=300)
    bench.order(leg)
    bench.frames(leg.frames[:2])
    rounds, workers = opened(bench)
    while rounds.step():
        pass
    bench.frames(leg.frames[2:])
    stop = threading.Event()
    stop.set()
    with closing(sqlite3.connect(bench.folder / "state.sqlite", isolation_level=None)) as disk:
        disk.execute("ALTER TABLE positions RENAME TO away")
        rounds.rest(stop)
        with pytest.raises(ServiceError, match="no such table: positions"):
            rounds.step()
        disk.execute("ALTER TABLE away RENAME TO positions")
    rounds.rest(stop)
    assert rounds.step() == len(leg.frames) - 2
    workers.close()
