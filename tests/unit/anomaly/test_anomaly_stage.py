"""The stage on a real log: what it says when, and that order, delay and restarts do not change the final word."""

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from lading import topics
from lading.assignment import sign_assignment
from lading.errors import ServiceError
from lading.frame import NO_ANCHOR, LegRef, seal
from lading.limits import ChannelLimits, Limits
from lading.log import SqliteLog
from lading.quantities import FAULT, Quantity
from lading.rules import judge
from lading.totals import Reading
from tests.legs import GATEWAY, OPERATOR, Leg, fork_of, make_leg, make_order
from tests.unit.anomaly.harness import Bench, check_chain, run

T0 = 1_700_000_000_000
MINUTE = 60_000
LIMITS = Limits(
    (
        ChannelLimits(1, Quantity.TEMPERATURE, lower=2000, upper=8000, above_stretch_max_ms=5 * MINUTE),
        ChannelLimits(2, Quantity.DOOR, upper=500, above_stretch_max_ms=5 * MINUTE),
    )
)


def warm_leg(reference: str = "leg-1", *, warm: bool = True, count: int = 60) -> Leg:
    """An hour at 5 °C, ten minutes of it at 9 °C if `warm`; a frame every five minutes."""
    air = [Reading(i, T0 + i * MINUTE, 9000 if warm and 20 <= i < 30 else 5000) for i in range(count)]
    door = [Reading(i, T0 + i * 10 * MINUTE, 0) for i in range(count // 10)]
    cuts = [T0 + i * MINUTE for i in range(5, count - 1, 5)]
    order = make_order(LIMITS, reference=reference)
    return make_leg(order, {1: air, 2: door}, cuts, T0 + (count - 1) * MINUTE)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fresh log."""
    return Bench(tmp_path)


def test_provisional_then_final(bench: Bench) -> None:
    """Open and clean, then a breach, then closed; final only when every frame's anchor is finalized."""
    leg, stage = warm_leg(), bench.stage()
    bench.order(leg)
    bench.frames(leg.frames[:3])
    run(stage)
    bench.frames(leg.frames[3:8])
    run(stage)
    bench.frames(leg.frames[8:])
    run(stage)
    interval = bench.batch()
    bench.anchor(interval, "mined")
    run(stage)
    bench.anchor(interval)
    run(stage)
    said = bench.said()
    assert [(r.verdict.state, r.verdict.result, r.verdict.final) for r in said] == [
        ("open", "clean", False),
        ("open", "breach", False),
        ("closed", "breach", False),
        ("closed", "breach", True),
    ]
    check_chain(said)
    assert said[-1].verdict.encoded == judge(leg.begin, leg.frames, [], final=True).encoded


def test_the_order_may_come_last(bench: Bench) -> None:
    """Frames and anchors wait for their leg's order."""
    leg, stage = warm_leg(), bench.stage()
    bench.frames(leg.frames)
    bench.finalize()
    run(stage)
    assert bench.said() == []
    bench.order(leg)
    run(stage)
    assert [r.verdict.encoded for r in bench.said()] == [judge(leg.begin, leg.frames, [], final=True).encoded]


def test_an_order_of_another_key_is_not_obeyed(bench: Bench) -> None:
    """Without the operator's signature there is no verdict."""
    leg, stage = warm_leg(), bench.stage()
    damaged = leg.order[:-1] + bytes([leg.order[-1] ^ 1])
    bench.log.append("lading.assignments.v1", [(leg.begin.gateway, damaged)])
    bench.frames(leg.frames)
    run(stage)
    assert bench.said() == []


def test_a_missing_frame_makes_it_incomplete_until_it_comes(bench: Bench) -> None:
    """The frames after the hole are read again from the log when it is filled."""
    leg, stage = warm_leg(), bench.stage()
    bench.order(leg)
    bench.frames([*leg.frames[:2], *leg.frames[3:]])
    run(stage)
    bench.frames([leg.frames[2]])
    bench.finalize()
    run(stage)
    said = bench.said()
    assert [(r.verdict.state, r.verdict.horizon.last_frame_seq) for r in said] == [
        ("incomplete", 1),
        ("closed", len(leg.frames) - 1),
    ]
    assert said[-1].verdict.final


def test_a_clone_after_the_final_verdict_supersedes_it(bench: Bench) -> None:
    """Frames from the fork on are taken out again; the new verdict is final at once."""
    leg, stage = warm_leg(), bench.stage()
    bench.order(leg)
    bench.frames(leg.frames)
    bench.finalize()
    run(stage)
    clone = fork_of(leg.frames[3])
    bench.clone(clone)
    run(stage)
    said = bench.said()
    check_chain(said)
    assert [(r.verdict.state, r.verdict.final) for r in said] == [("closed", True), ("forked", True)]
    assert said[-1].verdict.encoded == judge(leg.begin, leg.frames, [clone], final=True).encoded


def test_two_frames_with_one_number_in_the_log_are_a_fork(bench: Bench) -> None:
    """Even if nobody wrote the proof."""
    leg, stage = warm_leg(), bench.stage()
    other = make_leg(leg.begin, {1: [], 2: []}, [T0 + 5 * MINUTE], T0 + 7 * MINUTE).frames[1]
    bench.order(leg)
    bench.frames([*leg.frames, other])
    run(stage)
    wanted = judge(leg.begin, [*leg.frames, other], [], final=False)
    assert bench.said()[-1].verdict.encoded == wanted.encoded


def test_frames_with_other_channels_than_their_order_are_left_out(bench: Bench) -> None:
    """Whether the order is there before them or comes after."""
    leg, stage = warm_leg(), bench.stage()
    stray = make_leg(
        make_order(Limits(LIMITS.channels[:1])), {1: []}, [T0 + i for i in range(20)], T0 + MINUTE
    )
    header = stray.frames[15].header
    object.__setattr__(header, "limits_hash", LIMITS.hash)
    bench.frames([*leg.frames[:5], stray.frames[15]])
    run(stage)
    bench.order(leg)
    run(stage)
    assert bench.said()[-1].verdict.encoded == judge(leg.begin, leg.frames[:5], [], final=False).encoded
    bench.frames([stray.frames[15], *leg.frames[5:]])
    run(stage)
    assert bench.said()[-1].verdict.encoded == judge(leg.begin, leg.frames, [], final=False).encoded


def test_notices_alone_come_at_a_bounded_rate(bench: Bench) -> None:
    """A sensor that fails every other minute: at most one provisional verdict in ten minutes of event time."""
    air = [Reading(i, T0 + i * MINUTE, 5000, FAULT if i % 2 else 0) for i in range(100)]
    cuts = [T0 + i * MINUTE for i in range(1, 99)]
    leg = make_leg(make_order(LIMITS), {1: air, 2: []}, cuts, T0 + 99 * MINUTE, closed=False)
    stage = bench.stage(records_max=1)
    bench.order(leg)
    bench.frames(leg.frames)
    run(stage)
    times = [record.verdict.horizon.last_ms for record in bench.said()]
    assert len(times) == 10
    assert min(b - a for a, b in itertools.pairwise(times)) >= 10 * MINUTE


def test_a_second_process_on_one_state_file_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages would work on stale state: the second one gets an error."""
    monkeypatch.setattr("anomaly.state.BUSY_TIMEOUT_S", 0.05)
    first = bench.stage()
    with pytest.raises(ServiceError, match="locked"):
        bench.stage()
    first.close()
    bench.stage().close()


@pytest.mark.parametrize("seed", range(8))
def test_any_order_delay_and_restart_ends_alike(bench: Bench, seed: int) -> None:
    """Three legs of one gateway, shuffled, some frames twice, tiny steps, caches and restarts anywhere."""
    rng = random.Random(seed)
    legs = [warm_leg(f"leg-{n}", warm=n != 1) for n in range(3)]
    clone = fork_of(legs[2].frames[5]) if seed % 2 else None
    things: list[tuple[str, object]] = [("frame", frame) for leg in legs for frame in leg.frames]
    things += rng.sample(things, 5)
    things += [("order", leg) for leg in legs] + ([("clone", clone)] if clone else [])
    rng.shuffle(things)
    stage = bench.stage(records_max=rng.randint(1, 9), channels_cached_max=rng.choice([1, 3, 1000]))
    for kind, thing in things:
        match thing:
            case Leg():
                bench.order(thing)
            case _ if kind == "clone":
                bench.clone(thing)  # type: ignore[arg-type]
            case _:
                bench.frames([thing])  # type: ignore[list-item]
        if rng.random() < 0.3:
            stage.step()
        if rng.random() < 0.1:
            bench.batch()
        if rng.random() < 0.1:
            stage.close()
            stage = bench.stage(records_max=rng.randint(1, 9), channels_cached_max=rng.choice([1, 3, 1000]))
    intervals = list(range(1, bench.batch() + 1))
    for interval in rng.sample(intervals, len(intervals)):
        bench.anchor(interval)
        if rng.random() < 0.5:
            stage.step()
    run(stage)
    said = bench.said()
    check_chain(said)
    clones = [clone] if clone else []
    for leg in legs:
        own = [record.verdict for record in said if record.verdict.leg_id == leg.begin.leg_id]
        wanted = judge(leg.begin, leg.frames, clones, final=True)
        assert own[-1].encoded == wanted.encoded
        assert [verdict.final for verdict in own].count(True) == 1


def test_a_lost_log_is_not_waited_for(bench: Bench) -> None:
    """With a state that has read further than the log goes, every frame up to there would be passed over in silence."""
    leg, stage = warm_leg(), bench.stage()
    bench.order(leg)
    bench.frames(leg.frames)
    run(stage)
    stage.close()
    bench.log = SqliteLog(bench.folder / "new.sqlite")
    with pytest.raises(ServiceError, match="log_lost"):
        bench.stage()


def test_great_order_numbers_are_orders(bench: Bench) -> None:
    """order_seq is a u64 that a tenant's operator chooses: no number stops the judging of all tenants' legs."""
    leg = warm_leg()
    message = sign_assignment(replace(leg.begin, order_seq=2**64 - 1), OPERATOR)
    bench.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, message), (leg.begin.gateway, leg.order)])
    bench.frames(leg.frames)
    bench.finalize()
    run(bench.stage())
    assert bench.said()[-1].verdict.encoded == judge(leg.begin, leg.frames, [], final=True).encoded


@pytest.mark.parametrize("count", [1, 2])
def test_signed_lies_of_any_size_have_a_verdict(bench: Bench, count: int) -> None:
    """Where a gap hid them from ingest, totals are what the gateway signed: they stop no one else's legs."""
    limits = Limits((replace(LIMITS.channels[0], mkt_max=8000),))
    leg = make_leg(make_order(limits), {1: [Reading(i, T0 + i, 5000) for i in range(count)]}, [], T0 + 2)
    (frame,) = leg.frames
    (honest,) = frame.runs
    totals = replace(honest.record.totals, mkt_weight_sum=2**128 - 1)
    header = frame.header
    lie = seal(
        GATEWAY,
        LegRef(header.leg_state, header.leg_id, header.limits_hash),
        *(header.frame_seq, header.previous_hash, header.sent_ms, NO_ANCHOR),
        [replace(honest, record=replace(honest.record, totals=totals))],
    )
    bench.order(leg)
    bench.frames([lie])
    run(bench.stage())
    (finding,) = bench.said()[-1].verdict.findings
    assert (finding.rule, finding.measured) == ("mkt", 2**64 - 1)
