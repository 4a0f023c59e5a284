"""The whole run along one time axis: legs and links by gateway, batches, anchors, and how long evidence took."""

import math
from collections.abc import Iterable

from dashboards import words
from dashboards.axes import TimeAxis
from dashboards.markup import Html, join, number, tag
from dashboards.model import AnchorRow, Report
from dashboards.plot import time_grid
from lading.rules.words import duration

_ROW_PX, _BAR_PX, _LABEL_PX = 40, 14, 18
_DELAY_PX = 240
_DELAYS_MS = (1_000, 10_000, 60_000, 600_000, 3_600_000, 21_600_000, 86_400_000, 259_200_000, 864_000_000)
_DOTS_MAX = 3_000


def timeline(report: Report) -> Html:
    """Rows: every gateway (legs, time without a link, numbered events), then batches, then anchors."""
    time = TimeAxis(report.first_ms, report.last_ms)
    gateways = list(dict.fromkeys(leg.gateway_name for leg in report.legs))
    gateways += sorted({off.gateway_name for off in report.offline} - set(gateways))
    rows = [_gateway(report, time, name, _ROW_PX * i) for i, name in enumerate(gateways)]
    if report.anchors:
        rows.append(_batches(report.anchors, time, _ROW_PX * len(rows)))
        rows.append(_anchors(report.anchors, time, _ROW_PX * len(rows)))
    height = _ROW_PX * len(rows)
    svg = tag(
        "svg",
        tag("title", "Legs by gateway, stretches without a link, batches and anchors along the run"),
        time_grid(time, height),
        *rows,
        cls="plot",
        role="img",
        width="100%",
        height=height,
    )
    return join(tag("div", svg, cls="area bare", style=f"height:{height + 22}px"), _events(report))


def _gateway(report: Report, time: TimeAxis, name: str, y: int) -> Html:
    bar = y + _LABEL_PX
    parts = [tag("text", name, cls="row", x="0", y=y + 13)]
    for leg in report.legs:
        if leg.gateway_name == name:
            verdict = leg.verdict
            tip = f"{leg.reference}: {verdict.result}, {words.span(leg.first_ms, leg.last_ms)}"
            parts.append(_bar(time, f"leg {verdict.result}", leg.first_ms, leg.last_ms, bar, tip))
    for off in report.offline:
        if off.gateway_name == name:
            length = duration(off.last_ms - off.first_ms)
            tip = f"{name} without a link for {length}, {words.span(off.first_ms, off.last_ms)}"
            parts.append(_bar(time, "unknown solid", off.first_ms, off.last_ms, bar, tip))
    for index, event in enumerate(report.events, 1):
        if event.gateway_name == name:
            parts.append(_mark(time, event.time_ms, bar + _BAR_PX // 2, index, event.text))
    return join(*parts)


def _bar(
    time: TimeAxis, cls: str, first_ms: int, last_ms: int, y: int, tip: str, height: int = _BAR_PX
) -> Html:
    return tag(
        "rect",
        cls=cls,
        x=f"{number(time.percent(first_ms))}%",
        width=f"{number(max(0.05, time.percent(last_ms) - time.percent(first_ms)))}%",
        y=y,
        height=height,
        data_tip=tip,
    )


def _mark(time: TimeAxis, time_ms: int, y: int, index: int, tip: str) -> Html:
    x = f"{number(time.percent(time_ms))}%"
    return join(
        tag("circle", cls="mark", cx=x, cy=y, r="8", data_tip=f"{index}. {tip} ({words.clock(time_ms)})"),
        tag("text", str(index), cls="mark", x=x, y=y + 4),
    )


def _events(report: Report) -> Html:
    if not report.events:
        return Html("")
    items = (
        tag("li", tag("time", words.clock(event.time_ms)), " ", tag("b", event.gateway_name), " ", event.text)
        for event in report.events
    )
    return tag("ol", *items, cls="events")


def _batches(anchors: Iterable[AnchorRow], time: TimeAxis, y: int) -> Html:
    """Each batch from its oldest to its newest event: a long one holds what came late."""
    parts = [tag("text", "batches: span of the events in each", cls="row", x="0", y=y + 13)]
    for anchor in anchors:
        for batch in anchor.batches:
            leaf = batch.leaf
            tip = (
                f"{batch.tenant_name} batch {leaf.batch_seq}: {leaf.frame_count} frames,"
                f" events {words.span(leaf.first_event_ms, leaf.last_event_ms)}"
            )
            parts.append(
                _bar(time, "batch", leaf.first_event_ms, leaf.last_event_ms, y + _LABEL_PX, tip, _BAR_PX)
            )
    return join(*parts)


def _anchors(anchors: Iterable[AnchorRow], time: TimeAxis, y: int) -> Html:
    parts = [tag("text", "anchors: blocks that hold the roots", cls="row", x="0", y=y + 13)]
    for anchor in anchors:
        record = anchor.record
        if record.state == "pending":
            continue
        x = f"{number(time.percent(record.block_time_ms))}%"
        when = words.clock(record.block_time_ms)
        tip = f"interval {record.interval} {record.state} in block {record.block_number}, {when}"
        parts.append(
            tag(
                "line",
                cls=f"anchor {record.state}",
                x1=x,
                x2=x,
                y1=y + _LABEL_PX,
                y2=y + _LABEL_PX + _BAR_PX,
                data_tip=tip,
            )
        )
    return join(*parts)


def delay_plot(report: Report) -> Html:
    """For each interval, from the youngest event's delay to the oldest's, on a logarithmic scale."""
    mined = [row for row in report.anchors if row.record.state != "pending" and row.batches]
    if not mined:
        return tag("p", "No interval is in a block yet.", cls="dim")
    time = TimeAxis(report.first_ms, max(report.last_ms, *(row.record.block_time_ms for row in mined)))
    delays = [delay for row in mined for delay in delay_range(row)]
    low, high = math.log(max(1_000, min(delays)) * 0.7), math.log(max(10_000, *delays) * 1.4)

    def y(delay_ms: int) -> float:
        return _DELAY_PX * (high - math.log(max(delay_ms, 1_000))) / (high - low)

    grid = (
        join(
            tag("line", cls="grid", x1="0", x2="100%", y1=y(delay), y2=y(delay)),
            tag("text", duration(delay), cls="y", x="0", dx="-7", y=y(delay) + 4),
        )
        for delay in _DELAYS_MS
        if low <= math.log(delay) <= high
    )
    svg = tag(
        "svg",
        tag("title", "Delay from a reading to the block that anchors it, by interval"),
        time_grid(time, _DELAY_PX),
        *_offline_bands(report, time),
        *grid,
        *(_delay(row, time, y(delay_range(row)[0]), y(delay_range(row)[1])) for row in mined[-_DOTS_MAX:]),
        cls="plot",
        role="img",
        width="100%",
        height=_DELAY_PX,
    )
    return tag("div", svg, cls="area", style=f"height:{_DELAY_PX + 22}px")


def delay_range(row: AnchorRow) -> tuple[int, int]:
    """(least, greatest) time from an event in the interval to its block; not below 0, clocks being what they are."""
    block_ms = row.record.block_time_ms
    newest = max(batch.leaf.last_event_ms for batch in row.batches)
    oldest = min(batch.leaf.first_event_ms for batch in row.batches)
    return max(0, block_ms - newest), max(0, block_ms - oldest)


def _offline_bands(report: Report, time: TimeAxis) -> list[Html]:
    bands = []
    for off in report.offline:
        tip = f"{off.gateway_name} without a link, {words.span(off.first_ms, off.last_ms)}"
        bands.append(_bar(time, "unknown", off.first_ms, off.last_ms, 0, tip, _DELAY_PX))
        middle = (time.percent(off.first_ms) + time.percent(off.last_ms)) / 2
        bands.append(tag("text", f"{off.gateway_name} offline", cls="note", x=f"{number(middle)}%", y="14"))
    return bands


def _delay(row: AnchorRow, time: TimeAxis, y_least: float, y_most: float) -> Html:
    record = row.record
    least, most = delay_range(row)
    x = f"{number(time.percent(record.block_time_ms))}%"
    tip = (
        f"interval {record.interval}: events were {duration(least)} to {duration(most)} old"
        f" at block {record.block_number}, {words.clock(record.block_time_ms)}"
    )
    return tag(
        "g",
        tag("line", cls="delay", x1=x, x2=x, y1=y_most, y2=y_least),
        tag("circle", cls="delay", cx=x, cy=y_most, r="2.5"),
        tag("line", cls="hit", x1=x, x2=x, y1=y_most - 6, y2=y_least + 6),
        data_tip=tip,
    )
