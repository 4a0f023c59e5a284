"""settlement.json: terms, their ABI encoding, and what frames make due."""
# ruff: noqa: E501 (tables: a case a line)

from typing import Any

from eth_abi import abi

from tests.vectors.cases_frame import KEY, LEG, LIMITS, START, channel_readings
from tests.vectors.twin import TOTALS, h, limits_bytes, pack, tenant_id, totals, weight

TIER = "(uint16,uint8,uint128,uint128)"
TERMS = f"(address,address,address,bytes32,bytes32,bytes32,bytes32,uint64,uint64,uint64,uint32,uint128,uint128,{TIER}[])"
FIELDS = [
    "carrier", "shipper", "token", "tenant", "gateway_id", "leg_id", "limits_hash", "begin_ms", "due_ms", "deadline_s",
    "window_s", "bond", "salt", "tiers",
]  # fmt: skip
MINUTE = 60_000
BOND = 1000
OFFSET = 2**31
Tier = tuple[int, int, int, int]


def settlement() -> dict[str, Any]:
    return {
        "about": "docs/spec/settlement.md. frame: closing, shown (after the deadline) or none. error: empty or 'refused'.",
        "terms": [*_terms_accepted(), *_terms_refused()],
        "due": _due(),
    }


def terms(*tiers: Tier, **given: Any) -> dict[str, Any]:
    fields = {
        "carrier": bytes(19) + b"\x01", "shipper": bytes(19) + b"\x02", "token": bytes(19) + b"\x03",
        "tenant": tenant_id("demo"), "gateway_id": KEY.id, "leg_id": LEG, "limits_hash": h(limits_bytes(LIMITS)),
        "begin_ms": START, "due_ms": START + 60 * MINUTE, "deadline_s": (START + 120 * MINUTE) // 1000, "window_s": 3600,
        "bond": BOND, "salt": 7, "tiers": list(tiers),
    }  # fmt: skip
    return fields | given


def encoded(t: dict[str, Any]) -> bytes:
    return abi.encode([TERMS], [tuple(t[name] for name in FIELDS)])


# --- terms ---


def _terms_accepted() -> list[dict[str, Any]]:
    greatest = terms(
        (65535, 12, 2**128 - 1, 2**128 - 1), begin_ms=2**64 - 1, due_ms=0, deadline_s=2**64 - 1, window_s=2**32 - 1,
        bond=2**128 - 1, salt=2**128 - 1,
    )  # fmt: skip
    many = terms(*[(channel, 1, 0, 1) for channel in range(32)])
    return [
        _terms("no tiers", terms()), _terms("one tier", terms((1, 1, 5, 6))), _terms("greatest numbers", greatest),
        _terms("32 tiers", many),
    ]  # fmt: skip


def _terms(name: str, t: dict[str, Any]) -> dict[str, Any]:
    flat = {k: str(v) if isinstance(v, int) else v for k, v in t.items() if k != "tiers"}
    tiers = [
        [channel, metric, str(threshold), str(amount)] for channel, metric, threshold, amount in t["tiers"]
    ]
    return {"name": name, "bytes": encoded(t), "error": ""} | flat | {"tiers": tiers}


def _terms_refused() -> list[dict[str, Any]]:
    good = encoded(terms((1, 1, 5, 6)))

    def word(number: int, value: int) -> bytes:
        return good[: 32 * number] + value.to_bytes(32, "big") + good[32 * number + 32 :]

    spoilt = [
        ("no bytes", b""), ("a word short", good[:-32]), ("a byte short", good[:-1]), ("a word long", good + bytes(32)),
        ("a byte long", good + b"\0"), ("struct elsewhere", word(0, 64)), ("address of 21 bytes", word(1, 2**160)),
        ("begin_ms of 65 bits", word(8, 2**64)), ("window_s of 33 bits", word(11, 2**32)),
        ("bond of 129 bits", word(12, 2**128)), ("tiers elsewhere", word(14, 480)), ("one tier too many", word(15, 2)),
        ("one tier too few", word(15, 0)), ("2^255 tiers", word(15, 2**255)), ("channel of 17 bits", word(16, 2**16)),
        ("metric 0", word(17, 0)), ("metric 13", word(17, 13)), ("metric of 9 bits", word(17, 257)),
        ("33 tiers", encoded(terms(*[(channel, 1, 0, 1) for channel in range(33)]))),
    ]  # fmt: skip
    return [{"name": name, "bytes": data, "error": "refused"} for name, data in spoilt]


# --- what is due ---


def _figure(tier: Tier, t: dict[str, Any], sums: dict[str, int], frame: str, sent_ms: int) -> tuple[int, int]:
    """(figure, what it is compared with), by the table of metrics."""
    _, metric, threshold, _ = tier
    deadline_ms = t["deadline_s"] * 1000
    plain = {
        1: "above_ms",
        2: "above_longest_ms",
        3: "below_ms",
        4: "below_longest_ms",
        6: "longest_gap_ms",
        7: "unknown_ms",
    }
    if metric in plain:
        return sums[plain[metric]], threshold
    if metric == 5:
        return sums["mkt_weight_sum"], threshold * sums["known_ms"]
    if metric == 8:
        return max(0, (sent_ms if frame == "closing" else deadline_ms) - t["due_ms"]), threshold
    if metric == 9:
        heard_ms = {"closing": deadline_ms, "shown": sent_ms, "none": t["begin_ms"]}[frame]
        return max(0, deadline_ms - heard_ms), threshold
    if metric == 10:
        return sums["max_value"] + OFFSET if sums["valid_count"] else 0, threshold
    if metric == 11:
        return OFFSET - sums["min_value"] if sums["valid_count"] else 0, threshold
    if not sums["count"]:
        return max(0, sent_ms - t["begin_ms"]), threshold
    return max(0, sums["first_ms"] - t["begin_ms"]) + max(0, sent_ms - sums["last_ms"]), threshold


def _case(
    name: str, frame: str, sent_ms: int, tiers: list[Tier], readings: int = 8, **given: Any
) -> dict[str, Any]:
    t = terms(*tiers, **given)
    channels = {c["channel"]: totals(channel_readings(c["channel"])[:readings], c) for c in LIMITS}
    counted = [tier for tier in tiers if frame != "none" or tier[1] in (8, 9)]
    judged = [_figure(tier, t, channels.get(tier[0], {}), frame, sent_ms) for tier in counted]
    reached = [tier for tier, (figure, bound) in zip(counted, judged, strict=True) if figure > bound]
    penalty = min(t["bond"], sum(tier[3] for tier in reached))
    return {
        "name": name, "terms": encoded(t), "frame": frame, "sent_ms": str(sent_ms),
        "totals": [{"channel": c, "bytes": pack(TOTALS, sums)} for c, sums in channels.items()],
        "reached": [tiers.index(tier) for tier in reached], "kind": "penalty" if penalty else "release",
        "amount": str(penalty or t["bond"]), "rest": str(t["bond"] - penalty if penalty else 0),
    }  # fmt: skip


def _due() -> list[dict[str, Any]]:
    on_time, late = START + 51 * MINUTE, START + 61 * MINUTE
    channel = totals(channel_readings(1), LIMITS[0])
    exact = [
        (1, metric, channel[name] + below, 10 + below)
        for metric, name in (
            (1, "above_ms"),
            (2, "above_longest_ms"),
            (6, "longest_gap_ms"),
            (7, "unknown_ms"),
        )
        for below in (-1, 0)
        if channel[name] + below >= 0
    ]
    mean = channel["mkt_weight_sum"] // channel["known_ms"]
    extremes = [
        (1, 10, channel["max_value"] + OFFSET - 1, 1), (1, 10, channel["max_value"] + OFFSET, 2),
        (1, 11, OFFSET - channel["min_value"] - 1, 4), (1, 11, OFFSET - channel["min_value"], 8),
    ]  # fmt: skip
    uncovered = (channel["first_ms"] - START) + (on_time - channel["last_ms"])
    return [
        _case("nothing reached", "closing", on_time, [(1, 1, 2**128 - 1, 5)]),
        _case("no tier", "closing", on_time, []),
        _case("greater than the threshold, and equal to it", "closing", on_time, exact),
        _case("mean kinetic temperature", "closing", on_time, [(1, 5, mean, 3), (1, 5, mean + 1, 5), (1, 5, weight(8000), 7)]),
        _case("extremes", "closing", on_time, extremes),
        _case("uncovered time", "closing", on_time, [(1, 12, uncovered - 1, 3), (1, 12, uncovered, 5)]),
        _case("two channels", "closing", on_time, [(1, 1, 0, 3), (2, 1, 0, 5), (9, 1, 0, 7)]),
        _case("on time to the millisecond", "closing", START + 60 * MINUTE, [(0, 8, 0, 3)]),
        _case("late", "closing", late, [(0, 8, 0, 3), (0, 8, MINUTE - 1, 5), (0, 8, MINUTE, 7), (0, 9, 0, 11)]),
        _case("bounded by the bond", "closing", late, [(0, 8, 0, BOND), (1, 1, 0, 1)]),
        _case("the whole bond to the unit", "closing", late, [(0, 8, 0, BOND - 1), (1, 1, 0, 1)]),
        _case("amounts past 128 bits in all", "closing", late, [(0, 8, 0, 2**128 - 1), (1, 1, 0, 2**128 - 1)], bond=2**96 - 1),
        _case("shown after the deadline", "shown", START + 15 * MINUTE, [(0, 8, 0, 3), (0, 9, 105 * MINUTE - 1, 5),
              (0, 9, 105 * MINUTE, 7), (1, 12, 0, 11)], readings=4),
        _case("shown, penalty of channels above the bond", "shown", START + 15 * MINUTE, [(1, 1, 0, BOND), (1, 2, 0, BOND)], readings=4),
        _case("shown, sent before the begin: silence is longer than without it", "shown", START - 1, [(0, 9, 120 * MINUTE, 5), (0, 9, 120 * MINUTE + 1, 7)], readings=0),
        _case("nothing shown", "none", 0, [(0, 8, 0, 3), (0, 9, 120 * MINUTE - 1, 5), (0, 9, 120 * MINUTE, 7), (1, 12, 0, 11)]),
        _case("nothing shown, no tier of the leg", "none", 0, [(1, 1, 0, 11)]),
        _case("a channel without readings", "closing", on_time, [(1, 1, 0, 3), (1, 10, 0, 5), (1, 11, 0, 7), (1, 12, 0, 11)], readings=0),
    ]  # fmt: skip
