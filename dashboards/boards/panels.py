"""Panels: what they ask, show and mean. Each has a fixed number, a unit and a description."""

from dataclasses import dataclass, field
from typing import Any

from dashboards.boards.influxql import DATASOURCE, Json

GREEN, RED, ORANGE, BLUE, GREY = "green", "red", "orange", "blue", "#8e8e8e"

VERDICTS = {"clean": ("clean", GREEN), "breach": ("breach", RED)}
LEG_STATES = {"0": ("idle", GREY), "1": ("under way", BLUE), "2": ("closed", GREEN)}
ONLINE = {"0": ("offline", RED), "1": ("online", GREEN)}
FINAL = {"0": ("provisional", ORANGE), "1": ("final", GREEN)}
YES = {"0": ("no", GREEN), "1": ("yes", RED)}
SEVERITIES = {"breach": ("breach", RED), "notice": ("notice", ORANGE)}
DOOR = {"0": ("closed", GREEN), "1": ("open", ORANGE)}


@dataclass(frozen=True, slots=True)
class Query:
    """One InfluxQL statement. `alias` names its series: `$tag_gateway`, `$col`. A table keeps its columns."""

    text: str
    alias: str = ""
    table: bool = False

    def target(self, ref: str) -> Json:
        """As a panel holds it."""
        return {
            "refId": ref,
            "datasource": DATASOURCE,
            "rawQuery": True,
            "query": self.text,
            "resultFormat": "table" if self.table else "time_series",
            **({"alias": self.alias} if self.alias else {}),
        }


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel before it has a place on its board. Width is of 24 columns."""

    number: int
    kind: str
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int
    height: int
    options: Json = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)
    overrides: tuple[Json, ...] = ()
    repeat: str = ""
    links: tuple[Json, ...] = ()
    interval: str = ""
    since: str = ""
    """A range of its own, of now, where the board's is relative: `+3h` is the next three hours."""
    order: tuple[str, ...] = ()
    """A table's columns in this order. Grafana's own is of chance where a query groups by tags."""

    def document(self, x: int, y: int) -> Json:
        """As Grafana reads it."""
        shown: Json = {
            "id": self.number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "targets": [query.target(chr(ord("A") + index)) for index, query in enumerate(self.queries)],
            "options": self.options,
            "fieldConfig": {
                "defaults": {"unit": self.unit, **self.defaults},
                "overrides": list(self.overrides),
            },
        }
        if self.repeat:
            shown |= {"repeat": self.repeat, "repeatDirection": "h", "maxPerRow": 2}
        if self.links:
            shown["links"] = list(self.links)
        if self.order:
            index = {name: place for place, name in enumerate(self.order)}
            options: Json = {"indexByName": index, "excludeByName": {}, "renameByName": {}}
            shown["transformations"] = [{"id": "organize", "options": options}]
        if self.interval:
            shown["interval"] = self.interval
        if self.since:
            shown["timeFrom"] = self.since
        return shown


def mapped(values: dict[str, tuple[str, str]]) -> list[Json]:
    """Value mappings: what a value is called, and its colour."""
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(values.items())
    }
    return [{"type": "value", "options": options}]


def steps(*above: tuple[float, str], base: str = GREEN) -> Json:
    """Thresholds: the colour from each value on."""
    first: list[Json] = [{"value": None, "color": base}]
    return {
        "mode": "absolute",
        "steps": first + [{"value": value, "color": colour} for value, colour in above],
    }


def column(name: str, shown: str = "", **properties: Any) -> Json:
    """How the column or series `name` is shown."""
    if shown:
        properties["displayName"] = shown
    listed = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": listed}


def named_like(pattern: str, **properties: Any) -> Json:
    """How series whose name matches are shown."""
    listed = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byRegexp", "options": pattern}, "properties": listed}


def coloured(values: dict[str, tuple[str, str]]) -> Json:
    """Properties of a column whose cells are coloured by their value."""
    return {"mappings": mapped(values), "custom__cellOptions": {"type": "color-text"}}


LIMIT_LINE: Json = {
    "color": {"mode": "fixed", "fixedColor": RED},
    "custom__lineStyle": {"fill": "dash", "dash": [8, 6]},
    "custom__lineWidth": 1,
    "custom__fillOpacity": 0,
    "custom__spanNulls": True,
}


def graph(number: int, title: str, description: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """Lines over time. `custom`: how they are drawn; the rest as in Panel."""
    custom = {
        "lineWidth": 1,
        "fillOpacity": 8,
        "showPoints": "auto",
        "spanNulls": False,
        **more.pop("custom", {}),
    }
    options = {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    defaults = {"custom": custom, **more.pop("defaults", {})}
    size = {"width": more.pop("width", 12), "height": more.pop("height", 8)}
    return Panel(
        number,
        "timeseries",
        title,
        description,
        unit,
        queries,
        options=options,
        defaults=defaults,
        **size,
        **more,
    )


def figure(number: int, title: str, description: str, unit: str, query: Query, **more: Any) -> Panel:
    """One large figure or word. `fields`: the column, where it is text."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": more.pop("fields", ""), "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
    }
    size = {"width": more.pop("width", 4), "height": more.pop("height", 4)}
    defaults = {"noValue": "none", **more.pop("defaults", {})}
    return Panel(
        number, "stat", title, description, unit, (query,), options=options, defaults=defaults, **size, **more
    )


def states(number: int, title: str, description: str, *queries: Query, **more: Any) -> Panel:
    """Coloured bands over time, a row a series. `values`: what each value means."""
    options = {
        "alignValue": "left",
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    defaults = {
        "custom": {"fillOpacity": 75, "lineWidth": 0},
        "mappings": mapped(more.pop("values")),
        "color": {"mode": "thresholds"},
    }
    size = {"width": more.pop("width", 24), "height": more.pop("height", 7)}
    return Panel(
        number,
        "state-timeline",
        title,
        description,
        "none",
        queries,
        options=options,
        defaults=defaults,
        **size,
        **more,
    )


def table(number: int, title: str, description: str, query: Query, *overrides: Json, **more: Any) -> Panel:
    """Rows. `sort`: (column as shown, whether descending)."""
    sort: tuple[str, bool] | None = more.pop("sort", None)
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""},
        "sortBy": [{"displayName": sort[0], "desc": sort[1]}] if sort else [],
    }
    size = {"width": more.pop("width", 24), "height": more.pop("height", 8)}
    defaults = {"custom": {"align": "auto", "filterable": True, "inspect": False}, **more.pop("defaults", {})}
    return Panel(
        number,
        "table",
        title,
        description,
        more.pop("unit", "none"),
        (query,),
        options=options,
        defaults=defaults,
        overrides=overrides,
        **size,
        **more,
    )


def bars(number: int, title: str, description: str, unit: str, query: Query, **more: Any) -> Panel:
    """One bar a series, of its newest value."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "namePlacement": "auto",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
    }
    size = {"width": more.pop("width", 8), "height": more.pop("height", 8)}
    return Panel(number, "bargauge", title, description, unit, (query,), options=options, **size, **more)


def map_of(number: int, title: str, description: str, query: Query, *overrides: Json, **more: Any) -> Panel:
    """Markers at columns `latitude` and `longitude`."""
    markers = {
        "type": "markers",
        "name": title,
        "config": {
            "showLegend": False,
            "style": {"size": {"fixed": 6}, "opacity": 0.8, "color": {"fixed": BLUE}},
        },
        "location": {"mode": "coords", "latitude": "latitude", "longitude": "longitude"},
        "tooltip": True,
    }
    options = {
        "view": {"id": "fit", "lat": 0, "lon": 0, "zoom": 15, "allLayers": True},
        "basemap": {"type": "default", "name": "Basemap", "config": {}},
        "layers": [markers],
        "controls": {
            "showZoom": True,
            "mouseWheelZoom": False,
            "showAttribution": True,
            "showScale": True,
            "showMeasure": False,
            "showDebug": False,
        },
        "tooltip": {"mode": "details"},
    }
    size = {"width": more.pop("width", 12), "height": more.pop("height", 12)}
    return Panel(
        number, "geomap", title, description, "degree", (query,), options=options, overrides=overrides, **size
    )


def note(number: int, title: str, description: str, markdown: str, **more: Any) -> Panel:
    """Text with the board's variables in it."""
    options = {"mode": "markdown", "content": markdown}
    size = {"width": more.pop("width", 12), "height": more.pop("height", 6)}
    return Panel(number, "text", title, description, "none", (), options=options, **size)


def firing(number: int, title: str, description: str, **more: Any) -> Panel:
    """The alerts of our folder that fire now."""
    options = {
        "viewMode": "list",
        "groupMode": "default",
        "maxItems": 50,
        "sortOrder": 3,
        "dashboardAlerts": False,
        "alertInstanceLabelFilter": '{grafana_folder="Lading alerts"}',
        "groupBy": [],
        "alertName": "",
        "showInstances": False,
        "stateFilter": {
            "firing": True,
            "pending": True,
            "noData": True,
            "normal": False,
            "error": True,
        },
    }
    size = {"width": more.pop("width", 12), "height": more.pop("height", 8)}
    return Panel(number, "alertlist", title, description, "none", (), options=options, **size)
