"""Rounds over the partitions of a process: the rules at once, the scores in their time."""

from functools import partial
from pathlib import Path

from anomaly.rounds import SCORE_S, Rounds
from anomaly.scoring.stage import Scores
from anomaly.worker import Worker
from lading.partitions import WholeShare, Workers
from tests.unit.anomaly.harness import Bench
from tests.unit.anomaly.scoring_twin import wild_leg


def opened(bench: Bench, clock: list[float]) -> tuple[Rounds, Workers[Worker]]:
    """Rounds over the bench's one partition, by a clock that the test moves."""

    def open_worker(_partition: int) -> Worker:
        rules = bench.stage()
        return Worker(rules, partial(Scores, bench.log, rules.state), lambda: clock[0])

    workers = Workers(WholeShare(1), open_worker, lambda _: bench.folder / "state.sqlite")
    return Rounds(workers, bench.log, 60.0, lambda: clock[0]), workers


def test_rules_do_not_wait_for_scores(tmp_path: Path) -> None:
    """What comes soon after a scoring is judged at once, and scored when it is time."""
    bench, clock, leg = Bench(tmp_path), [0.0], wild_leg(1, count=300)
    bench.order(leg)
    bench.frames(leg.frames[:2])
    rounds, workers = opened(bench, clock)
    while rounds.step():
        clock[0] += SCORE_S
    said = len(bench.said())
    bench.frames(leg.frames[2:])
    assert rounds.step() == len(leg.frames) - 2
    assert len(bench.said()) > said
    assert not workers.open[0].is_scored
    assert rounds.step() == 0
    clock[0] += SCORE_S
    assert rounds.step() == len(leg.frames) - 2
    workers.close()
