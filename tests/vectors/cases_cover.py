"""cover.json: policies with their ABI encoding and hash, what is due of them, and records of payouts."""
# ruff: noqa: E501 (tables: a case a line)

from typing import Any

from eth_abi import abi
from eth_hash.auto import keccak

from tests.vectors.cases_frame import LIMITS, START, channel_readings
from tests.vectors.cases_settlement import MINUTE, TIER
from tests.vectors.cases_settlement2 import (
    LATE,
    LEG_FIELDS,
    LEG_KIND,
    LEG_TYPE,
    ON_TIME,
    TIER_TYPE,
    _is_reached,
    _step,
    leg,
)
from tests.vectors.twin import TOTALS, cbor, h, pack, tenant_id, totals

FIELDS = [
    "pool", "holder", "tenant", "start_s", "quote_until_s", "window_s", "uncertainty_max_milli", "maximum", "deductible",
    "premium", "salt",
]  # fmt: skip
KINDS = [
    "bytes32",
    "address",
    "bytes32",
    "uint64",
    "uint64",
    "uint32",
    "uint32",
    "uint96",
    "uint96",
    "uint96",
    "uint128",
]
POLICY = f"({','.join(KINDS)},{LEG_KIND},{TIER}[])"
POLICY_TYPE = (
    "Policy(bytes32 pool,address holder,bytes32 tenant,uint64 startS,uint64 quoteUntilS,uint32 windowS,uint32 uncertaintyMaxMilli,"
    f"uint96 maximum,uint96 deductible,uint96 premium,uint128 salt,Leg leg,Tier[] tiers){LEG_TYPE}{TIER_TYPE}"
)  # fmt: skip


def cover() -> dict[str, Any]:
    return {
        "about": "docs/spec/cover.md. payouts: frame, certificates and totals as in settlement2. error: empty or 'refused'.",
        "policies": [*_accepted(), *_refused()],
        "payouts": _payouts(),
        "records": _records(),
    }


def policy(tiers: list[Any], one: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    fields = {
        "pool": h(b"pool"), "holder": bytes(19) + b"\x05", "tenant": tenant_id("demo"), "start_s": START // 1000,
        "quote_until_s": START // 1000 - 60, "window_s": 3600, "uncertainty_max_milli": 0, "maximum": 1000, "deductible": 50,
        "premium": 20, "salt": 7, "leg": one or leg(0), "tiers": tiers,
    }  # fmt: skip
    return fields | given


def encoded(p: dict[str, Any]) -> bytes:
    one = tuple(p["leg"][name] for name in LEG_FIELDS)
    return abi.encode([POLICY], [(*(p[name] for name in FIELDS), one, p["tiers"])])


def struct_hash(p: dict[str, Any]) -> bytes:
    """EIP-712's hashStruct(policy), from the standard's text."""
    one = keccak(
        keccak(LEG_TYPE.encode()) + abi.encode([LEG_KIND], [tuple(p["leg"][name] for name in LEG_FIELDS)])
    )
    tiers = [keccak(keccak(TIER_TYPE.encode()) + abi.encode([TIER], [tier])) for tier in p["tiers"]]
    head = abi.encode(KINDS, [p[name] for name in FIELDS])
    found: bytes = keccak(keccak(POLICY_TYPE.encode()) + head + one + keccak(b"".join(tiers)))
    return found


def _accepted() -> list[dict[str, Any]]:
    greatest = {
        "start_s": 2**64 - 1, "quote_until_s": 2**64 - 1, "window_s": 2**32 - 1, "uncertainty_max_milli": 2**32 - 1,
        "maximum": 2**96 - 1, "deductible": 2**96 - 1, "premium": 2**96 - 1, "salt": 2**128 - 1,
    }  # fmt: skip
    far = leg(0, begin_ms=2**64 - 1, due_ms=2**64 - 1, deadline_s=2**64 - 1)
    return [
        _policy("no tiers", policy([])), _policy("two tiers", policy([(0, 8, 1, 2), (1, 1, 5, 6)])),
        _policy("greatest numbers", policy([(65535, 12, 2**128 - 1, 2**128 - 1)], far, **greatest)),
        _policy("32 tiers", policy([(channel, 1, 0, 1) for channel in range(32)])),
    ]  # fmt: skip


def _policy(name: str, p: dict[str, Any]) -> dict[str, Any]:
    flat = {k: str(v) if isinstance(v, int) else v for k, v in p.items() if k not in ("leg", "tiers")}
    one = {k: str(v) if isinstance(v, int) else v for k, v in p["leg"].items()}
    tiers = [
        [channel, metric, str(threshold), str(amount)] for channel, metric, threshold, amount in p["tiers"]
    ]
    known = {"name": name, "bytes": encoded(p), "struct_hash": struct_hash(p), "error": ""}
    return known | flat | {"leg": one, "tiers": tiers}


def _refused() -> list[dict[str, Any]]:
    """Words: 0 the struct's offset, 1–11 the fields, 12–17 the leg, 18 the tiers' offset, 19 their number, 20–23 the tier."""
    good = encoded(policy([(1, 1, 5, 6)]))

    def word(number: int, value: int) -> bytes:
        return good[: 32 * number] + value.to_bytes(32, "big") + good[32 * number + 32 :]

    spoilt = [
        ("no bytes", b""), ("a word short", good[:-32]), ("a byte short", good[:-1]), ("a word long", good + bytes(32)),
        ("a byte long", good + b"\0"), ("struct elsewhere", word(0, 64)), ("address of 21 bytes", word(2, 2**160)),
        ("start_s of 65 bits", word(4, 2**64)), ("window_s of 33 bits", word(6, 2**32)), ("maximum of 97 bits", word(8, 2**96)),
        ("deductible of 97 bits", word(9, 2**96)), ("premium of 97 bits", word(10, 2**96)), ("salt of 129 bits", word(11, 2**128)),
        ("begin_ms of 65 bits", word(15, 2**64)), ("tiers elsewhere", word(18, 608)), ("one tier too many", word(19, 2)),
        ("one tier too few", word(19, 0)), ("2^255 tiers", word(19, 2**255)), ("channel of 17 bits", word(20, 2**16)),
        ("metric 0", word(21, 0)), ("metric 13", word(21, 13)),
        ("33 tiers", encoded(policy([(channel, 1, 0, 1) for channel in range(33)]))),
    ]  # fmt: skip
    return [{"name": name, "bytes": data, "error": "refused"} for name, data in spoilt]


def _payout(name: str, p: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    sums = {c["channel"]: totals(channel_readings(c["channel"])[: step["readings"]], c) for c in LIMITS}
    late = {c for c, one in sums.items() if one["count"] and one["first_ms"] < p["start_s"] * 1000}
    reached = [
        tier for tier in p["tiers"] if tier[0] not in late and _is_reached(tier, p, p["leg"], step, sums)
    ]
    payout = min(p["maximum"], max(0, sum(tier[3] for tier in reached) - p["deductible"]))
    return {
        "name": name, "policy": encoded(p), "frame": step["frame"], "sent_ms": str(step["sent_ms"]),
        "totals": [{"channel": c, "bytes": pack(TOTALS, one)} for c, one in sums.items()],
        "certificates": [{"channel": c, "uncertainty_milli": u} for c, u in step["certificates"].items()],
        "reached": [p["tiers"].index(tier) for tier in reached], "payout": str(payout),
    }  # fmt: skip


def _payouts() -> list[dict[str, Any]]:
    mixed = [(0, 8, 0, 30), (0, 9, 0, 50), (1, 1, 0, 100), (2, 1, 0, 200)]
    closing, late, shown, none = (
        _step(0, "closing", ON_TIME), _step(0, "closing", LATE), _step(0, "shown", START + 15 * MINUTE, readings=4), _step(0, "none"),
    )  # fmt: skip
    first = totals(channel_readings(1), LIMITS[0])["first_ms"]
    return [
        _payout("nothing reached", policy([(1, 1, 2**128 - 1, 5)]), closing),
        _payout("less the deductible", policy(mixed), closing), _payout("late too", policy(mixed), late),
        _payout("all of it deducted", policy(mixed, deductible=300), closing), _payout("to the unit deducted", policy(mixed, deductible=299), closing),
        _payout("no deductible", policy(mixed, deductible=0), closing), _payout("the maximum", policy(mixed, maximum=200), closing),
        _payout("the maximum to the unit", policy(mixed, maximum=250), closing),
        _payout("amounts past 96 bits in all", policy([(0, 8, 0, 2**128 - 1), (1, 1, 0, 2**128 - 1)]), late),
        _payout("shown", policy(mixed), shown), _payout("nothing shown", policy(mixed), none),
        _payout("read a second before the start", policy([(0, 9, 0, 60), (1, 1, 0, 100)], start_s=first // 1000 + 1), shown),
        _payout("read at the start", policy([(1, 1, 0, 100)], start_s=first // 1000), closing),
        _payout("a channel without readings is of no time", policy([(1, 12, 0, 100)], start_s=START // 1000 + 3600), _step(0, "closing", ON_TIME, readings=0)),
        _payout("no certificate", policy([(1, 1, 0, 100), (1, 12, 0, 200)], uncertainty_max_milli=300), closing),
        _payout("a certificate", policy([(1, 1, 0, 100), (1, 12, 0, 200)], uncertainty_max_milli=300), _step(0, "closing", ON_TIME, certificates={1: 300})),
    ]  # fmt: skip


def _records() -> list[dict[str, Any]]:
    """Documents `lading/payout/1`."""

    def record(*changes: tuple[int, Any]) -> bytes:
        items = [
            "lading/payout/1", h(b"cover"), leg(0)["leg_id"], bytes(19) + b"\x09", 31337, encoded(policy([(1, 1, 5, 300)])),
            (250).to_bytes(32, "big"), (40).to_bytes(32, "big"), 1, None, h(b"tx"), 7, h(b"block 7"), 155_431,
        ]  # fmt: skip
        for at, value in changes:
            items[at] = value
        return cbor(items)

    good = record()
    accepted = [
        ("a payout, part of it owed", good), ("a lapse", record((6, bytes(32)), (7, bytes(32)), (8, 0))),
        ("certificates that counted", record((9, [[1, 300], [2, 0]]))), ("no certificate counted", record((9, []))),
    ]  # fmt: skip
    spoilt = [
        ("no bytes", b""), ("cut", good[:-1]), ("trailing byte", good + b"\0"), ("another tag", record((0, "lading/payout/2"))),
        ("cover of 31 bytes", record((1, bytes(31)))), ("contract of 21 bytes", record((3, bytes(21)))),
        ("policy of 8193 bytes", record((5, bytes(8193)))), ("payout as a number", record((6, 250))),
        ("more owed than paid", record((7, (251).to_bytes(32, "big")))), ("reached of 33 bits", record((8, 2**32))),
        ("certificates in another order", record((9, [[2, 0], [1, 300]]))), ("a channel twice", record((9, [[1, 0], [1, 300]]))),
        ("channel of 17 bits", record((9, [[2**16, 0]]))), ("33 certificates", record((9, [[c, 0] for c in range(33)]))),
        ("block hash of 31 bytes", record((12, bytes(31)))), ("gas below 0", record((13, -1))),
    ]  # fmt: skip
    return [
        *({"name": name, "bytes": data, "error": ""} for name, data in accepted),
        *({"name": name, "bytes": data, "error": "refused"} for name, data in spoilt),
    ]
