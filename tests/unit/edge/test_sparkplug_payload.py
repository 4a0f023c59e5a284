"""Promises of the Sparkplug decoder: what Google's writes it reads alike, all else it refuses by name."""

import math
import struct
import tracemalloc

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from edge.sparkplug.payload import METRICS_MAX, PAYLOAD_BYTES_MAX, Metric, decode, rebirth_command
from lading.errors import MalformedError
from tests.unit.edge.sparkplug_proto import Payload, message

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

VALUES = [
    ("int_value", U32), ("long_value", U64), ("float_value", st.floats(width=32)), ("double_value", st.floats()),
    ("boolean_value", st.booleans()), ("string_value", TEXT), ("bytes_value", st.binary(max_size=9)), ("", None),
]  # fmt: skip


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    payload = Payload()
    for name, values in (("timestamp", U64), ("seq", U64), ("uuid", TEXT), ("body", st.binary(max_size=20))):
        if draw(st.booleans()):
            setattr(payload, name, draw(values))
    for _ in range(draw(st.integers(0, 4))):
        _fill(draw, payload.metrics.add())
    return payload.SerializeToString()


def _fill(draw: st.DrawFn, metric: object) -> None:
    for name, values in (
        ("name", TEXT), ("alias", U64), ("timestamp", U64), ("datatype", U32), ("is_historical", st.booleans()),
        ("is_transient", st.booleans()), ("is_null", st.booleans()),
    ):  # fmt: skip
        if draw(st.booleans()):
            setattr(metric, name, draw(values))
    field, values = draw(st.sampled_from(VALUES))
    if values is not None:
        setattr(metric, field, draw(values))
    elif draw(st.booleans()):
        metric.dataset_value.columns.append("a")
        metric.metadata.description = "x"
    else:
        metric.template_value.metrics.add(name="inner")
    for key in draw(
        st.lists(st.sampled_from(["Quality", "engUnit", "Documentation"]), max_size=3, unique=True)
    ):
        metric.properties.keys.append(key)
        value = metric.properties.values.add(type=3)
        if draw(st.booleans()):
            value.int_value = draw(U32)
        else:
            value.string_value = draw(TEXT)


def theirs(data: bytes) -> tuple:
    """What the other implementation reads, in our words."""
    payload = Payload.FromString(data)
    numbers = {"int_value": 10, "long_value": 11, "float_value": 12, "double_value": 13, "boolean_value": 14}
    metrics = []
    for one in payload.metrics:
        field = one.WhichOneof("value")
        value = (
            None
            if field is None
            else (numbers.get(field, 15), getattr(one, field) if field in numbers else None)
        )
        found = dict(zip(one.properties.keys, one.properties.values, strict=True))
        metrics.append(
            (
                *(
                    getattr(one, name) if one.HasField(name) else None
                    for name in ("name", "alias", "timestamp", "datatype")
                ),
                one.is_historical,
                one.is_null,
                value,
                _quality(found.get("Quality")),
                _unit(found.get("engUnit")),
            )
        )
    times = [getattr(payload, name) if payload.HasField(name) else None for name in ("timestamp", "seq")]
    return (*times, metrics)


def _quality(value: object) -> tuple | None:
    if value is None:
        return None
    return (10, value.int_value) if value.HasField("int_value") else (15, None)


def _unit(value: object) -> str | None:
    return value.string_value if value is not None and value.HasField("string_value") else None


def same(left: object, right: object) -> bool:
    """Equal, NaN to NaN."""
    if isinstance(left, tuple | list) and isinstance(right, tuple | list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return left == right


@given(payloads())
def test_what_another_implementation_writes_is_read_alike(data: bytes) -> None:
    """Every field that a reading needs; what it does not need is stepped over."""
    assert same(decode(data), theirs(data))


@given(payloads(), st.data())
def test_a_cut_or_changed_message_is_refused_or_read_alike(data: bytes, draws: st.DataObject) -> None:
    """Truncated anywhere, or with one byte changed: never a crash, never another meaning than the other reads."""
    if not data:
        return
    at = draws.draw(st.integers(0, len(data) - 1))
    changed = data[:at] + draws.draw(
        st.one_of(st.just(b""), st.binary(min_size=1, max_size=1).map(lambda b: b + data[at + 1 :]))
    )
    try:
        found = decode(changed)
        expected = Payload.FromString(changed)
    except (MalformedError, DecodeError):  # theirs also reads what ours steps over
        return
    assert (found.seq or 0, len(found.metrics)) == (expected.seq, len(expected.metrics))
    for ours, other in zip(found.metrics, expected.metrics, strict=True):
        assert (ours.name or "", ours.alias or 0, ours.time_ms or 0) == (
            other.name,
            other.alias,
            other.timestamp,
        )


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_name_or_read(data: bytes) -> None:
    """No input crashes the decoder."""
    try:
        decode(data)
    except MalformedError as exc:
        code = exc.code
    else:
        code = "sparkplug_read"
    assert code.startswith("sparkplug_")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x08", id="a key without value"),
        pytest.param(b"\x08\x80", id="an integer cut off"),
        pytest.param(b"\x08" + b"\xff" * 9 + b"\x02", id="65 bits"),
        pytest.param(b"\x08" + b"\xff" * 10 + b"\x01", id="eleven bytes"),
        pytest.param(b"\x12\x05\x0a", id="a length past the end"),
        pytest.param(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", id="a length of 2^64 - 1"),
        pytest.param(b"\x0a\x00", id="a timestamp that is bytes"),
        pytest.param(b"\x10\x01", id="metrics that are an integer"),
        pytest.param(b"\x08\x01\x08\x02", id="two timestamps"),
        pytest.param(b"\x0b\x0c", id="a group"),
        pytest.param(b"\x00\x00", id="field 0"),
        pytest.param(b"\x12\x02\x28\x02", id="historical: 2"),
        pytest.param(b"\x12\x04\x50\x01\x58\x01", id="two values"),
        pytest.param(b"\x12\x03\x0a\x01\xff", id="a name that is no UTF-8"),
        pytest.param(b"\x12\x05\x4a\x03\x0a\x01a", id="a property key without value"),
    ],
)
def test_refused(data: bytes) -> None:
    """What is not in the format, byte by byte."""
    with pytest.raises(MalformedError) as caught:
        decode(data)
    assert caught.value.code == "sparkplug_payload"


def test_bounds() -> None:
    """Bytes and metrics have limits, and the limits hold before memory is spent."""
    with pytest.raises(MalformedError, match="sparkplug_size"):
        decode(bytes(PAYLOAD_BYTES_MAX + 1))
    assert len(decode(b"\x12\x00" * METRICS_MAX).metrics) == METRICS_MAX
    tracemalloc.start()
    with pytest.raises(MalformedError, match="sparkplug_size"):
        decode(b"\x12\x00" * (PAYLOAD_BYTES_MAX // 2))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_specification_example() -> None:
    """6.4.2's second example, encoded by hand: My Metric, alias 1, a String, seq 2."""
    metric = b"\x0a\x09My Metric\x10\x01\x18\xa2\x82\x83\x95\x86\x2b\x20\x0c\x7a\x04Test"
    data = b"\x08\xea\xf2\xf5\xa8\xa0\x2b\x12" + bytes([len(metric)]) + metric + b"\x18\x02"
    (found,) = decode(data).metrics
    assert (
        found[:7] == Metric("My Metric", 1, 1_479_123_452_194, 12, False, False, (15, None), None, None)[:7]
    )
    assert (decode(data).time_ms, decode(data).seq) == (1_486_144_502_122, 2)


def test_the_rebirth_command() -> None:
    """As the other implementation reads it: Node Control/Rebirth, Boolean, true, and its time (5.17)."""
    found = Payload.FromString(rebirth_command(1_700_000_000_000))
    (metric,) = found.metrics
    assert (found.timestamp, found.HasField("seq")) == (1_700_000_000_000, False)
    assert (metric.name, metric.datatype, metric.boolean_value) == ("Node Control/Rebirth", 11, True)
    assert metric.timestamp == 1_700_000_000_000


def test_infinities_are_read_as_such() -> None:
    """They are numbers on the wire; that no reading has them is decided later."""
    data = message({"name": "a", "type": "Float", "value": math.inf}, {"name": "b", "value": -math.inf})
    assert [metric.value.number for metric in decode(data).metrics] == [math.inf, -math.inf]
    assert struct.unpack("<f", b"\x00\x00\x80\x7f")[0] == math.inf
