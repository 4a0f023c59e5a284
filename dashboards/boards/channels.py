"""Graphs of readings against their limits: mean, least and greatest of each step, so that no peak is averaged away."""

from typing import Any

from dashboards.boards.influxql import series
from dashboards.boards.panels import LIMIT_LINE, Panel, Query, graph, named_like

VALUES = 'max("value") AS "highest", mean("value") AS "mean", min("value") AS "lowest"'
_NAME = "$tag_gateway $tag_part $tag_channel $col"
_OF_CHANNEL = ("gateway", "part", "channel")


def against_limits(
    number: int, title: str, description: str, unit: str, condition: str, **more: Any
) -> Panel:
    """Readings with the leg's limits as dashed lines. The limits' points are where a verdict looked."""
    limits = 'last("upper") AS "upper limit", last("lower") AS "lower limit"'
    queries = (
        Query(series(VALUES, "reading", condition, *_OF_CHANNEL), _NAME),
        Query(series(limits, "limit", condition, *_OF_CHANNEL), _NAME),
    )
    lines = (
        named_like("/ limit$/", **LIMIT_LINE),
        named_like(
            "/ (highest|lowest)$/",
            custom__lineWidth=0,
            custom__fillOpacity=0,
            custom__showPoints="always",
            custom__pointSize=3,
        ),
    )
    return graph(number, title, description, unit, *queries, overrides=lines, **more)


def readings(number: int, title: str, description: str, unit: str, condition: str, **more: Any) -> Panel:
    """Readings without limits."""
    query = Query(series(VALUES, "reading", condition, *_OF_CHANNEL), _NAME)
    return graph(number, title, description, unit, query, **more)
