"""Board "Shipment": one leg, each channel against its limits, what was found, and what can be proven."""

from dashboards.boards.annotations import breaches, episodes, notices, settlements, verdicts
from dashboards.boards.board import Board, Row, gateway, leg, tag_values, tenant, variable
from dashboards.boards.channels import against_limits
from dashboards.boards.foresight import AHEAD, foresight, worth
from dashboards.boards.influxql import Json, chosen, newest, rows, series
from dashboards.boards.panels import (
    FINAL,
    ORANGE,
    RED,
    SEVERITIES,
    VERDICTS,
    Panel,
    Query,
    bars,
    coloured,
    column,
    figure,
    graph,
    map_of,
    mapped,
    note,
    states,
    steps,
    table,
)

LEG = chosen("tenant", "gateway", "leg")
CHANNEL = "$tag_gateway $tag_part $tag_channel"
STATES = {
    "open": ("under way", "blue"),
    "closed": ("closed", "green"),
    "incomplete": ("incomplete", ORANGE),
    "forked": ("forked", RED),
}
GOING_ON = {"0": ("over", "green"), "1": ("goes on", ORANGE)}
BUDGET = steps((0.5, "yellow"), (0.8, ORANGE), (1, RED))
PROOF = """\
Everything above comes from signed frames. To hand the proof to an outsider:

```
lading evidence export "${leg}" --output leg.evidence   # with --gateway where the leg has several
lading verify leg.evidence                              # needs no server, only the anchors' chain
lading report leg.evidence --out report.html
```

A *provisional* verdict can still change. A *final* one rests on frames in finalized anchors: see the board
*Evidence and chain*.
"""


def _of(quantity: str) -> str:
    return f"{LEG} AND \"quantity\" = '{quantity}'"


TEMPERATURE = f'{_of("temperature")} AND "channel" =~ /^${{channel:regex}}$/'


def _word(number: int, title: str, description: str, field: str, values: dict[str, tuple[str, str]]) -> Panel:
    query = Query(newest(f'last("{field}") AS "{field}"', "verdict", LEG), table=True)
    return figure(
        number,
        title,
        description,
        "none",
        query,
        fields=f"/^{field}$/",
        defaults={"mappings": mapped(values)},
    )


def _count(number: int, title: str, description: str, field: str, unit: str, bad: Json) -> Panel:
    query = Query(newest(f'last("{field}")', "verdict", LEG))
    return figure(number, title, description, unit, query, defaults={"thresholds": bad})


def _verdict() -> Row:
    bad = steps((1, ORANGE))
    return Row(
        10,
        "Verdict",
        (
            _word(11, "Result", "The newest verdict: clean, or a breach of the limits.", "result", VERDICTS),
            _word(
                12,
                "State",
                "Of the leg: incomplete when frames are missing, forked when two frames have one number.",
                "state",
                STATES,
            ),
            _word(
                13,
                "Standing",
                "Final once all its frames are in finalized anchors; before that it can still change.",
                "final",
                FINAL,
            ),
            _count(
                14, "Findings", "Findings of the newest verdict, notices included.", "findings", "none", bad
            ),
            _count(
                15, "Gaps", "Gaps between readings that were longer than allowed.", "gap_count", "none", bad
            ),
            _count(
                16,
                "Unknown time",
                "Longest time of a channel without a valid value.",
                "unknown_s",
                "s",
                steps(),
            ),
        ),
    )


def _channels() -> Row:
    text = "Highest, mean and lowest of each step; dashed lines are the limits that were signed for the leg."
    return Row(
        20,
        "Channels against their limits",
        (
            against_limits(
                21, "Temperature, channel $channel", text, "celsius", TEMPERATURE, repeat="channel", height=10
            ),
            against_limits(22, "Humidity", text, "humidity", _of("humidity"), width=8),
            against_limits(
                23,
                "Door",
                "1 is open, 0 closed; a door open too long is a finding.",
                "none",
                _of("door"),
                width=8,
            ),
            against_limits(
                24, "Light", "Light inside: the door, or someone in the load.", "lux", _of("light"), width=8
            ),
            against_limits(25, "Shock", "Peaks of acceleration.", "accG", _of("shock"), width=12),
            map_of(
                26,
                "Track",
                "Where the leg's readings were taken.",
                Query(
                    series(
                        'mean("latitude") AS "latitude", mean("longitude") AS "longitude"', "position", LEG
                    ),
                    table=True,
                ),
                column("Time", "seen", unit="dateTimeAsIso"),
                width=12,
                height=8,
            ),
        ),
    )


def _found() -> Row:
    fields = ("text", "measured", "limit", "last_ms", "final", "verdict_id")
    found = rows(
        fields, ("gateway", "channel", "part", "rule", "severity"), "finding", f'{LEG} AND "active" = 1'
    )
    gaps = rows(
        ("text", "measured", "limit", "last_ms"),
        ("gateway", "part"),
        "finding",
        f'{LEG} AND "active" = 1 AND "rule" =~ /^gap/',
    )
    seen = rows(
        ("text", "detector", "score", "peak_ms", "last_ms", "up"),
        ("gateway", "channel", "part", "quantity"),
        "episode",
        LEG,
    )
    until = column("last_ms", "until", unit="dateTimeAsIso")
    return Row(
        30,
        "Excursions and gaps",
        (
            table(
                31,
                "Findings",
                "Excursions, gaps, faults and everything else that the newest verdict found.",
                Query(found, table=True),
                column("Time", "began", unit="dateTimeAsIso"),
                column("text", "finding", custom__width=420),
                until,
                column("severity", **coloured(SEVERITIES)),
                column("final", **coloured(FINAL)),
                width=16,
            ),
            table(
                32,
                "Gaps",
                "Times without a valid reading that were longer than allowed.",
                Query(gaps, table=True),
                column("Time", "began", unit="dateTimeAsIso"),
                column("text", "gap"),
                until,
                column("measured", unit="s"),
                column("limit", unit="s"),
                width=8,
            ),
            table(
                33,
                "What the detectors found",
                "Readings unlike what the channel's earlier ones of this leg were. Advice: limits decide, not scores.",
                Query(seen, table=True),
                column("Time", "began", unit="dateTimeAsIso"),
                column("text", "what", custom__width=420),
                column("peak_ms", "peak", unit="dateTimeAsIso"),
                column("score", "greatest score", decimals=2),
                column("up", **coloured(GOING_ON)),
                until,
            ),
        ),
    )


def _budget() -> Row:
    of_channel = ("gateway", "part", "channel", "quantity")
    sums = (
        'last("count") AS "readings", "min", "max", "above_s", "below_s", "longest_above_s", "longest_gap_s", '
        '"unknown_s", "mkt_celsius", "budget_used"'
    )
    seconds = [
        column(name, shown, unit="s")
        for name, shown in (
            ("above_s", "above"),
            ("below_s", "below"),
            ("longest_above_s", "longest above"),
            ("longest_gap_s", "longest gap"),
            ("unknown_s", "unknown"),
        )
    ]
    return Row(
        40,
        "Budget and totals",
        (
            bars(
                41,
                "Budget used",
                "Time above the upper limit, of all the time above that the limits allow. 100 % is a breach.",
                "percentunit",
                Query(newest('last("budget_used")', "totals", LEG, "gateway", "part", "channel"), CHANNEL),
                defaults={"min": 0, "max": 1, "thresholds": BUDGET},
                width=8,
            ),
            graph(
                42,
                "Budget over time",
                "How fast the budget is being used up.",
                "percentunit",
                Query(series('last("budget_used")', "totals", LEG, "gateway", "part", "channel"), CHANNEL),
                defaults={"min": 0, "thresholds": steps((1, RED), base="transparent")},
                custom={"thresholdsStyle": {"mode": "line"}, "spanNulls": True},
                width=16,
            ),
            table(
                43,
                "Totals",
                "What the gateways' signed running totals say of each channel.",
                Query(newest(sums, "totals", LEG, *of_channel), table=True),
                column("Time", "until", unit="dateTimeAsIso"),
                *seconds,
                column("mkt_celsius", "mean kinetic temperature", unit="celsius"),
                column("budget_used", "budget used", unit="percentunit"),
                sort=("part", False),
                order=(
                    "Time",
                    "gateway",
                    "channel",
                    "part",
                    "quantity",
                    "readings",
                    "min",
                    "max",
                    "budget_used",
                ),
            ),
        ),
    )


def _proof() -> Row:
    fields = ("result", "state", "final", "findings", "readings", "superseded", "verdict_id")
    history = rows(fields, ("gateway", "leg"), "verdict", LEG)
    paid = rows(
        ("amount", "agreement", "tx", "block_number", "gas_used"),
        ("leg", "kind"),
        "settlement",
        chosen("tenant", "leg"),
    )
    return Row(
        50,
        "What can be proven",
        (
            note(
                51,
                "Evidence",
                "How to hand this leg's proof to someone who trusts none of this.",
                PROOF,
                width=8,
                height=9,
            ),
            states(
                52,
                "Verdict over time",
                "Provisional verdicts, and where they ended.",
                Query(series('last("result")', "verdict", LEG, "gateway", "leg"), "$tag_leg ($tag_gateway)"),
                values=VERDICTS,
                width=16,
                height=9,
            ),
            table(
                53,
                "Verdicts",
                "Every verdict over the leg, newest first; one that was superseded stays on record.",
                Query(history, table=True),
                column("Time", "at", unit="dateTimeAsIso"),
                column("result", **coloured(VERDICTS)),
                column("state", **coloured(STATES)),
                column("final", **coloured(FINAL)),
                width=12,
            ),
            table(
                54,
                "Settlements",
                "Payments that agreements made over the leg.",
                Query(paid, table=True),
                column("Time", "at", unit="dateTimeAsIso"),
                width=12,
            ),
        ),
    )


def board() -> Board:
    """The board."""
    channel = variable(
        "channel",
        "Temperature channel",
        tag_values("reading", "channel", LEG, "\"quantity\" = 'temperature'"),
    )
    return Board(
        "lading-shipment",
        "Lading: Shipment",
        "One leg: its readings against the signed limits, what was found, and what can be proven.",
        "now-7d",
        "1m",
        (tenant(), gateway(), leg(multi=False), channel),
        (breaches(), notices(), episodes(), verdicts(), settlements()),
        (
            _verdict(),
            _channels(),
            foresight(LEG, TEMPERATURE),
            _found(),
            _budget(),
            _proof(),
            worth(LEG, TEMPERATURE),
        ),
        until=f"now+{AHEAD}",
    )
