"""frame.json: reading leaves, run records, headers and whole frames, each accepted or refused by name."""
# ruff: noqa: E501 (tables: a case a line)

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from tests.vectors.twin import (
    HEADER,
    READING,
    RECORD,
    TOTALS,
    ZERO,
    Key,
    Reading,
    channel_limits,
    h,
    leaf_hash,
    leg_id,
    limits_bytes,
    pack,
    reading_leaf,
    root,
    run,
    seal,
    sig_structure,
    totals,
)  # fmt: skip

KEY = Key("gateway one")
LIMITS = [
    channel_limits(
        1, 1, lower=2000, upper=8000, hold_ms=900_000, above_stretch_max_ms=3_600_000, mkt_max=8000
    ),
    channel_limits(2, 3, hold_ms=600_000, upper=500, above_stretch_max_ms=900_000),
    channel_limits(9, 2),
]
LEG = leg_id(bytes(range(16)), "SHIPMENT-1")
START = 1_767_225_600_000  # 2026-01-01
MINUTE = 60_000
TIME_MS_MAX = 253_402_300_799_999
Parts = dict[str, Any]


def salt(label: str) -> bytes:
    return h(label.encode())[:16]


def channel_readings(channel: int) -> list[Reading]:
    """Eight readings of a channel, a fault and a clock fault among them."""
    first, value = {1: (100, 4000), 2: (7, 0), 9: (0, 61_500)}[channel]
    steps = [0, 5, 10, 15, 20, 40, 45, 50]
    values = [0, 500, 4500, 5000, -32768 if channel == 1 else 1000, 4200, 100, 0]
    flags = [0, 0, 0, 0, 1, 0, 2, 4]
    return [
        (first + i, START + steps[i] * MINUTE + channel, value + values[i], flags[i]) for i in range(8)
    ]  # fmt: skip


def leg_run(channel: int, start: int, stop: int) -> dict[str, Any]:
    readings = channel_readings(channel)
    limits = next(c for c in LIMITS if c["channel"] == channel)
    sums = pack(TOTALS, totals(readings[:stop], limits))
    next_seq = readings[start][0] if start < len(readings) else readings[-1][0] + 1
    hides = salt(f"{channel}/{start}") if start < stop else bytes(16)
    return run(channel, limits["quantity"], hides, readings[start:stop], next_seq, sums)


def leg_parts(state: int = 1, cut: tuple[int, int] = (0, 4), **header: Any) -> Parts:
    fields = {
        "leg_state": state,
        "leg_id": LEG,
        "limits_hash": h(limits_bytes(LIMITS)),
        "sent_ms": START + 51 * MINUTE,
    }
    return {"header": fields | header, "runs": [leg_run(c["channel"], *cut) for c in LIMITS]}


def idle_parts(**header: Any) -> Parts:
    runs = [
        run(1, 1, salt("idle"), channel_readings(1)[:3], 0, bytes(142)),
        run(40000, 40000, salt("private"), [(5, 1, -(2**31), 0), (6, 2, 2**31 - 1, 7)], 0, bytes(142)),
    ]
    return {"header": {"sent_ms": START} | header, "runs": runs}


def sealed(parts: Parts) -> dict[str, Any]:
    return seal(parts["header"], parts["runs"], KEY)


def frame() -> dict[str, Any]:
    return {
        "about": "docs/spec/frame.md. error: empty when accepted, else the code. u64 fields are decimal text. "
        "A frame is its bytes and zeros_after zero bytes after them.",
        "key_x": KEY.x,
        "key_y": KEY.y,
        "limits": limits_bytes(LIMITS),
        "readings": _readings(),
        "records": _records(),
        "headers": _headers(),
        "frames": _frames(),
    }


# --- reading leaves ---


def _readings() -> list[dict[str, Any]]:
    ones = [
        (0, 0, 0, 0),
        (2**64 - 1, TIME_MS_MAX, -(2**31), 7),
        (1, 2, 2**31 - 1, 4),
        (77, START, -18_250, 1),
    ]
    cases = []
    for channel, reading in enumerate(ones):
        leaf = reading_leaf(salt(str(channel)), channel * 21845, reading)
        seq, time_ms, value, flags = reading
        cases.append(
            {
                "bytes": leaf, "salt": salt(str(channel)), "channel": channel * 21845, "seq": str(seq),
                "time_ms": str(time_ms), "value": value, "flags": flags, "leaf_hash": leaf_hash(leaf),
            }
        )  # fmt: skip
    assert len(leaf) == sum(int(str(k).strip("bi")) for _, k in READING)
    return cases


# --- run records ---


def _records() -> list[dict[str, Any]]:
    first, later, empty = (leg_run(1, 0, 4)["record"], leg_run(1, 4, 8)["record"], leg_run(9, 8, 8)["record"])
    idle = idle_parts()["runs"][1]["record"]
    nothing = run(3, 4, salt("x"), [], 12, bytes(142))["record"]
    cases = [
        _record(name, r, "")
        for name, r in (
            ("first of a leg", first), ("later", later), ("empty, totals go on", empty), ("idle, private quantity", idle),
            ("empty, before any reading", nothing),
        )
    ]  # fmt: skip
    good = pack(RECORD, first)
    cases += [
        _record("one byte short", None, "frame_encoding", good[:-1]),
        _record("one byte long", None, "frame_encoding", good + b"\0"),
        _record("no bytes", None, "frame_encoding", b""),
        _record("type of a header", first | {"type": 3}, "frame_version"),
        _record("type of a reading", first | {"type": 1}, "frame_version"),
    ]  # fmt: skip
    return cases


def _totals_of(record: dict[str, Any]) -> dict[str, int]:
    out, at = {}, 0
    for name, kind in TOTALS:
        width = int(str(kind).strip("i"))
        out[name] = int.from_bytes(record["totals"][at : at + width], "big", signed=isinstance(kind, str))
        at += width
    return out


def _spoil(record: dict[str, Any], **changes: int) -> dict[str, Any]:
    return record | {"totals": pack(TOTALS, _totals_of(record) | changes)}


def _record(
    name: str, record: dict[str, Any] | None, error: str, data: bytes | None = None
) -> dict[str, Any]:
    fields: dict[str, Any] = record or dict.fromkeys(("channel", "quantity", "count", "first_seq"), 0) | {
        "first_time_ms": 0, "last_time_ms": 0, "readings_root": ZERO, "totals": bytes(142),
    }  # fmt: skip
    data = pack(RECORD, fields) if data is None else data
    return {
        "name": name, "bytes": data, "error": error, "channel": fields["channel"], "quantity": fields["quantity"],
        "first_seq": str(fields["first_seq"]), "count": fields["count"], "first_time_ms": str(fields["first_time_ms"]),
        "last_time_ms": str(fields["last_time_ms"]), "readings_root": fields["readings_root"],
        "totals": fields["totals"], "leaf_hash": leaf_hash(data),
    } | {f"totals_{k}": str(v) for k, v in _totals_of(fields).items()}  # fmt: skip


# --- headers ---


def _headers() -> list[dict[str, Any]]:
    idle, leg = sealed(idle_parts())["header"], sealed(leg_parts())["header"]
    later = leg | {"frame_seq": 2**63, "previous_hash": h(b"before")}
    seen = later | {"anchor_interval": 2**64 - 1, "anchor_block_hash": h(b"block")}
    none = idle | {"runs_root": h(b""), "run_count": 0}
    good = pack(HEADER, leg)
    return [
        _header("idle", idle, ""),
        _header("idle without runs", none, ""),
        _header("open, frame 0", leg, ""),
        _header("open, later", later, ""),
        _header("an anchor seen", seen, ""),
        _header("closed", seen | {"leg_state": 2}, ""),
        _header("most runs, latest time", seen | {"run_count": 256, "sent_ms": TIME_MS_MAX}, ""),
        _header("one byte short", None, "frame_encoding", good[:-1]),
        _header("one byte long", None, "frame_encoding", good + b"\0"),
        _header("no bytes", None, "frame_encoding", b""),
        _header("type of a run record", leg | {"type": 2}, "frame_version"),
        _header("type 0", leg | {"type": 0}, "frame_version"),
        _header("version 0", leg | {"version": 0}, "frame_version"),
        _header("version 2", leg | {"version": 2}, "frame_version"),
        _header("leg state 3", leg | {"leg_state": 3}, "frame_field"),
        _header("leg state 255", leg | {"leg_state": 255}, "frame_field"),
        _header("idle with a leg id", idle | {"leg_id": LEG}, "frame_field"),
        _header("idle with a limits hash", idle | {"limits_hash": h(b"limits")}, "frame_field"),
        _header("open without a leg id", leg | {"leg_id": ZERO}, "frame_field"),
        _header("open without a limits hash", leg | {"limits_hash": ZERO}, "frame_field"),
        _header("closed without a leg id", leg | {"leg_state": 2, "leg_id": ZERO}, "frame_field"),
        _header("frame 0 with a previous hash", leg | {"previous_hash": h(b"before")}, "frame_field"),
        _header("frame 1 without a previous hash", leg | {"frame_seq": 1}, "frame_field"),
        _header("sent after the year 9999", leg | {"sent_ms": TIME_MS_MAX + 1}, "frame_field"),
        _header("anchor interval without a block", leg | {"anchor_interval": 1}, "frame_field"),
        _header("anchor block without an interval", leg | {"anchor_block_hash": h(b"block")}, "frame_field"),
        _header("a leg's frame without runs", leg | {"run_count": 0, "runs_root": h(b"")}, "frame_field"),
        _header("257 runs", leg | {"run_count": 257}, "frame_field"),
    ]  # fmt: skip


def _header(
    name: str, header: dict[str, Any] | None, error: str, data: bytes | None = None
) -> dict[str, Any]:
    zero = {n: ZERO if isinstance(k, str) else 0 for n, k in HEADER}
    fields = header or zero
    data = pack(HEADER, fields) if data is None else data
    return {
        "name": name, "bytes": data, "error": error, "gateway_id": fields["gateway_id"],
        "leg_state": fields["leg_state"], "leg_id": fields["leg_id"], "limits_hash": fields["limits_hash"],
        "frame_seq": str(fields["frame_seq"]), "previous_hash": fields["previous_hash"],
        "sent_ms": str(fields["sent_ms"]), "anchor_interval": str(fields["anchor_interval"]),
        "anchor_block_hash": fields["anchor_block_hash"], "runs_root": fields["runs_root"],
        "run_count": fields["run_count"], "sig_structure": sig_structure(data), "frame_hash": leaf_hash(sig_structure(data)),
    }  # fmt: skip


# --- whole frames ---


def _frames() -> list[dict[str, Any]]:
    opening = sealed(leg_parts())
    second = leg_parts(1, (4, 6), frame_seq=1, previous_hash=opening["hash"])
    closing = leg_parts(2, (6, 8), frame_seq=2, previous_hash=sealed(second)["hash"])
    silent = leg_parts(
        2, (8, 8), frame_seq=3, previous_hash=h(b"x"), anchor_interval=5, anchor_block_hash=h(b"block")
    )
    accepted = [
        ("idle", idle_parts()), ("idle without runs", {"header": {}, "runs": []}), ("opening a leg", leg_parts()),
        ("open, with a fault", second), ("closing", closing), ("closing, runs empty, an anchor seen", silent),
        ("most channels", _many_runs(256)), ("largest flags column", _long_run(300)),
    ]  # fmt: skip
    cases = [_accepted(name, sealed(parts)) for name, parts in accepted]
    cases += [_refused(name, sealed(parts)["bytes"], code) for name, parts, code in _unsound()]
    cases += [_refused(name, data, code) for name, data, code in _misencoded(opening)]
    return [
        *cases,
        _refused("above the size limit", opening["bytes"], "frame_size", 2_097_153 - len(opening["bytes"])),
    ]


def _many_runs(count: int) -> Parts:
    return {
        "header": {},
        "runs": [run(c, 2, salt(str(c)), [(0, 1, c, 0)], 0, bytes(142)) for c in range(count)],
    }


def _long_run(count: int) -> Parts:
    readings = [(i, 1000 + 7 * i, i * i - 5000, i % 8) for i in range(count)]
    return {"header": {}, "runs": [run(65535, 65535, salt("long"), readings, 0, bytes(142))]}


def _accepted(name: str, made: dict[str, Any]) -> dict[str, Any]:
    runs = [
        {"record": pack(RECORD, r["record"]), "salt": r["salt"], "channel": r["record"]["channel"],
         "readings": [[str(s), str(t), v, f] for s, t, v, f in r["readings"]]}
        for r in made["runs"]
    ]  # fmt: skip
    return {
        "name": name, "bytes": made["bytes"], "error": "", "frame_hash": made["hash"], "header": made["payload"],
        "signature": made["signature"], "envelope": made["envelope"], "runs": runs, "zeros_after": 0,
    }  # fmt: skip


def _refused(name: str, data: bytes, code: str, zeros_after: int = 0) -> dict[str, Any]:
    return {
        "name": name, "bytes": data, "error": code, "frame_hash": ZERO, "header": b"", "signature": b"", "envelope": b"",
        "runs": [], "zeros_after": zeros_after,
    }  # fmt: skip


def _unsound() -> list[tuple[str, Parts, str]]:
    """Well-encoded frames, soundly hashed and signed, each with one thing wrong."""

    def spoilt(change: Callable[[Parts], None], make: Callable[[], Parts] = leg_parts) -> Parts:
        parts = deepcopy(make())
        change(parts)
        return parts

    def in_record(index: int, **changes: Any) -> Callable[[Parts], None]:
        return lambda parts: parts["runs"][index]["record"].update(changes)

    def in_run(index: int, **changes: Any) -> Callable[[Parts], None]:
        return lambda parts: parts["runs"][index].update(changes)

    def in_header(**changes: Any) -> Callable[[Parts], None]:
        return lambda parts: parts["header"].update(changes)

    def sums(index: int, **changes: int) -> Callable[[Parts], None]:
        return lambda parts: parts["runs"][index].update(
            record=_spoil(parts["runs"][index]["record"], **changes)
        )

    def times(deltas: list[int], last: int) -> Callable[[Parts], None]:
        """Other times of channel 1, everything else made to fit them."""

        def change(parts: Parts) -> None:
            r = parts["runs"][0]
            start = r["record"]["first_time_ms"]
            readings = [(q, start + d, v, f) for (q, _, v, f), d in zip(r["readings"], deltas, strict=True)]
            top = root([leaf_hash(reading_leaf(r["salt"], 1, x)) for x in readings])
            record = r["record"] | {"last_time_ms": start + last, "readings_root": top}
            span = start + last - record["first_time_ms"]
            r.update(record=_spoil(record, last_ms=start + last, known_ms=span, unknown_ms=0), deltas=deltas)

        return change

    def flagged(flags: list[int] | None, last: int) -> Callable[[Parts], None]:
        def change(parts: Parts) -> None:
            r = parts["runs"][0]
            readings = [(q, t, v, f) for (q, t, v, _), f in zip(r["readings"], flags or [0] * 4, strict=True)]
            top = root([leaf_hash(reading_leaf(r["salt"], 1, x)) for x in readings])
            r.update(record=_spoil(r["record"] | {"readings_root": top}, last_flags=last), flags=flags)

        return change

    def empty_parts() -> Parts:
        return leg_parts(1, (8, 8), frame_seq=4, previous_hash=h(b"x"))

    late = channel_readings(1)[3][1] - channel_readings(1)[0][1]
    five, ten, fifteen = 5 * MINUTE, 10 * MINUTE, 15 * MINUTE
    assert late == fifteen
    return [
        ("header version", spoilt(in_header(version=2)), "frame_version"),
        ("header type", spoilt(in_header(type=2)), "frame_version"),
        ("record type", spoilt(in_record(1, type=1)), "frame_version"),
        ("leg state 3", spoilt(in_header(leg_state=3)), "frame_field"),
        ("open without a leg id", spoilt(in_header(leg_id=ZERO)), "frame_field"),
        ("idle with a leg id", spoilt(in_header(leg_id=LEG), idle_parts), "frame_field"),
        ("frame 1 without a previous hash", spoilt(in_header(frame_seq=1)), "frame_field"),
        ("anchor interval without a block", spoilt(in_header(anchor_interval=1)), "frame_field"),
        ("a leg's frame without runs", {"header": leg_parts()["header"], "runs": []}, "frame_field"),
        ("run count one too many", spoilt(in_header(run_count=4)), "frame_runs"),
        ("run count one too few", spoilt(in_header(run_count=2)), "frame_runs"),
        ("257 runs", _many_runs(257), "frame_field"),
        ("channels descending", spoilt(lambda parts: parts["runs"].reverse()), "frame_runs"),
        ("a channel twice", spoilt(lambda parts: parts["runs"].insert(0, parts["runs"][0])), "frame_runs"),
        ("quantity 0", spoilt(in_record(0, quantity=0)), "frame_runs"),
        ("quantity 10", spoilt(in_record(0, quantity=10)), "frame_runs"),
        ("quantity 32767", spoilt(in_record(0, quantity=32767)), "frame_runs"),
        ("deltas shorter than count", spoilt(in_run(0, deltas=[0, five, fifteen])), "frame_readings"),
        ("values shorter than count", spoilt(in_run(0, values=[1, 2, 3])), "frame_readings"),
        ("values longer than count", spoilt(in_run(0, values=[1, 2, 3, 4, 5])), "frame_readings"),
        ("flags shorter than count", spoilt(in_run(0, flags=[1, 1, 1])), "frame_readings"),
        ("count of 65537", spoilt(in_record(0, count=65537)), "frame_readings"),
        ("first delta not 0", spoilt(times([1, five, ten, fifteen], fifteen)), "frame_readings"),
        ("two readings at one time", spoilt(times([0, five, five, fifteen], fifteen)), "frame_readings"),
        ("time goes back", spoilt(times([0, ten, five, fifteen], fifteen)), "frame_readings"),
        ("last time before the record's", spoilt(times([0, five, ten, fifteen - 1], fifteen)), "frame_readings"),
        ("last time after the record's", spoilt(times([0, five, ten, fifteen + 1], fifteen)), "frame_readings"),
        ("unknown flag", spoilt(flagged([0, 8, 0, 0], 0)), "frame_readings"),
        ("unknown highest flag", spoilt(flagged([0, 0x8000, 0, 0], 0)), "frame_readings"),
        ("empty run with a first time", spoilt(in_record(0, first_time_ms=1), empty_parts), "frame_readings"),
        ("empty run with a salt", spoilt(in_run(0, salt=salt("x")), empty_parts), "frame_readings"),
        ("empty run with a root", spoilt(in_record(0, readings_root=ZERO), empty_parts), "frame_readings"),
        ("time above the maximum", spoilt(in_record(0, first_time_ms=TIME_MS_MAX + 1, last_time_ms=TIME_MS_MAX + 1 + fifteen)), "frame_readings"),
        ("last time above the maximum", spoilt(in_record(0, last_time_ms=TIME_MS_MAX + 1)), "frame_readings"),
        ("readings root of other readings", spoilt(in_record(0, readings_root=h(b"other"))), "frame_root"),
        ("a value changed", spoilt(in_run(0, values=[4000, 4501, 8500, 9000])), "frame_root"),
        ("the salt changed", spoilt(in_run(0, salt=salt("other"))), "frame_root"),
        ("flags dropped", spoilt(in_run(0, flags=None), lambda: leg_parts(1, (4, 6), frame_seq=1, previous_hash=h(b"x"))), "frame_root"),
        ("two deltas changed, order kept", spoilt(in_run(0, deltas=[0, five + 1, ten, fifteen])), "frame_root"),
        ("runs root of other runs", spoilt(in_header(runs_root=h(b"other"))), "frame_root"),
        ("runs root without runs not the empty root", {"header": {"runs_root": ZERO}, "runs": []}, "frame_root"),
        ("idle with totals", spoilt(in_record(0, totals=leg_run(1, 0, 3)["record"]["totals"]), idle_parts), "frame_totals"),
        ("a leg's run without totals", spoilt(in_record(0, totals=bytes(142))), "frame_totals"),
        ("totals count less than the run", spoilt(sums(0, count=3, first_seq=101)), "frame_totals"),
        ("totals end elsewhere", spoilt(sums(0, last_ms=START + fifteen + 2, known_ms=fifteen + 1)), "frame_totals"),
        ("totals end with other flags", spoilt(sums(0, last_flags=1)), "frame_totals"),
        ("known time one too long", spoilt(sums(0, known_ms=fifteen + 1)), "frame_totals"),
        ("unknown time one too long", spoilt(sums(0, unknown_ms=1)), "frame_totals"),
        ("known + unknown fit only modulo 2^64", spoilt(sums(0, known_ms=2**64 - 1, unknown_ms=fifteen + 1)), "frame_totals"),
        ("totals end before they begin", spoilt(sums(0, first_ms=START + fifteen + 2, known_ms=0)), "frame_totals"),
        ("more valid readings than readings", spoilt(sums(0, valid_count=5)), "frame_totals"),
        ("next sequence number one off", spoilt(sums(0, first_seq=101)), "frame_totals"),
        ("sequence number past 64 bits", spoilt(in_record(0, first_seq=2**64 - 2)), "frame_readings"),
    ]  # fmt: skip


def _misencoded(made: dict[str, Any]) -> list[tuple[str, bytes, str]]:
    """Other bytes for the same frame, and bytes that are no frame."""
    good = made["bytes"]
    at_runs = 1 + len(made["envelope"])
    at_record = at_runs + 2
    at_salt = at_record + 2 + 207
    at_times = at_salt + 17
    at_values = at_times + 3 + 16
    at_flags = at_values + 3 + 16
    assert good[at_runs] == 0x83
    assert good[at_record : at_record + 2] == b"\x58\xcf"
    assert good[at_times : at_times + 3] == b"\xd8\x46\x50"
    assert good[at_flags] == 0xF6

    def put(at: int, old: str, new: str) -> bytes:
        wanted = bytes.fromhex(old)
        assert good[at : at + len(wanted)] == wanted, (at, good[at : at + len(wanted)].hex())
        return good[:at] + bytes.fromhex(new) + good[at + len(wanted) :]

    unprotected_at = 1 + 2 + 4
    payload_at = unprotected_at + 1
    signature_at = payload_at + 2 + 221
    return [
        ("no bytes", b"", "frame_size"),
        ("one byte", good[:1], "frame_size"),
        ("cut in the header", good[:100], "frame_size"),
        ("cut in the last run", good[:-1], "frame_size"),
        ("cut after the envelope", good[:at_runs], "frame_size"),
        ("a byte after the end", good + b"\0", "frame_encoding"),
        ("the frame twice", good + good, "frame_encoding"),
        ("array of 3", put(0, "82", "83"), "frame_encoding"),
        ("array of indefinite length", put(0, "82", "9f") + b"\xff", "frame_encoding"),
        ("another tag than 18", put(1, "d2", "d1"), "frame_encoding"),
        ("tag 18 in two bytes", put(1, "d2", "d812"), "frame_encoding"),
        ("algorithm ES384", put(3, "43a10126", "44a1013822"), "frame_encoding"),
        ("algorithm EdDSA", put(3, "43a10126", "43a10127"), "frame_encoding"),
        ("empty protected header", put(3, "43a10126", "40"), "frame_encoding"),
        ("key id in the unprotected header", put(unprotected_at, "a0", "a1044101"), "frame_encoding"),
        ("payload head in three bytes", put(payload_at, "58dd", "5900dd"), "frame_encoding"),
        ("payload one byte longer", put(payload_at, "58dd", "58de"), "frame_encoding"),
        ("signature head of 63", put(signature_at, "5840", "583f"), "frame_encoding"),
        ("signature head in three bytes", put(signature_at, "5840", "590040"), "frame_encoding"),
        ("runs head in two bytes", put(at_runs, "83", "9803"), "frame_runs"),
        ("runs as a map", put(at_runs, "83", "a3"), "frame_runs"),
        ("run of 4", put(at_runs + 1, "85", "84"), "frame_encoding"),
        ("run of 6", put(at_runs + 1, "85", "86"), "frame_encoding"),
        ("record head of 206", put(at_record, "58cf", "58ce"), "frame_encoding"),
        ("record head in three bytes", put(at_record, "58cf", "5900cf"), "frame_encoding"),
        ("salt of 15", put(at_salt, "50", "4f"), "frame_encoding"),
        ("salt head in two bytes", put(at_salt, "50", "5810"), "frame_encoding"),
        ("salt as text", put(at_salt, "50", "70"), "frame_encoding"),
        ("times as big-endian tag 66", put(at_times, "d846", "d842"), "frame_encoding"),
        ("times head in two bytes", put(at_times, "d84650", "d8465810"), "frame_readings"),
        ("values with the times' tag", put(at_values, "d84e", "d846"), "frame_encoding"),
        ("values without a tag", put(at_values, "d84e50", "50"), "frame_encoding"),
        ("flags all zero but present", put(at_flags, "f6", "d845480000000000000000"), "frame_encoding"),
        ("flags false", put(at_flags, "f6", "f4"), "frame_encoding"),
        ("flags undefined", put(at_flags, "f6", "f7"), "frame_encoding"),
    ]
