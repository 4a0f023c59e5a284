"""The checks of an evidence file that need no chain (docs/spec/evidence.md): pure functions of its content.

A check returns what it found, or raises ProofError or RejectedError with what is wrong; `lading.verify` runs them.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from lading.assignment import BEGIN, END, open_assignment
from lading.batch import AnchorRecord, BatchLeaf, location
from lading.errors import LadingError, ProofError
from lading.evidence import Evidence
from lading.frame import CLOSED, Frame, Header
from lading.limits import Limits
from lading.names import tenant_id
from lading.quantities import CLOCK
from lading.rules import SignedAs, duration, find_fork, judge
from lading.totals import EMPTY, Totals, fold
from lading.tree import check_inclusion, sha256
from lading.verdict import Verdict
from lading.withheld import check_goes_on, check_stated, places_of, withheld_runs

AGE_MS_MAX = 7 * 86_400_000
"""An anchor later than this after the frame's last reading is a warning, unless the caller says otherwise."""
SKEW_MS_MAX = 600_000
"""How far a gateway's clock may be ahead of the chain's, as the escrow has it."""
SHOWN_MAX = 8


class Status(StrEnum):
    """LEFT: not checked, for want of a chain or of something to compare with."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    LEFT = "LEFT"


class CheckResult(NamedTuple):
    """One line of the report."""

    name: str
    status: Status
    found: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What the caller knows by another way. Keys are x ‖ y; for the gateway its id will do as well."""

    gateway: bytes | None = None
    operator: bytes | None = None
    age_ms_max: int = AGE_MS_MAX


def passed(name: str, found: str) -> CheckResult:
    """A line that says PASS."""
    return CheckResult(name, Status.PASS, found)


@contextmanager
def _in_frame(header: Header) -> Iterator[None]:
    """Errors say which frame they are of."""
    try:
        yield
    except LadingError as exc:
        raise ProofError(exc.code, f"frame {header.frame_seq}: {exc.text}") from exc


def _limits(evidence: Evidence) -> Limits:
    if evidence.begin.limits is None:
        raise ProofError("assignment", "the begin order has no limits")
    return evidence.begin.limits


# --- who said it --------------------------------------------------------------------------------------------------


def check_keys(evidence: Evidence, expected: Expected) -> CheckResult:
    """The stated keys are those that the caller knows."""
    gateway, operator = evidence.gateway, evidence.operator
    stated = f"gateway {gateway.gateway_id.hex()}, operator key {operator.encode().hex()}"
    if expected.gateway not in (None, gateway.encode(), gateway.gateway_id):
        raise ProofError("gateway_key", f"the file states {stated}, wanted another gateway")
    if expected.operator not in (None, operator.encode()):
        raise ProofError("operator_key", f"the file states {stated}, wanted another operator")
    if expected.gateway is None or expected.operator is None:
        return CheckResult(
            "keys", Status.LEFT, f"{stated}: compare both, or give --gateway-key and --operator-key"
        )
    return passed("keys", f"{stated}, as given")


def check_signature(evidence: Evidence, _: Expected) -> CheckResult:
    """Each frame, order and clone envelope is signed by the stated keys."""
    key = evidence.gateway
    for proof in evidence.frames:
        header = proof.frame.header
        with _in_frame(header):
            if header.gateway_id != key.gateway_id:
                raise ProofError("gateway", f"is of gateway {header.gateway_id.hex()}")
            key.verify(header.signed, proof.frame.signature)
    for message in (evidence.begin_message, evidence.end_message):
        if message is not None:
            open_assignment(message, evidence.operator)
    for clone in evidence.clones:
        if clone.headers()[0].gateway_id != key.gateway_id:
            raise ProofError("clone", "a clone proof is of another gateway")
        clone.check(key)
    orders = 2 if evidence.end_message else 1
    return passed(
        "signature",
        f"{len(evidence.frames)} frames, {orders} orders, {2 * len(evidence.clones)} clone envelopes",
    )


def check_assignment(evidence: Evidence, _: Expected) -> CheckResult:
    """The orders begin and end this leg, for this tenant and gateway, and every frame keeps to them."""
    begin, end, limits = evidence.begin, evidence.end, _limits(evidence)
    wanted = (BEGIN, tenant_id(evidence.tenant_name), evidence.gateway.gateway_id)
    if (begin.action, begin.tenant, begin.gateway) != wanted:
        raise ProofError("assignment", "the begin order is not for this tenant and gateway")
    if end is not None:
        ends = (end.action, end.tenant, end.gateway, end.leg_id)
        if ends != (END, begin.tenant, begin.gateway, begin.leg_id) or end.order_seq <= begin.order_seq:
            raise ProofError("assignment", "the end order does not end this leg")
    for proof in evidence.frames:
        header = proof.frame.header
        if (header.leg_id, header.limits_hash) != (begin.leg_id, limits.hash):
            raise ProofError(
                "assignment", f"frame {header.frame_seq} is of another leg or under other limits"
            )
    return passed(
        "assignment", f"leg {begin.leg_id.hex()} is {begin.reference!r}, limits {limits.hash.hex()}"
    )


# --- nothing missing ----------------------------------------------------------------------------------------------


def check_chain(evidence: Evidence, _: Expected) -> CheckResult:
    """frame_seq goes up by one, each frame names the hash of the one before."""
    headers = [proof.frame.header for proof in evidence.frames]
    for before, after in itertools.pairwise(headers):
        if after.frame_seq != before.frame_seq + 1:
            raise ProofError("chain", f"missing: {_between(before.frame_seq, after.frame_seq)}")
        if after.previous_hash != before.hash:
            raise ProofError("chain", f"frame {after.frame_seq} follows another frame {before.frame_seq}")
    first, last = headers[0].frame_seq, headers[-1].frame_seq
    return passed("chain", f"frames {first} to {last}, each names the one before")


def _between(before: int, after: int) -> str:
    return f"frame {before + 1}" if after - before == 2 else f"frames {before + 1} to {after - 1}"


def check_totals(evidence: Evidence, _: Expected) -> CheckResult:
    """The fold of all readings from empty totals equals every run record; over withheld runs the signed ones go on."""
    limits = _limits(evidence)
    states: dict[int, Totals] = {channel.channel: EMPTY for channel in limits.channels}
    for proof in evidence.frames:
        with _in_frame(proof.frame.header):
            _refold(states, limits, proof.frame)
    readings = sum(state.count for state in states.values())
    withheld = withheld_runs(evidence)
    if not withheld:
        return passed(
            "totals", f"{readings} readings of {len(states)} channels refold to every frame's totals"
        )
    missing = sum(run.record.count for _, run in withheld)
    found = f"{missing} of {readings} readings are withheld ({places_of(withheld)})"
    return CheckResult("totals", Status.WARN, f"{found}: their totals are signed, not refolded")


def _refold(states: dict[int, Totals], limits: Limits, frame: Frame) -> None:
    wanted = [(channel.channel, channel.quantity) for channel in limits.channels]
    if [(run.record.channel, run.record.quantity) for run in frame.runs] != wanted:
        raise ProofError("totals", "other channels than the limits'")
    for run in frame.runs:
        channel, stated = run.record.channel, run.record.totals
        if run.is_withheld:
            check_goes_on(states[channel], run)
            states[channel] = stated
            continue
        states[channel] = folded = fold(states[channel], limits.channel(channel), run.readings)
        for name in Totals.__dataclass_fields__:
            found, given = getattr(stated, name), getattr(folded, name)
            if found != given:
                raise ProofError(
                    "totals", f"channel {channel} states {name} {found}, its readings give {given}"
                )


def check_completeness(evidence: Evidence, _: Expected) -> CheckResult:
    """From the leg's first frame to its closing one, or to the fork of the gateway's key."""
    frames = [proof.frame for proof in evidence.frames]
    numbers = [frame.header.frame_seq for frame in frames]
    if any(run.record.totals.count != run.record.count for run in frames[0].runs):
        raise ProofError("completeness", f"frames before {numbers[0]} are missing: it is not the leg's first")
    holes = [_between(a, b) for a, b in itertools.pairwise(numbers) if b != a + 1]
    if holes:
        raise ProofError("completeness", f"missing: {', '.join(holes[:SHOWN_MAX])}")
    fork = _fork(evidence, numbers)
    closing = [frame.header.frame_seq for frame in frames if frame.header.leg_state == CLOSED]
    if closing == numbers[-1:]:
        return passed(
            "completeness", f"from the leg's first frame {numbers[0]} to its closing frame {closing[0]}"
        )
    if fork is not None and not closing:
        return passed("completeness", f"from the leg's first frame {numbers[0]} to the key's fork at {fork}")
    what = f"closing frames {closing[:SHOWN_MAX]}, wanted the last alone" if closing else "no closing frame"
    raise ProofError("completeness", f"{what}: what came after frame {numbers[-1]} is not shown")


def _fork(evidence: Evidence, numbers: list[int]) -> int | None:
    """The frame_seq under which two frames were signed, if the file proves it."""
    signed = [SignedAs.of(header) for clone in evidence.clones for header in clone.headers()]
    signed += [SignedAs.of(proof.frame.header) for proof in evidence.frames]
    fork = find_fork(signed, numbers[0], numbers[-1])
    return fork.frame_seq if fork else None


# --- anchored -----------------------------------------------------------------------------------------------------


def check_inclusion_paths(evidence: Evidence, _: Expected) -> CheckResult:
    """Each frame is in its batch, each batch in its super-root, and batches follow one another."""
    for proof in evidence.frames:
        header, leaf = proof.frame.header, evidence.batches[proof.batch_index].leaf
        with _in_frame(header):
            check_inclusion(header.hash, proof.leaf_index, leaf.frame_count, proof.siblings, leaf.frames_root)
    for batch in evidence.batches:
        _check_batch_leaf(evidence.tenant_name, batch.leaf)
        anchor = evidence.anchors[batch.anchor_index]
        if batch.count != anchor.batch_count:
            raise ProofError(
                "inclusion", f"an interval of {anchor.batch_count} batches, stated as {batch.count}"
            )
        check_inclusion(batch.leaf.hash, batch.index, batch.count, batch.siblings, anchor.super_root)
    for before, after in itertools.pairwise(evidence.batches):
        if after.anchor_index <= before.anchor_index:
            raise ProofError(
                "inclusion", f"batch {after.leaf.batch_seq} is not in a later interval than the last"
            )
        if after.leaf.batch_seq == before.leaf.batch_seq + 1 and after.leaf.previous != before.leaf.hash:
            raise ProofError(
                "inclusion", f"batch {after.leaf.batch_seq} follows another batch than the file's"
            )
    counts = len(evidence.frames), len(evidence.batches), len(evidence.anchors)
    return passed("inclusion", "{} frames in {} batches under {} super-roots".format(*counts))


def _check_batch_leaf(tenant_name: str, leaf: BatchLeaf) -> None:
    place = location(tenant_name, leaf.batch_seq)
    if leaf.tenant != tenant_id(tenant_name) or leaf.location_hash != sha256(place.encode()):
        raise ProofError("inclusion", f"batch {leaf.batch_seq} is another tenant's, or lies elsewhere")


def check_age(evidence: Evidence, expected: Expected) -> CheckResult:
    """Frames are older than their anchor's block and younger than the block of the anchor that they name."""
    by_interval = {anchor.interval: anchor for anchor in evidence.anchors}
    longest_ms = seen_count = 0
    for proof in evidence.frames:
        anchor = evidence.anchors[evidence.batches[proof.batch_index].anchor_index]
        with _in_frame(proof.frame.header):
            longest_ms = max(longest_ms, _delay_ms(proof.frame, anchor))
            seen_count += _was_after_seen(
                proof.frame, anchor, by_interval.get(proof.frame.header.anchor_interval)
            )
    found = (
        f"anchored at most {duration(longest_ms)} after the last reading; {seen_count} frames after an anchor"
    )
    if longest_ms > expected.age_ms_max:
        return CheckResult("age", Status.WARN, f"{found}; wanted at most {duration(expected.age_ms_max)}")
    return passed("age", found)


def _delay_ms(frame: Frame, anchor: AnchorRecord) -> int:
    """From the frame's last reading, where the clock vouches for it, to its anchor's block."""
    timed = [
        reading.time_ms for run in frame.runs for reading in run.readings[-1:] if not reading.flags & CLOCK
    ]
    timed += [
        run.record.last_time_ms
        for run in frame.runs
        if run.is_withheld and not run.record.totals.last_flags & CLOCK
    ]
    last_ms = max(timed, default=frame.header.sent_ms)
    latest_ms = max(last_ms, frame.header.sent_ms)
    if anchor.state == "pending":
        raise ProofError("age", f"interval {anchor.interval} has no block yet")
    if latest_ms > anchor.block_time_ms + SKEW_MS_MAX:
        raise ProofError(
            "age", f"it speaks of {_iso(latest_ms)}, its anchor is of {_iso(anchor.block_time_ms)}"
        )
    return max(anchor.block_time_ms - last_ms, 0)


def _was_after_seen(frame: Frame, own: AnchorRecord, seen: AnchorRecord | None) -> bool:
    """True when the file holds the anchor that the frame names: the frame is no older than its block."""
    header = frame.header
    if header.anchor_interval >= own.interval:
        raise ProofError("age", f"it names interval {header.anchor_interval}, but is in {own.interval}")
    if seen is None or header.anchor_block_hash != seen.block_hash:
        return False
    if header.sent_ms + SKEW_MS_MAX < seen.block_time_ms:
        raise ProofError(
            "age",
            f"sent at {_iso(header.sent_ms)}, before the block that it names, of {_iso(seen.block_time_ms)}",
        )
    return True


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# --- judged -------------------------------------------------------------------------------------------------------


def check_verdict(evidence: Evidence, _: Expected) -> CheckResult:
    """The rules over these frames give exactly these verdict bytes."""
    stated = evidence.verdict
    _limits(evidence)
    frames = [proof.frame for proof in evidence.frames]
    finalized = all(anchor.state == "finalized" for anchor in evidence.anchors)
    if withheld_runs(evidence):
        check_stated(evidence, finalized=finalized)
        found = f"{_outcome(stated)}; its totals are signed; what the rules found rests on withheld readings"
        return CheckResult("verdict", Status.WARN, found)
    judged = judge(evidence.begin, frames, evidence.clones, final=finalized)
    if judged.encoded != stated.encoded:
        raise ProofError("verdict", f"the file states {_outcome(stated)}, the rules give {_outcome(judged)}")
    found = f"{_outcome(stated)}; the rules over these frames give the same bytes"
    return passed("verdict", found) if stated.final else CheckResult("verdict", Status.WARN, found)


def _outcome(verdict: Verdict) -> str:
    rules = sorted({finding.rule for finding in verdict.findings if finding.severity == "breach"})
    final = "final" if verdict.final else "provisional"
    return f"{verdict.state}, {final}, {verdict.result}" + (f" ({', '.join(rules)})" if rules else "")
