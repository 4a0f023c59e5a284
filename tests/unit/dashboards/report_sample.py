"""A made-up run for the report: three trucks and a cold room, with everything that a report can show."""

import math
import random
from dataclasses import replace
from functools import cache
from hashlib import sha256

from dashboards.model import (
    AnchorRow,
    ChannelSeries,
    CheckRow,
    Command,
    DeadLetterRow,
    EventMark,
    EvidenceResult,
    LegReport,
    Offline,
    Payout,
    Report,
    SettlementRow,
    SkippedLine,
)
from lading.batch import AnchorRecord, BatchLeaf, BatchRecord
from lading.deadletter import DeadLetter
from lading.limits import ChannelLimits, Limits
from lading.names import tenant_id
from lading.quantities import FAULT, Quantity
from lading.totals import EMPTY, Reading, fold
from lading.tree import ZERO_HASH
from lading.verdict import Finding, Horizon, Verdict

BEGIN_MS = 1_793_577_600_000  # 2026-11-02 00:00 UTC
LYON, TURIN = "PHARMA-0117 Basel → Lyon", "PHARMA-0118 Basel → Turin"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
STEP_MS = 300_000
LIMITS = Limits(
    (
        ChannelLimits(
            1, Quantity.TEMPERATURE, 2_000, 8_000, 900_000, above_stretch_max_ms=1_800_000, mkt_max=8_000
        ),
        ChannelLimits(2, Quantity.TEMPERATURE, hold_ms=900_000),
        ChannelLimits(3, Quantity.HUMIDITY, upper=80_000, hold_ms=900_000),
        ChannelLimits(4, Quantity.DOOR, upper=500, hold_ms=900_000, above_stretch_max_ms=2_700_000),
        ChannelLimits(5, Quantity.SHOCK, peak_upper=6_000, hold_ms=900_000),
    )
)


def digest(text: str) -> bytes:
    """32 bytes that a text names."""
    return sha256(text.encode()).digest()


def series(
    rng: random.Random, days: int, hot_hours: tuple[float, float] | None, fault: bool
) -> tuple[ChannelSeries, ...]:
    """Five channels of a reefer."""
    times = [BEGIN_MS + i * STEP_MS + rng.randrange(3_000) for i in range(days * DAY_MS // STEP_MS)]
    hours = [(time - BEGIN_MS) / HOUR_MS for time in times]
    cargo, wall, damp, door, shock = [], [], [], [], []
    for hour in hours:
        defrost = 1.6 * max(0.0, math.sin(hour * math.pi / 3)) ** 12
        warm = 0.0
        if hot_hours and hour > hot_hours[0]:
            warm = 7.5 * (1 - math.exp(-(min(hour, hot_hours[1]) - hot_hours[0]) / 4))
            if hour > hot_hours[1]:
                warm *= math.exp(-(hour - hot_hours[1]) / 1.5)
        day = math.sin((hour - 9) * math.pi / 12)
        cargo.append(
            round(1000 * (4.6 + 0.35 * math.sin(hour * 9) + defrost + 0.25 * day + warm + rng.gauss(0, 0.06)))
        )
        wall.append(round(1000 * (13 + 6 * day + rng.gauss(0, 0.2))))
        damp.append(round(1000 * (62 + 8 * math.sin(hour / 5) + rng.gauss(0, 1.2))))
        door.append(1000 if 30 < hour % 55 < 30.5 else 0)
        shock.append(round(abs(rng.gauss(0.12, 0.08)) * 1000) + (4_300 if rng.random() < 0.0015 else 0))
    flags = [FAULT if fault and 120 < hour < 131 else 0 for hour in hours]
    raw = [32767 if flag else value for value, flag in zip(cargo, flags, strict=True)]
    return (
        ChannelSeries(1, Quantity.TEMPERATURE, "Cargo air", times, raw, flags),
        ChannelSeries(2, Quantity.TEMPERATURE, "Outside wall", times, wall, [0] * len(times)),
        ChannelSeries(3, Quantity.HUMIDITY, "Humidity", times, damp, [0] * len(times)),
        ChannelSeries(4, Quantity.DOOR, "Rear door", times, door, [0] * len(times)),
        ChannelSeries(5, Quantity.SHOCK, "Shock", times, shock, [0] * len(times)),
    )


def without(one: ChannelSeries, first_hour: float, last_hour: float) -> ChannelSeries:
    """A channel that was silent for some hours."""
    keep = [i for i, t in enumerate(one.times_ms) if not first_hour < (t - BEGIN_MS) / HOUR_MS < last_hour]
    columns = ([column[i] for i in keep] for column in (one.times_ms, one.values_milli, one.flags))
    return ChannelSeries(one.channel, one.quantity, one.name, *columns)


def leg(
    name: str,
    gateway: str,
    channels: tuple[ChannelSeries, ...],
    findings: tuple[Finding, ...],
    final: bool = True,
) -> LegReport:
    """A leg whose totals are folded from its readings."""
    totals = tuple(
        (
            one.channel,
            one.quantity,
            fold(
                EMPTY,
                LIMITS.channel(one.channel),
                [
                    Reading(*row)
                    for row in zip(
                        range(len(one.times_ms)), one.times_ms, one.values_milli, one.flags, strict=True
                    )
                ],
            ),
        )
        for one in channels
    )
    last_ms = channels[0].times_ms[-1]
    verdict = Verdict(
        digest(name), digest(gateway), LIMITS.hash, "closed" if final else "open", final,
        Horizon(0, 330, digest(name + "last"), last_ms), tuple(sorted(findings, key=lambda f: f.order)), totals,
    )  # fmt: skip
    return LegReport(
        verdict, LIMITS, name, gateway, BEGIN_MS, last_ms, 331, channels, "vaccine 2–8 °C", superseded=2
    )


def anchors(days: int) -> tuple[AnchorRow, ...]:
    """An interval every two hours; one truck's frames of 50 hours come with interval 68."""
    rows = []
    tenant = "demo"
    for i in range(1, days * 12 + 1):
        block_ms = BEGIN_MS + i * 2 * HOUR_MS + 90_000
        oldest = block_ms - (50 * HOUR_MS if i == 68 else 2 * HOUR_MS) - 120_000
        leaf = BatchLeaf(
            tenant_id(tenant), i, digest(f"root{i}"), 40 if i != 68 else 640, oldest, block_ms - 95_000,
            ZERO_HASH if i == 1 else digest(f"leaf{i - 1}"), digest(f"location{i}"),
        )  # fmt: skip
        batch = BatchRecord(leaf, tenant, i, ((0, i * 40, i * 40 + 39),), 0, 1, ())
        state = "finalized" if i < days * 12 - 1 else "mined"
        record = AnchorRecord(
            i, digest(f"super{i}"), 1, 31337, bytes(20), digest(f"tx{i}"), 1000 + i * 60, digest(f"block{i}"), block_ms,
            51_872, state,
        )  # fmt: skip
        rows.append(AnchorRow(record, (batch,), leaf.frame_count * 60))
    return tuple(rows)


CHECKS = (
    "format",
    "signature",
    "chain",
    "totals",
    "completeness",
    "inclusion",
    "anchor",
    "finality",
    "age",
    "verdict",
    "settlement",
)


def evidence(name: str, warn: str = "", fail: str = "") -> EvidenceResult:
    """One file, with a remark or a failure where asked."""
    statuses = {"anchor": "LEFT", warn: "WARN", fail: "FAIL"}
    texts = {
        "signature": "331 frames and 2 assignments signed by the gateway's and the operator's key",
        "age": "the oldest reading waited 50 h 2 min for its block",
        "anchor": "ask a chain with --rpc",
    }
    checks = tuple(
        CheckRow(check, statuses.get(check, "PASS"), texts.get(check, "as it must be")) for check in CHECKS
    )
    return EvidenceResult(digest(name), f"evidence/{name}.lading", 482_113, checks)


def findings() -> dict[str, tuple[Finding, ...]]:
    """What the rules said, by gateway."""

    def found(
        rule: str, severity: str, hours: tuple[float, float], measured: int, limit: int | None
    ) -> Finding:
        first_ms, last_ms = (BEGIN_MS + round(hour * HOUR_MS) for hour in hours)
        channel = None if rule == "clone" else 1
        return Finding(rule, severity, channel, first_ms, last_ms, measured, limit, 1171, 1274)  # type: ignore[arg-type]

    return {
        "truck-1": (
            found("excursion_above", "breach", (97.6, 106.2), round(8.6 * HOUR_MS), 1_800_000),
            found("peak_above", "breach", (101.5, 101.5), 11_912, 10_000),
        ),
        "truck-2": (),
        "truck-3": (
            found("fault", "notice", (120, 131), 132, None),
            found("clone", "breach", (200, 200), 188, None),
        ),
        "cold-room-1": (found("gap", "notice", (250, 259.5), round(9.5 * HOUR_MS), HOUR_MS),),
    }


def legs(days: int) -> tuple[LegReport, ...]:
    """A breach, a clean leg, one with a broken sensor and a cloned key, one with a power cut."""
    rng = random.Random(7)
    said = findings()
    cut = tuple(without(one, 250, 259.5) for one in series(rng, days, None, False))
    hot, calm, broken = (
        series(rng, days, *how) for how in (((97.0, 104.5), False), (None, False), (None, True))
    )
    return (
        leg(LYON, "truck-1", hot, said["truck-1"]),
        leg(TURIN, "truck-2", calm, said["truck-2"]),
        leg("PHARMA-0119 Basel → Genoa", "truck-3", broken, said["truck-3"], final=False),
        leg("STORE-7 cold room Basel", "cold-room-1", cut, said["cold-room-1"]),
    )


def settlements() -> tuple[SettlementRow, ...]:
    """A penalty shared out, and a bond that goes back."""
    shipper = Payout("Helvetia Pharma", "shipper", 1_250_000_000)
    carrier = Payout("Alpen Cargo", "carrier", 3_750_000_000)
    penalty = SettlementRow(
        digest("a1"),
        digest(LYON),
        "penalty",
        1_250_000_000,
        "USDC",
        6,
        digest("t1"),
        21_322,
        171_204,
        (shipper, carrier),
        "8 h 36 min above 8 °C in one stretch; the second tier begins at 4 h.",
    )
    release = replace(
        penalty,
        claim=digest("a2"),
        leg_id=digest(TURIN),
        kind="release",
        amount=5_000_000_000,
        tx_hash=digest("t2"),
        payouts=(replace(carrier, amount=5_000_000_000),),
        why="The leg is clean: the bond goes back.",
    )
    return penalty, release


def dead_letters() -> tuple[DeadLetterRow, ...]:
    """Three kinds of refusal."""
    topic = "lading/v1/demo/5a61/frames"
    reason = "frame 188 of gateway 5a61… was taken with another hash"
    letter = DeadLetter("equivocation", reason, topic, BEGIN_MS + 200 * HOUR_MS, bytes(5_400))
    again = replace(letter, code="duplicate", reason="frame 91 is in the log already")
    unknown = replace(letter, code="gateway_unknown", reason="gateway 00f3… is not registered")
    return (
        DeadLetterRow("equivocation", 1, (letter,)),
        DeadLetterRow("duplicate", 5, (again,)),
        DeadLetterRow("gateway_unknown", 1, (unknown,)),
    )


def skipped() -> tuple[SkippedLine, ...]:
    """One line with NUL bytes, and many of a sensor nobody mapped."""
    nul = SkippedLine(
        "sensor_data_log_20210420.csv", 14_203, "a NUL byte inside the line", "2021-04-20 09:1\x00\x00"
    )
    unmapped = [*range(40, 60), 71, 90, *range(100, 400, 3)]
    return nul, *(
        SkippedLine("sensor_data_log_20210520.csv", n, "sensor 99 is not in the mapping", "2021-05-20,4.2,99")
        for n in unmapped
    )


def events() -> tuple[EventMark, ...]:
    """What went wrong, and when."""
    told = (
        (85, "truck-2", "loses its link for 50 hours and signs on"),
        (97, "truck-1", "compressor fails"),
        (120, "truck-3", "cargo sensor reports 327.67"),
        (135, "truck-2", "back: 600 frames in order"),
        (200, "truck-3", "a clone signs frame 188 again"),
        (250, "cold-room-1", "power cut"),
    )
    return tuple(EventMark(BEGIN_MS + hour * HOUR_MS, gateway, text) for hour, gateway, text in told)


FIGURES = (
    ("readings", "80,640"),
    ("signed frames", "1,324"),
    ("batches", "168"),
    ("anchors", "168"),
    ("gas an anchor", "51,872"),
    ("messages refused", "7"),
    ("readings lost", "0"),
)


@cache
def sample() -> Report:
    """The run."""
    days = 14
    path = "evidence/PHARMA-0117.lading"
    every = legs(days)
    warnings = ("", "age", "completeness", "")
    return Report(
        title="Lading report",
        story="3 trucks and a cold room, two weeks: one penalty of 1,250 USDC paid, one bond released,"
        " one cloned key caught, and not a reading lost.",
        made_ms=BEGIN_MS + 15 * DAY_MS,
        first_ms=BEGIN_MS,
        last_ms=BEGIN_MS + days * DAY_MS,
        legs=every,
        figures=FIGURES,
        offline=(Offline("truck-2", BEGIN_MS + 85 * HOUR_MS, BEGIN_MS + 135 * HOUR_MS),),
        events=events(),
        anchors=anchors(days),
        settlements=settlements(),
        dead_letters=dead_letters(),
        skipped=skipped(),
        evidence=tuple(evidence(one.reference, warn) for one, warn in zip(every, warnings, strict=True)),
        commands=(
            Command("Check one evidence file, offline.", f'lading verify "{path}"'),
            Command("Check it against the chain too.", f'lading verify "{path}" --rpc https://…'),
            Command("See every field of it.", f'lading inspect "{path}"'),
        ),
    )
