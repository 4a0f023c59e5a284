"""A board: rows of panels, variables, annotations and links to the other boards."""

from dataclasses import dataclass

from dashboards.boards.influxql import DATASOURCE, Json, chosen, where
from dashboards.boards.panels import Panel

SCHEMA_VERSION = 41
COLUMNS = 24
TAG = "lading"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below one heading; its number is the heading's panel id."""

    number: int
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """One board. `uid` is what links and bookmarks hold on to: it never changes."""

    uid: str
    title: str
    description: str
    since: str
    refresh: str
    variables: tuple[Json, ...]
    annotations: tuple[Json, ...]
    rows: tuple[Row, ...]
    until: str = "now"

    def document(self) -> Json:
        """As Grafana reads it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "timezone": "utc",
            "time": {"from": self.since, "to": self.until},
            "timepicker": {},
            "refresh": self.refresh,
            "templating": {"list": list(self.variables)},
            "annotations": {"list": list(self.annotations)},
            "links": [_other_boards()],
            "panels": _placed(self.rows),
        }


def _placed(rows: tuple[Row, ...]) -> list[Json]:
    """Panels from left to right; one that does not fit begins the next line."""
    placed: list[Json] = []
    y = 0
    for row in rows:
        heading = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        placed.append(
            {
                "id": row.number,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": heading,
                "panels": [],
            }
        )
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            placed.append(panel.document(x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return placed


def _other_boards() -> Json:
    return {
        "type": "dashboards",
        "title": "Boards",
        "tags": [TAG],
        "asDropdown": True,
        "icon": "external link",
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "tooltip": "The other boards of Lading",
        "url": "",
    }


def variable(name: str, text: str, query: str, *, multi: bool = True) -> Json:
    """A choice from what is in the time series; asked again when the range changes."""
    every = {"includeAll": True, "allValue": ".*"} if multi else {"includeAll": False}
    current = {"selected": True, "text": ["All"], "value": ["$__all"]} if multi else {}
    return {
        "type": "query",
        "name": name,
        "label": text,
        "datasource": DATASOURCE,
        "query": query,
        "refresh": 2,
        "sort": 5,
        "regex": "",
        "hide": 0,
        "multi": multi,
        "options": [],
        "current": current,
        **every,
    }


def tag_values(measurement: str, tag: str, *conditions: str) -> str:
    """The values of a tag. Grafana bounds its time too."""
    return f'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{tag}" {where(*conditions)}'


def tenant() -> Json:
    """Variable `tenant`."""
    return variable("tenant", "Tenant", tag_values("gateway", "tenant"))


def gateway() -> Json:
    """Variable `gateway`: of the chosen tenants."""
    return variable("gateway", "Gateway", tag_values("gateway", "gateway", chosen("tenant")))


def leg(*, multi: bool = True) -> Json:
    """Variable `leg`: of the chosen gateways."""
    return variable("leg", "Leg", tag_values("verdict", "leg", chosen("tenant", "gateway")), multi=multi)


def events(name: str, query: str, text: str, tags: str, colour: str, end: str = "") -> Json:
    """Annotations from the time series: `text` is the column that is shown, `tags` those beside it, `end` its end.

    Grafana 11 names the columns of an annotation MEASUREMENT.COLUMN, and shows no row that has an empty one.
    """
    columns = {"textColumn": text, "tagsColumn": tags, **({"timeEndColumn": end} if end else {})}
    return {
        "name": name,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "datasource": DATASOURCE,
        "target": {"refId": "Anno", "query": query, "fromAnnotations": True, **columns},
    }
