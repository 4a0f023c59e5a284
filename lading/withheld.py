"""What can still be said of runs whose readings are withheld (docs/spec/evidence.md): the signed records alone."""

from lading.errors import ProofError
from lading.evidence import Evidence
from lading.frame import CLOSED, Frame, Run
from lading.limits import Limits
from lading.rules.findings import MORE, TOTALS_RULES, proven, totals_findings
from lading.rules.track import GAP
from lading.totals import Totals
from lading.verdict import Finding, Verdict

_GROWING = (
    "valid_count",
    "last_ms",
    "valid_ms",
    "longest_gap_ms",
    "known_ms",
    "unknown_ms",
    "above_ms",
    "above_longest_ms",
    "below_ms",
    "below_longest_ms",
    "mkt_weight_sum",
)
_AGAINST = "the totals that the gateway signed say otherwise"


def withheld_runs(evidence: Evidence) -> list[tuple[int, Run]]:
    """(frame_seq, run) of every run whose readings are not in the file."""
    return [
        (proof.frame.header.frame_seq, run)
        for proof in evidence.frames
        for run in proof.frame.runs
        if run.is_withheld
    ]


def places_of(withheld: list[tuple[int, Run]]) -> str:
    """Every withheld run by channel and frames, consecutive ones together."""
    of_channel: dict[int, list[int]] = {}
    for frame_seq, run in withheld:
        of_channel.setdefault(run.record.channel, []).append(frame_seq)
    return "; ".join(
        f"channel {channel} in frames {_spans(numbers)}" for channel, numbers in sorted(of_channel.items())
    )


def _spans(numbers: list[int]) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in spans)


def check_goes_on(before: Totals, run: Run) -> None:
    """What must hold of totals over readings that are not shown: counts add up, and what only grows never shrinks."""
    record, after = run.record, run.record.totals
    first_seq = before.first_seq if before.count else record.first_seq
    if (after.count, after.first_seq) != (before.count + record.count, first_seq):
        raise ProofError(
            "totals",
            f"channel {record.channel} states {after.count} readings from {after.first_seq}, "
            f"wanted {before.count + record.count} from {first_seq}",
        )
    for name in _GROWING:
        if getattr(after, name) < getattr(before, name):
            found = f"{getattr(after, name)} after {getattr(before, name)}"
            raise ProofError("totals", f"channel {record.channel} states {name} {found}: it never shrinks")


def check_stated(evidence: Evidence, *, finalized: bool) -> None:
    """The rules cannot be run: the verdict must fit all that is signed. The rest of it is the operator's word."""
    stated, begin, horizon = evidence.verdict, evidence.begin, evidence.verdict.horizon
    limits_hash = begin.limits.hash if begin.limits else b""
    if (stated.leg_id, stated.gateway_id, stated.limits_hash) != (begin.leg_id, begin.gateway, limits_hash):
        raise ProofError("verdict", "the verdict is of another leg, gateway or limits")
    frames = [proof.frame for proof in evidence.frames]
    of_number = {frame.header.frame_seq: frame for frame in frames}
    last = of_number.get(horizon.last_frame_seq)
    is_all = bool(evidence.clones) or last is frames[-1]  # up to a fork of the key it may end sooner
    if last is None or not is_all or last.header.hash != horizon.last_frame_hash:
        raise ProofError(
            "verdict", f"the verdict saw frames to {horizon.last_frame_seq}, the file's are others"
        )
    signed = tuple((run.record.channel, run.record.quantity, run.record.totals) for run in last.runs)
    if horizon.first_frame_seq != frames[0].header.frame_seq or stated.totals != signed:
        raise ProofError("verdict", "the verdict's totals are not those that the gateway signed")
    _check_end(stated, last, begin.due_ms)
    if begin.limits:
        _check_findings(stated, begin.limits, last)
    if stated.final and not finalized:
        raise ProofError("verdict", "the verdict is final, not every anchor is recorded as finalized")


def _check_end(stated: Verdict, last: Frame, due_ms: int) -> None:
    """Headers alone tell whether the leg is closed, and whether a closed one was late."""
    is_closed = last.header.leg_state == CLOSED
    if is_closed != (stated.state == "closed"):
        raise ProofError(
            "verdict", f"the verdict says {stated.state}: the last frame's header says otherwise"
        )
    is_late = bool(due_ms) and last.header.sent_ms > due_ms
    if is_closed and is_late != any(one.rule == "late" for one in stated.findings):
        raise ProofError(
            "verdict", f"closed at {last.header.sent_ms} ms, due at {due_ms} ms: the verdict says otherwise"
        )


def _check_findings(stated: Verdict, limits: Limits, last: Frame) -> None:
    """All that the signed totals prove was found, and nothing that they rule out."""
    follow: list[Finding] = []
    for run in last.runs:
        channel, totals = limits.channel(run.record.channel), run.record.totals
        follow += totals_findings(channel, totals, last.header.hash)
        rules = {one.rule.removesuffix(MORE) for one in stated.findings if one.channel == channel.channel}
        for rule, is_proven in proven(channel, totals).items():
            if (rule in rules) != is_proven and (is_proven or rule != GAP):
                says = "lacks" if is_proven else "has"
                raise ProofError(
                    "verdict", f"the verdict {says} {rule} of channel {channel.channel}: {_AGAINST}"
                )
    found = {one for one in stated.findings if one.rule in TOTALS_RULES}
    for finding in sorted(found ^ set(follow), key=lambda one: one.order):
        says = "has" if finding in found else "lacks"
        what = f"{finding.rule} {finding.measured} of channel {finding.channel}"
        raise ProofError("verdict", f"the verdict {says} {what}: {_AGAINST}")
