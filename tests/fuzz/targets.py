"""One target a decoder: it refuses by one of our errors, or what it decodes encodes to the same bytes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lading import cbor
from lading.assignment import decode_payload, read_assignment
from lading.batch import AnchorRecord, BatchLeaf, BatchRecord
from lading.checks import Expected
from lading.clone import Clone
from lading.cose import decode_sign1, encode_sign1
from lading.deadletter import DeadLetter
from lading.errors import MalformedError, ProofError, RejectedError
from lading.evidence import DIGEST_BYTES, Evidence
from lading.frame import Header, RunRecord, decode_envelope, decode_frame
from lading.inspect import inspect
from lading.limits import Limits
from lading.settlement import Settlement
from lading.terms import Terms
from lading.tree import sha256
from lading.verdict import Verdict, VerdictRecord
from lading.verify import verify
from tests.unit.lading.test_evidence_attacks import cloned, honest
from tests.vectors.read import vectors

REFUSALS = (MalformedError, RejectedError, ProofError)
SEED_BYTES_MAX = 65_536


@dataclass(frozen=True)
class Target:
    """`again` decodes and encodes; None where only the absence of a crash is asked for."""

    run: Callable[[bytes], object]
    again: bool
    seeds: Callable[[], Iterable[bytes]]

    def check(self, data: bytes) -> None:
        """AssertionError on a second encoding; any other error than a refusal goes through."""
        try:
            found = self.run(data)
        except REFUSALS:
            return
        assert not self.again or found == data, "a second encoding"


def _vectors(file: str, *sections: str) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        cases = [case["bytes"] for section in sections for case in vectors(file)[section]]
        return [case for case in cases if len(case) <= SEED_BYTES_MAX]

    return seeds


def _envelope(data: bytes) -> bytes:
    payload, signature = decode_sign1(data)
    if payload[:1] == b"\x03":
        header, _ = decode_envelope(data)
        assert header.encoded == payload, "a second encoding"
    if payload[:1] == b"\x09":
        assert read_assignment(data).encode_payload() == payload, "a second encoding"
    return encode_sign1(payload, signature)


def _envelopes() -> list[bytes]:
    frames = [case["envelope"] for case in vectors("frame")["frames"] if not case["error"]]
    return frames + [case["bytes"] for case in vectors("assignment")["cases"][:6]]


def _payloads() -> list[bytes]:
    return [decode_sign1(case["bytes"])[0] for case in vectors("assignment")["cases"][:6]]


def _sealed(data: bytes) -> bytes:
    """The digest computed anew, or no mutation would get past it."""
    return data[:-DIGEST_BYTES] + sha256(data[:-DIGEST_BYTES])


def _evidence(data: bytes) -> None:
    sealed = _sealed(data)
    assert Evidence.decode(sealed).encode() == sealed, "a second encoding"


def _files() -> list[bytes]:
    return [honest().encode(), cloned().encode()]


def _settlements() -> list[bytes]:
    return [one.encode() for one in honest().settlements]


def _terms() -> list[bytes]:
    return [one.terms for one in honest().settlements]


def _everything() -> list[bytes]:
    found = [seed for name, target in TARGETS.items() if name != "inspect" for seed in target.seeds()]
    return [seed for seed in found if len(seed) < 8_192]


TARGETS = {
    "cbor": Target(
        lambda data: cbor.encode(cbor.decode(data, 1 << 20)), True, _vectors("cbor", "accepted", "refused")
    ),
    "frame": Target(lambda data: decode_frame(data).encode(), True, _vectors("frame", "frames")),
    "header": Target(lambda data: Header.decode(data).encoded, True, _vectors("frame", "headers")),
    "record": Target(lambda data: RunRecord.decode(data).encode(), True, _vectors("frame", "records")),
    "envelope": Target(_envelope, True, _envelopes),
    "limits": Target(lambda data: Limits.decode(data).encode(), True, _vectors("limits", "cases")),
    "assignment": Target(lambda data: decode_payload(data).encode_payload(), True, _payloads),
    "leaf": Target(lambda data: BatchLeaf.decode(data).encoded, True, _vectors("batch", "leaves")),
    "batch": Target(lambda data: BatchRecord.decode(data).encode(), True, _vectors("batch", "batch_records")),
    "anchor": Target(
        lambda data: AnchorRecord.decode(data).encode(), True, _vectors("batch", "anchor_records")
    ),
    "verdict": Target(lambda data: Verdict.decode(data).encoded, True, _vectors("documents", "verdicts")),
    "verdict_record": Target(
        lambda data: VerdictRecord.decode(data).encode(), True, _vectors("documents", "verdict_records")
    ),
    "clone": Target(lambda data: Clone.decode(data).encode(), True, _vectors("documents", "clones")),
    "dead_letter": Target(
        lambda data: DeadLetter.decode(data).encode(), True, _vectors("documents", "dead_letters")
    ),
    "settlement": Target(lambda data: Settlement.decode(data).encode(), True, _settlements),
    "terms": Target(lambda data: Terms.decode(data).encode(), True, _terms),
    "evidence": Target(_evidence, False, _files),
    "verify": Target(lambda data: verify(_sealed(data), Expected()), False, _files),
    "inspect": Target(inspect, False, _everything),
}
