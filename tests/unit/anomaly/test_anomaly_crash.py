"""Killed at any instant, the stage goes on with the same verdicts, each in the log once."""

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from anomaly.stage import Anomaly
from lading.errors import ServiceError
from lading.log import SqliteLog
from lading.rules import judge
from lading.verdict import VerdictRecord
from tests.legs import Leg
from tests.unit.anomaly.harness import OPERATORS, Bench, check_chain, run
from tests.unit.anomaly.test_anomaly_stage import warm_leg

KILLS = 10
CHILD_S_MAX = 60.0


class PowerCut(BaseException):
    """What a test stops the stage with."""


class FailingLog(SqliteLog):
    """The log of a machine whose power goes right after verdicts were appended, or right before."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        super().__init__(path)
        self._rng = rng

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """Fails in two of three calls, half of them with the verdicts in the log."""
        chance = self._rng.random()
        if chance < 0.33:
            raise PowerCut
        places = super().append(topic, items)
        if chance < 0.66:
            raise PowerCut
        return places


class TornLog(SqliteLog):
    """A log as several brokers may be: an append fails with some of its records there."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        super().__init__(path)
        self._rng = rng
        self.torn = 0

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """Fails half the time, with as many of the records in the log as chance has it."""
        if items and self._rng.random() < 0.5:
            super().append(topic, items[: self._rng.randint(0, len(items))])
            self.torn += 1
            raise ServiceError("log_failed", "torn by the test")
        return super().append(topic, items)


def make_legs() -> list[Leg]:
    """Four legs, one of them clean."""
    return [warm_leg(f"leg-{n}", warm=n != 1) for n in range(4)]


def check_final(said: Sequence[VerdictRecord], legs: Sequence[Leg]) -> None:
    """Every leg has its final verdict, once, and it is the verifier's."""
    check_chain(said)
    final = [record.verdict.encoded for record in said if record.verdict.final]
    wanted = [judge(leg.begin, leg.frames, [], final=True).encoded for leg in legs]
    assert sorted(final) == sorted(wanted)


@pytest.mark.parametrize("seed", range(3))
def test_a_power_cut_between_log_and_state(tmp_path: Path, seed: int) -> None:
    """The log has verdicts that the state does not know of: they are not written again."""
    legs, bench = make_legs(), Bench(tmp_path)
    rng = random.Random(seed)
    for leg in legs:
        bench.order(leg)
        bench.frames(leg.frames)
    bench.finalize()
    log = FailingLog(tmp_path / "log.sqlite", rng)
    cuts = 0
    while True:
        stage = Anomaly(
            log, tmp_path / "state.sqlite", OPERATORS, records_max=rng.randint(1, 12), provisional_ms=0
        )
        try:
            run(stage)
            break
        except PowerCut:
            cuts += 1
        finally:
            stage.close()
    assert cuts > 3
    check_final(bench.said(), legs)


@pytest.mark.parametrize("seed", range(3))
def test_an_append_that_failed_in_part(tmp_path: Path, seed: int) -> None:
    """The stage goes on after a failed step and writes none of the verdicts again that the append did leave."""
    legs, bench, rng = make_legs(), Bench(tmp_path), random.Random(seed)
    for leg in legs:
        bench.order(leg)
        bench.frames(leg.frames)
    bench.finalize()
    log = TornLog(tmp_path / "log.sqlite", rng)
    stage = Anomaly(
        log, tmp_path / "state.sqlite", OPERATORS, records_max=rng.randint(4, 12), provisional_ms=0
    )
    handled = 1
    while handled:
        try:
            handled = stage.step()
        except ServiceError:
            continue
    stage.close()
    assert log.torn >= 3
    check_final(bench.said(), legs)


def test_killed_at_random_instants(tmp_path: Path) -> None:
    """SIGKILL ten times while frames keep coming, from a seed; then left alone."""
    legs, bench, rng = make_legs(), Bench(tmp_path), random.Random(11)
    frames = [frame for leg in legs for frame in leg.frames]
    rng.shuffle(frames)
    for leg in legs:
        bench.order(leg)
    share = len(frames) // KILLS + 1
    for at in range(KILLS):
        bench.frames(frames[at * share : (at + 1) * share])
        if at % 3 == 2:
            bench.finalize()
        child = start_child(tmp_path)
        time.sleep(rng.uniform(0.0, 0.06))  # the instant of the kill: nothing is waited for
        child.kill()
        child.wait()
    bench.finalize()
    child = start_child(tmp_path)
    out, _ = child.communicate(timeout=CHILD_S_MAX)
    assert out.strip() == "idle"
    check_final(bench.said(), legs)


def start_child(folder: Path) -> "subprocess.Popen[str]":
    """The stage in a process, past its start."""
    command = [sys.executable, "-m", "tests.unit.anomaly.child", str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child
