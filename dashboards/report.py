"""The offline report: one HTML file that needs nothing beside it."""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from dashboards import checks, plot, refusals, tables, timeline, words
from dashboards.axes import TimeAxis
from dashboards.cells import hash_text
from dashboards.markup import Html, join, tag
from dashboards.model import ChannelSeries, LegReport, Report
from dashboards.plot import Drawing
from dashboards.series import Columns, Track
from lading.limits import OFF_HIGH, OFF_LOW, ChannelLimits
from lading.quantities import Quantity

_LARGE_PX, _SMALL_PX, _DOOR_PX, _SPARK_PX = 220, 120, 64, 34
_POINTS_MAX = 150_000  # over all plots: about 2 MB
_COLUMNS_LARGE, _COLUMNS_LEAST, _COLUMNS_SPARK = 1_000, 120, 100
_POINTS_A_COLUMN = 4
_LEGS_UNFOLDED_MAX = 8
_FINDINGS_SHOWN_MAX = 8


def write_report(path: Path, report: Report) -> None:
    """Writes the report as one file, UTF-8."""
    path.write_text(render(report), encoding="utf-8")


def render(report: Report) -> str:
    """The whole page. It loads nothing and runs no script but its own, whose hash its policy names."""
    script, style = _asset("report.js"), _asset("report.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", report.title),
        tag("style", style),
    )
    body = tag(
        "body", _patterns(), _header(report), _main(report), _footer(report), _tip(), tag("script", script)
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _asset(name: str) -> Html:
    """A file of this package, taken as markup: style and script are ours."""
    return Html(resources.files("dashboards").joinpath("assets", name).read_text("utf-8"))


def _patterns() -> Html:
    """The hatching of unknown time, for every plot of the page."""
    stripes = tag("path", d="M-2 2l4-4M0 8l8-8M6 10l4-4")
    pattern = tag("pattern", tag("rect", width="8", height="8"), stripes, id="hatch", width="8", height="8",
                  patternUnits="userSpaceOnUse")  # fmt: skip
    return tag("svg", tag("defs", pattern), cls="defs", width="0", height="0", aria_hidden="true")


def _tip() -> Html:
    return tag("div", cls="tip", id="tip", role="status", aria_live="polite", hidden=True)


def _header(report: Report) -> Html:
    tiles = (tag("div", tag("dt", label), tag("dd", shown), cls="tile") for label, shown in report.figures)
    return tag(
        "header",
        tag("p", report.title, cls="brand"),
        tag("h1", report.story),
        tag("p", f"{words.span(report.first_ms, report.last_ms)}. All times are UTC.", cls="dim"),
        tag("dl", *tiles, cls="tiles") if report.figures else None,
    )


def _main(report: Report) -> Html:
    sections = [(key, title, content) for key, title, content in _sections(report) if content]
    links = (tag("a", title, href=f"#{key}") for key, title, _ in sections)
    return join(
        tag("nav", *links, aria_label="sections"),
        tag(
            "main",
            *(tag("section", tag("h2", title), content, id=key) for key, title, content in sections),
        ),
    )


def _sections(report: Report) -> list[tuple[str, str, Html]]:
    drawings = [_drawings(report, index, leg) for index, leg in enumerate(report.legs)]
    return [
        ("verdicts", "Legs and verdicts", tables.leg_rows(report.legs, [_spark(d) for d in drawings])),
        ("timeline", "The run", timeline.timeline(report)),
        ("legs", "Leg by leg", _legs(report, drawings)),
        ("anchors", "Anchors", _anchors(report) if report.anchors else Html("")),
        ("settlements", "Settlements", tables.settlements(report) if report.settlements else Html("")),
        (
            "refused",
            "Messages refused",
            refusals.dead_letters(report.dead_letters) if report.dead_letters else Html(""),
        ),
        ("lines", "Lines not taken", _skipped(report)),
        ("evidence", "Evidence", checks.evidence(report) if report.evidence else Html("")),
        ("verify", "Check it yourself", _commands(report)),
    ]


def _drawings(report: Report, index: int, leg: LegReport) -> list[Drawing]:
    plots = max(1, sum(len(each.channels) for each in report.legs))
    columns = min(_COLUMNS_LARGE, max(_COLUMNS_LEAST, _POINTS_MAX // plots // _POINTS_A_COLUMN))
    ordered = sorted(leg.channels, key=lambda series: (series.quantity, series.channel))
    return [_drawing(index, leg, series, columns) for series in ordered]


def _drawing(index: int, leg: LegReport, series: ChannelSeries, columns: int) -> Drawing:
    limits = leg.limits.by_channel.get(series.channel) or ChannelLimits(series.channel, series.quantity)
    large = series.quantity == Quantity.TEMPERATURE and _is_limited(limits)
    last_ms = max(leg.last_ms, leg.first_ms + 1)
    return Drawing(
        id=f"p{index}-{series.channel}",
        track=Track(series, limits),
        findings=tuple(f for f in leg.verdict.findings if f.channel == series.channel),
        time=TimeAxis(leg.first_ms, last_ms),
        columns=Columns(leg.first_ms, last_ms, columns if large else columns // 2),
        height_px=_LARGE_PX if large else _DOOR_PX if series.quantity == Quantity.DOOR else _SMALL_PX,
    )


def _is_limited(limits: ChannelLimits) -> bool:
    return limits.upper != OFF_HIGH or limits.lower != OFF_LOW


def _spark(drawings: Sequence[Drawing]) -> Html:
    """The first temperature with limits, else the first temperature."""
    warm = [drawing for drawing in drawings if drawing.series.quantity == Quantity.TEMPERATURE]
    if not warm:
        return Html("–")
    chosen = next((drawing for drawing in warm if _is_limited(drawing.limits)), warm[0])
    columns = Columns(chosen.columns.first_ms, chosen.columns.last_ms, _COLUMNS_SPARK)
    return plot.sparkline(Drawing(f"{chosen.id}-s", chosen.track, (), chosen.time, columns, _SPARK_PX))


def _legs(report: Report, drawings: Sequence[Sequence[Drawing]]) -> Html:
    unfold_all = len(report.legs) <= _LEGS_UNFOLDED_MAX
    legs = (
        _leg(index, leg, drawings[index], unfold_all or leg.verdict.result == "breach")
        for index, leg in enumerate(report.legs)
    )
    return join(_key(), *legs)


def _leg(index: int, leg: LegReport, drawings: Sequence[Drawing], unfolded: bool) -> Html:
    verdict = leg.verdict
    large = [plot.figure(drawing) for drawing in drawings if drawing.height_px == _LARGE_PX]
    small = [plot.figure(drawing) for drawing in drawings if drawing.height_px != _LARGE_PX]
    return tag(
        "details",
        tag(
            "summary",
            tag("h3", leg.reference),
            tables.badge(leg),
            tables.finality(leg),
            tag("span", leg.gateway_name, cls="dim"),
        ),
        tag("p", _leg_story(leg), cls="dim"),
        tables.findings(leg, "breach", _FINDINGS_SHOWN_MAX),
        tables.findings(leg, "notice", _FINDINGS_SHOWN_MAX),
        tag("div", *large, cls="large"),
        tag("div", *small, cls="small"),
        tag("details", tag("summary", "totals, as the newest frame signs them"), tables.totals_table(leg)),
        tag(
            "dl",
            *(join(tag("dt", term), tag("dd", shown)) for term, shown in (
                ("leg id", hash_text(verdict.leg_id)),
                ("gateway id", hash_text(verdict.gateway_id)),
                ("limits hash", hash_text(verdict.limits_hash)),
                ("verdict id", hash_text(verdict.id)),
            )),
            cls="ids",
        ),
        cls="leg",
        id=f"leg-{index}",
        open=unfolded,
    )  # fmt: skip


def _leg_story(leg: LegReport) -> str:
    verdict = leg.verdict
    readings = sum(totals.count for _, _, totals in verdict.totals)
    parts = [
        words.span(leg.first_ms, leg.last_ms),
        f"{leg.frames:,} signed frames, {readings:,} readings",
        f"limits: {leg.profile}" if leg.profile else "",
        f"the leg is {verdict.state}",
        f"this verdict replaced {leg.superseded} earlier one{'s' if leg.superseded > 1 else ''}"
        if leg.superseded
        else "",
    ]
    return " · ".join(part for part in parts if part)


def _key() -> Html:
    """What the colours and patterns of the plots mean."""
    entries = (
        ("band", "inside the limits"),
        ("outside", "outside the limits"),
        ("unknown", "unknown: no valid reading"),
        ("breach", "breach by the verdict"),
        ("notice", "notice"),
        ("fault", "sensor fault"),
        ("clock", "clock not trusted"),
        ("open", "door open"),
    )
    keys = (
        tag(
            "span",
            tag("svg", tag("rect", cls=cls, width="22", height="12", x="0", y="0"), width="22", height="12"),
            text,
        )
        for cls, text in entries
    )
    return tag("p", *keys, cls="legend key")


def _anchors(report: Report) -> Html:
    pending = sum(row.record.state == "pending" for row in report.anchors)
    intro = (
        "Each bar is one interval: how old its youngest and its oldest event were when the block with its root"
        " was made. A gateway without a link signs on and brings its frames later: those bars are long, and"
        " nothing is missing."
    )
    waiting = f" {pending} more are not in a block yet." if pending else ""
    return join(
        tag("p", intro + waiting, cls="dim"),
        tag(
            "figure",
            tag("figcaption", tag("strong", "Delay from event to block")),
            timeline.delay_plot(report),
            cls="chart",
        ),
        tag(
            "details",
            tag("summary", f"all {len(report.anchors):,} intervals"),
            tables.anchor_table(report.anchors),
        ),
    )


def _skipped(report: Report) -> Html:
    if not report.skipped:
        return Html("")
    count = len(report.skipped)
    lines = "1 line" if count == 1 else f"{count:,} lines"
    intro = f"{lines} of the recordings could not be taken as readings. Each is listed here."
    return join(tag("p", intro, cls="dim"), refusals.skipped(report.skipped))


def _commands(report: Report) -> Html:
    if not report.commands:
        return Html("")
    items = (
        tag("li", tag("p", each.text), tag("pre", tag("code", each.command))) for each in report.commands
    )
    return tag("ol", *items, cls="commands")


def _footer(report: Report) -> Html:
    return tag(
        "footer",
        tag("p", f"Made {words.clock(report.made_ms)} by Lading. Plots keep the first, lowest, highest and last reading"
                 " of every column, so no spike is hidden; the figures come from all readings."),
    )  # fmt: skip
