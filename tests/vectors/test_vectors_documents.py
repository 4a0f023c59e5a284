"""Python agrees with the frozen vectors of totals, limits, CBOR, assignments and the smaller documents."""

import math
from typing import Any

import pytest

from ingest.raw import RawMessage, key_of
from lading import cbor, mkt
from lading.assignment import open_assignment
from lading.clone import Clone
from lading.cose import PublicKey
from lading.deadletter import DeadLetter
from lading.errors import LadingError, MalformedError, RejectedError
from lading.limits import Limits
from lading.totals import EMPTY, Reading, Totals, add_legs, fold
from lading.tree import sha256
from lading.verdict import Verdict, VerdictRecord
from tests.vectors.read import cases, vectors

# --- totals ---


def test_weight_table() -> None:
    """The published table is the formula's, to the last digit."""
    table, wanted = mkt.table(), vectors("totals")["table"]
    assert len(table) == wanted["entries"]
    assert sha256(b"".join(w.to_bytes(8, "big") for w in table)) == wanted["sha256"]
    found = (table[0], table[1000], table[1050], table[1250], table[-1])
    assert found == tuple(wanted[k] for k in ("lowest", "at_zero", "at_5", "at_25", "highest"))


@cases("totals", "weights")
def test_weight(case: dict[str, Any]) -> None:
    assert mkt.weight(case["value"]) == case["weight"]


@cases("totals", "mean_kinetic")
def test_mean_kinetic(case: dict[str, Any]) -> None:
    celsius = mkt.mean_kinetic_celsius(case["weight_sum"], case["known_ms"])
    assert celsius is not None
    assert math.isclose(celsius, float(case["celsius"].removesuffix(" °C")), abs_tol=0.005)


@cases("totals", "folds")
def test_fold(case: dict[str, Any]) -> None:
    """Reading by reading, and from any reading to the end in one go: the cut changes nothing."""
    limits = Limits.decode(case["limits"]).channels[0]
    readings = [Reading(*r) for r in case["readings"]]
    state, states = EMPTY, [EMPTY]
    for reading, step in zip(readings, case["steps"], strict=True):
        state = fold(state, limits, [reading])
        assert state.encode() == step
        states.append(state)
    for start, before in enumerate(states):
        assert fold(before, limits, readings[start:]) == state


@cases("totals", "refused")
def test_fold_refused(case: dict[str, Any]) -> None:
    limits = Limits.decode(case["limits"]).channels[0]
    with pytest.raises(RejectedError) as caught:
        fold(Totals.decode(case["totals"]), limits, [Reading(*case["reading"])])
    assert caught.value.code == "totals"


@cases("totals", "layouts")
def test_totals_layout(case: dict[str, Any]) -> None:
    totals = Totals.decode(case["bytes"])
    for name in Totals.__dataclass_fields__:
        assert getattr(totals, name) == case[name]
    assert totals.encode() == case["bytes"]


@cases("totals", "legs")
def test_add_legs(case: dict[str, Any]) -> None:
    sums = add_legs(Totals.decode(t) for t in case["totals"])
    for name, wanted in case["sums"].items():
        assert getattr(sums, name) == wanted


# --- limits, CBOR, assignments ---


@cases("limits", "cases")
def test_limits(case: dict[str, Any]) -> None:
    if case["error"]:
        with pytest.raises(MalformedError):
            Limits.decode(case["bytes"])
        return
    limits = Limits.decode(case["bytes"])
    assert (limits.encode(), limits.hash) == (case["bytes"], case["hash"])
    for channel, wanted in zip(limits.channels, case["channels"], strict=True):
        for name in type(channel).__dataclass_fields__:
            assert getattr(channel, name) == wanted[name]


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        (kind, leaf), *_ = value.items()
        return leaf if kind != "text" else str(leaf)
    return [plain(v) for v in value] if isinstance(value, list) else value


@cases("cbor", "accepted")
def test_cbor(case: dict[str, Any]) -> None:
    value = plain(case["value"])
    assert cbor.decode(case["bytes"], 1024) == value
    assert cbor.encode(value) == case["bytes"]


@cases("cbor", "refused")
def test_cbor_refused(case: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        cbor.decode(case["bytes"], 4096)


@cases("assignment", "cases")
def test_assignment(case: dict[str, Any]) -> None:
    file = vectors("assignment")
    operator = PublicKey(file["operator_x"], file["operator_y"])
    if case["error"]:
        with pytest.raises(LadingError) as caught:
            open_assignment(case["bytes"], operator)
        assert isinstance(caught.value, RejectedError if case["error"] == "signature" else MalformedError)
        return
    found = open_assignment(case["bytes"], operator)
    for name in (
        "action",
        "tenant",
        "gateway",
        "order_seq",
        "leg_id",
        "salt",
        "issued_ms",
        "begin_ms",
        "due_ms",
        "reference",
    ):
        assert getattr(found, name) == case[name]
    assert (found.limits.encode() if found.limits else b"") == case["limits"]


# --- documents ---

DECODERS = {
    "verdicts": lambda data: Verdict.decode(data).encoded,
    "verdict_records": lambda data: VerdictRecord.decode(data).encode(),
    "clones": lambda data: Clone.decode(data).encode(),
    "dead_letters": lambda data: DeadLetter.decode(data).encode(),
    "raw_messages": lambda data: RawMessage.decode(data).encode(),
}
DOCUMENTS = [("raw_messages", case) for case in vectors("raw")["raw_messages"]] + [
    (section, case)
    for section in DECODERS
    if section != "raw_messages"
    for case in vectors("documents")[section]
]


@pytest.mark.parametrize(("section", "case"), DOCUMENTS, ids=[f"{s}-{c['name']}" for s, c in DOCUMENTS])
def test_document(section: str, case: dict[str, Any]) -> None:
    decode = DECODERS[section]
    if case["error"]:
        with pytest.raises(MalformedError):
            decode(case["bytes"])
    else:
        assert decode(case["bytes"]) == case["bytes"]


@cases("raw", "keys")
def test_key_of_a_raw_message(case: dict[str, Any]) -> None:
    assert key_of(case["origin"], case["data"]) == case["key"]
