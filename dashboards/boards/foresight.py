"""What forecasts say: the next hours as quantiles, how probable a breach is, and what earlier forecasts were worth."""

from dashboards.boards.board import Row
from dashboards.boards.influxql import newest, of_newest, series
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
"""From here on a breach within 45 minutes is called: the threshold of docs/forecasting.md."""
RISK = steps((FORESEEN, "yellow"), (0.5, ORANGE), (0.8, RED))
NONE = {"noValue": "no forecast"}

_OF_CHANNEL = ("gateway", "part", "channel")
_OF_RELEASE = (*_OF_CHANNEL, "release")
_OF_RISK = (*_OF_CHANNEL, "side", "release")
_NAME = "$tag_gateway $tag_part $tag_channel $col"
_SAID = f"{_NAME} by $tag_release"
_MEDIAN = {"color": {"mode": "fixed", "fixedColor": BLUE}, "custom__lineWidth": 2, "custom__fillOpacity": 0}
_BAND = {
    "color": {"mode": "fixed", "fixedColor": BLUE},
    "custom__lineWidth": 1,
    "custom__fillOpacity": 0,
    "custom__showPoints": "never",
}
_EDGE = _BAND | {"custom__lineStyle": {"fill": "dot", "dash": [2, 4]}}


def foresight(leg: str, temperature: str) -> Row:
    """The row. `leg` and `temperature` are the conditions of the leg, and of the chosen temperature channels."""
    return Row(
        60,
        "What may come",
        (
            figure(
                61,
                "Breach foreseen",
                "The greatest probability of a breach that the newest forecasts give any limit of the leg.",
                "percentunit",
                Query(of_newest('max("p")', "probability", "p", "risk", leg, *_OF_RISK)),
                defaults={"thresholds": RISK, **NONE},
                height=8,
            ),
            _risks(leg),
            _fan(temperature),
            _worth(temperature),
            graph(
                65,
                "Probability of a breach",
                "What each forecast said when it was made: within all its hours, and within 45 minutes. Above 20 % "
                "within 45 minutes there is an alert.",
                "percentunit",
                Query(
                    series(
                        'max("probability") AS "all hours", max("soon") AS "45 minutes"',
                        "risk",
                        leg,
                        *_OF_RISK,
                    ),
                    "$tag_gateway $tag_part $tag_channel $tag_side, $col by $tag_release",
                ),
                defaults={"min": 0, "max": 1, "thresholds": steps((FORESEEN, RED), base="transparent")},
                custom={"thresholdsStyle": {"mode": "line"}, "spanNulls": True},
                width=24,
            ),
        ),
    )


def _risks(leg: str) -> Panel:
    said = 'last("probability") AS "probability", "soon", "begin_ms", "limit", "within_s"'
    share = {"unit": "percentunit", "thresholds": RISK, "custom__cellOptions": {"type": "color-text"}}
    return table(
        62,
        "Which limit, and when",
        "The newest forecast of each channel and limit. Advice: limits decide. One that counts from long ago says "
        "nothing of now.",
        Query(newest(said, "risk", leg, *_OF_RISK), table=True),
        column("Time", "forecast from", unit="dateTimeAsIso"),
        column("probability", "probability in all", **share),
        column("soon", "within 45 minutes", **share),
        column("begin_ms", "begins", unit="dateTimeFromNow"),
        column("within_s", "looks ahead", unit="s"),
        defaults=NONE,
        width=20,
        sort=("probability in all", True),
        order=(
            "Time",
            "gateway",
            "channel",
            "part",
            "side",
            "limit",
            "probability",
            "soon",
            "begin_ms",
            "within_s",
            "release",
        ),
    )


def _fan(temperature: str) -> Panel:
    said = (
        'last("highest") AS "highest", last("high") AS "90 %", last("median") AS "median", last("low") AS "10 %", '
        'last("lowest") AS "lowest", last("upper") AS "upper limit", last("lower") AS "lower limit"'
    )
    return graph(
        63,
        "The next hours, channel $channel",
        "What the newest forecast says of the times to come: median, the band that should hold four of five readings, "
        "the outermost quantiles (dotted), and the limits (dashed). With a range of fixed dates: what was said last of "
        "those times.",
        "celsius",
        Query(series(said, "forecast", temperature, *_OF_RELEASE), _SAID),
        overrides=(
            named_like("/ limit by /", **LIMIT_LINE),
            named_like("/ median by /", **_MEDIAN),
            named_like("/ (90|10) % by /", **_BAND),
            named_like("/ (highest|lowest) by /", **_EDGE),
        ),
        custom={"spanNulls": True},
        defaults=NONE,
        repeat="channel",
        height=9,
        since=f"+{AHEAD}",
    )


def _worth(temperature: str) -> Panel:
    early = 'last("early_high") AS "90 %", last("early_median") AS "median", last("early_low") AS "10 %"'
    return graph(
        64,
        "Forecast and what came, channel $channel",
        "Readings, and what was forecast of their times from furthest ahead (three hours, as releases are trained): "
        "four of five readings should lie in the band.",
        "celsius",
        Query(series('mean("value") AS "mean"', "reading", temperature, *_OF_CHANNEL), _NAME),
        Query(series(early, "forecast", temperature, *_OF_RELEASE), _SAID),
        overrides=(
            named_like("/ median by /", **_MEDIAN),
            named_like("/ (90|10) % by /", **_BAND),
        ),
        custom={"spanNulls": True},
        repeat="channel",
        height=9,
    )
