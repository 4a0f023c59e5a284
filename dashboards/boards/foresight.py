"""What forecasts say: the next hours as quantiles, how probable a breach is, and what earlier forecasts were worth."""

from typing import Any

from dashboards.boards.board import Row
from dashboards.boards.influxql import Json, newest, of_newest, quoted, series
from dashboards.boards.panels import (
    BLUE,
    LIMIT_LINE,
    ORANGE,
    RED,
    Panel,
    Query,
    column,
    figure,
    graph,
    named_like,
    steps,
    table,
)

AHEAD = "3h"
"""How far a board that shows forecasts looks ahead of now: the horizons of a release as it is trained."""
FORESEEN = 0.2
"""The alert tells of a breach within 45 minutes that is more probable. Calls (docs/forecasting.md) begin at it:
Grafana's threshold has no "at least", and probabilities are millionths."""
FORECAST_S = 5400
"""How long a forecast counts, for the alert and for what is feared now: the hour until the next one, and half an hour
for its way here."""
NOW = f"{FORECAST_S // 60}m"
RISK = steps((FORESEEN, "yellow"), (0.5, ORANGE), (0.8, RED))
NONE = {"noValue": "no forecast"}

SHARE = {"unit": "percentunit", "thresholds": RISK, "custom__cellOptions": {"type": "color-text"}}
FEARED = 0.01
"""Less is not worth a row of the fleet."""

_OF_CHANNEL = ("tenant", "gateway", "part", "channel")
_OF_RELEASE = (*_OF_CHANNEL, "release")
_OF_SIDE = (*_OF_CHANNEL, "side")
"""Whatever the release: of two the one that spoke last counts."""
_OF_RISK = (*_OF_SIDE, "release")
_OF_LEG = ("tenant", "gateway", "leg", "part", "channel", "side")
_NAME = "$tag_gateway $tag_part $tag_channel $col"
_SAID = f"{_NAME} by $tag_release"
_SAID_OF_LEG = f"$tag_leg {_SAID}"
_BAND = 'last("high") AS "90 %", last("median") AS "median", last("low") AS "10 %"'
_BLUE = {"color": {"mode": "fixed", "fixedColor": BLUE}, "custom__fillOpacity": 0}
_STYLES = (
    named_like("/ limit by /", **LIMIT_LINE),
    named_like("/ median by /", **_BLUE, custom__lineWidth=2),
    named_like("/ (90|10) % by /", **_BLUE, custom__showPoints="never"),
    named_like(
        "/ (highest|lowest) by /",
        **_BLUE,
        custom__showPoints="never",
        custom__lineStyle={"fill": "dot", "dash": [2, 4]},
    ),
)
_AHEAD_TEXT = (
    "Up to its first horizon, and where it lacks a line: the one before. "
    "With a range of fixed dates: what was said last of those times."
)
_NOW_TEXT = f"Of the last {FORECAST_S // 60} minutes, unless the range is of fixed dates."


def foresight(leg: str, temperature: str) -> Row:
    """Of a shipment. `leg` and `temperature` are the conditions of the leg, and of its chosen temperature channels."""
    greatest = of_newest('max("p")', "probability", "p", "risk", leg, *_OF_SIDE)
    said = (
        f'last("highest") AS "highest", {_BAND}, last("lowest") AS "lowest", last("upper") AS "upper limit", '
        'last("lower") AS "lower limit"'
    )
    return Row(
        60,
        "What may come",
        (
            figure(
                61,
                "Breach foreseen",
                "The greatest probability of a breach that the newest forecasts give any limit of the leg. "
                f"{_NOW_TEXT}",
                "percentunit",
                Query(greatest),
                defaults={"thresholds": RISK, **NONE},
                height=7,
                since=NOW,
            ),
            risks(62, leg, width=20, height=7),
            graph(
                63,
                "The next hours, channel $channel",
                "What the newest forecast says of the times to come: median, the band that should hold four of five "
                f"readings, the outermost quantiles (dotted), and the limits (dashed). {_AHEAD_TEXT}",
                "celsius",
                Query(series(said, "forecast", temperature, *_OF_RELEASE), _SAID),
                overrides=_STYLES,
                custom={"spanNulls": True},
                repeat="channel",
                height=9,
                since=f"+{AHEAD}",
            ),
        ),
    )


def foresight_of_room(room: str, temperature: str) -> Row:
    """Of cold rooms: all their channels at once."""
    return Row(
        50,
        "What may come",
        (
            risks(51, room, width=12, height=9),
            graph(
                52,
                "The next hours",
                "What the newest forecast says of the times to come: median, and the band that should hold four of "
                f"five readings; a leg at a time. {_AHEAD_TEXT}",
                "celsius",
                Query(series(_BAND, "forecast", temperature, *_OF_RELEASE, "leg"), _SAID_OF_LEG),
                custom={"spanNulls": True, "fillOpacity": 0},
                height=9,
                since=f"+{AHEAD}",
            ),
            probability(53, room, width=24),
        ),
    )


def worth(leg: str, temperature: str) -> Row:
    """What earlier forecasts of a shipment were worth."""
    early = 'last("early_high") AS "90 %", last("early_median") AS "median", last("early_low") AS "10 %"'
    return Row(
        70,
        "What forecasts were worth",
        (
            graph(
                71,
                "Forecast and what came, channel $channel",
                "Readings, and what was forecast of their times from furthest ahead (three hours, as releases are "
                "trained): four of five readings should lie in the band.",
                "celsius",
                Query(series('mean("value") AS "mean"', "reading", temperature, *_OF_CHANNEL), _NAME),
                Query(series(early, "forecast", temperature, *_OF_RELEASE), _SAID),
                overrides=_STYLES,
                custom={"spanNulls": True},
                repeat="channel",
                height=9,
            ),
            probability(72, leg, width=24),
        ),
    )


def risks(number: int, condition: str, **more: Any) -> Panel:
    """The newest forecast of each channel and limit."""
    said = 'last("probability") AS "probability", "soon", "begin_ms", "limit", "within_s", "release"::tag AS "release"'
    return table(
        number,
        "Which limit, and when",
        f"The newest forecast of each channel and limit. Advice: limits decide. {_NOW_TEXT}",
        Query(newest(said, "risk", condition, *_OF_SIDE), table=True),
        column("Time", "forecast from", unit="dateTimeAsIso"),
        column("probability", "probability in all", **SHARE),
        column("soon", "within 45 minutes", **SHARE),
        column("begin_ms", "begins", unit="dateTimeFromNow"),
        column("within_s", "looks ahead", unit="s"),
        defaults=NONE,
        sort=("probability in all", True),
        order=(
            "Time",
            *("tenant", "gateway", "channel", "part", "side", "limit"),
            *("probability", "soon", "begin_ms", "within_s", "release"),
        ),
        since=NOW,
        **more,
    )


def probability(number: int, condition: str, **more: Any) -> Panel:
    """What forecasts said of a breach, as they were made."""
    shares = 'max("probability") AS "all hours", max("soon") AS "45 minutes"'
    return graph(
        number,
        "Probability of a breach",
        "What each forecast said when it was made: within all its hours, and within 45 minutes. Above 20 % within 45 "
        "minutes there is an alert.",
        "percentunit",
        Query(
            series(shares, "risk", condition, *_OF_RISK),
            "$tag_gateway $tag_part $tag_channel $tag_side, $col by $tag_release",
        ),
        defaults={"min": 0, "max": 1, "thresholds": steps((FORESEEN, RED), base="transparent")},
        custom={"thresholdsStyle": {"mode": "line"}, "spanNulls": True},
        **more,
    )


def feared(number: int, condition: str, shipment: Json, **more: Any) -> Panel:
    """Of a fleet: legs that may break a limit, the likeliest first. `shipment`: the link of a leg."""
    said = 'last("soon") AS "soon", "probability" AS "probability", "begin_ms" AS "begin_ms"'
    of_leg = newest(said, "risk", condition, *_OF_LEG)
    by = ", ".join(quoted(_OF_LEG))
    return table(
        number,
        "Breach foreseen",
        "What the newest forecast of each channel and limit says, down to 1 %. Advice: nothing has happened yet. A leg "
        f"that is closed or forked is not here; an incomplete one only ages out. {_NOW_TEXT}",
        Query(
            f'SELECT "soon", "probability", "begin_ms" FROM ({of_leg}) WHERE "probability" >= {FEARED} GROUP BY {by}',
            table=True,
        ),
        column("Time", "forecast from", unit="dateTimeFromNow"),
        column("leg", links=[shipment]),
        column("soon", "within 45 minutes", **SHARE),
        column("probability", "probability in all", **SHARE),
        column("begin_ms", "begins", unit="dateTimeFromNow"),
        defaults=NONE,
        sort=("within 45 minutes", True),
        order=("Time", *_OF_LEG, "soon", "probability", "begin_ms"),
        since=NOW,
        **more,
    )
