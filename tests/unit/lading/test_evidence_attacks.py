"""Evidence that was changed is refused, never with a traceback: by its digest, and where the attacker computes
the digest anew, by the check that is named here."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from lading.assignment import END, sign_assignment
from lading.clone import Clone
from lading.cose import P256_ORDER, KeySigner, PublicKey
from lading.errors import MalformedError
from lading.evidence import DIGEST_BYTES, Evidence, FrameProof
from lading.frame import CLOSED, OPEN, AnchorSeen, Frame, LegRef, Reading, Run, readings_root, runs_root, seal
from lading.limits import Limits
from lading.names import tenant_id
from lading.rules import judge
from lading.settlement import Settlement
from lading.terms import Leg, Terms
from lading.terms_v1 import TermsV1
from lading.tiers import Metric, Tier
from lading.tree import leaf_hash, proof, sha256
from lading.verify import EXIT_FAILED, EXIT_GOOD, EXIT_UNUSABLE, Expected, verify
from tests.unit.lading.evidence_world import (
    GATEWAY,
    LIMITS,
    OPERATOR,
    OTHER_GATEWAY,
    START_MS,
    TENANT,
    THIEF,
    World,
    anchored,
    evidence_of,
    make_world,
)

PARTIES = (bytes(19) + b"\1", bytes(19) + b"\2", bytes(19) + b"\3")
TIERS = (Tier(0, Metric.LATE_MS, 0, 500), Tier(1, Metric.ABOVE_LONGEST_MS, 1_800_000, 300))
EXPECTED = Expected(GATEWAY.public.gateway_id, OPERATOR.public.encode())


@cache
def honest() -> Evidence:
    """A leg with an excursion, a clone proof is not among it; its penalty is in the file."""
    world = make_world()
    leg = Leg(
        GATEWAY.public.gateway_id, world.begin.leg_id, LIMITS.hash, START_MS, START_MS + 86_400_000,
        START_MS // 1000 + 172_800,
    )  # fmt: skip
    terms = Terms(*PARTIES, tenant_id(TENANT), 3600, 0, 1000, 900, 7, (leg,), TIERS)
    return evidence_of(
        world, settlements=(penalty_of(world, terms.encode(), version=2, rest=700, reached=2),)
    )


@cache
def honest_v1() -> Evidence:
    """The same leg under an agreement of the first escrow."""
    world = make_world()
    terms = TermsV1(
        *PARTIES, tenant_id(TENANT), GATEWAY.public.gateway_id, world.begin.leg_id, LIMITS.hash, START_MS,
        START_MS + 86_400_000, START_MS // 1000 + 172_800, 3600, 1000, 7, TIERS,
    )  # fmt: skip
    return evidence_of(world, settlements=(penalty_of(world, terms.encode()),))


def penalty_of(world: World, terms: bytes, **more: int) -> Settlement:
    """The leg was above its limit for more than half an hour in one stretch, and not late: 300."""
    return Settlement(
        sha256(b"agreement"), world.begin.leg_id, bytes(20), 31337, terms, "penalty", 300,
        sha256(b"paid"), 200, sha256(b"block 200"), 150_000, **more,
    )  # fmt: skip


def reseal(data: bytes) -> bytes:
    """What an attacker does after changing bytes."""
    return data[:-DIGEST_BYTES] + sha256(data[:-DIGEST_BYTES])


def failing(data: bytes) -> tuple[int, set[str]]:
    report = verify(data, EXPECTED)
    return report.exit_code(strict=False), {r.name for r in report.results if r.status == "FAIL"}


def test_the_honest_file_is_good() -> None:
    assert failing(honest().encode()) == (EXIT_GOOD, set())


# --- bytes --------------------------------------------------------------------------------------------------------


def places(data: bytes, stride: int) -> list[int]:
    """Every place where an item of the document begins, and every stride-th byte."""
    starts = {at + shift for at in _item_starts(data) for shift in (-1, 0, 1, 2)}
    return sorted(at for at in starts | set(range(0, len(data), stride)) if 0 <= at < len(data))


def _item_starts(data: bytes) -> list[int]:
    starts, at, open_items = [], 0, 1
    while open_items:
        starts.append(at)
        major, info = data[at] >> 5, data[at] & 31
        width = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
        argument = int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else info
        at += 1 + width + (argument if major in (2, 3) else 0)
        open_items += (argument if major == 4 else 0) - 1
    assert at == len(data)
    return starts


def test_any_byte_changed_is_unusable() -> None:
    data = honest().encode()
    for at in places(data, 7):
        for bits in (0x01, 0x80, 0xFF):
            changed = data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]
            with pytest.raises(MalformedError):
                Evidence.decode(changed)


def test_cut_lengthened_or_spliced_is_refused() -> None:
    data = honest().encode()
    other = evidence_of(make_world(warm=False)).encode()
    at = places(data, 97)
    spoilt = [data[:i] for i in at]
    spoilt += [data + bytes([i]) for i in (0, 1, 0xFF)] + [b"\0" + data, data + data]
    spoilt += [data[:i] + data[j:] for i, j in zip(at, at[5:], strict=False)]
    spoilt += [data[:j] + data[i:] for i, j in zip(at, at[5:], strict=False)]
    spoilt += [data[:i] + other[i:] for i in at if other[i:] != data[i:] and other[:i] != data[:i]]
    for bad in spoilt:
        for changed in (bad, reseal(bad) if len(bad) > DIGEST_BYTES else bad):
            assert verify(changed, EXPECTED).exit_code(strict=False) in (EXIT_FAILED, EXIT_UNUSABLE)


def test_any_byte_changed_and_sealed_again_is_refused() -> None:
    """Without a chain only what a chain has to say passes: when it was exported, where anchors and payments lie."""
    data = honest().encode()
    for at in [at for at in places(data, 17) if at < len(data) - DIGEST_BYTES]:
        changed = reseal(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        report = verify(changed, EXPECTED)
        if report.exit_code(strict=False) == EXIT_GOOD:
            assert report.evidence is not None
            assert _without_chain(report.evidence) == _without_chain(honest())


def _without_chain(evidence: Evidence) -> Evidence:
    blank = {
        "registry": bytes(20),
        "tx_hash": bytes(32),
        "block_number": 1,
        "block_hash": bytes(32),
        "gas_used": 1,
    }
    anchors = tuple(replace(a, interval=1, chain_id=1, block_time_ms=1, **blank) for a in evidence.anchors)  # type: ignore[arg-type]
    paid = {
        "escrow": bytes(20),
        "tx_hash": bytes(32),
        "block_number": 1,
        "block_hash": bytes(32),
        "gas_used": 1,
        "owed": 0,
        "uncertainties": None,
    }
    settlements = tuple(
        replace(s, agreement=bytes(32), chain_id=1, terms=_without_parties(s.terms), **paid)  # type: ignore[arg-type]
        for s in evidence.settlements
    )
    return replace(evidence, exported_ms=0, anchors=anchors, settlements=settlements)


def _without_parties(terms: bytes) -> bytes:
    """Terms are bound by the agreement's id on chain; here only what binds them to the leg and the amount due."""
    found = Terms.decode(terms)
    nobody = {"carrier": bytes(20), "shipper": bytes(20), "token": bytes(20)}
    legs = tuple(replace(leg, begin_ms=0, due_ms=0, deadline_s=0) for leg in found.legs)
    amounts = {"window_s": 0, "salt": 0, "bond": 0, "leg_cap": 0, "uncertainty_max_milli": 0}
    return replace(found, tiers=(), legs=legs, **nobody, **amounts).encode()  # type: ignore[arg-type]


# --- attacks ------------------------------------------------------------------------------------------------------


def change_frame(at: int, make: Callable[[Frame], Frame], evidence: Evidence | None = None) -> Evidence:
    """The file with one frame replaced, its proof kept."""
    evidence = evidence or honest()
    proofs = list(evidence.frames)
    proofs[at] = replace(proofs[at], frame=make(proofs[at].frame))
    return judged(replace(evidence, frames=tuple(proofs)))


def judged(evidence: Evidence) -> Evidence:
    """The verdict that the rules give over what is now in the file: the attacker computes it too."""
    frames = [p.frame for p in evidence.frames]
    return replace(evidence, verdict=judge(evidence.begin, frames, evidence.clones, final=True))


def change_reading(
    frame: Frame, change: Callable[[Reading], Reading], *, at: int = 3, signer: KeySigner | None = None
) -> Frame:
    """One reading of the first channel changed, roots and times made to fit; signed anew only with a signer."""
    run = frame.runs[0]
    readings = tuple(change(r) if i == at else r for i, r in enumerate(run.readings))
    return rebuild(frame, replace(run, readings=readings), signer)


def rebuild(frame: Frame, run: Run, signer: KeySigner | None) -> Frame:
    record = replace(run.record, readings_root=readings_root(run.salt, run.record.channel, run.readings))
    runs = (replace(run, record=record), *frame.runs[1:])
    header = frame.header
    if signer is not None:
        leg = LegRef(header.leg_state, header.leg_id, header.limits_hash)
        seen = AnchorSeen(header.anchor_interval, header.anchor_block_hash)
        return seal(signer, leg, header.frame_seq, header.previous_hash, header.sent_ms, seen, runs)
    return Frame(replace(header, runs_root=runs_root(r.record for r in runs)), frame.signature, runs)


def cooler(reading: Reading) -> Reading:
    return reading._replace(value=5000)


def value_kept_under_old_root() -> Evidence:
    frame = honest().frames[1].frame
    run = frame.runs[0]
    changed = replace(run, readings=tuple(cooler(r) for r in run.readings))
    return change_frame(1, lambda _: Frame(frame.header, frame.signature, (changed, *frame.runs[1:])))


def value_changed() -> Evidence:
    return change_frame(1, lambda f: change_reading(f, cooler))


def flags_changed() -> Evidence:
    return change_frame(1, lambda f: change_reading(f, lambda r: r._replace(flags=0), at=2))


def time_changed() -> Evidence:
    return change_frame(1, lambda f: change_reading(f, lambda r: r._replace(time_ms=r.time_ms + 1)))


def salt_changed() -> Evidence:
    return change_frame(1, lambda f: rebuild(f, replace(f.runs[0], salt=bytes(15) + b"\1"), None))


def totals_changed() -> Evidence:
    def make(frame: Frame) -> Frame:
        run = frame.runs[0]
        totals = replace(run.record.totals, above_longest_ms=0)
        return rebuild(frame, replace(run, record=replace(run.record, totals=totals)), None)

    return change_frame(3, make)


def gateway_lies_in_its_totals() -> Evidence:
    """Signed by the right key: only refolding finds it."""

    def make(frame: Frame) -> Frame:
        run = frame.runs[0]
        totals = replace(run.record.totals, above_longest_ms=0)
        return rebuild(frame, replace(run, record=replace(run.record, totals=totals)), GATEWAY)

    return change_frame(3, make)


def gateway_signs_another_history() -> Evidence:
    """The gateway's own key rewrites a frame: the anchored tree and the next frame's previous hash do not fit."""
    return change_frame(1, lambda f: change_reading(f, cooler, signer=GATEWAY))


def thief_signs() -> Evidence:
    return change_frame(1, lambda f: change_reading(f, cooler, signer=THIEF))


def thief_signs_under_a_key_of_its_own() -> Evidence:
    evidence = honest()
    begin = replace(evidence.begin, gateway=THIEF.public.gateway_id)
    changed = replace(evidence, gateway=THIEF.public, begin_message=sign_assignment(begin, OPERATOR))
    for at in range(len(changed.frames)):
        changed = change_frame(at, lambda f: change_reading(f, lambda r: r, signer=THIEF), changed)
    return changed


def drop(*gone: int) -> Evidence:
    """Frames left out, with the batches and anchors that only they needed."""
    evidence = honest()
    kept = [p for i, p in enumerate(evidence.frames) if i not in gone]
    batches = sorted({p.batch_index for p in kept})
    place = {old: new for new, old in enumerate(batches)}
    return judged(
        replace(
            evidence,
            frames=tuple(replace(p, batch_index=place[p.batch_index]) for p in kept),
            batches=tuple(replace(evidence.batches[b], anchor_index=place[b]) for b in batches),
            anchors=tuple(evidence.anchors[b] for b in batches),
        )
    )


def other_leg(at: int) -> Evidence:
    """A frame of another leg of the same gateway in a frame's place."""

    def make(frame: Frame) -> Frame:
        leg = LegRef(frame.header.leg_state, sha256(b"another leg"), frame.header.limits_hash)
        header = frame.header
        seen = AnchorSeen(header.anchor_interval, header.anchor_block_hash)
        return seal(GATEWAY, leg, header.frame_seq, header.previous_hash, header.sent_ms, seen, frame.runs)

    return change_frame(at, make)


def other_gateway() -> Evidence:
    return change_frame(1, lambda f: change_reading(f, lambda r: r, signer=OTHER_GATEWAY))


def high_s(frame: Frame) -> Frame:
    s = P256_ORDER - int.from_bytes(frame.signature[32:], "big")
    return Frame(frame.header, frame.signature[:32] + s.to_bytes(32, "big"), frame.runs)


def signed(make: Callable[[bytes], bytes]) -> Evidence:
    return change_frame(1, lambda f: Frame(f.header, make(f.signature), f.runs))


def swap_batches() -> Evidence:
    """The other tenant's batch leaf, with its own right path, in the batch's place."""
    evidence = honest()
    batch = evidence.batches[0]
    theirs = replace(batch.leaf, tenant=tenant_id("north"))
    hashes = [leaf.hash for leaf in sorted((batch.leaf, theirs), key=lambda one: one.tenant)]
    swapped = replace(
        batch, leaf=theirs, index=1 - batch.index, siblings=tuple(proof(hashes, 1 - batch.index))
    )
    return replace(evidence, batches=(swapped, *evidence.batches[1:]))


def change_batch(**changes: object) -> Evidence:
    evidence = honest()
    leaf = replace(evidence.batches[0].leaf, **changes)  # type: ignore[arg-type]
    return replace(evidence, batches=(replace(evidence.batches[0], leaf=leaf), *evidence.batches[1:]))


def change_proof(at: int = 1, **changes: object) -> Evidence:
    proofs: list[FrameProof] = list(honest().frames)
    proofs[at] = replace(proofs[at], **changes)  # type: ignore[arg-type]
    return replace(honest(), frames=tuple(proofs))


def change_anchor(at: int = 0, **changes: object) -> Evidence:
    anchors = list(honest().anchors)
    anchors[at] = replace(anchors[at], **changes)  # type: ignore[arg-type]
    return replace(honest(), anchors=tuple(anchors))


def loosened() -> Limits:
    return Limits(tuple(replace(c, upper=20_000) for c in LIMITS.channels))


def limits_loosened(signer: KeySigner) -> Evidence:
    begin = replace(honest().begin, limits=loosened())
    return judged_under(
        replace(honest(), begin_message=sign_assignment(begin, signer), operator=signer.public)
    )


def judged_under(evidence: Evidence) -> Evidence:
    assert evidence.begin.limits is not None
    return replace(
        evidence, verdict=replace(judged(evidence).verdict, limits_hash=evidence.begin.limits.hash)
    )


def limits_loosened_in_place() -> Evidence:
    """The signed message's bytes changed, the signature kept."""
    begin = replace(honest().begin, limits=loosened())
    forged = sign_assignment(begin, THIEF)
    return replace(honest(), begin_message=forged[:-64] + honest().begin_message[-64:])


def another_end(signer: KeySigner, reference: str) -> Evidence:
    end = replace(honest().begin, action=END, order_seq=2, limits=None, reference=reference)
    return replace(honest(), end_message=sign_assignment(end, signer))


def change_verdict(**changes: object) -> Evidence:
    return replace(honest(), verdict=replace(honest().verdict, **changes))  # type: ignore[arg-type]


def cloned() -> Evidence:
    return evidence_of(make_world(clone=True))


def clone_by(signer: KeySigner) -> Evidence:
    frame = honest().frames[-1].frame
    header = frame.header
    leg = LegRef(CLOSED, header.leg_id, header.limits_hash)
    a = seal(
        signer,
        leg,
        header.frame_seq,
        header.previous_hash,
        header.sent_ms + 1,
        AnchorSeen(0, bytes(32)),
        frame.runs,
    )
    b = seal(
        signer,
        leg,
        header.frame_seq,
        header.previous_hash,
        header.sent_ms + 2,
        AnchorSeen(0, bytes(32)),
        frame.runs,
    )
    return judged(replace(honest(), clones=(Clone.of(a.envelope, b.envelope),)))


def clone_with_a_forged_signature() -> Evidence:
    one = cloned().clones[0]
    forged = Clone(one.first, one.second[:-64] + one.first[-64:])
    return replace(cloned(), clones=(forged,))


def change_settlement(**changes: object) -> Evidence:
    return replace(honest(), settlements=(replace(honest().settlements[0], **changes),))  # type: ignore[arg-type]


def change_terms(**changes: object) -> Evidence:
    terms = replace(Terms.decode(honest().settlements[0].terms), **changes)  # type: ignore[arg-type]
    return change_settlement(terms=terms.encode())


def change_leg(**changes: object) -> Evidence:
    terms = Terms.decode(honest().settlements[0].terms)
    return change_terms(legs=(replace(terms.legs[0], **changes),))  # type: ignore[arg-type]


def change_v1(**changes: object) -> Evidence:
    return replace(honest_v1(), settlements=(replace(honest_v1().settlements[0], **changes),))  # type: ignore[arg-type]


def change_terms_v1(**changes: object) -> Evidence:
    terms = replace(TermsV1.decode(honest_v1().settlements[0].terms), **changes)  # type: ignore[arg-type]
    return change_v1(terms=terms.encode())


def reopened() -> Evidence:
    """The closing frame called open, in place."""
    return change_frame(3, lambda f: Frame(replace(f.header, leg_state=OPEN), f.signature, f.runs))


def closed_early() -> Evidence:
    """The last frame left out, and the one before it called closing by the gateway's own key."""
    return change_frame(2, closing, drop(3))


def far_off() -> Evidence:
    """The last frame's number is the greatest there is: 2^64 − 5 frames are said to be missing."""
    return change_frame(3, lambda f: Frame(replace(f.header, frame_seq=2**64 - 1), f.signature, f.runs))


def closing(frame: Frame) -> Frame:
    header = frame.header
    leg = LegRef(CLOSED, header.leg_id, header.limits_hash)
    return seal(
        GATEWAY,
        leg,
        header.frame_seq,
        header.previous_hash,
        header.sent_ms,
        AnchorSeen(0, bytes(32)),
        frame.runs,
    )


ATTACKS: dict[str, tuple[Callable[[], Evidence], set[str]]] = {
    "a value changed under the old root": (value_kept_under_old_root, {"format"}),
    "a value changed, roots computed anew": (value_changed, {"signature", "chain", "totals", "inclusion"}),
    "a fault flag cleared": (flags_changed, {"signature", "totals"}),
    "a time shifted": (time_changed, {"signature", "totals"}),
    "a salt changed": (salt_changed, {"signature", "inclusion"}),
    "totals changed": (totals_changed, {"signature", "totals", "inclusion"}),
    "totals that the gateway signed wrong": (gateway_lies_in_its_totals, {"totals"}),
    "a frame signed anew by its gateway": (gateway_signs_another_history, {"chain", "totals", "inclusion"}),
    "a frame signed by a thief": (thief_signs, {"signature", "chain"}),
    "a history signed by a thief as another gateway": (thief_signs_under_a_key_of_its_own, {"keys", "inclusion"}),
    "the first frame left out": (lambda: drop(0), {"completeness"}),
    "the first two frames left out": (lambda: drop(0, 1), {"completeness"}),
    "a middle frame left out": (lambda: drop(1), {"chain", "totals", "completeness"}),
    "a frame number far off": (far_off, {"signature", "chain", "completeness"}),
    "the last frame left out": (lambda: drop(3), {"completeness"}),
    "the last frame left out, the one before closed by the gateway": (closed_early, {"inclusion"}),
    "the closing frame called open": (reopened, {"signature", "completeness", "inclusion"}),
    "a frame of another leg in the middle": (lambda: other_leg(1), {"assignment", "chain", "inclusion"}),
    "a frame of another leg at the end": (lambda: other_leg(3), {"assignment", "inclusion"}),
    "a frame of another gateway": (other_gateway, {"signature", "chain", "inclusion"}),
    "frames in another order": (
        lambda: replace(honest(), frames=(honest().frames[1], honest().frames[0], *honest().frames[2:])),
        {"format"},
    ),
    "a frame twice": (lambda: replace(honest(), frames=(honest().frames[0], *honest().frames)), {"format"}),
    "no frames": (lambda: replace(honest(), frames=(), batches=(), anchors=()), {"format"}),
    "a signature with high s": (lambda: change_frame(1, high_s), {"signature"}),
    "a signature with r = 0": (lambda: signed(lambda s: bytes(32) + s[32:]), {"signature"}),
    "a signature with s = 0": (lambda: signed(lambda s: s[:32] + bytes(32)), {"signature"}),
    "a signature of another frame": (lambda: signed(lambda _: honest().frames[0].frame.signature), {"signature"}),
    "another tenant's batch leaf": (swap_batches, {"inclusion"}),
    "a batch leaf with another frame count": (lambda: change_batch(frame_count=4), {"inclusion"}),
    "a batch leaf with another frames root": (lambda: change_batch(frames_root=sha256(b"x")), {"inclusion"}),
    "a batch leaf with another time": (lambda: change_batch(first_event_ms=START_MS - 1), {"inclusion"}),
    "a batch leaf at another location": (lambda: change_batch(location_hash=sha256(b"x")), {"inclusion"}),
    "a leaf index of another frame": (lambda: change_proof(leaf_index=0), {"inclusion"}),
    "a sibling left out": (lambda: change_proof(siblings=honest().frames[1].siblings[:-1]), {"inclusion"}),
    "a sibling too many": (lambda: change_proof(siblings=(*honest().frames[1].siblings, bytes(32))), {"inclusion"}),
    "a frame said to be in another batch": (lambda: change_proof(batch_index=0), {"inclusion"}),
    "a batch that does not exist": (lambda: change_proof(at=3, batch_index=9), {"format"}),
    "an anchor that no batch needs": (
        lambda: replace(honest(), anchors=(*honest().anchors, replace(honest().anchors[-1], interval=9))),
        {"format"},
    ),
    "another super-root": (lambda: change_anchor(super_root=sha256(b"x")), {"inclusion"}),
    "another batch count": (lambda: change_anchor(batch_count=3), {"inclusion"}),
    "an anchor older than its frames": (lambda: change_anchor(at=1, block_time_ms=START_MS), {"age"}),
    "an anchor newer than a frame that names it": (
        lambda: change_anchor(block_time_ms=START_MS + 30 * 86_400_000),
        {"age"},
    ),
    "an anchor that is only mined under a final verdict": (lambda: change_anchor(state="mined"), {"verdict"}),
    "an anchor that is in no block": (
        lambda: change_anchor(state="pending", block_number=0, block_hash=bytes(32), block_time_ms=0, gas_used=0),
        {"age", "verdict"},
    ),
    "intervals swapped": (
        lambda: replace(honest(), anchors=(honest().anchors[1], honest().anchors[0], honest().anchors[2])),
        {"format"},
    ),
    "limits loosened in place": (limits_loosened_in_place, {"signature", "assignment"}),
    "limits loosened by the operator": (lambda: limits_loosened(OPERATOR), {"assignment"}),
    "limits loosened by a thief as operator": (lambda: limits_loosened(THIEF), {"keys", "assignment", "signature"}),
    "an end signed by a thief": (lambda: another_end(THIEF, "SHIPMENT-1"), {"signature"}),
    "an end of another leg": (lambda: another_end(OPERATOR, "SHIPMENT-2"), {"assignment"}),
    "a begin in the end's place": (
        lambda: replace(honest(), end_message=honest().begin_message),
        {"assignment"},
    ),
    "an end in the begin's place": (
        lambda: replace(honest(), begin_message=honest().end_message, end_message=None),
        {"assignment", "verdict"},
    ),
    "another tenant's name": (lambda: replace(honest(), tenant_name="north"), {"assignment", "inclusion"}),
    "a tenant's name in capitals": (lambda: replace(honest(), tenant_name="DEMO"), {"format"}),
    "another gateway's key": (lambda: replace(honest(), gateway=OTHER_GATEWAY.public), {"keys", "signature"}),
    "the verdict called clean": (lambda: change_verdict(findings=()), {"verdict"}),
    "a verdict over fewer frames": (
        lambda: replace(honest(), verdict=judged(drop(2, 3)).verdict),
        {"verdict"},
    ),
    "the verdict called provisional": (lambda: change_verdict(final=False), {"verdict"}),
    "the verdict of another leg": (lambda: change_verdict(leg_id=sha256(b"x")), {"verdict"}),
    "a clone proof left out": (lambda: replace(cloned(), clones=()), {"verdict"}),
    "a clone proof of another gateway": (lambda: clone_by(OTHER_GATEWAY), {"signature"}),
    "a clone proof with a forged signature": (clone_with_a_forged_signature, {"signature"}),
    "another amount": (lambda: change_settlement(amount=301), {"settlement"}),
    "more than the bond released": (lambda: change_settlement(rest=701), {"settlement"}),
    "a release for a penalty": (
        lambda: change_settlement(kind="release", amount=1000, rest=1000, reached=0), {"settlement"},
    ),
    "another tier reached": (lambda: change_settlement(reached=1), {"settlement"}),
    "a leg that the terms do not have": (lambda: change_settlement(leg_index=1), {"settlement"}),
    "terms with a lower cap": (lambda: change_terms(leg_cap=299), {"settlement"}),
    "terms that ask for a calibration": (lambda: change_terms(uncertainty_max_milli=1), {"settlement"}),
    "the payment of another leg": (lambda: change_settlement(leg_id=sha256(b"x")), {"settlement"}),
    "terms of another leg": (lambda: change_leg(leg_id=sha256(b"x")), {"settlement"}),
    "terms under other limits": (lambda: change_leg(limits_hash=loosened().hash), {"settlement"}),
    "terms with a higher amount": (lambda: change_terms(tiers=(Tier(1, 2, 1_800_000, 301),)), {"settlement"}),
    "first version, another amount": (lambda: change_v1(amount=301), {"settlement"}),
    "first version, a release for a penalty": (lambda: change_v1(kind="release", amount=1000), {"settlement"}),
    "first version, a higher amount agreed": (
        lambda: change_terms_v1(tiers=(Tier(1, 2, 1_800_000, 301),)), {"settlement"},
    ),
    "first version, terms of another leg": (lambda: change_terms_v1(leg_id=sha256(b"x")), {"settlement"}),
    "terms with a trailing word": (
        lambda: change_settlement(terms=honest().settlements[0].terms + bytes(32)),
        {"settlement"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_caught_by_the_checks_named(name: str) -> None:
    make, wanted = ATTACKS[name]
    code, found = failing(make().encode())
    assert wanted <= found
    assert code == (EXIT_UNUSABLE if wanted == {"format"} else EXIT_FAILED)


def test_a_key_off_the_curve_is_unusable() -> None:
    data = honest().encode()
    key = GATEWAY.public.encode()
    assert failing(reseal(data.replace(key, key[:-1] + bytes([key[-1] ^ 1])))) == (EXIT_UNUSABLE, {"format"})


def test_evidence_goes_both_ways() -> None:
    """One encoding: decoding and encoding give the same bytes."""
    for evidence in (honest(), cloned()):
        assert Evidence.decode(evidence.encode()) == evidence
        assert Evidence.decode(evidence.encode()).encode() == evidence.encode()


def test_the_tree_of_the_world_is_the_specs() -> None:
    """The fixture itself: leaves are frame hashes, that is leaf hashes of Sig_structures."""
    frame = anchored(make_world())[0].frames[0]
    assert frame.header.hash == leaf_hash(frame.header.signed)
    assert isinstance(GATEWAY.public, PublicKey)
