"""One target a decoder: it refuses by one of our errors, or what it decodes encodes to the same bytes."""

import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from edge import senml
from edge.sparkplug.host import Host
from edge.sparkplug.node import DEVICE_KINDS, NODE_KINDS
from edge.sparkplug.payload import decode as sparkplug_decode
from edge.sparkplug.settling import Taken
from edge.sparkplug.values import Sensor
from lading import cbor
from lading.assignment import decode_payload, read_assignment
from lading.batch import AnchorRecord, BatchLeaf, BatchRecord
from lading.checks import Expected
from lading.clone import Clone
from lading.cose import decode_sign1, encode_sign1
from lading.deadletter import DeadLetter
from lading.decoding import decode_envelope, decode_frame
from lading.errors import MalformedError, ProofError, RejectedError
from lading.evidence import DIGEST_BYTES, Evidence
from lading.frame import RECORD_BYTES, Header, RunRecord, readings_root
from lading.inspect import inspect
from lading.limits import Limits
from lading.payout import decode_settled
from lading.policy import Policy
from lading.terms import Terms
from lading.terms_v1 import TermsV1
from lading.totals import Reading
from lading.tree import leaf_hash, root, sha256
from lading.verdict import Verdict, VerdictRecord
from lading.verify import verify
from tests.unit.edge.sparkplug_proto import message
from tests.unit.lading.test_evidence_attacks import cloned, honest, honest_v1
from tests.vectors.read import vectors

REFUSALS = (MalformedError, RejectedError, ProofError)
SEED_BYTES_MAX = 65_536
RUNS_AT = 297  # of a frame: the array of runs
RUNS_MAX = 23  # with a head of one byte
RUNS_ROOT_AT = 10 + 187  # of a frame
ROOT_AT = 33  # of a run record
SPARKPLUG_KINDS = (*NODE_KINDS, *DEVICE_KINDS)


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


def _rooted(data: bytes) -> bytes:
    """The frame with every root computed anew, as far as its structure holds: what a gateway could sign."""
    if len(data) <= RUNS_AT or data[RUNS_AT] & 0x1F > RUNS_MAX:
        return data
    fixed = bytearray(data)
    at = RUNS_AT + 1
    hashes = []
    with suppress(struct.error, MalformedError):
        for _ in range(data[RUNS_AT] & 0x1F):
            record_at, salt = at + 3, data[at + 3 + RECORD_BYTES + 1 : at + 3 + RECORD_BYTES + 17]
            channel, first_seq, count, first_ms = struct.unpack_from(">xHxxQIQ", data, record_at)
            at = record_at + RECORD_BYTES + 17
            columns = []
            for code, width in (("I", 4), ("i", 4), ("H", 2)):
                if code == "H" and data[at : at + 1] == b"\xf6":
                    columns.append((0,) * count)
                    at += 1
                    break
                at += 2 + len(cbor.head(2, width * count))
                columns.append(struct.unpack_from(f"<{count}{code}", data, at))
                at += width * count
            readings = [
                Reading((first_seq + i) % 2**64, (first_ms + delta) % 2**64, value, flags)
                for i, (delta, value, flags) in enumerate(zip(*columns, strict=True))
            ]
            fixed[record_at + ROOT_AT : record_at + ROOT_AT + 32] = readings_root(salt, channel, readings)
            hashes.append(leaf_hash(bytes(fixed[record_at : record_at + RECORD_BYTES])))
    fixed[RUNS_ROOT_AT : RUNS_ROOT_AT + 32] = root(hashes)
    return bytes(fixed)


def _frame_rooted(data: bytes) -> None:
    """The kernels take exactly the frames that the pure decoder takes."""
    from lading import fast  # numba takes seconds: only where it is asked for

    rooted = _rooted(data)
    (whole,) = fast.check_frames([rooted]).whole.tolist()
    try:
        frame = decode_frame(rooted)
    except REFUSALS:
        assert not whole, "the kernels take it"
        raise
    assert frame.encode() == rooted, "a second encoding"
    assert whole, "the kernels refuse it"


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
    return [one.encode() for one in (*honest().settlements, *honest_v1().settlements)]


def _terms() -> list[bytes]:
    return [one.terms for one in honest().settlements]


def _terms_v1() -> list[bytes]:
    return [one.terms for one in honest_v1().settlements]


def _everything() -> list[bytes]:
    found = [seed for name, target in TARGETS.items() if name not in NOT_OURS for seed in target.seeds()]
    return [seed for seed in found if len(seed) < 8_192]


def _talk(data: bytes) -> None:
    """A conversation with a Sparkplug host: kind and flags, length, payload; again and again."""
    at, taken, now_ms = 0, Taken([], []), 1_750_000_000_000
    host = Host(
        [Sensor("G/N/D/a", "Cel", 1), Sensor("G/N//b", "open", 2)], lambda _: -1, reorder_ms=50, history_ms=99
    )
    while at + 3 <= len(data):
        kind, retained = SPARKPLUG_KINDS[data[at] % 6], data[at] >= 250
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        topic = f"spBv1.0/G/{kind}/N" + ("/D" if kind[0] == "D" else "")
        host.take(topic, data[at + 3 : at + 3 + length], retained, now_ms, now_ms + 1_000, taken)
        host.settle(now_ms, taken)
        host.unborn(now_ms)
        at, now_ms = at + 3 + length, now_ms + 20
    host.settle(None, taken)
    for reading in taken.readings:
        assert -(2**31) <= reading.value_milli < 2**31, "a value that no frame can say"
        assert 0 <= reading.time_ms <= now_ms + 1_000, "a time that was to be refused"


def _talks() -> list[bytes]:
    born = message(
        {"name": "bdSeq", "type": "Int64", "value": 0}, {"name": "b", "type": "Boolean", "value": True}, seq=0
    )
    device = message({"name": "a", "alias": 1, "value": 4.5, "timestamp": 5}, seq=1)
    said = [
        message({"alias": 1, "value": 5.5, "timestamp": 6 + seq, "is_born": False}, seq=seq) for seq in (3, 2)
    ]
    dead = message({"name": "bdSeq", "type": "Int64", "value": 0})
    whole = b"".join(
        bytes([SPARKPLUG_KINDS.index(kind)]) + len(payload).to_bytes(2, "big") + payload
        for kind, payload in [
            ("NBIRTH", born),
            ("DBIRTH", device),
            ("DDATA", said[0]),
            ("DDATA", said[1]),
            ("NDEATH", dead),
        ]
    )
    return [whole, whole[: len(whole) // 2]]


def _sparkplug_payloads() -> list[bytes]:
    properties = {"Quality": ("int_value", 500), "engUnit": ("string_value", "Cel")}
    full = {
        "name": "a",
        "alias": 1,
        "value": 4.5,
        "timestamp": 5,
        "is_historical": True,
        "properties": properties,
    }
    return [message(), message(full, {"name": "b", "type": "Int8", "value": 255, "is_null": True}, seq=255)]


def _packs() -> list[bytes]:
    json_pack = (
        b'[{"bn":"a:","bt":1e9,"bu":"Cel","n":"t","v":23.1},{"n":"o","vb":true,"t":-5},{"n":"d","vd":"aGk"}]'
    )
    cbor_pack = "83 a4 21 62613a 22 1a3b9aca00 00 6174 02 fb4037199999999999 a2 00 616f 04 f5 9f 00 ff"
    return [json_pack, bytes.fromhex(cbor_pack)]


NOT_OURS = ("inspect", "senml", "sparkplug", "sparkplug_host")  # others' formats
TARGETS = {
    "cbor": Target(
        lambda data: cbor.encode(cbor.decode(data, 1 << 20)), True, _vectors("cbor", "accepted", "refused")
    ),
    "frame": Target(lambda data: decode_frame(data).encode(), True, _vectors("frame", "frames")),
    "frame_rooted": Target(_frame_rooted, False, _vectors("frame", "frames")),
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
    "settlement": Target(lambda data: decode_settled(data).encode(), True, _settlements),
    "payout": Target(lambda data: decode_settled(data).encode(), True, _vectors("cover", "records")),
    "policy": Target(lambda data: Policy.decode(data).encode(), True, _vectors("cover", "policies")),
    "terms": Target(lambda data: Terms.decode(data).encode(), True, _terms),
    "terms_v1": Target(lambda data: TermsV1.decode(data).encode(), True, _terms_v1),
    "evidence": Target(_evidence, False, _files),
    "verify": Target(lambda data: verify(_sealed(data), Expected()), False, _files),
    "inspect": Target(inspect, False, _everything),
    "senml": Target(lambda data: senml.decode(data, 1_750_000_000_000), False, _packs),
    "sparkplug": Target(sparkplug_decode, False, _sparkplug_payloads),
    "sparkplug_host": Target(_talk, False, _talks),
}
