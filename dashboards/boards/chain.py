"""Board "Evidence and chain": what is anchored, how late, what it costs, and what was refused."""

from dashboards.boards.annotations import settlements
from dashboards.boards.board import Board, Row, tenant
from dashboards.boards.influxql import chosen, newest, rows, series, where
from dashboards.boards.panels import (
    ORANGE,
    RED,
    VERDICTS,
    Query,
    coloured,
    column,
    figure,
    graph,
    states,
    steps,
    table,
)

TENANT = chosen("tenant")
FINALIZED = "\"state\" = 'finalized'"
ANCHOR_STATES = {
    "pending": ("pending", ORANGE),
    "mined": ("mined", "yellow"),
    "safe": ("safe", "blue"),
    "finalized": ("finalized", "green"),
}
WEI_PER_ETHER = 10**18
BALANCES = '"name" =~ /^lading_(anchoring|settle)_balance_wei$/'
FELL = '"fall" < 0'
BY_STEP = "GROUP BY time($__interval)"
FALLS = (
    f'SELECT difference(last("value")) AS "fall" FROM "metric" {where(BALANCES)} '
    f'{BY_STEP}, "stage", "instance" fill(none)'
)
SPENT = f'sum("fall") / -{WEI_PER_ETHER} AS "spent"'
INTERVALS_OPEN = (
    f'SELECT max("seen") - max("final") AS "open" FROM '
    f'(SELECT max("interval") * 1.0 AS "seen" FROM "anchor" {where()}), '
    f'(SELECT max("interval") * 1.0 AS "final" FROM "anchor" {where(FINALIZED)}) fill(0)'
)
"""Intervals that are not final. InfluxQL joins subqueries of one measurement only, and loses integers on the way."""


def _standing() -> Row:
    last = newest('max("interval")', "anchor", FINALIZED)
    lag = newest('last("lag_s")', "anchor", "")
    gas = newest('sum("gas_used")', "anchor", FINALIZED)
    spent = f"SELECT {SPENT} FROM ({FALLS}) WHERE {FELL}"
    dead = newest('sum("count")', "dead", TENANT)
    zero = {"noValue": "0"}
    return Row(
        10,
        "Standing",
        (
            figure(
                11,
                "Newest final interval",
                "Everything up to here can be proven to outsiders.",
                "none",
                Query(last),
            ),
            figure(
                12,
                "Intervals not final",
                "Anchored or waiting, and not final yet. A few are normal.",
                "none",
                Query(INTERVALS_OPEN),
                defaults=zero | {"thresholds": steps((5, ORANGE), (20, RED))},
            ),
            figure(
                13,
                "Anchor lag",
                "From the newest reading of the last anchored interval to its block.",
                "s",
                Query(lag),
                defaults={"thresholds": steps((900, ORANGE), (3600, RED))},
            ),
            figure(14, "Gas", "Gas of the range's finalized anchors.", "short", Query(gas)),
            figure(
                15,
                "Cost",
                "What the accounts of anchoring and settling paid, by their balances; a top-up is no gain.",
                "suffix: ether",
                Query(spent),
                defaults={"decimals": 6, "noValue": "0"},
            ),
            figure(
                16,
                "Messages refused",
                "Dead letters of the range.",
                "none",
                Query(dead),
                defaults=zero | {"thresholds": steps((1, ORANGE))},
            ),
        ),
    )


def _anchors() -> Row:
    return Row(
        20,
        "Anchors",
        (
            graph(
                21,
                "Anchor lag",
                "From an interval's newest reading to the block: waiting, sending, mining.",
                "s",
                Query(series('max("lag_s")', "anchor", ""), "longest lag"),
            ),
            graph(
                22,
                "Intervals",
                "The newest interval in each state. Lines that part mean that the chain or the sender is stuck.",
                "none",
                Query(series('max("interval")', "anchor", "", "state"), "$tag_state"),
            ),
            graph(
                23,
                "Gas",
                "Gas of anchors as they were finalized.",
                "short",
                Query(series('sum("gas_used")', "anchor", FINALIZED), "gas"),
                width=8,
                custom={"drawStyle": "bars"},
            ),
            graph(
                24,
                "Cost",
                "What each stage's account paid, by its balance.",
                "suffix: ether",
                Query(
                    f'SELECT {SPENT} FROM ({FALLS}) {where(FELL)} {BY_STEP}, "stage" fill(none)', "$tag_stage"
                ),
                width=8,
                custom={"drawStyle": "bars"},
                defaults={"decimals": 6},
            ),
            graph(
                25,
                "Frames anchored",
                "Frames that went into batches.",
                "none",
                Query(series('sum("frames")', "batch", TENANT, "tenant"), "$tag_tenant"),
                width=8,
                custom={"drawStyle": "bars"},
            ),
            table(
                26,
                "Anchors",
                "Each state that an anchor reached, newest first.",
                Query(
                    rows(("interval", "block_number", "lag_s", "gas_used", "tx"), ("state",), "anchor", ""),
                    table=True,
                ),
                column("Time", "at", unit="dateTimeAsIso"),
                column("state", **coloured(ANCHOR_STATES)),
                column("lag_s", "lag", unit="s"),
            ),
        ),
    )


def _verdicts() -> Row:
    verdict = rows(
        ("result", "state", "findings", "verdict_id"),
        ("gateway", "leg"),
        "verdict",
        f'{TENANT} AND "final" = 1',
    )
    by_leg = series('last("final")', "verdict", TENANT, "leg")
    return Row(
        30,
        "Verdicts and payments",
        (
            states(
                31,
                "Provisional and final",
                "When each leg's verdict became final.",
                Query(by_leg, "$tag_leg"),
                values={"0": ("provisional", ORANGE), "1": ("final", "green")},
                width=12,
                height=8,
            ),
            table(
                32,
                "Final verdicts",
                "Verdicts that rest on finalized anchors.",
                Query(verdict, table=True),
                column("Time", "at", unit="dateTimeAsIso"),
                column("result", **coloured(VERDICTS)),
                width=12,
            ),
            graph(
                33,
                "Paid",
                "What agreements and covers paid, by kind, in the token's smallest unit.",
                "short",
                Query(series('sum("amount")', "settlement", TENANT, "kind"), "$tag_kind"),
                custom={"drawStyle": "bars"},
            ),
            table(
                34,
                "Settlements",
                "Each payment: the agreement or cover, its transaction and gas.",
                Query(
                    rows(
                        ("amount", "gas_used", "agreement", "tx", "block_number"),
                        ("leg", "kind"),
                        "settlement",
                        TENANT,
                    ),
                    table=True,
                ),
                column("Time", "at", unit="dateTimeAsIso"),
                width=12,
            ),
        ),
    )


def _dead() -> Row:
    return Row(
        40,
        "Dead letters",
        (
            graph(
                41,
                "Dead letters by code",
                "Messages that ingest did not take. docs/ingest.md says what each code means.",
                "none",
                Query(series('sum("count")', "dead", TENANT, "code"), "$tag_code"),
                custom={"drawStyle": "bars", "stacking": {"mode": "normal", "group": "A"}},
                width=8,
            ),
            table(
                42,
                "Dead letters",
                "Newest first; `lading ingest dead show NUMBER` has the bytes.",
                Query(rows(("reason", "number", "bytes"), ("tenant", "code"), "dead", TENANT), table=True),
                column("Time", "received", unit="dateTimeAsIso"),
                column("bytes", unit="bytes"),
                column("reason", custom__width=480),
                width=16,
            ),
        ),
    )


def board() -> Board:
    """The board."""
    return Board(
        "lading-evidence",
        "Lading: Evidence and chain",
        "What can be proven and since when, what it costs, and what was refused.",
        "now-24h",
        "1m",
        (tenant(),),
        (settlements(TENANT),),
        (_standing(), _anchors(), _verdicts(), _dead()),
    )
