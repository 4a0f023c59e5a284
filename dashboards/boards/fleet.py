"""Board "Fleet": what is going wrong now, who is silent, where everyone is."""

from dashboards.boards.annotations import breaches
from dashboards.boards.board import Board, Row, gateway, tenant
from dashboards.boards.foresight import feared
from dashboards.boards.influxql import Json, chosen, newest, of_newest, rows, series, where
from dashboards.boards.links import to_board
from dashboards.boards.panels import (
    BLUE,
    GREY,
    LEG_STATES,
    ONLINE,
    ORANGE,
    RED,
    SEVERITIES,
    VERDICTS,
    YES,
    Panel,
    Query,
    bars,
    coloured,
    column,
    figure,
    firing,
    graph,
    map_of,
    states,
    steps,
    table,
)

GATEWAYS = chosen("tenant", "gateway")
OF_GATEWAY = ("tenant", "gateway")
OF_LEG = (*OF_GATEWAY, "leg")
BATTERY_LOW_V = 3.5
NONE_BAD = steps((1, RED))
SHIPMENT = to_board("lading-shipment", "Shipment of this gateway", "gateway")
THIS_SHIPMENT = to_board("lading-shipment", "This shipment", "gateway", "leg")


SILENT = (
    'SELECT count("frames") FROM (SELECT last("frames") AS "frames" FROM '
    '(SELECT moving_average(count("frame_seq"), 2) AS "frames" FROM "gateway" '
    f'{where(GATEWAYS)} GROUP BY time(15m), "tenant", "gateway" fill(0)) '
    'GROUP BY "tenant", "gateway") WHERE "frames" < 0.5'
)
"""Gateways without a frame in the last two quarters of an hour, as the alert counts them."""


def _now() -> Row:
    offline = of_newest('count("s") - sum("s")', "online", "s", "status", GATEWAYS, *OF_GATEWAY)
    under_way = of_newest('count("s")', "leg_state", "s", "gateway", GATEWAYS, *OF_GATEWAY) + ' WHERE "s" = 1'
    breached = of_newest('sum("b")', "breach", "b", "verdict", GATEWAYS, *OF_LEG)
    found = newest('sum("active")', "finding", GATEWAYS)
    waiting = of_newest('sum("f")', "outbox_frames", "f", "status", GATEWAYS, *OF_GATEWAY)
    refused = of_newest('sum("r")', "readings_refused", "r", "status", GATEWAYS, *OF_GATEWAY)
    heard = of_newest('count("n")', "frame_seq", "n", "gateway", GATEWAYS, *OF_GATEWAY)
    warned = steps((1, ORANGE))
    return Row(
        10,
        "Now",
        (
            _count(11, "Heard", "Gateways with a frame in the range.", heard, steps()),
            _count(
                12,
                "Silent",
                "Of these: no frame for 15 to 30 minutes before the range's end.",
                SILENT,
                NONE_BAD,
            ),
            _count(
                13,
                "Offline",
                "Gateways whose status, or the broker in their name, says so.",
                offline,
                NONE_BAD,
            ),
            _count(14, "Under way", "Gateways whose newest frame is of an open leg.", under_way, steps()),
            _count(
                15, "In breach", "Legs whose newest verdict is a breach, final or not.", breached, NONE_BAD
            ),
            _count(16, "Findings", "What the newest verdicts find, notices included.", found, warned),
            _count(
                17,
                "Frames waiting",
                "In all outboxes, for the broker.",
                waiting,
                steps((100, ORANGE), (1000, RED)),
            ),
            _count(
                18, "Readings refused", "By full outboxes, since each gateway's start.", refused, NONE_BAD
            ),
        ),
    )


def _count(number: int, title: str, description: str, query: str, colours: Json) -> Panel:
    defaults = {"noValue": "0", "thresholds": colours}
    return figure(number, title, description, "none", Query(query), defaults=defaults, width=3)


def _who() -> Row:
    return Row(20, "Where and who", (_positions(), _last_heard(), _last_status()))


def _positions() -> Panel:
    position = 'last("latitude") AS "latitude", "longitude"'
    return map_of(
        21,
        "Positions",
        "Where each gateway last was, of those that have a position.",
        Query(newest(position, "position", GATEWAYS, *OF_GATEWAY), table=True),
        column("Time", "seen", unit="dateTimeAsIso"),
    )


def _last_heard() -> Panel:
    last = 'last("frame_seq") AS "frame", "leg_state", "delay_s", "battery"'
    return table(
        22,
        "Last heard",
        "Each gateway's newest frame, the longest silent first. What is silent no longer proves anything.",
        Query(newest(last, "gateway", GATEWAYS, *OF_GATEWAY), table=True),
        column("Time", "last frame", unit="dateTimeFromNow"),
        column("gateway", links=[SHIPMENT]),
        column("frame", "frame number"),
        column("leg_state", "leg", **coloured(LEG_STATES)),
        column("delay_s", "delay", unit="s"),
        column(
            "battery",
            unit="volt",
            thresholds=steps((BATTERY_LOW_V, "green"), base=RED),
            custom__cellOptions={"type": "color-text"},
        ),
        width=12,
        height=6,
        sort=("last frame", False),
        order=("Time", "gateway", "leg_state", "battery", "delay_s", "frame", "tenant"),
    )


def _last_status() -> Panel:
    shown = ("online", "outbox_frames", "outbox_bytes", "outbox_full", "readings_refused", "clock_behind_s")
    status = (
        'last("online") AS "online", "outbox_frames", "outbox_bytes", "readings_refused", "outbox_full", '
        '"clock_behind_s"'
    )
    return table(
        23,
        "Last status",
        "What each gateway last said of itself. A filling outbox: a bad link. Refused readings are lost.",
        Query(newest(status, "status", GATEWAYS, *OF_GATEWAY), table=True),
        column("Time", "said", unit="dateTimeFromNow"),
        column("online", **coloured(ONLINE)),
        column("outbox_frames", "frames waiting"),
        column("outbox_bytes", "waiting", unit="bytes"),
        column(
            "readings_refused",
            "readings refused",
            thresholds=steps((1, RED)),
            custom__cellOptions={"type": "color-text"},
        ),
        column("outbox_full", "outbox full", **coloured(YES)),
        column("clock_behind_s", "clock behind", unit="s"),
        width=12,
        height=6,
        sort=("said", False),
        order=("Time", "gateway", *shown, "tenant"),
    )


def _over_time() -> Row:
    online = series('last("online")', "status", GATEWAYS, "gateway")
    leg_state = series('last("leg_state")', "gateway", GATEWAYS, "gateway")
    result = series('last("result")', "verdict", GATEWAYS, "gateway", "leg")
    return Row(
        30,
        "Over time",
        (
            states(
                31,
                "Connection",
                "Online and offline as each gateway, or the broker in its name, said.",
                Query(online, "$tag_gateway"),
                values=ONLINE,
                width=12,
            ),
            states(
                32,
                "Legs",
                "What each gateway's frames say: idle, a leg under way, or its closing frame.",
                Query(leg_state, "$tag_gateway"),
                values=LEG_STATES,
                width=12,
            ),
            states(
                33,
                "Verdicts",
                "Each leg's verdict as it changed. Provisional until its frames are final on the chain.",
                Query(result, "$tag_leg ($tag_gateway)"),
                values=VERDICTS,
            ),
        ),
    )


def _health() -> Row:
    return Row(
        40,
        "Battery and outbox",
        (
            graph(
                41,
                "Battery",
                "Lowest voltage that each gateway reported; below the line it will soon be silent.",
                "volt",
                Query(series('min("battery")', "gateway", GATEWAYS, "gateway"), "$tag_gateway"),
                width=8,
                defaults={"thresholds": steps((BATTERY_LOW_V, "transparent"), base=RED)},
                custom={"thresholdsStyle": {"mode": "line"}},
            ),
            graph(
                42,
                "Outbox",
                "Frames that wait for the link. It empties by itself once the link is back.",
                "none",
                Query(series('max("outbox_frames")', "status", GATEWAYS, "gateway"), "$tag_gateway"),
                width=8,
            ),
            graph(
                43,
                "Delay",
                "Longest time from a frame's signing to the log: hours mean that the gateway was offline.",
                "s",
                Query(series('max("delay_s")', "gateway", GATEWAYS, "gateway"), "$tag_gateway"),
                width=8,
            ),
        ),
    )


def _trouble() -> Row:
    fields = ("text", "measured", "limit", "last_ms", "final")
    tags = ("gateway", "leg", "part", "rule", "severity")
    found = rows(fields, tags, "finding", f'{GATEWAYS} AND "active" = 1')
    return Row(
        50,
        "Trouble",
        (
            table(
                51,
                "Findings",
                "What the newest verdict of each leg finds, newest first; measured and limit in the rule's unit.",
                Query(found, table=True),
                column("Time", "began", unit="dateTimeAsIso"),
                column("leg", links=[THIS_SHIPMENT]),
                column("severity", **coloured(SEVERITIES)),
                column("text", "finding", custom__width=420),
                column("last_ms", "until", unit="dateTimeAsIso"),
                column("final", **coloured({"0": ("provisional", GREY), "1": ("final", BLUE)})),
                width=14,
                height=10,
            ),
            bars(
                53,
                "Budget used",
                "The fullest channel of each leg: time above the limit, of all that is allowed. 100 % is a breach.",
                "percentunit",
                Query(
                    of_newest('max("b")', "budget_used", "b", "totals", GATEWAYS, *OF_LEG, "channel")
                    + ' GROUP BY "leg"',
                    "$tag_leg",
                ),
                defaults={"min": 0, "max": 1, "thresholds": steps((0.5, "yellow"), (0.8, ORANGE), (1, RED))},
                width=4,
                height=10,
            ),
            firing(
                52,
                "Alerts",
                "Alerts that are firing or about to; each links to its page in the runbook.",
                width=6,
                height=10,
            ),
            feared(54, GATEWAYS, THIS_SHIPMENT, height=6),
        ),
    )


def board() -> Board:
    """The board."""
    return Board(
        "lading-fleet",
        "Lading: Fleet",
        "Every gateway: where it is, whether it is heard, and what is going wrong.",
        "now-24h",
        "30s",
        (tenant(), gateway()),
        (breaches(GATEWAYS),),
        (_now(), _who(), _trouble(), _over_time(), _health()),
    )
