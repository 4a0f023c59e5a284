"""One channel as a plot: readings, limits, stretches outside them, unknown time, faults.

Positions along the time are per cent, so a plot fits any screen and its text stays readable. The line alone is in data
units (thousandths, and whole steps of time from the leg's first moment) inside an SVG that stretches: the path is
the data, exactly, and the script reads times and values back from it.
"""

from dataclasses import dataclass

from dashboards import words
from dashboards.axes import TimeAxis, ValueAxis, value_axis
from dashboards.markup import Html, join, number, tag
from dashboards.model import ChannelSeries
from dashboards.series import Columns, Point, Span, Track, segments
from lading import quantities
from lading.limits import OFF_HIGH, OFF_LOW, ChannelLimits
from lading.quantities import CLOCK, FAULT, Quantity
from lading.rules.words import duration
from lading.verdict import Finding

_TICKS_MAX = 8
_STEPS_MAX = 1 << 22  # of time: what a browser's 32-bit floats hold exactly
_LANE_PX = 7
_OPEN = 500  # a door's state from which it counts as open
_STRETCH_RULES = ("excursion_above", "excursion_below", "gap", "stuck", "rate", "door", "light", "shock")


@dataclass(frozen=True, slots=True)
class Drawing:
    """One channel and what its plot needs beside it."""

    id: str  # unique in the page
    track: Track
    findings: tuple[Finding, ...]
    time: TimeAxis
    columns: Columns
    height_px: int

    @property
    def series(self) -> ChannelSeries:
        """Its readings."""
        return self.track.series

    @property
    def limits(self) -> ChannelLimits:
        """Its limits."""
        return self.track.limits


def figure(drawing: Drawing) -> Html:
    """The plot with its heading."""
    series, limits = drawing.series, drawing.limits
    allowed = words.allowed(limits)
    heading = tag(
        "figcaption",
        tag("strong", series.name),
        tag("span", _what(series), cls="dim"),
        tag("span", f"allowed: {allowed}", cls="allowed") if allowed else None,
        id=f"{drawing.id}-name",
    )
    body = _door(drawing) if series.quantity == Quantity.DOOR else _line_plot(drawing)
    return tag("figure", heading, body, cls="chart")


def _what(series: ChannelSeries) -> str:
    unit = "" if series.quantity == Quantity.DOOR else quantities.unit(series.quantity)
    return f"{quantities.name(series.quantity)}{' in ' + unit if unit else ''}, channel {series.channel}"


def description(drawing: Drawing) -> str:
    """The plot in a sentence, for those who do not see it."""
    series, track = drawing.series, drawing.track
    if not track.held:
        return f"{len(series.times_ms)} readings, none of them valid"
    values = [value for _, _, value in track.held]
    parts = [
        f"{len(series.times_ms)} readings between {words.value(min(values), series.quantity)}"
        f" and {words.value(max(values), series.quantity)}",
        *_told("stretches above the limit", track.above),
        *_told("stretches below the limit", track.below),
        *_told("stretches of unknown time", track.unknown),
    ]
    return "; ".join(parts)


def _told(what: str, spans: list[Span]) -> list[str]:
    length_ms = sum(span.last_ms - span.first_ms for span in spans)
    return [f"{len(spans)} {what}, {duration(length_ms)} in all"] if spans else []


def _line_plot(drawing: Drawing) -> Html:
    lines = segments(drawing.track, drawing.columns)
    axis = _axis(drawing, lines)
    plot = join(
        _band(drawing.limits, axis),
        _value_grid(axis),
        time_grid(drawing.time, drawing.height_px),
        _areas(drawing),
        _limit_lines(drawing.limits, axis),
        _line(drawing, lines, axis),
        _lanes(drawing),
    )
    return frame(drawing, plot, axis)


def frame(drawing: Drawing, plot: Html, axis: ValueAxis | None) -> Html:
    """The SVG around a plot, with what the script needs to read it back."""
    svg = tag(
        "svg",
        tag("title", f"{drawing.series.name}: {description(drawing)}"),
        plot,
        tag("line", cls="cursor", x1="0", x2="0", y1="0", y2=drawing.height_px),
        tag("circle", cls="cursor", cx="0", cy="0", r="4"),
        cls="plot",
        role="img",
        tabindex="0",
        aria_labelledby=f"{drawing.id}-name",
        width="100%",
        height=drawing.height_px,
        data_first=drawing.time.first_ms,
        data_last=drawing.time.last_ms,
        data_step=step_ms(drawing.time),
        data_top=axis.high if axis else None,
        data_span=axis.span if axis else None,
        data_unit=quantities.unit(drawing.series.quantity),
        data_lower=None if drawing.limits.lower == OFF_LOW else drawing.limits.lower,
        data_upper=None if drawing.limits.upper == OFF_HIGH else drawing.limits.upper,
    )
    return tag("div", svg, cls="area", style=f"height:{drawing.height_px + 22}px")


def step_ms(time: TimeAxis) -> int:
    """The path's unit of time: as fine as the browser can hold."""
    step = 1
    while time.length_ms // step > _STEPS_MAX:
        step *= 10
    return step


def _axis(drawing: Drawing, lines: list[list[Point]]) -> ValueAxis:
    limits = drawing.limits
    values = [value for line in lines for _, value in line]
    values += [bound for bound in (limits.lower, limits.upper) if bound not in (OFF_LOW, OFF_HIGH)]
    if drawing.series.quantity in (Quantity.LIGHT, Quantity.SHOCK):
        values.append(0)
    return value_axis(values or [0, 1000], drawing.height_px)


def _band(limits: ChannelLimits, axis: ValueAxis) -> Html | None:
    if limits.lower == OFF_LOW and limits.upper == OFF_HIGH:
        return None
    top, bottom = axis.px(min(limits.upper, axis.high)), axis.px(max(limits.lower, axis.low))
    return tag("rect", cls="band", x="0", width="100%", y=top, height=bottom - top)


def _limit_lines(limits: ChannelLimits, axis: ValueAxis) -> Html:
    bounds = [bound for bound in (limits.lower, limits.upper) if bound not in (OFF_LOW, OFF_HIGH)]
    return join(
        *(
            join(
                tag("line", cls="limit", x1="0", x2="100%", y1=axis.px(bound), y2=axis.px(bound)),
                tag("text", words.value(bound, limits.quantity), cls="limit", x="100%", dx="-4",
                    y=axis.px(bound) + (12 if bound == limits.lower else -4)),
            )
            for bound in bounds
        )
    )  # fmt: skip


def _value_grid(axis: ValueAxis) -> Html:
    return join(
        *(
            join(
                tag("line", cls="grid", x1="0", x2="100%", y1=axis.px(value), y2=axis.px(value)),
                tag("text", words.decimal(value, 3), cls="y", x="0", dx="-7", y=axis.px(value) + 4),
            )
            for value in axis.ticks(axis.height_px // 30)
        ),
    )


def time_grid(time: TimeAxis, height_px: int) -> Html:
    """Lines at round times, and their labels below; every second one is left out on a narrow screen."""
    marks = []
    for index, (moment, label) in enumerate(time.ticks(_TICKS_MAX)):
        x = f"{number(time.percent(moment))}%"
        odd = " odd" if index % 2 else ""
        marks.append(tag("line", cls="grid", x1=x, x2=x, y1="0", y2=height_px))
        marks.append(tag("text", label, cls=f"x{odd}", x=x, y=height_px + 16))
    return join(*marks)


def rects(drawing: Drawing, cls: str, spans: list[Span], y: int, height: int) -> Html:
    """Spans of time as rectangles; those that no pixel parts are one."""
    time = drawing.time
    return join(
        *(
            tag(
                "rect",
                cls=cls,
                x=f"{number(time.percent(span.first_ms))}%",
                width=_width(time.percent(span.last_ms) - time.percent(span.first_ms)),
                y=y,
                height=height,
                data_first=span.first_ms,
                data_last=span.last_ms,
            )
            for span in drawing.columns.thinned(spans)
        )
    )


def _width(percent: float) -> str:
    """A moment is a pixel wide: SVG does not draw a rectangle of no width."""
    shown = number(percent)
    return "1" if shown == "0" else f"{shown}%"


def _areas(drawing: Drawing) -> Html:
    track, height = drawing.track, drawing.height_px
    return join(
        rects(drawing, "unknown", track.unknown, 0, height),
        rects(drawing, "outside", track.above, 0, height),
        rects(drawing, "outside", track.below, 0, height),
    )


def _lanes(drawing: Drawing) -> Html:
    """Breaches along the top; faults and clock trouble along the bottom."""
    found = [f for f in drawing.findings if f.rule in _STRETCH_RULES]
    lanes = [
        ("breach", sorted(Span(f.first_ms, f.last_ms) for f in found if f.severity == "breach"), 0),
        ("notice", sorted(Span(f.first_ms, f.last_ms) for f in found if f.severity == "notice"), _LANE_PX),
        ("fault", drawing.track.flagged(FAULT), drawing.height_px - _LANE_PX),
        ("clock", drawing.track.flagged(CLOCK), drawing.height_px - 2 * _LANE_PX),
    ]
    return join(*(rects(drawing, cls, spans, y, _LANE_PX - 1) for cls, spans, y in lanes))


def _line(drawing: Drawing, lines: list[list[Point]], axis: ValueAxis) -> Html:
    step = step_ms(drawing.time)
    path_id = f"{drawing.id}-line"
    path = tag("path", id=path_id, cls="line", d=path_data(lines, drawing.time.first_ms, step, axis.high))
    outside = _clipped(drawing, axis, path_id)
    return tag(
        "svg",
        path,
        outside,
        viewBox=f"0 0 {max(1, drawing.time.length_ms // step)} {axis.span}",
        preserveAspectRatio="none",
        width="100%",
        height=axis.height_px,
    )


def _clipped(drawing: Drawing, axis: ValueAxis, path_id: str) -> Html:
    """The line once more in the colour of a breach, where it is outside the limits."""
    limits = drawing.limits
    boxes = []
    if limits.upper != OFF_HIGH:
        boxes.append(("0", max(0, axis.high - limits.upper)))
    if limits.lower != OFF_LOW:
        boxes.append((str(axis.high - limits.lower), axis.span))
    if not boxes or not (drawing.track.above or drawing.track.below):
        return Html("")
    clip_id = f"{drawing.id}-clip"
    shapes = join(*(tag("rect", x="0", y=y, width=1 << 23, height=height) for y, height in boxes))
    return join(
        tag("clipPath", shapes, id=clip_id),
        tag("g", tag("use", href=f"#{path_id}"), cls="out", clip_path=f"url(#{clip_id})"),
    )


def path_data(lines: list[list[Point]], first_ms: int, step: int, top: int) -> str:
    """SVG path: x in steps since `first_ms`, y in thousandths below `top`; the first point absolute, then moves."""
    parts = []
    for line in lines:
        x, y = _at(line[0], first_ms, step, top)
        parts.append(f"M{x} {y}l")
        moves = []
        for point in line[1:] or line:
            to_x, to_y = _at(point, first_ms, step, top)
            moves.append(f"{to_x - x} {to_y - y}")
            x, y = to_x, to_y
        parts.append(" ".join(moves))
    return "".join(parts).replace(" -", "-")


def _at(point: Point, first_ms: int, step: int, top: int) -> Point:
    return (point[0] - first_ms) // step, top - point[1]


def _door(drawing: Drawing) -> Html:
    """A door is a strip: bars while it is open."""
    track, height = drawing.track, drawing.height_px
    plot = join(
        time_grid(drawing.time, height),
        rects(drawing, "unknown", track.unknown, 0, height),
        rects(drawing, "open", track.at_least(_OPEN), _LANE_PX * 2, height - _LANE_PX * 4),
        _lanes(drawing),
    )
    return frame(drawing, plot, None)


def sparkline(drawing: Drawing) -> Html:
    """A small line without axes, for a table."""
    lines = segments(drawing.track, drawing.columns)
    axis = _axis(drawing, lines)
    return tag(
        "svg",
        _band(drawing.limits, axis),
        _areas(drawing),
        _line(drawing, lines, axis),
        cls="spark",
        aria_hidden="true",
        width="100%",
        height=drawing.height_px,
    )
