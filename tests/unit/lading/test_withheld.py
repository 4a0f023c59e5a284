"""Promises: a frame without its readings proves all that was signed, and a verifier says exactly what is not shown."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from lading.checks import Expected, Status
from lading.decoding import decode_frame, decode_header, decode_records
from lading.errors import MalformedError
from lading.evidence import Evidence
from lading.frame import Frame, withhold
from lading.inspect.wire import read_frame
from lading.limits import Limits
from lading.verdict import Finding, LegState
from lading.verify import verify
from tests.unit.lading import evidence_world
from tests.unit.lading.evidence_world import GATEWAY, MINUTE_MS, OPERATOR, evidence_of, make_world

KNOWN = Expected(GATEWAY.public.encode(), OPERATOR.public.encode())


def without(evidence: Evidence, *frame_seqs: int) -> Evidence:
    """The evidence with these frames' readings withheld; none given: all."""
    frames = tuple(
        replace(proof, frame=withhold(proof.frame))
        if not frame_seqs or proof.frame.header.frame_seq in frame_seqs
        else proof
        for proof in evidence.frames
    )
    return replace(evidence, frames=frames)


def lines(evidence: Evidence) -> dict[str, tuple[Status, str]]:
    """The report by check."""
    report = verify(evidence.encode(), KNOWN)
    return {result.name: (result.status, result.found) for result in report.results}


def test_a_withheld_frame_is_the_same_frame() -> None:
    """Header, signature, records and hash are as before; the bytes hold no reading and no salt."""
    frame = make_world().leg[0]
    data = withhold(frame).encode()
    assert decode_frame(data, may_withhold=True).encode() == data
    assert decode_header(data) == frame.header
    assert decode_header(data).hash == frame.header.hash
    assert decode_records(data) == decode_records(frame.encode())
    assert not [run for run in frame.runs if run.salt in data]
    assert len(data) < len(frame.encode())


def test_the_spec_s_bytes() -> None:
    """After the envelope: the array's head, then for each run `81 58 CF` and its 207 bytes."""
    frame = make_world().leg[0]
    whole, data = frame.encode(), withhold(frame).encode()
    envelope = 1 + len(frame.envelope)
    runs = b"".join(b"\x81\x58\xcf" + run.record.encode() for run in frame.runs)
    assert data == whole[:envelope] + bytes([0x80 + len(frame.runs)]) + runs


def test_ingest_takes_no_withheld_frame() -> None:
    """Where frames come in, all readings must be there."""
    data = withhold(make_world().leg[0]).encode()
    with pytest.raises(MalformedError, match="frame_encoding"):
        decode_frame(data)


def test_an_empty_run_has_one_form() -> None:
    """A run without readings cannot be withheld: a frame would have two encodings."""
    world = make_world()
    idle = world.frames[0]
    assert withhold(idle).encode() == idle.encode()
    run = world.leg[0].runs[0]
    record = replace(run.record, count=0)
    forged = withhold(Frame(world.leg[0].header, bytes(64), (replace(run, record=record, readings=()),)))
    data = forged.encode()
    at = 1 + len(forged.envelope) + 1
    data = data[: at - 1] + bytes([0x80 + world.leg[0].header.run_count]) + b"\x81\x58\xcf" + record.encode()
    with pytest.raises(MalformedError, match="0 withheld readings"):
        decode_frame(data, may_withhold=True)


@pytest.mark.parametrize("at", range(0, 207, 9))
def test_a_changed_record_is_found(at: int) -> None:
    """Nothing in a withheld run can be changed: the signed root is over its record."""
    data = bytearray(withhold(make_world().leg[1]).encode())
    data[-207 + at] ^= 1
    with pytest.raises(MalformedError):
        decode_frame(bytes(data), may_withhold=True)


@pytest.mark.parametrize(
    ("frame_seqs", "places"),
    [
        ((2,), "12 of 48 readings are withheld (channel 1 in frames 2; channel 3 in frames 2)"),
        (
            (1, 2, 4),
            "36 of 48 readings are withheld (channel 1 in frames 1 to 2, 4; channel 3 in frames 1 to 2, 4)",
        ),
        ((), "48 of 48 readings are withheld (channel 1 in frames 1 to 4; channel 3 in frames 1 to 4)"),
    ],
)
def test_a_verifier_says_which_readings_are_withheld(frame_seqs: tuple[int, ...], places: str) -> None:
    """All that needs no reading passes as before; totals and verdict are warnings that name what is not shown."""
    whole = lines(evidence_of(make_world()))
    found = lines(without(evidence_of(make_world()), *frame_seqs))
    assert found["totals"] == (Status.WARN, f"{places}: their totals are signed, not refolded")
    assert found["verdict"][0] is Status.WARN
    assert "rests on withheld readings" in found["verdict"][1]
    for name in ("keys", "signature", "assignment", "chain", "completeness", "inclusion", "anchor", "age"):
        assert found[name] == whole[name], name


def test_inspect_shows_what_is_left() -> None:
    """Field by field to the end: of each run the record, and no salt or column."""
    frame = make_world().leg[0]
    data = withhold(frame).encode()
    fields, end = read_frame(data, 0, 10)
    assert end == len(data)
    runs = fields[-len(frame.runs) :]
    assert [[node.name for node in run.fields] for run in runs] == [["head", "run record"]] * len(frame.runs)


def test_exit_codes() -> None:
    """Good with warnings; 3 where warnings are not wanted."""
    report = verify(without(evidence_of(make_world())).encode(), KNOWN)
    assert (report.exit_code(False), report.exit_code(True)) == (0, 3)


def test_readings_that_are_shown_are_still_folded() -> None:
    """A lie in a frame after a withheld one does not hide behind it: here a verdict about other totals."""
    evidence = without(evidence_of(make_world()), 2)
    channel, quantity, totals = evidence.verdict.totals[0]
    lie = replace(
        evidence.verdict,
        totals=((channel, quantity, replace(totals, above_ms=0)), *evidence.verdict.totals[1:]),
    )
    assert lines(replace(evidence, verdict=lie))["verdict"][0] is Status.FAIL


def test_a_verdict_that_saw_fewer_frames_is_refused() -> None:
    """With readings withheld the verdict must be about all frames of the file."""
    evidence = without(evidence_of(make_world()))
    horizon = replace(evidence.verdict.horizon, last_frame_seq=3)
    assert (
        lines(replace(evidence, verdict=replace(evidence.verdict, horizon=horizon)))["verdict"][0]
        is Status.FAIL
    )


def changed(evidence: Evidence, keep: Callable[[Finding], bool], *more: Finding) -> Evidence:
    """All readings withheld, and a verdict with these findings alone."""
    found = [*filter(keep, evidence.verdict.findings), *more]
    verdict = replace(evidence.verdict, findings=tuple(sorted(found, key=lambda one: one.order)))
    return replace(without(evidence), verdict=verdict)


@pytest.mark.parametrize("rule", ["excursion_above", "cumulative_above", "mkt", "peak_above", "gap"])
def test_withholding_hides_no_breach_that_the_totals_prove(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator erases a leg and leaves a finding out of its verdict: the signed totals tell."""
    warm = evidence_world.LIMITS.channels[0]
    limits = replace(
        warm, above_total_max_ms=MINUTE_MS, mkt_max=6_000, peak_upper=8_500, gap_max_ms=4 * MINUTE_MS
    )
    monkeypatch.setattr(evidence_world, "LIMITS", Limits((limits, *evidence_world.LIMITS.channels[1:])))
    evidence = evidence_of(make_world())
    assert rule in {finding.rule.removesuffix("_more") for finding in evidence.verdict.findings}
    assert lines(without(evidence))["verdict"][0] is Status.WARN
    hidden = lines(changed(evidence, lambda one: one.rule.removesuffix("_more") != rule))["verdict"]
    assert hidden[0] is Status.FAIL
    assert f"lacks {rule}" in hidden[1]


@pytest.mark.parametrize("rule", ["excursion_below", "cumulative_below", "peak_below"])
def test_withholding_invents_no_breach_that_the_totals_rule_out(rule: str) -> None:
    """Nor may an erased leg get a finding, and its carrier a penalty, that the signed totals contradict."""
    evidence = evidence_of(make_world())
    seen = evidence.verdict.findings[0]
    invented = changed(evidence, lambda one: True, replace(seen, rule=rule))
    status, found = lines(invented)["verdict"]
    assert status is Status.FAIL
    assert f"has {rule}" in found


@pytest.mark.parametrize("state", ["open", "incomplete", "forked"])
def test_a_closed_leg_is_closed_whatever_is_withheld(state: LegState) -> None:
    """The closing frame's header is signed."""
    evidence = without(evidence_of(make_world()))
    verdict = replace(evidence.verdict, state=state, final=False)
    assert lines(evidence)["verdict"][0] is Status.WARN
    assert lines(replace(evidence, verdict=verdict))["verdict"][0] is Status.FAIL


def test_lateness_cannot_be_hidden_or_invented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a closed leg the closing frame's header and the order tell, with no reading shown."""
    on_time = evidence_of(make_world())
    invented = replace(on_time.verdict.findings[0], rule="late", channel=None)
    assert lines(changed(on_time, lambda one: True, invented))["verdict"][0] is Status.FAIL
    due_soon = replace(on_time.begin, due_ms=on_time.begin.begin_ms + 1)
    monkeypatch.setattr(evidence_world, "Assignment", lambda *_: due_soon)
    late = evidence_of(make_world())
    assert "late" in {finding.rule for finding in late.verdict.findings}
    assert lines(without(late))["verdict"][0] is Status.WARN
    assert lines(changed(late, lambda one: one.rule != "late"))["verdict"][0] is Status.FAIL
