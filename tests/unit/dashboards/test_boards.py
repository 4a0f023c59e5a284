"""The boards' documents: whole, unique, explained, and asking only for what is declared and bounded in time."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.boards import documents
from dashboards.boards.asked import Question, of_board
from dashboards.boards.influxql import DATASOURCE_UID, Json
from dashboards.timeseries.schema import MEASUREMENTS
from lading import metrics

ROOT = Path(__file__).parents[3]
BOARDS = {board.uid: board.document() for board in documents.boards()}
WITHOUT_QUERY = {"row", "text", "alertlist"}
KNOWN_TYPES = WITHOUT_QUERY | {"timeseries", "stat", "state-timeline", "table", "bargauge", "geomap"}
# https://grafana.com/docs/grafana/v11.6/panels-visualizations/configure-standard-options/#unit: ids of Grafana's units,
# of @grafana/data valueFormats/categories.ts
UNITS = {
    "none", "short", "percentunit", "s", "ms", "bytes", "celsius", "humidity", "lux", "accG", "volt", "degree",
    "dateTimeAsIso", "dateTimeFromNow",
}  # fmt: skip
BUILT_IN = {"timeFilter", "__interval", "__data", "__url_time_range", "__all"}
# Their types know no query of InfluxDB; what these say is tried by asking.
OF_INFLUXDB = re.compile(r"\.annotations\.list\[\d+\]\.target\.\w+")

plugins.register_default_plugins()


def panels(board: Json) -> Iterator[Json]:
    """Panels that show something."""
    yield from (panel for panel in board["panels"] if panel["type"] != "row")


def questions() -> list[Question]:
    """All that boards ask."""
    return [question for board in BOARDS.values() for question in of_board(board)]


def lost(ours: Any, theirs: Any, at: str = "") -> list[str]:
    """Places of our document that its types did not keep."""
    if isinstance(ours, dict):
        if not isinstance(theirs, dict):
            return [at]
        return [
            place
            for key, value in ours.items()
            if value is not None
            for place in (lost(value, theirs[key], f"{at}.{key}") if key in theirs else [f"{at}.{key}"])
        ]
    if isinstance(ours, list):
        if not isinstance(theirs, list) or len(ours) != len(theirs):
            return [at]
        return [
            place
            for index, pair in enumerate(zip(ours, theirs, strict=True))
            for place in lost(*pair, f"{at}[{index}]")
        ]
    return [] if ours == theirs else [f"{at}: {ours!r} became {theirs!r}"]


@pytest.mark.parametrize("uid", BOARDS)
def test_grafanas_own_types_know_every_field(uid: str) -> None:
    """Read by the types that Grafana's maker publishes and written again, a board keeps every field and value."""
    read = Dashboard.from_json(json.loads(json.dumps(BOARDS[uid])))
    found = lost(BOARDS[uid], json.loads(JSONEncoder().encode(read)))
    assert [place for place in found if not OF_INFLUXDB.fullmatch(place)] == []


def test_committed_files_are_what_is_built() -> None:
    """deploy/grafana/provisioning holds what `lading dashboards build` writes, and nothing else."""
    assert documents.differences(ROOT / documents.PROVISIONING) == []


def test_build_writes_what_is_missing_or_changed(tmp_path: Path) -> None:
    """A changed, a missing and a foreign file are named; after building only the foreign one is."""
    documents.write(tmp_path)
    assert documents.differences(tmp_path) == []
    (tmp_path / "alerting/rules.yaml").write_text("changed")
    (tmp_path / "datasources/lading.yaml").unlink()
    (tmp_path / "dashboards/mine.json").write_text("{}")
    wanted = ["alerting/rules.yaml", "dashboards/mine.json", "datasources/lading.yaml"]
    assert documents.differences(tmp_path) == wanted
    assert sorted(documents.write(tmp_path)) == ["alerting/rules.yaml", "datasources/lading.yaml"]
    assert documents.differences(tmp_path) == ["dashboards/mine.json"]


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_are_told_apart_and_do_not_overlap(uid: str) -> None:
    """Panel ids and titles are unique in a board, and no two panels share a cell of the grid."""
    placed = BOARDS[uid]["panels"]
    assert len({panel["id"] for panel in placed}) == len(placed)
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in placed)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({(panel["title"], panel["type"]) for panel in panels(BOARDS[uid])}) == len(
        list(panels(BOARDS[uid]))
    )


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_are_explained(uid: str) -> None:
    """Every panel has a known type, a title, a description and a unit, and so has every column it formats."""
    for panel in panels(BOARDS[uid]):
        fields = panel["fieldConfig"]
        units = [fields["defaults"]["unit"]] + [
            setting["value"]
            for override in fields["overrides"]
            for setting in override["properties"]
            if setting["id"] == "unit"
        ]
        assert panel["type"] in KNOWN_TYPES, panel["title"]
        assert panel["title"], panel["id"]
        assert len(panel["description"]) > 10, panel["title"]
        for unit in units:
            assert unit in UNITS or unit.startswith("suffix: "), f"{panel['title']}: {unit}"
        assert bool(panel["targets"]) != (panel["type"] in WITHOUT_QUERY), panel["title"]


@pytest.mark.parametrize("uid", BOARDS)
def test_boards_are_in_utc_and_read_only(uid: str) -> None:
    """The same times for everyone; a board that Grafana's users change would be lost on the next start."""
    board = BOARDS[uid]
    assert board["timezone"] == "utc"
    assert board["editable"] is False
    assert 8 <= len(uid) <= 40
    assert re.fullmatch(r"[a-z-]+", uid)


@pytest.mark.parametrize("uid", BOARDS)
def test_names_in_a_board_resolve(uid: str) -> None:
    """Every data source is the provisioned one, every variable used is defined, every linked board exists."""
    text = json.dumps(BOARDS[uid])
    sources = re.findall(r'"type": "influxdb", "uid": "([^"]+)"', text)
    assert set(sources) == {DATASOURCE_UID}
    defined = {variable["name"] for variable in BOARDS[uid]["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z_]\w*)", text.replace("$tag_", "").replace("$col", ""), re.IGNORECASE))
    assert used - BUILT_IN <= defined
    assert set(re.findall(r"/d/([a-z-]+)", text)) <= set(BOARDS)
    for linked, names in re.findall(r"/d/([a-z-]+)\?[^\"&]*((?:&var-\w+=[^\"&]*)*)", text):
        theirs = {variable["name"] for variable in BOARDS[linked]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)", names)) <= theirs


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.place)
def test_a_query_is_one_bounded_statement(question: Question) -> None:
    """Grafana reads the first statement's answer only; an unbounded one would read all there is."""
    query = question.query
    assert ";" not in query
    assert query.count("$timeFilter") >= query.count('FROM "') >= 1
    assert " OR " not in query.upper()
    if question.kind == "table" and "GROUP BY" not in query:
        assert "LIMIT" in query or query.startswith("SELECT last(")


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.place)
def test_a_query_names_only_what_is_declared(question: Question) -> None:
    """Measurements, tags and fields are those of the schema; metrics are those of lading/metrics.py."""
    undeclared(question.query)


def undeclared(query: str) -> None:
    """AssertionError where a query names something that nobody writes."""
    names = re.findall(r'FROM "(\w+)"', query)
    assert names
    assert set(names) <= set(MEASUREMENTS)
    declared = {
        name
        for measurement in (MEASUREMENTS[name] for name in names)
        for name in (*measurement.tags, *(field.name for field in measurement.fields))
    }
    if "metric" in names:
        declared |= {label for metric in metrics.METRICS.values() for label in metric.labels} | {
            "le",
            "quantile",
        }
    made = set(re.findall(r' AS "([^"]+)"', query))
    used = set(re.findall(r'"([^"]+)"', query))
    assert used - made - set(names) <= declared
    shown = metrics.shown_names() | {name for name, one in metrics.METRICS.items() if one.kind == "histogram"}
    for name in re.findall(r"\"name\" = '([^']+)'", query):
        assert name in shown
    for pattern in re.findall(r"\"name\" =~ /([^/]+)/", query):
        assert any(re.search(pattern, name) for name in shown)


@pytest.mark.parametrize("uid", BOARDS)
def test_graphs_ask_by_step_and_name_their_series(uid: str) -> None:
    """Graphs and bands ask one value a step, so that a long range stays small, and give each series a name."""
    for panel in panels(BOARDS[uid]):
        if panel["type"] in ("timeseries", "state-timeline"):
            for target in panel["targets"]:
                assert "GROUP BY time($__interval)" in target["query"], panel["title"]
                assert target["alias"], panel["title"]


@pytest.mark.parametrize("uid", BOARDS)
def test_series_are_named_by_tags_that_they_have(uid: str) -> None:
    """Grafana leaves `$tag_x` as it stands where the query does not group by x."""
    for panel in panels(BOARDS[uid]):
        for target in panel["targets"]:
            grouped = set(re.findall(r'"(\w+)"', target["query"].rpartition("GROUP BY")[2]))
            assert set(re.findall(r"\$tag_(\w+)", target.get("alias", ""))) <= grouped, panel["title"]


@pytest.mark.parametrize("uid", BOARDS)
def test_tables_sort_by_a_column_that_they_show(uid: str) -> None:
    """By the name that the column is given."""
    for panel in panels(BOARDS[uid]):
        for sort in panel["options"].get("sortBy", []):
            shown = json.dumps(panel["fieldConfig"]["overrides"]) + panel["targets"][0]["query"]
            assert f'"{sort["displayName"]}"' in shown, panel["title"]


@pytest.mark.parametrize("uid", BOARDS)
def test_grouped_tables_have_their_columns_in_order(uid: str) -> None:
    """Grafana puts the tags of a GROUP BY in an order of chance."""
    for panel in panels(BOARDS[uid]):
        if panel["type"] == "table" and "GROUP BY" in panel["targets"][0]["query"]:
            (order,) = panel["transformations"]
            assert order["id"] == "organize", panel["title"]
            tags = set(re.findall(r'"(\w+)"', panel["targets"][0]["query"].rpartition("GROUP BY")[2]))
            assert tags <= set(order["options"]["indexByName"]), panel["title"]


@pytest.mark.parametrize("uid", BOARDS)
def test_annotations_name_each_column_once(uid: str) -> None:
    """As Grafana 11 finds them: MEASUREMENT.COLUMN; a tag's or text's name must be part of no other column's."""
    for mark in BOARDS[uid]["annotations"]["list"]:
        asked = mark["target"]
        (measurement,) = re.findall(r'FROM "(\w+)"', asked["query"])
        parts = asked["query"].partition(" FROM")[0].split(", ")
        columns = [measurement + "." + re.findall(r'"(\w+)"', part)[-1] for part in parts]
        for name in (asked["textColumn"], *asked["tagsColumn"].split(",")):
            assert [column for column in columns if name in column] == [name], mark["name"]


def test_boards_link_to_one_another() -> None:
    """Each board has the list of the others, which keeps range and variables."""
    for board in BOARDS.values():
        (link,) = board["links"]
        assert link["tags"] == board["tags"] == ["lading"]
        assert link["includeVars"]
        assert link["keepTime"]
