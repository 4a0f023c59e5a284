"""totals.json and limits.json."""
# ruff: noqa: E501 (tables: a case a line)

import math
from itertools import accumulate
from typing import Any

from tests.vectors.cases_frame import START, TIME_MS_MAX
from tests.vectors.twin import (
    LIMIT,
    OFF,
    OFF_HIGH,
    OFF_LOW,
    TABLE,
    TOTALS,
    Reading,
    channel_limits,
    h,
    limits_bytes,
    pack,
    totals,
    weight,
)

HOUR, MINUTE = 3_600_000, 60_000
SUMS = ("count", "valid_count", "known_ms", "unknown_ms", "above_ms", "below_ms", "mkt_weight_sum")
LONGEST = ("longest_gap_ms", "above_longest_ms", "below_longest_ms")


def totals_file() -> dict[str, Any]:
    folds = _folds()
    return {
        "about": "docs/spec/totals.md. A fold's steps are the totals after each reading; whole numbers may be decimal text.",
        "table": {
            "entries": len(TABLE), "sha256": h(b"".join(w.to_bytes(8, "big") for w in TABLE)),
            "lowest": TABLE[0], "at_zero": TABLE[1000], "at_5": TABLE[1050], "at_25": TABLE[1250], "highest": TABLE[-1],
        },
        "weights": [{"value": v, "weight": weight(v)} for v in WEIGHED],
        "mean_kinetic": _mean_kinetic(),
        "folds": folds,
        "refused": _refused(),
        "layouts": _layouts(),
        "legs": _legs(folds),
    }  # fmt: skip


WEIGHED = [
    -(2**31), -100_001, -100_000, -99_999, -99_901, -99_900, -25_000, -1, 0, 1, 99, 100, 4_999, 5_000, 5_001,
    7_949, 7_950, 25_000, 25_049, 25_099, 40_000, 99_899, 99_900, 99_999, 100_000, 100_001, 2**31 - 1,
]  # fmt: skip


def _mean_kinetic() -> list[dict[str, Any]]:
    """Hours at temperatures; the mean by the textbook formula in floating point, to two places."""
    cases = []
    for name, stays in (
        ("23 h at 5 °C and 1 h at 25 °C", [(23, 5), (1, 25)]),
        ("constant 5 °C", [(24, 5)]),
        ("a day at -20 °C and an hour at 8 °C", [(24, -20), (1, 8)]),
        ("half and half at 20 and 30 °C", [(12, 20), (12, 30)]),
    ):
        hours = sum(n for n, _ in stays)
        mean = sum(n * math.exp(-10_000 / (273.15 + t)) for n, t in stays) / hours
        kelvin = 10_000 / -math.log(mean)
        cases.append(
            {
                "name": name, "weight_sum": sum(n * HOUR * weight(t * 1000) for n, t in stays),
                "known_ms": hours * HOUR, "celsius": f"{kelvin - 273.15:.2f} °C",
            }
        )  # fmt: skip
    assert cases[0]["celsius"] == "7.76 °C"
    return cases


# --- folds ---


def _series(
    values: list[int], flags: dict[int, int] | None = None, step_ms: int = 5 * MINUTE, seq: int = 0
) -> list[Reading]:
    return [(seq + i, START + i * step_ms, v, (flags or {}).get(i, 0)) for i, v in enumerate(values)]


def _timed(points: list[tuple[int, int, int]], seq: int = 0) -> list[Reading]:
    """(minutes after the start, value, flags)"""
    return [(seq + i, START + m * MINUTE, v, f) for i, (m, v, f) in enumerate(points)]


def _random(count: int) -> list[Reading]:
    """Values, gaps and flags drawn from a hash: reproducible anywhere."""
    drawn = [h(f"draw {i}".encode()) for i in range(count)]
    gaps = [1 + int.from_bytes(d[:4], "big") % (25 * MINUTE) for d in drawn]
    times = list(accumulate(gaps, initial=START))
    return [
        (10 + i, times[i], int.from_bytes(d[4:6], "big") % 14_000 - 2_000, d[6] % 8 if d[7] < 60 else 0)
        for i, d in enumerate(drawn)
    ]


COLD = {"lower": 2000, "upper": 8000, "hold_ms": 15 * MINUTE}


def _folds() -> list[dict[str, Any]]:
    warm = [5000, 7000, 9000, 9500, 9000, 7000, 8001, 8000]
    day = [5000] * 23 + [25_000, 25_000]
    last = 2**64 - 20
    end = [(last + i, TIME_MS_MAX - 10 + 5 * i, 9000, 0) for i in range(3)]
    return [
        _fold("no readings", 1, [], **COLD),
        _fold("one reading", 1, _series([5000], seq=7), **COLD),
        _fold("within limits", 1, _series([2000, 8000, 5000, 2000]), **COLD),
        _fold("above, twice", 1, _series(warm), **COLD),
        _fold("below, then above", 1, _series([1999, 1000, 5000, 9000, 1000, 9000, 9000]), **COLD),
        _fold("a fault inside a stretch does not end it", 1, _series([9000, 9000, -127_000, 9000, 7000], {2: 1}), **COLD),
        _fold("a clock fault inside a stretch does not end it", 1, _series([9000, 9000, 5000, 9000, 7000], {2: 2}), **COLD),
        _fold("a fault after a stretch does not end it", 1, _series([9000, 9000, 5000], {2: 1}), **COLD),
        _fold("a silence inside a stretch", 1, _timed([(0, 9000, 0), (100, 9000, 0), (110, 9000, 0), (115, 1, 0)]), **COLD),
        _fold("a silence inside the limits", 1, _timed([(0, 5000, 0), (16, 5000, 0), (600, 5000, 0)]), **COLD),
        _fold("held exactly as long as may be", 1, _timed([(0, 9000, 0), (15, 9000, 0), (30, 9000, 0)]), **COLD),
        _fold("first readings faulty", 1, _series([1, 2, 9000, 9000], {0: 1, 1: 3}), **COLD),
        _fold("every reading faulty", 1, _series([9000, 9000, 9000], {0: 1, 1: 2, 2: 7}), **COLD),
        _fold("derived readings are valid", 1, _series([9000, 9000], {0: 4, 1: 4}), **COLD),
        _fold("values beyond the weights' table", 1, _series([-(2**31), 2**31 - 1, -100_000, 100_000, 0]), **COLD),
        _fold("limits that meet", 1, _series([4999, 5000, 5001, 5001]), lower=5000, upper=5000, hold_ms=MINUTE),
        _fold("limits off", 1, _series([-(2**31), 2**31 - 1, 0])),
        _fold("hold of 1 ms", 1, _series([9000, 9000, 9000]), lower=2000, upper=8000, hold_ms=1),
        _fold("hold of a day", 1, _timed([(0, 9000, 0), (1440, 9000, 0), (2881, 0, 0)]), upper=8000, hold_ms=86_400_000),
        _fold("23 h at 5 °C and 1 h at 25 °C", 1, _series(day, step_ms=HOUR), lower=2000, upper=8000, hold_ms=HOUR),
        _fold("a door", 3, _series([0, 1000, 1000, 0, 1000, 0]), upper=500, hold_ms=10 * MINUTE),
        _fold("humidity has no weights", 2, _series([40_000, 90_000, 40_000]), lower=30_000, upper=60_000),
        _fold("private quantity", 40_000, _series([1, -1, 1]), lower=0, upper=0),
        _fold("greatest numbers", 1, end, **COLD),
        _fold("drawn", 1, _random(80), **COLD),
    ]  # fmt: skip


def _fold(name: str, quantity: int, readings: list[Reading], **given: int) -> dict[str, Any]:
    limits = channel_limits(1, quantity, **given)
    steps = [pack(TOTALS, totals(readings[: i + 1], limits)) for i in range(len(readings))]
    return {
        "name": name, "limits": limits_bytes([limits]), "readings": [[str(s), t, v, f] for s, t, v, f in readings],
        "steps": steps,
    }  # fmt: skip


def _refused() -> list[dict[str, Any]]:
    readings = _series([5000, 5000], seq=7)
    limits = channel_limits(1, 1, **COLD)
    before = pack(TOTALS, totals(readings, limits))
    now = readings[-1][1]
    return [
        {"name": name, "limits": limits_bytes([limits]), "totals": before, "reading": list(reading)}
        for name, reading in (
            ("a sequence number skipped", (10, now + 1, 5000, 0)),
            ("a sequence number again", (8, now + 1, 5000, 0)),
            ("sequence numbers from 0", (0, now + 1, 5000, 0)),
            ("the same time", (9, now, 5000, 0)),
            ("time goes back", (9, now - 1, 5000, 0)),
        )
    ]


def _layouts() -> list[dict[str, Any]]:
    """Each field alone at its greatest, so that no two can be mistaken."""
    cases = []
    for marked, kind in TOTALS:
        greatest = 2 ** (8 * int(str(kind).strip("i"))) - 1
        fields = {name: 0 for name, _ in TOTALS} | {marked: -2 if isinstance(kind, str) else greatest}
        cases.append({"name": marked, "bytes": pack(TOTALS, fields)} | {k: str(v) for k, v in fields.items()})
    return cases


def _legs(folds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_name = {f["name"]: f for f in folds}
    cases = []
    for names in (
        [],
        ["no readings"],
        ["every reading faulty", "within limits"],
        ["above, twice", "below, then above", "a silence inside the limits", "drawn"],
    ):
        parts = [
            _fields(by_name[n]["steps"][-1]) if by_name[n]["steps"] else _fields(bytes(142)) for n in names
        ]
        good = [p for p in parts if p["valid_count"]]
        added: dict[str, Any] = {s: str(sum(p[s] for p in parts)) for s in SUMS}
        added |= {s: str(max((p[s] for p in parts), default=0)) for s in LONGEST}
        added["min_value"] = min((p["min_value"] for p in good), default=None)
        added["max_value"] = max((p["max_value"] for p in good), default=None)
        cases.append(
            {
                "name": " + ".join(names) or "no legs",
                "totals": [pack(TOTALS, p) for p in parts],
                "sums": added,
            }
        )
    return cases


def _fields(data: bytes) -> dict[str, int]:
    out, at = {}, 0
    for name, kind in TOTALS:
        width = int(str(kind).strip("i"))
        out[name] = int.from_bytes(data[at : at + width], "big", signed=isinstance(kind, str))
        at += width
    return out


# --- limits ---


def limits_file() -> dict[str, Any]:
    return {"about": "docs/spec/limits.md. error: empty when accepted, else 'refused'.", "cases": _limits()}


def _limits() -> list[dict[str, Any]]:
    plain = channel_limits(1, 1)
    full = channel_limits(
        65535, 1, lower=-5, upper=-5, hold_ms=86_400_000, above_stretch_max_ms=1, above_total_max_ms=2,
        below_stretch_max_ms=3, below_total_max_ms=4, peak_lower=-(2**31) + 1, peak_upper=2**31 - 2, mkt_max=-7,
        gap_max_ms=8, unknown_total_max_ms=9, rate_max=10, stuck_max_ms=OFF - 1,
    )  # fmt: skip
    good = limits_bytes([plain])
    many = [channel_limits(c, 2) for c in range(257)]

    def refused(name: str, data: bytes) -> dict[str, Any]:
        return {"name": name, "bytes": data, "error": "refused", "hash": h(data), "channels": []}

    def accepted(name: str, channels: list[dict[str, int]]) -> dict[str, Any]:
        data = limits_bytes(channels)
        return {"name": name, "bytes": data, "error": "", "hash": h(data), "channels": channels}

    def spoilt(name: str, **changes: int) -> dict[str, Any]:
        return refused(name, limits_bytes([plain | changes]))

    return [
        accepted("everything off", [plain]),
        accepted("every field its own", [full]),
        accepted("channel 0 and others", [channel_limits(0, 2), plain, channel_limits(2, 1, hold_ms=1), full]),
        accepted("most channels", many[:256]),
        refused("no bytes", b""),
        refused("head alone", good[:4]),
        refused("no channels", b"\x05\x01\x00\x00"),
        refused("257 channels", limits_bytes(many)),
        refused("another type", b"\x04" + good[1:]),
        refused("another version", good[:1] + b"\x02" + good[2:]),
        refused("one byte short", good[:-1]),
        refused("one byte long", good + b"\0"),
        refused("count one too many", good[:3] + b"\x02" + good[4:]),
        refused("count one too few", good[:3] + b"\x00" + good[4:]),
        refused("channels descending", limits_bytes([full, plain])),
        refused("a channel twice", limits_bytes([plain, plain])),
        spoilt("quantity 0", quantity=0),
        spoilt("quantity 10", quantity=10),
        spoilt("quantity 32767", quantity=32767),
        spoilt("lower above upper", lower=1, upper=0),
        spoilt("peak_lower above peak_upper", peak_lower=1, peak_upper=0),
        spoilt("hold of 0", hold_ms=0),
        spoilt("hold above a day", hold_ms=86_400_001),
        spoilt("reserved bit set", quantity_flags=1),
        spoilt("mkt limit on humidity", quantity=2, mkt_max=5000),
    ]  # fmt: skip


assert (OFF_LOW, OFF_HIGH) == (-(2**31), 2**31 - 1)
assert [name for name, _ in LIMIT][:2] == ["channel", "quantity"]
