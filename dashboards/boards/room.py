"""Board "Cold room": is the room within its limits, where is it warm, how long do doors stand open."""

from dashboards.boards.annotations import breaches, notices
from dashboards.boards.board import Board, Row, gateway, tenant
from dashboards.boards.channels import VALUES, against_limits, readings
from dashboards.boards.foresight import foresight_of_room
from dashboards.boards.influxql import chosen, newest, of_newest, rows, series
from dashboards.boards.panels import (
    DOOR,
    ORANGE,
    SEVERITIES,
    Query,
    bars,
    coloured,
    column,
    figure,
    graph,
    states,
    steps,
    table,
)

ROOM = chosen("tenant", "gateway")
OF_LEG = ("tenant", "gateway", "leg")
CHANNEL = "$tag_gateway $tag_part $tag_channel"


def _of(quantity: str) -> str:
    return f"{ROOM} AND \"quantity\" = '{quantity}'"


def _now() -> Row:
    warm = newest('last("value") AS "now"', "reading", _of("temperature"), "gateway", "part", "channel")
    extremes = f'{VALUES}, count("value") AS "readings"'
    return Row(
        10,
        "Now",
        (
            bars(
                11,
                "Temperature now",
                "The newest reading of each sensor.",
                "celsius",
                Query(warm, CHANNEL),
            ),
            figure(
                12,
                "Time above",
                "Longest time above the upper limit of a channel, by each leg's newest verdict.",
                "s",
                Query(of_newest('max("s")', "above_s", "s", "verdict", ROOM, *OF_LEG)),
                defaults={"thresholds": steps((1, ORANGE)), "noValue": "0"},
            ),
            figure(
                13,
                "Unknown time",
                "Longest time of a channel without a valid value, by each leg's newest verdict.",
                "s",
                Query(of_newest('max("s")', "unknown_s", "s", "verdict", ROOM, *OF_LEG)),
                defaults={"thresholds": steps((1, ORANGE)), "noValue": "0"},
            ),
            table(
                14,
                "Sensors in this range",
                "Where it is warmest and coldest: the figures for mapping a room.",
                Query(
                    newest(extremes, "reading", _of("temperature"), "gateway", "part", "channel"), table=True
                ),
                column("Time", custom__hidden=True),
                column("highest", unit="celsius"),
                column("mean", unit="celsius"),
                column("lowest", unit="celsius"),
                width=8,
                sort=("highest", True),
                order=("Time", "gateway", "channel", "part", "lowest", "mean", "highest", "readings"),
            ),
        ),
    )


def _climate() -> Row:
    text = "Highest, mean and lowest of each step; dashed lines are the limits."
    return Row(
        20,
        "Climate",
        (
            against_limits(21, "Temperature", text, "celsius", _of("temperature"), width=24, height=10),
            against_limits(22, "Humidity", text, "humidity", _of("humidity")),
            readings(
                23,
                "Light",
                "Light inside: someone is in the room, or the door stands open.",
                "lux",
                _of("light"),
            ),
        ),
    )


def _doors() -> Row:
    open_share = series('mean("value")', "reading", _of("door"), "gateway", "part", "channel")
    moves = series('max("value")', "reading", _of("door"), "gateway", "part", "channel")
    return Row(
        30,
        "Doors",
        (
            states(
                31,
                "Doors",
                "Open and closed.",
                Query(moves, CHANNEL),
                values=DOOR,
                width=12,
            ),
            graph(
                32,
                "Door readings that say open",
                "Share of door readings that say open: what a busy day costs in cold.",
                "percentunit",
                Query(open_share, CHANNEL),
                defaults={"min": 0, "max": 1},
            ),
        ),
    )


def _trouble() -> Row:
    found = rows(
        ("text", "measured", "limit", "last_ms"),
        ("gateway", "part", "rule", "severity"),
        "finding",
        f'{ROOM} AND "active" = 1',
    )
    faults = series('count("flags")', "reading", ROOM, "gateway", "part", "channel")
    valid = series('count("value")', "reading", ROOM, "gateway", "part", "channel")
    return Row(
        40,
        "Trouble",
        (
            table(
                41,
                "Findings",
                "Excursions, gaps, stuck and faulty sensors.",
                Query(found, table=True),
                column("Time", "began", unit="dateTimeAsIso"),
                column("last_ms", "until", unit="dateTimeAsIso"),
                column("text", "finding", custom__width=420),
                column("severity", **coloured(SEVERITIES)),
            ),
            graph(
                42,
                "Readings with a flag",
                "A failed sensor or an unset clock; they count as unknown time.",
                "none",
                Query(faults, CHANNEL),
                custom={"drawStyle": "bars"},
            ),
            graph(
                43,
                "Valid readings",
                "A line that falls to nothing is a sensor that went quiet.",
                "none",
                Query(valid, CHANNEL),
            ),
        ),
    )


def board() -> Board:
    """The board."""
    return Board(
        "lading-room",
        "Lading: Cold room",
        "Rooms that stay: climate against limits, doors, sensors.",
        "now-24h",
        "1m",
        (tenant(), gateway()),
        (breaches(ROOM), notices(ROOM)),
        (_now(), _climate(), foresight_of_room(ROOM, _of("temperature")), _doors(), _trouble()),
    )
