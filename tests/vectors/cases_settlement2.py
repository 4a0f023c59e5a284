"""settlement2.json: terms of several legs, their ABI encoding and hash, and what each leg makes due in turn."""
# ruff: noqa: E501 (tables: a case a line)

from typing import Any

from eth_abi import abi
from eth_hash.auto import keccak

from tests.vectors.cases_frame import KEY, LEG, LIMITS, START, channel_readings
from tests.vectors.cases_settlement import MINUTE, OFFSET, TIER, Tier, _figure
from tests.vectors.twin import TOTALS, h, leg_id, limits_bytes, pack, tenant_id, totals, weight

LEG_FIELDS = ["gateway_id", "leg_id", "limits_hash", "begin_ms", "due_ms", "deadline_s"]
LEG_KIND = "(bytes32,bytes32,bytes32,uint64,uint64,uint64)"
FIELDS = [
    "carrier", "shipper", "token", "tenant", "window_s", "uncertainty_max_milli", "bond", "leg_cap", "salt", "legs", "tiers",
]  # fmt: skip
TERMS = f"(address,address,address,bytes32,uint32,uint32,uint128,uint128,uint128,{LEG_KIND}[],{TIER}[])"
LEG_TYPE = (
    "Leg(bytes32 gatewayId,bytes32 legId,bytes32 limitsHash,uint64 beginMs,uint64 dueMs,uint64 deadlineS)"
)
TIER_TYPE = "Tier(uint16 channel,uint8 metric,uint128 threshold,uint128 amount)"
TERMS_TYPE = (
    "Terms(address carrier,address shipper,address token,bytes32 tenant,uint32 windowS,uint32 uncertaintyMaxMilli,"
    f"uint128 bond,uint128 legCap,uint128 salt,Leg[] legs,Tier[] tiers){LEG_TYPE}{TIER_TYPE}"
)
BOND = 1000
LEG_IDS = sorted([LEG, leg_id(bytes(range(16)), "SHIPMENT-1/2"), leg_id(bytes(range(16)), "SHIPMENT-1/3")])
ON_TIME, LATE = START + 51 * MINUTE, START + 61 * MINUTE
WHOLE_TIME = (6, 7, 12)
Leg = dict[str, Any]


def settlement2() -> dict[str, Any]:
    return {
        "about": "docs/spec/settlement.md, version 2. legs: as they conclude, in order. frame: closing, shown (after the deadline) or none. certificates: channel and uncertainty of those valid at sent_ms. error: empty or 'refused'.",
        "terms": [*_terms_accepted(), *_terms_refused()],
        "due": _due(),
    }


def leg(number: int = 0, **given: Any) -> Leg:
    fields = {
        "gateway_id": KEY.id, "leg_id": LEG_IDS[number], "limits_hash": h(limits_bytes(LIMITS)), "begin_ms": START,
        "due_ms": START + 60 * MINUTE, "deadline_s": (START + 120 * MINUTE) // 1000,
    }  # fmt: skip
    return fields | given


def terms(tiers: list[Tier], legs: int | list[Leg] = 1, **given: Any) -> dict[str, Any]:
    fields = {
        "carrier": bytes(19) + b"\x01", "shipper": bytes(19) + b"\x02", "token": bytes(19) + b"\x03",
        "tenant": tenant_id("demo"), "window_s": 3600, "uncertainty_max_milli": 0, "bond": BOND, "leg_cap": BOND, "salt": 7,
        "legs": [leg(number) for number in range(legs)] if isinstance(legs, int) else legs, "tiers": tiers,
    }  # fmt: skip
    return fields | given


def encoded(t: dict[str, Any]) -> bytes:
    legs = [tuple(one[name] for name in LEG_FIELDS) for one in t["legs"]]
    return abi.encode([TERMS], [(*(t[name] for name in FIELDS[:-2]), legs, t["tiers"])])


def struct_hash(t: dict[str, Any]) -> bytes:
    """EIP-712's hashStruct(terms), from the standard's text."""
    kinds = ["address", "address", "address", "bytes32", "uint32", "uint32", "uint128", "uint128", "uint128"]
    legs = [
        keccak(keccak(LEG_TYPE.encode()) + abi.encode([LEG_KIND], [tuple(one[name] for name in LEG_FIELDS)]))
        for one in t["legs"]
    ]
    tiers = [keccak(keccak(TIER_TYPE.encode()) + abi.encode([TIER], [tier])) for tier in t["tiers"]]
    head = abi.encode(kinds, [t[name] for name in FIELDS[:-2]])
    found: bytes = keccak(
        keccak(TERMS_TYPE.encode()) + head + keccak(b"".join(legs)) + keccak(b"".join(tiers))
    )
    return found


# --- terms ---


def _terms_accepted() -> list[dict[str, Any]]:
    greatest = terms(
        [(65535, 12, 2**128 - 1, 2**128 - 1)], [leg(begin_ms=2**64 - 1, due_ms=2**64 - 1, deadline_s=2**64 - 1)],
        window_s=2**32 - 1, uncertainty_max_milli=2**32 - 1, bond=2**128 - 1, leg_cap=2**128 - 1, salt=2**128 - 1,
    )  # fmt: skip
    many = [leg(leg_id=number.to_bytes(32, "big")) for number in range(1, 17)]
    return [
        _terms("no legs, no tiers", terms([], 0)), _terms("one leg, no tiers", terms([])),
        _terms("one leg, one tier", terms([(1, 1, 5, 6)])), _terms("three legs", terms([(0, 8, 1, 2), (1, 1, 5, 6)], 3, leg_cap=400)),
        _terms("greatest numbers", greatest), _terms("16 legs and 32 tiers", terms([(channel, 1, 0, 1) for channel in range(32)], many)),
    ]  # fmt: skip


def _terms(name: str, t: dict[str, Any]) -> dict[str, Any]:
    flat = {k: str(v) if isinstance(v, int) else v for k, v in t.items() if k not in ("legs", "tiers")}
    legs = [{k: str(v) if isinstance(v, int) else v for k, v in one.items()} for one in t["legs"]]
    tiers = [
        [channel, metric, str(threshold), str(amount)] for channel, metric, threshold, amount in t["tiers"]
    ]
    fields = flat | {"legs": legs, "tiers": tiers}
    return {"name": name, "bytes": encoded(t), "struct_hash": struct_hash(t), "error": ""} | fields


def _terms_refused() -> list[dict[str, Any]]:
    """Words: 0 the struct's offset, 1–9 the fields, 10 and 11 the lists' offsets, 12 legs, 13–18 the leg, 19 tiers, 20–23 the tier."""
    good = encoded(terms([(1, 1, 5, 6)]))

    def word(number: int, value: int) -> bytes:
        return good[: 32 * number] + value.to_bytes(32, "big") + good[32 * number + 32 :]

    words = [good[at : at + 32] for at in range(0, len(good), 32)]
    swapped = b"".join(
        [*words[:10], (480).to_bytes(32, "big"), (352).to_bytes(32, "big"), *words[19:], *words[12:19]]
    )
    many = [leg(leg_id=number.to_bytes(32, "big")) for number in range(1, 18)]
    spoilt = [
        ("no bytes", b""), ("a word short", good[:-32]), ("a byte short", good[:-1]), ("a word long", good + bytes(32)),
        ("a byte long", good + b"\0"), ("struct elsewhere", word(0, 64)), ("address of 21 bytes", word(1, 2**160)),
        ("window_s of 33 bits", word(5, 2**32)), ("uncertainty_max_milli of 33 bits", word(6, 2**32)), ("bond of 129 bits", word(7, 2**128)),
        ("leg_cap of 129 bits", word(8, 2**128)), ("legs elsewhere", word(10, 384)), ("tiers elsewhere", word(11, 608)),
        ("tiers where the legs are", word(11, 352)), ("the tiers before the legs", swapped), ("one leg too many", word(12, 2)),
        ("one leg too few", word(12, 0)), ("2^255 legs", word(12, 2**255)), ("begin_ms of 65 bits", word(16, 2**64)),
        ("one tier too many", word(19, 2)), ("one tier too few", word(19, 0)), ("2^255 tiers", word(19, 2**255)),
        ("channel of 17 bits", word(20, 2**16)), ("metric 0", word(21, 0)), ("metric 13", word(21, 13)), ("metric of 9 bits", word(21, 257)),
        ("17 legs", encoded(terms([(1, 1, 5, 6)], many))),
        ("33 tiers", encoded(terms([(channel, 1, 0, 1) for channel in range(33)]))),
    ]  # fmt: skip
    return [{"name": name, "bytes": data, "error": "refused"} for name, data in spoilt]


# --- what is due ---


def _step(
    number: int, frame: str, sent_ms: int = 0, readings: int = 8, certificates: dict[int, int] | None = None
) -> dict[str, Any]:
    return {
        "leg": number,
        "frame": frame,
        "sent_ms": sent_ms,
        "readings": readings,
        "certificates": certificates or {},
    }


def _is_reached(tier: Tier, t: dict[str, Any], one: Leg, step: dict[str, Any], sums: dict[int, Any]) -> bool:
    channel, metric, threshold, _ = tier
    if step["frame"] == "none" and metric not in (8, 9):
        return False
    uncertainty = step["certificates"].get(channel)
    is_asked = t["uncertainty_max_milli"] != 0 and metric not in (8, 9)
    if is_asked and (uncertainty is None or uncertainty > t["uncertainty_max_milli"]):
        return metric in WHOLE_TIME and max(0, step["sent_ms"] - one["begin_ms"]) > threshold
    # Silence never begins before the leg's begin, however early the frame shown was signed: new with this version.
    sent_ms = max(step["sent_ms"], one["begin_ms"]) if metric == 9 else step["sent_ms"]
    figure, bound = _figure(tier, one, sums.get(channel, {}), step["frame"], sent_ms)
    return figure > bound + (uncertainty if is_asked and metric in (10, 11) else 0)


def _case(name: str, t: dict[str, Any], *steps: dict[str, Any]) -> dict[str, Any]:
    spent, legs = 0, []
    for count, step in enumerate(steps, 1):
        sums = {c["channel"]: totals(channel_readings(c["channel"])[: step["readings"]], c) for c in LIMITS}
        reached = [tier for tier in t["tiers"] if _is_reached(tier, t, t["legs"][step["leg"]], step, sums)]
        penalty = min(t["leg_cap"], sum(tier[3] for tier in reached), t["bond"] - spent)
        spent += penalty
        rest = t["bond"] - spent if count == len(t["legs"]) else 0
        legs.append({
            "leg": step["leg"], "frame": step["frame"], "sent_ms": str(step["sent_ms"]),
            "totals": [{"channel": c, "bytes": pack(TOTALS, one)} for c, one in sums.items()],
            "certificates": [{"channel": c, "uncertainty_milli": u} for c, u in step["certificates"].items()],
            "reached": [t["tiers"].index(tier) for tier in reached], "penalty": str(penalty), "rest": str(rest),
        })  # fmt: skip
    return {"name": name, "terms": encoded(t), "legs": legs}


def _due() -> list[dict[str, Any]]:
    channel = totals(channel_readings(1), LIMITS[0])
    mean = channel["mkt_weight_sum"] // channel["known_ms"]
    top, bottom = channel["max_value"] + OFFSET, OFFSET - channel["min_value"]
    uncovered = (channel["first_ms"] - START) + (ON_TIME - channel["last_ms"])
    whole = ON_TIME - START
    mixed = [(0, 8, 0, 3), (0, 9, 0, 5), (1, 1, 0, 100), (2, 1, 0, 200)]
    asked = [
        (1, 1, 0, 1), (1, 2, 0, 2), (1, 3, 0, 4), (1, 4, 0, 8), (1, 5, 0, 16), (1, 6, whole - 1, 32), (1, 6, whole, 64),
        (1, 7, whole - 1, 128), (1, 7, whole, 256), (1, 10, 0, 512), (1, 11, 0, 1024), (1, 12, whole - 1, 2048), (1, 12, whole, 4096),
    ]  # fmt: skip
    extremes = [
        (1, 10, top - 301, 1),
        (1, 10, top - 300, 2),
        (1, 11, bottom - 301, 4),
        (1, 11, bottom - 300, 8),
    ]
    rich = {"bond": 2**96 - 1, "leg_cap": 2**96 - 1}
    closing, late = _step(0, "closing", ON_TIME), _step(0, "closing", LATE)
    return [
        _case("one leg, nothing reached", terms([(1, 1, 2**128 - 1, 5)]), closing),
        _case("one leg, each kind of tier", terms([*mixed, (9, 12, 0, 400)]), late),
        _case("equal to the threshold", terms([(1, 12, uncovered - 1, 3), (1, 12, uncovered, 5)]), closing),
        _case("mean kinetic temperature", terms([(1, 5, mean, 3), (1, 5, mean + 1, 5), (1, 5, weight(8000), 7)]), closing),
        _case("one leg, the leg cap", terms(mixed, leg_cap=150), closing),
        _case("the leg cap to the unit", terms(mixed, leg_cap=300), closing),
        _case("one leg of the three", terms(mixed, 3), closing),
        _case("three legs in order", terms(mixed, 3), closing, _step(1, "closing", LATE), _step(2, "none")),
        _case("three legs, the last first", terms(mixed, 3), _step(2, "closing", LATE), _step(0, "none"), _step(1, "closing", ON_TIME)),
        _case("three legs, all clean", terms([(1, 1, 2**128 - 1, 5)], 3), closing, _step(1, "closing", ON_TIME), _step(2, "closing", ON_TIME)),
        _case("bond exhausted by the second leg", terms(mixed, 3, bond=500), closing, _step(1, "closing", LATE), _step(2, "closing", LATE)),
        _case("bond exhausted by the first leg", terms(mixed, 2, bond=250, leg_cap=250), closing, _step(1, "closing", ON_TIME)),
        _case("bond exhausted to the unit", terms(mixed, 2, bond=600), closing, _step(1, "closing", ON_TIME)),
        _case("leg cap and bond", terms(mixed, 3, bond=500, leg_cap=200), closing, _step(1, "closing", LATE), _step(2, "closing", LATE)),
        _case("amounts past 128 bits in all", terms([(0, 8, 0, 2**128 - 1), (1, 1, 0, 2**128 - 1)], **rich), late),
        _case("legs with times of their own", terms([(0, 8, 0, 3), (0, 9, 10 * MINUTE, 5), (1, 12, 0, 7)],
              [leg(0), leg(1, begin_ms=START + MINUTE, due_ms=START + 70 * MINUTE, deadline_s=(START + 80 * MINUTE) // 1000)]),
              late, _step(1, "shown", LATE)),
        _case("shown, above the leg cap", terms([(0, 9, 0, 5), (1, 1, 0, 200)], leg_cap=201), _step(0, "shown", START + 15 * MINUTE, readings=4)),
        _case("shown, sent before the begin", terms([(0, 9, 120 * MINUTE - 1, 5), (0, 9, 120 * MINUTE, 7)]), _step(0, "shown", START - 1, readings=0)),
        _case("shown, sent at the begin", terms([(0, 9, 120 * MINUTE - 1, 5), (0, 9, 120 * MINUTE, 7)]), _step(0, "shown", START, readings=0)),
        _case("nothing shown", terms([(0, 8, 0, 3), (0, 9, 120 * MINUTE - 1, 5), (0, 9, 120 * MINUTE, 7), (1, 12, 0, 11)]), _step(0, "none")),
        _case("certificates not asked for", terms(asked, **rich), closing),
        _case("no certificate", terms(asked, uncertainty_max_milli=500, **rich), closing),
        _case("a certificate as wide as allowed", terms(asked, uncertainty_max_milli=500, **rich), _step(0, "closing", ON_TIME, certificates={1: 500})),
        _case("a certificate too wide", terms(asked, uncertainty_max_milli=500, **rich), _step(0, "closing", ON_TIME, certificates={1: 501})),
        _case("a certificate of another channel", terms(asked, uncertainty_max_milli=500, **rich), _step(0, "closing", ON_TIME, certificates={2: 1})),
        _case("extremes within and beyond the uncertainty", terms(extremes, uncertainty_max_milli=300), _step(0, "closing", ON_TIME, certificates={1: 300})),
        _case("extremes with a perfect sensor", terms(extremes, uncertainty_max_milli=300), _step(0, "closing", ON_TIME, certificates={1: 0})),
        _case("two channels, one without a certificate", terms([(0, 8, 0, 1), (1, 1, 0, 2), (2, 1, 0, 4), (2, 7, 0, 8)], uncertainty_max_milli=9),
              _step(0, "closing", LATE, certificates={1: 9})),
        _case("shown without a certificate", terms([(0, 9, 0, 1), (1, 1, 0, 2), (1, 12, 0, 4)], uncertainty_max_milli=9), _step(0, "shown", START + 15 * MINUTE, readings=4)),
        _case("nothing shown needs no certificate", terms([(0, 9, 0, 1), (1, 12, 0, 4)], uncertainty_max_milli=9), _step(0, "none")),
        _case("a channel without readings", terms([(1, 1, 0, 3), (1, 6, 0, 5), (1, 7, 0, 7), (1, 12, 0, 11)]), _step(0, "closing", ON_TIME, readings=0)),
    ]  # fmt: skip
