"""cbor.json, assignment.json, raw.json and documents.json: verdict, verdict record, clone and dead letter."""
# ruff: noqa: E501 (tables: a case a line)

from typing import Any

from tests.vectors.cases_frame import KEY, LEG, LIMITS, START, leg_parts, sealed
from tests.vectors.twin import (
    ZERO,
    Key,
    assignment,
    assignment_payload,
    cbor,
    channel_limits,
    h,
    leg_id,
    limits_bytes,
    sig_structure,
    sign1,
    tenant_id,
)

OPERATOR = Key("operator")
SALT = bytes(range(16))


# --- CBOR ---


def cbor_file() -> dict[str, Any]:
    return {
        "about": "docs/spec/README.md, CBOR. value: JSON's own types; {'int': text}, {'bytes': hex} and {'text': …} for leaves.",
        "accepted": [{"name": n, "bytes": cbor(v), "value": _value(v)} for n, v in _values()],
        "refused": [{"name": n, "bytes": bytes.fromhex(x.replace(" ", ""))} for n, x in _misencodings()],
    }


def _value(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, bytes):
        return {"bytes": value}
    if isinstance(value, str):
        return {"text": str(value)}
    return [_value(v) for v in value]


def _values() -> list[tuple[str, Any]]:
    edges = [0, 1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 1]
    deep: Any = []
    for _ in range(7):
        deep = [deep]
    return [
        *[(f"{n}", n) for n in edges],
        *[(f"{-1 - n}", -1 - n) for n in edges],
        ("no bytes", b""), ("23 bytes", bytes(23)), ("24 bytes", bytes(24)), ("256 bytes", bytes(256)),
        ("no text", ""), ("text", "lading/evidence/1"), ("text beyond ASCII", "Kühlkette 冷 🚚"),
        ("empty array", []), ("24 items", [0] * 24), ("mixed", [True, False, None, b"\0", "a", -1, [1, [2]]]),
        ("8 arrays deep", deep),
    ]  # fmt: skip


def _misencodings() -> list[tuple[str, str]]:
    return [
        ("no bytes", ""), ("trailing byte", "00 00"), ("23 in two bytes", "18 17"), ("255 in three bytes", "19 00ff"),
        ("65535 in five bytes", "1a 0000ffff"), ("2^32-1 in nine bytes", "1b 00000000ffffffff"),
        ("-1 in two bytes", "38 00"), ("head cut", "19 01"), ("bytes cut", "42 01"), ("text cut", "62 61"),
        ("array cut", "82 01"), ("array of 2^63 items", "9b 8000000000000000"), ("bytes of 2^63", "5b 8000000000000000"),
        ("empty bytes in two bytes", "58 00"), ("empty text in two bytes", "78 00"), ("empty array in two bytes", "98 00"),
        ("indefinite bytes", "5f 41 00 ff"), ("indefinite text", "7f 61 61 ff"), ("indefinite array", "9f 00 ff"),
        ("map", "a0"), ("map of one", "a1 00 00"), ("tag", "c1 00"), ("bignum 2^64", "c2 49 010000000000000000"),
        ("half float", "f9 3c00"), ("float", "fa 3f800000"), ("double", "fb 3ff0000000000000"), ("undefined", "f7"),
        ("simple value 0", "e0"), ("simple value 32", "f8 20"), ("false in two bytes", "f8 14"), ("break alone", "ff"),
        ("reserved head 1c", "1c"), ("reserved head 5d", "5d"), ("invalid UTF-8", "61 ff"), ("overlong UTF-8", "62 c080"),
        ("surrogate in UTF-8", "63 eda080"), ("9 arrays deep", "81" * 8 + "80"), ("1000 arrays deep", "81" * 1000 + "80"),
    ]  # fmt: skip


# --- assignments ---


def begin(**given: Any) -> dict[str, Any]:
    fields = {
        "action": 1, "tenant": tenant_id("demo"), "gateway": KEY.id, "order_seq": 1,
        "leg_id": leg_id(given.get("salt", SALT), given["reference"] if isinstance(given.get("reference"), str) else "SHIPMENT-1"),
        "salt": SALT, "issued_ms": START - 1000, "begin_ms": START, "due_ms": START + 3_600_000,
        "reference": "SHIPMENT-1", "limits": limits_bytes(LIMITS),
    }  # fmt: skip
    return fields | given


def assignment_file() -> dict[str, Any]:
    return {
        "about": "docs/spec/assignment.md. error: empty, 'refused' (format) or 'signature'.",
        "operator_x": OPERATOR.x,
        "operator_y": OPERATOR.y,
        "cases": _assignments(),
    }


def _assignments() -> list[dict[str, Any]]:
    end = begin(action=2, order_seq=2, limits=b"")
    one = limits_bytes([channel_limits(1, 1)])
    good = assignment(begin(), OPERATOR)
    signature_at = len(good) - 64
    return [
        _assignment("begin", begin(), ""),
        _assignment("end", end, ""),
        _assignment("no time agreed", begin(due_ms=0, order_seq=2**64 - 1), ""),
        _assignment("shortest reference", begin(reference="x", limits=one), ""),
        _assignment("longest reference, beyond ASCII", begin(reference="冷" * 42 + "xy"), ""),
        _assignment("most channels", begin(limits=limits_bytes([channel_limits(c, 2) for c in range(256)])), ""),
        _assignment("another type", begin(type=8), "refused"),
        _assignment("another version", begin(version=2), "refused"),
        _assignment("action 0", begin(action=0), "refused"),
        _assignment("action 3", begin(action=3), "refused"),
        _assignment("order 0", begin(order_seq=0), "refused"),
        _assignment("leg id of another salt", begin(leg_id=leg_id(bytes(16), "SHIPMENT-1")), "refused"),
        _assignment("leg id of another reference", begin(leg_id=leg_id(SALT, "SHIPMENT-2")), "refused"),
        _assignment("empty reference", begin(reference="", leg_id=h(b"\x06" + SALT)), "refused"),
        _assignment("reference of 129 bytes", begin(reference="x" * 129), "refused"),
        _assignment("reference not UTF-8", begin(reference=b"\xff", leg_id=h(b"\x06" + SALT + b"\xff")), "refused"),
        _assignment("reference length one too many", begin(reference_length=11), "refused"),
        _assignment("limits length one too few", begin(limits_length=len(limits_bytes(LIMITS)) - 1), "refused"),
        _assignment("limits length one too many", begin(limits_length=len(limits_bytes(LIMITS)) + 1), "refused"),
        _assignment("begin without limits", begin(limits=b""), "refused"),
        _assignment("end with limits", begin(action=2), "refused"),
        _assignment("limits that do not decode", begin(limits=limits_bytes(LIMITS[::-1])), "refused"),
        _assignment("time above the maximum", begin(due_ms=253_402_300_800_000), "refused"),
        _assignment("trailing byte in the payload", begin(), "refused", _signed(assignment_payload(begin()) + b"\0")),
        _assignment("payload cut", begin(), "refused", _signed(assignment_payload(begin())[:-1])),
        _assignment("payload of a header", begin(), "refused", _signed(b"\x03\x01" + bytes(219))),
        _assignment("no payload", begin(), "refused", _signed(b"")),
        _assignment("message with a trailing byte", begin(), "refused", good + b"\0"),
        _assignment("message cut", begin(), "refused", good[:-1]),
        _assignment("no message", begin(), "refused", b""),
        _assignment("untagged", begin(), "refused", good[1:]),
        _assignment("signed by another key", begin(), "signature", assignment(begin(), KEY)),
        _assignment("signature changed in one bit", begin(), "signature", good[:-1] + bytes([good[-1] ^ 1])),
        _assignment("signature of another order", begin(), "signature",
                    good[:signature_at] + assignment(begin(order_seq=2), OPERATOR)[-64:]),
    ]  # fmt: skip


def _signed(payload: bytes) -> bytes:
    return sign1(payload, OPERATOR.sign(sig_structure(payload)))


def _assignment(name: str, a: dict[str, Any], error: str, message: bytes | None = None) -> dict[str, Any]:
    reference = a["reference"].decode("latin-1") if isinstance(a["reference"], bytes) else a["reference"]
    return {
        "name": name, "bytes": assignment(a, OPERATOR) if message is None else message, "error": error,
        "action": a["action"], "tenant": a["tenant"], "gateway": a["gateway"], "order_seq": str(a["order_seq"]),
        "leg_id": a["leg_id"], "salt": a["salt"], "issued_ms": a["issued_ms"], "begin_ms": a["begin_ms"],
        "due_ms": a["due_ms"], "reference": reference, "limits": a["limits"],
    }  # fmt: skip


# --- other documents ---


def documents_file() -> dict[str, Any]:
    return {
        "about": "docs/spec/verdict.md, dead-letter.md, frame.md (clone). error: empty when accepted, else 'refused'.",
        "verdicts": _verdicts(),
        "verdict_records": _verdict_records(),
        "clones": _clones(),
        "dead_letters": _dead_letters(),
    }


def _case(name: str, items: Any, error: str = "") -> dict[str, Any]:
    return {"name": name, "bytes": items if isinstance(items, bytes) else cbor(items), "error": error}


def _but(items: list[Any], index: int, value: Any) -> list[Any]:
    return [*items[:index], value, *items[index + 1 :]]


def _finding(
    rule: str, severity: str = "breach", channel: int | None = 1, first_ms: int = START
) -> list[Any]:
    return [rule, severity, channel, first_ms, first_ms + 5, 3_700_000, 3_600_000, 100, 104, [h(b"frame")]]


def verdict_items() -> list[Any]:
    sums = leg_parts()["runs"][0]["record"]["totals"]
    findings = [_finding("excursion_above"), _finding("fault", "notice"), _finding("late", channel=None)]
    horizon = [0, 3, h(b"last"), START + 99]
    totals = [[1, 1, sums], [2, 3, bytes(142)]]
    return [
        "lading/verdict/1",
        LEG,
        KEY.id,
        h(limits_bytes(LIMITS)),
        "closed",
        "breach",
        True,
        horizon,
        findings,
        totals,
    ]


def _verdicts() -> list[dict[str, Any]]:
    good = verdict_items()
    clean = _but(_but(good, 5, "clean"), 8, [])
    notices = _but(clean, 8, [_finding("fault", "notice")])
    clone = _but(good, 8, [["clone", "breach", None, START, START, 5, None, 5, 5, [h(b"a"), h(b"b")]]])
    mkt = _but(good, 8, [["mkt", "breach", 1, START, START, -5, -(2**31), 0, 0, []]])
    return [
        _case("breach", good), _case("clean", clean), _case("notices alone are clean", notices),
        _case("open, provisional", _but(_but(good, 4, "open"), 6, False)), _case("clone", clone),
        _case("negative figures", mkt),
        _case("another tag", _but(good, 0, "lading/verdict/2"), "refused"),
        _case("an item too few", good[:-1], "refused"), _case("an item too many", [*good, None], "refused"),
        _case("leg id of 31 bytes", _but(good, 1, bytes(31)), "refused"),
        _case("unknown state", _but(good, 4, "done"), "refused"),
        _case("result against the findings", _but(good, 5, "clean"), "refused"),
        _case("breach without findings", _but(good, 8, []), "refused"),
        _case("final as 1", _but(good, 6, 1), "refused"),
        _case("final while open", _but(good, 4, "open"), "refused"),
        _case("findings unsorted", _but(good, 8, good[8][::-1]), "refused"),
        _case("a finding twice", _but(good, 8, [good[8][0], good[8][0]]), "refused"),
        _case("unknown severity", _but(good, 8, [_finding("gap", "fatal")]), "refused"),
        _case("finding of 9 items", _but(good, 8, [_finding("gap")[:-1]]), "refused"),
        _case("totals of 141 bytes", _but(good, 9, [[1, 1, bytes(141)]]), "refused"),
        _case("channels descending", _but(good, 9, good[9][::-1]), "refused"),
        _case("trailing byte", cbor(good) + b"\0", "refused"),
    ]  # fmt: skip


def _verdict_records() -> list[dict[str, Any]]:
    body = cbor(verdict_items())
    return [
        _case("first", ["lading/verdict-record/1", body, None]),
        _case("superseding", ["lading/verdict-record/1", body, h(b"earlier")]),
        _case("supersedes of 31 bytes", ["lading/verdict-record/1", body, bytes(31)], "refused"),
        _case("verdict cut", ["lading/verdict-record/1", body[:-1], None], "refused"),
        _case("verdict not as bytes", ["lading/verdict-record/1", verdict_items(), None], "refused"),
    ]


def _clones() -> list[dict[str, Any]]:
    one, other = sealed(leg_parts()), sealed(leg_parts(sent_ms=START + 1))
    first, second = sorted((one, other), key=lambda frame: frame["hash"])
    later = sealed(leg_parts(frame_seq=1, previous_hash=h(b"x")))
    a, b = first["envelope"], second["envelope"]
    return [
        _case("two frames 0", ["lading/clone/1", a, b]),
        _case("in the other order", ["lading/clone/1", b, a], "refused"),
        _case("one frame twice", ["lading/clone/1", a, a], "refused"),
        _case(
            "two frame numbers", ["lading/clone/1", *sorted((one["envelope"], later["envelope"]))], "refused"
        ),
        _case("envelope cut", ["lading/clone/1", a[:-1], b], "refused"),
        _case("an item too few", ["lading/clone/1", a], "refused"),
    ]


def _dead_letters() -> list[dict[str, Any]]:
    good = [
        "lading/dead/1",
        "frame_root",
        "runs_root differs",
        "lading/v1/demo/00/frames",
        START,
        b"\x82",
        None,
    ]
    return [
        _case("without related bytes", good),
        _case("with related bytes", _but(good, 6, b"other")),
        _case("longest texts", _but(_but(_but(good, 1, "c" * 64), 2, "r" * 1024), 3, "o" * 512)),
        _case("no message", _but(good, 5, b"")),
        _case("code of 65 bytes", _but(good, 1, "c" * 65), "refused"),
        _case("reason of 1025 bytes", _but(good, 2, "r" * 1025), "refused"),
        _case("origin of 513 bytes", _but(good, 3, "o" * 513), "refused"),
        _case("time above the maximum", _but(good, 4, 253_402_300_800_000), "refused"),
        _case("message as text", _but(good, 5, "x"), "refused"),
        _case("related false", _but(good, 6, False), "refused"),
        _case("another tag", _but(good, 0, "lading/dead/2"), "refused"),
        _case("trailing byte", cbor(good) + b"\0", "refused"),
    ]


def raw_file() -> dict[str, Any]:
    topic = f"lading/v1/demo/{'ab' * 32}/frames"
    frame = sealed(leg_parts())
    good = ["lading/raw/1", topic, START, frame["bytes"]]
    keys = [
        ("a frame", topic, frame["bytes"], KEY.id),
        ("a frame on another gateway's topic", topic.replace("ab", "cd"), frame["bytes"], KEY.id),
        ("no frame", topic, b"\x82", bytes.fromhex("ab" * 32)),
        ("no gateway id in the topic", "lading/v1/demo/truck/frames", b"", b"truck"),
        ("not our topic", "other/v1/demo/truck", b"", b"-"),
    ]
    return {
        "about": "docs/spec/raw.md. error: empty when accepted, else 'refused'. keys: the log key of a message.",
        "raw_messages": [
            _case("a frame", good),
            _case("no message", _but(good, 3, b"")),
            _case("longest topic", _but(good, 1, "t" * 65_535)),
            _case("topic of 65536 bytes", _but(good, 1, "t" * 65_536), "refused"),
            _case("time above the maximum", _but(good, 2, 253_402_300_800_000), "refused"),
            _case("message as text", _but(good, 3, "x"), "refused"),
            _case("another tag", _but(good, 0, "lading/raw/2"), "refused"),
            _case("an item too many", [*good, None], "refused"),
            _case("trailing byte", cbor(good) + b"\0", "refused"),
        ],
        "keys": [{"name": n, "origin": o, "data": d, "key": k} for n, o, d, k in keys],
    }


assert len(ZERO) == 32
