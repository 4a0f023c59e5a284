"""Same verdict, live or late: recorded and simulated legs, in any order, with any delay, cut anywhere."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from lading.limits import Limits
from lading.rules import judge
from lading.totals import Reading
from lading.verdict import Verdict
from tests import naive
from tests.legs import Leg, make_leg, make_order
from tests.unit.anomaly.harness import Bench, check_chain, run
from tests.unit.anomaly.legs_recorded import bench_folder, recorded, simulated

Story = tuple[Limits, dict[int, list[Reading]]]
DAYS = ("20210420", "20210520", "20210716")


def recorded_day(day: str) -> Story:
    """One of the cold rooms' days."""
    return recorded(bench_folder() / f"sensor_data_log_{day}.csv.gz")


STORIES: dict[str, Callable[[], Story]] = {
    **{f"recorded-{day}": lambda day=day: recorded_day(day) for day in DAYS},  # type: ignore[misc]
    "simulated-1": lambda: simulated(1),
    "simulated-2": lambda: simulated(2),
}


def cut(story: Story, rng: random.Random, frames: int) -> Leg:
    """The story in frames cut at random times, closed a minute after its last reading."""
    limits, readings = story
    first = min(own[0].time_ms for own in readings.values())
    last = max(own[-1].time_ms for own in readings.values())
    cuts = sorted(rng.sample(range(first, last), frames - 1))
    return make_leg(make_order(limits), readings, cuts, last + 60_000)


def without_hashes(verdict: Verdict) -> list[naive.Said]:
    """Findings as the twin gives them, but for `mkt`, which it does not judge."""
    return [
        naive.Said(
            f.rule, f.severity, f.channel, f.first_ms, f.last_ms, f.measured, f.limit, f.first_seq, f.last_seq
        )
        for f in verdict.findings
        if f.rule != "mkt"
    ]


@pytest.mark.parametrize("name", STORIES)
def test_findings_are_the_twins(name: str) -> None:
    """Real data against the twin that works millisecond by millisecond, up to the bound on listed findings."""
    limits, readings = story = STORIES[name]()
    leg = cut(story, random.Random(name), 40)
    verdict = judge(leg.begin, leg.frames, [], final=True)
    assert verdict.result == "breach"
    wanted = naive.findings(readings, limits.channels, leg.frames[-1].header.sent_ms)
    listed = min(64, 256 // len(limits.channels))
    more = {
        (f.channel, f.rule.removesuffix("_more")): f for f in verdict.findings if f.rule.endswith("_more")
    }
    for (channel, rule), finding in more.items():
        of_rule = [said for said in wanted if (said.channel, said.rule) == (channel, rule)]
        assert finding.measured == len(of_rule) - listed
        wanted = [said for said in wanted if said not in of_rule[listed:]]
    found = [said for said in without_hashes(verdict) if not said.rule.endswith("_more")]
    assert found == wanted


@pytest.mark.parametrize("name", STORIES)
def test_final_verdicts_are_byte_identical(name: str, tmp_path: Path) -> None:
    """In order, backwards, shuffled, late with duplicates: one final verdict, the verifier's own bytes."""
    rng = random.Random(name)
    leg = cut(STORIES[name](), rng, 25)
    wanted = judge(leg.begin, leg.frames, [], final=True).encoded
    shuffled = rng.sample(leg.frames, len(leg.frames))
    arrivals = {
        "in order": list(leg.frames),
        "backwards": list(reversed(leg.frames)),
        "shuffled": [*shuffled, *shuffled[:5]],
    }
    for how, frames in arrivals.items():
        bench = Bench(tmp_path / how)
        stage = bench.stage(channels_cached_max=1)
        for at in range(0, len(frames), 4):
            bench.frames(frames[at : at + 4])
            if at == 8:
                bench.order(leg)
            if rng.random() < 0.5:
                stage.step()
        bench.finalize()
        run(stage)
        said = bench.said()
        check_chain(said)
        assert said[-1].verdict.encoded == wanted, how
        assert [record.verdict.final for record in said].count(True) == 1
