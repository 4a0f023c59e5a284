"""Fixed layouts field by field: the tables of docs/spec, read in order."""

from collections.abc import Callable
from typing import NamedTuple

from lading.inspect.node import (
    Node,
    Stopped,
    duration_note,
    flags_note,
    limit_ms_note,
    quantity_note,
    shown_text,
    time_note,
    value_note,
)
from lading.mkt import mean_kinetic_celsius

Values = dict[str, int]
Note = Callable[[int, Values], str]


class Field(NamedTuple):
    """`kind`: u8 … u128, i32, or bytesN. `note` is given the value and the values before it."""

    name: str
    kind: str
    note: Note | None = None


def _plain(text: Callable[[int], str]) -> Note:
    return lambda value, _: text(value)


def _of(names: dict[int, str]) -> Note:
    return lambda value, _: names.get(value, "unknown")


def _value(value: int, values: Values) -> str:
    return value_note(value, values.get("quantity", 0))


TIME, LASTS, LIMIT_MS, FLAGS = map(_plain, (time_note, duration_note, limit_ms_note, flags_note))
QUANTITY = _plain(quantity_note)
VERSION = Field("version", "u8")

READING = (
    Field("type", "u8", _of({1: "reading"})), Field("salt", "bytes16"), Field("channel", "u16"), Field("seq", "u64"),
    Field("time_ms", "u64", TIME), Field("value", "i32", _plain(lambda v: "thousandths of the unit")),
    Field("flags", "u16", FLAGS),
)  # fmt: skip


def _mkt(value: int, values: Values) -> str:
    celsius = mean_kinetic_celsius(value, values["known_ms"])
    return "none" if celsius is None else f"mean kinetic temperature {celsius:.3f} °C"


TOTALS = (
    Field("first_seq", "u64"), Field("count", "u32", _plain(lambda v: "readings")),
    Field("valid_count", "u32", _plain(lambda v: "readings")), Field("first_ms", "u64", TIME),
    Field("last_ms", "u64", TIME), Field("last_flags", "u16", FLAGS), Field("last_value", "i32", _value),
    Field("valid_ms", "u64", TIME), Field("min_value", "i32", _value), Field("max_value", "i32", _value),
    Field("longest_gap_ms", "u64", LASTS), Field("known_ms", "u64", LASTS), Field("unknown_ms", "u64", LASTS),
    Field("above_ms", "u64", LASTS), Field("above_longest_ms", "u64", LASTS), Field("above_current_ms", "u64", LASTS),
    Field("below_ms", "u64", LASTS), Field("below_longest_ms", "u64", LASTS), Field("below_current_ms", "u64", LASTS),
    Field("mkt_weight_sum", "u128", _mkt),
)  # fmt: skip
RECORD = (
    Field("type", "u8", _of({2: "run record"})), Field("channel", "u16"), Field("quantity", "u16", QUANTITY),
    Field("first_seq", "u64"), Field("count", "u32", _plain(lambda v: "readings")),
    Field("first_time_ms", "u64", TIME), Field("last_time_ms", "u64", TIME), Field("readings_root", "bytes32"),
)  # fmt: skip
HEADER = (
    Field("type", "u8", _of({3: "frame header"})), VERSION, Field("gateway_id", "bytes32"),
    Field("leg_state", "u8", _of({0: "idle", 1: "open", 2: "closed"})), Field("leg_id", "bytes32"),
    Field("limits_hash", "bytes32"), Field("frame_seq", "u64"), Field("previous_hash", "bytes32"),
    Field("sent_ms", "u64", TIME), Field("anchor_interval", "u64", _plain(lambda v: "" if v else "none seen")),
    Field("anchor_block_hash", "bytes32"), Field("runs_root", "bytes32"), Field("run_count", "u16"),
)  # fmt: skip
BATCH_LEAF = (
    Field("type", "u8", _of({4: "batch leaf"})), VERSION, Field("tenant", "bytes32"), Field("batch_seq", "u64"),
    Field("frames_root", "bytes32"), Field("frame_count", "u32"), Field("first_event_ms", "u64", TIME),
    Field("last_event_ms", "u64", TIME), Field("previous", "bytes32"), Field("location_hash", "bytes32"),
)  # fmt: skip
LIMITS_HEAD = (Field("type", "u8", _of({5: "limits"})), VERSION, Field("channels", "u16"))
CHANNEL = (
    Field("channel", "u16"), Field("quantity", "u16", QUANTITY), Field("lower", "i32", _value),
    Field("upper", "i32", _value), Field("hold_ms", "u32", LASTS), Field("above_stretch_max_ms", "u32", LIMIT_MS),
    Field("above_total_max_ms", "u32", LIMIT_MS), Field("below_stretch_max_ms", "u32", LIMIT_MS),
    Field("below_total_max_ms", "u32", LIMIT_MS), Field("peak_lower", "i32", _value),
    Field("peak_upper", "i32", _value), Field("mkt_max", "i32", _value), Field("gap_max_ms", "u32", LIMIT_MS),
    Field("unknown_total_max_ms", "u32", LIMIT_MS),
    Field("rate_max", "u32", _plain(lambda v: "off" if v == 2**32 - 1 else "thousandths of the unit a minute")),
    Field("stuck_max_ms", "u32", LIMIT_MS), Field("quantity_flags", "u16", _plain(lambda v: "reserved")),
)  # fmt: skip
ASSIGNMENT_HEAD = (
    Field("type", "u8", _of({9: "assignment"})), VERSION, Field("action", "u8", _of({1: "begin", 2: "end"})),
    Field("tenant", "bytes32"), Field("gateway", "bytes32"), Field("order_seq", "u64"), Field("leg_id", "bytes32"),
    Field("salt", "bytes16"), Field("issued_ms", "u64", TIME), Field("begin_ms", "u64", TIME),
    Field("due_ms", "u64", TIME), Field("reference_length", "u16"),
)  # fmt: skip


def width(kind: str) -> int:
    """Bytes of a field."""
    return int(kind.removeprefix("bytes")) if kind.startswith("bytes") else int(kind[1:]) // 8


def layout_size(layout: tuple[Field, ...]) -> int:
    """Bytes of a layout."""
    return sum(width(field.kind) for field in layout)


def read_layout(
    data: bytes, at: int, layout: tuple[Field, ...], known: Values | None = None
) -> tuple[Node, ...]:
    """The fields from byte `at` on; Stopped where the bytes run out. `known` are values that notes may need."""
    nodes: list[Node] = []
    values: Values = dict(known or {})
    for name, kind, note in layout:
        size = width(kind)
        raw = data[at : at + size]
        if len(raw) < size:
            raise Stopped("size", f"byte {at}: {name} needs {size} bytes, {len(raw)} are left", tuple(nodes))
        if kind.startswith("bytes"):
            nodes.append(Node(name, at, size, raw.hex()))
        else:
            number = int.from_bytes(raw, "big", signed=kind[0] == "i")
            values[name] = number
            nodes.append(Node(name, at, size, str(number), note(number, values) if note else ""))
        at += size
    return tuple(nodes)


def number_of(nodes: tuple[Node, ...], name: str) -> int:
    """A whole number among the fields read."""
    return next(int(node.value) for node in nodes if node.name == name)


def whole(name: str, data: bytes, at: int, layout: tuple[Field, ...]) -> Node:
    """A layout as one field."""
    size = layout_size(layout)
    return Node(name, at, size, "", "", read_layout(data, at, layout))


def read_record(data: bytes, at: int) -> tuple[Node, ...]:
    """A run record with its totals."""
    head = read_layout(data, at, RECORD)
    quantity = number_of(head, "quantity")
    start = at + layout_size(RECORD)
    try:
        totals = read_layout(data, start, TOTALS, {"quantity": quantity})
    except Stopped as exc:
        raise Stopped(exc.code, exc.text, (*head, *exc.fields)) from exc
    return (*head, Node("totals", start, layout_size(TOTALS), "", "since the leg began", totals))


def read_limits(data: bytes, at: int) -> tuple[Node, ...]:
    """Limits with every channel."""
    nodes = list(read_layout(data, at, LIMITS_HEAD))
    size = layout_size(CHANNEL)
    for number in range(number_of(tuple(nodes), "channels")):
        start = at + layout_size(LIMITS_HEAD) + number * size
        try:
            fields = read_layout(data, start, CHANNEL)
        except Stopped as exc:
            raise Stopped(exc.code, exc.text, (*nodes, *exc.fields)) from exc
        nodes.append(Node("channel limits", start, size, "", "", fields))
    return tuple(nodes)


def read_assignment_payload(data: bytes, at: int) -> tuple[Node, ...]:
    """An operator's order with its limits."""
    head = read_layout(data, at, ASSIGNMENT_HEAD)
    length = number_of(head, "reference_length")
    start = at + layout_size(ASSIGNMENT_HEAD)
    reference = data[start : start + length]
    nodes = [*head, Node("reference", start, length, shown_text(reference.decode("utf-8", "replace")))]
    try:
        (size,) = read_layout(data, start + length, (Field("limits_length", "u32"),))
        nodes.append(size)
        if int(size.value):
            limits_at = start + length + 4
            nodes.append(Node("limits", limits_at, int(size.value), "", "", read_limits(data, limits_at)))
    except Stopped as exc:
        raise Stopped(exc.code, exc.text, (*nodes, *exc.fields)) from exc
    return tuple(nodes)
