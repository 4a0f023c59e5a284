"""What a Grafana server has of boards, alerts and data source, against what is committed."""

import re
from collections.abc import Iterator
from typing import Any

from dashboards.boards.documents import boards
from dashboards.boards.influxql import DATASOURCE_UID, Json
from dashboards.boards.rulebook import ALERTS
from dashboards.grafana import Grafana
from lading.errors import ServiceError

_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SHOWN_MAX = 5


def differences(grafana: Grafana) -> Iterator[str]:
    """A line for each thing that is missing or differs. What Grafana adds of its own is no difference."""
    yield from _boards(grafana)
    yield from _alerts(grafana)
    source = grafana.get(f"/datasources/uid/{DATASOURCE_UID}")
    if source is None:
        yield f"data source {DATASOURCE_UID} is not there"
    elif (
        source.get("type") != "influxdb"
        or (source.get("jsonData") or {}).get("version", "InfluxQL") != "InfluxQL"
    ):
        yield f"data source {DATASOURCE_UID} does not speak InfluxQL"


def _boards(grafana: Grafana) -> Iterator[str]:
    for board in boards():
        found = grafana.get(f"/dashboards/uid/{board.uid}")
        if found is None:
            yield f"board {board.uid} is not there"
            continue
        shown = _of(found, "dashboard")
        yield from _told(f"board {board.uid}", list(unlike(board.document(), shown)))


def _alerts(grafana: Grafana) -> Iterator[str]:
    found = grafana.get("/v1/provisioning/alert-rules")
    if not isinstance(found, list):
        raise ServiceError("grafana", f"alert rules: found {type(found).__name__}, wanted a list")
    there = {str(rule.get("uid")): rule for rule in found}
    for alert in ALERTS:
        if alert.uid not in there:
            yield f"alert {alert.uid} is not there"
            continue
        yield from _told(f"alert {alert.uid}", list(unlike(_rule(alert.document()), _rule(there[alert.uid]))))
    for uid in sorted(set(there) - {alert.uid for alert in ALERTS}):
        if uid.startswith("lading-"):
            yield f"alert {uid} is there and is not ours any more"


def _rule(rule: Json) -> Json:
    """What both the file and the API say of a rule; a duration is written in several ways."""
    names = (
        "uid",
        "title",
        "condition",
        "data",
        "noDataState",
        "execErrState",
        "annotations",
        "labels",
        "isPaused",
    )
    return {name: rule.get(name) for name in names} | {"for": _seconds(str(rule.get("for", "0s")))}


def _seconds(text: str) -> float:
    """`1m30s`, `60s`."""
    return sum(float(count) * _UNITS_S[unit] for count, unit in re.findall(r"([\d.]+)(ms|[smhdw])", text))


def unlike(ours: Any, theirs: Any, at: str = "") -> Iterator[str]:
    """Places where theirs is not ours. Keys that only they have are theirs to add."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from unlike(value, theirs.get(key), f"{at}.{key}" if at else key)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from unlike(mine, other, f"{at}[{index}]")
    elif ours != theirs:
        yield at


def _told(what: str, places: list[str]) -> Iterator[str]:
    if places:
        more = f" and {len(places) - _SHOWN_MAX} more" if len(places) > _SHOWN_MAX else ""
        yield f"{what} differs: {', '.join(places[:_SHOWN_MAX])}{more}"


def _of(found: Any, key: str) -> Any:
    if not isinstance(found, dict) or key not in found:
        raise ServiceError("grafana", f"an answer without {key}")
    return found[key]
