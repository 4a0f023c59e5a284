"""Python agrees with the frozen vectors: what is accepted, field by field, and what is refused, by name."""

from typing import Any

import pytest

from lading.batch import AnchorRecord, BatchLeaf, BatchRecord
from lading.cose import PublicKey
from lading.decoding import decode_envelope, decode_frame
from lading.errors import LadingError, MalformedError, ProofError
from lading.frame import Frame, Header, RunRecord, reading_leaf, withhold
from lading.totals import Reading
from lading.tree import check_inclusion, leaf_hash, root
from tests.vectors.read import cases, vectors

# --- tree and signature ---


@cases("tree", "roots")
def test_root(case: dict[str, Any]) -> None:
    assert root(case["leaf_hashes"]) == case["root"]


@cases("tree", "inclusion")
def test_inclusion(case: dict[str, Any]) -> None:
    arguments = [case[k] for k in ("leaf_hash", "index", "count", "siblings", "root")]
    if not case["error"]:
        check_inclusion(*arguments)
        return
    with pytest.raises(ProofError) as caught:
        check_inclusion(*arguments)
    assert caught.value.code == case["error"]


@cases("signature", "cases")
def test_signature(case: dict[str, Any]) -> None:
    def check() -> None:
        PublicKey(case["x"], case["y"]).verify(case["message"], case["r"] + case["s"])

    if case["valid"]:
        check()
        return
    with pytest.raises(LadingError) as caught:
        check()
    assert caught.value.code in ("signature", "key")


# --- frame ---


def refused(case: dict[str, Any], decode: Any, data: bytes) -> bool:
    if not case["error"]:
        return False
    with pytest.raises(MalformedError) as caught:
        decode(data)
    assert caught.value.code == case["error"]
    return True


@cases("frame", "readings")
def test_reading_leaf(case: dict[str, Any]) -> None:
    reading = Reading(case["seq"], case["time_ms"], case["value"], case["flags"])
    assert reading_leaf(case["salt"], case["channel"], reading) == case["bytes"]
    assert leaf_hash(case["bytes"]) == case["leaf_hash"]


@cases("frame", "records")
def test_run_record(case: dict[str, Any]) -> None:
    if refused(case, RunRecord.decode, case["bytes"]):
        return
    record = RunRecord.decode(case["bytes"])
    for name in (
        "channel",
        "quantity",
        "first_seq",
        "count",
        "first_time_ms",
        "last_time_ms",
        "readings_root",
    ):
        assert getattr(record, name) == case[name]
    for name in [k for k in case if k.startswith("totals_")]:
        assert getattr(record.totals, name.removeprefix("totals_")) == case[name]
    assert record.encode() == case["bytes"]


@cases("frame", "headers")
def test_header(case: dict[str, Any]) -> None:
    if refused(case, Header.decode, case["bytes"]):
        return
    header = Header.decode(case["bytes"])
    for name in Header.__dataclass_fields__:
        assert getattr(header, name) == case[name]
    assert (header.encoded, header.signed, header.hash) == (
        case["bytes"],
        case["sig_structure"],
        case["frame_hash"],
    )


@cases("frame", "frames")
def test_frame(case: dict[str, Any]) -> None:
    data = case["bytes"] + bytes(case["zeros_after"])
    if refused(case, decode_frame, data):
        return
    frame = decode_frame(data)
    assert (frame.header.encoded, frame.header.hash) == (case["header"], case["frame_hash"])
    assert (frame.signature, frame.envelope) == (case["signature"], case["envelope"])
    assert decode_envelope(frame.envelope) == (frame.header, frame.signature)
    PublicKey(vectors("frame")["key_x"], vectors("frame")["key_y"]).verify(
        frame.header.signed, frame.signature
    )
    found = [
        {"record": r.record.encode(), "salt": r.salt, "channel": r.record.channel,
         "readings": [list(x) for x in r.readings]}
        for r in frame.runs
    ]  # fmt: skip
    assert found == case["runs"]
    assert frame.encode() == data


# --- withheld runs ---


@cases("withheld", "frames")
def test_withheld_frame(case: dict[str, Any]) -> None:
    def decode(data: bytes) -> Frame:
        return decode_frame(data, may_withhold=True)

    with pytest.raises(MalformedError):
        decode_frame(case["bytes"])
    if refused(case, decode, case["bytes"]):
        return
    frame = decode(case["bytes"])
    assert frame.encode() == case["bytes"]
    assert [run.record.channel for run in frame.runs if run.is_withheld] == case["withheld"]
    assert sum(len(run.readings) for run in frame.runs) == case["readings"]
    whole = decode_frame(case["whole"])
    assert (frame.header, frame.signature, frame.header.hash) == (
        whole.header,
        whole.signature,
        case["frame_hash"],
    )
    assert [run.record for run in frame.runs] == [run.record for run in whole.runs]
    if len(case["withheld"]) == len(frame.runs):
        assert withhold(whole).encode() == case["bytes"]


# --- batch ---


@cases("batch", "leaves")
def test_batch_leaf(case: dict[str, Any]) -> None:
    if case["error"]:
        with pytest.raises(MalformedError):
            BatchLeaf.decode(case["bytes"])
        return
    leaf = BatchLeaf.decode(case["bytes"])
    for name in BatchLeaf.__dataclass_fields__:
        assert getattr(leaf, name) == case[name]
    assert (leaf.encoded, leaf.hash) == (case["bytes"], case["leaf_hash"])


@cases("batch", "super_roots")
def test_super_root(case: dict[str, Any]) -> None:
    hashed = [leaf_hash(leaf) for leaf in case["leaves"]]
    assert root(hashed) == case["super_root"]
    check_inclusion(hashed[case["index"]], case["index"], len(hashed), case["siblings"], case["super_root"])


def _document(case: dict[str, Any], decode: Any) -> None:
    if case["error"]:
        with pytest.raises(MalformedError):
            decode(case["bytes"])
    else:
        assert decode(case["bytes"]).encode() == case["bytes"]


@cases("batch", "batch_records")
def test_batch_record(case: dict[str, Any]) -> None:
    _document(case, BatchRecord.decode)


@cases("batch", "anchor_records")
def test_anchor_record(case: dict[str, Any]) -> None:
    _document(case, AnchorRecord.decode)
