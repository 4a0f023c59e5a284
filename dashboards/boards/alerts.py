"""Alert rules in the form of Grafana's alerting files: a query, a reduction to one number a series, a threshold."""

from dataclasses import dataclass
from typing import Literal

from dashboards.boards.influxql import DATASOURCE, DATASOURCE_UID, Json

FOLDER = "Lading alerts"
"""Not the boards' folder: alerting files and board files would both create it, in either order."""
GROUP_INTERVAL_S = 60
CONTACT = "lading-operators"
RUNBOOK = "docs/operations.md#alert-"

Severity = Literal["critical", "warning", "info"]
Reducer = Literal["last", "max", "min", "sum"]
Comparison = Literal["gt", "lt"]
State = Literal["OK", "Alerting"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule. It fires for each series whose reduced value is beyond the threshold for `for_s`.

    `since_s`: how far back the query looks. `no_data`: what silence of the query means. `page`: the board and panel
    to look at. Texts may name `{{ $labels.gateway }}` and the value, `{{ $values.B }}`.
    """

    uid: str
    title: str
    severity: Severity
    query: str
    since_s: int
    comparison: Comparison
    threshold: float
    for_s: int
    summary: str
    description: str
    page: tuple[str, int]
    reducer: Reducer = "last"
    no_data: State = "OK"

    def document(self) -> Json:
        """As Grafana reads it."""
        board, panel = self.page
        return {
            "uid": self.uid,
            "title": self.title,
            "condition": "C",
            "data": [self._asked(), self._reduced(), self._compared()],
            "dashboardUid": board,
            "panelId": panel,
            "noDataState": self.no_data,
            "execErrState": "Error",
            "for": f"{self.for_s}s",
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": RUNBOOK + self.uid,
                "__dashboardUid__": board,
                "__panelId__": str(panel),
            },
            "labels": {"severity": self.severity, "product": "lading"},
            "isPaused": False,
        }

    def _asked(self) -> Json:
        model = {
            "refId": "A",
            "datasource": DATASOURCE,
            "query": self.query,
            "rawQuery": True,
            "resultFormat": "time_series",
            "intervalMs": 1000,
            "maxDataPoints": 43200,
        }
        return _data("A", DATASOURCE_UID, self.since_s, model)

    def _reduced(self) -> Json:
        model = {"type": "reduce", "expression": "A", "reducer": self.reducer, "settings": {"mode": "dropNN"}}
        return _expression("B", self.since_s, model)

    def _compared(self) -> Json:
        condition = {"evaluator": {"type": self.comparison, "params": [self.threshold]}}
        return _expression(
            "C", self.since_s, {"type": "threshold", "expression": "B", "conditions": [condition]}
        )


def _expression(ref: str, since_s: int, model: Json) -> Json:
    whole = {"refId": ref, "datasource": {"type": "__expr__", "uid": "__expr__"}, **model}
    return _data(ref, "__expr__", since_s, whole)


def _data(ref: str, source: str, since_s: int, model: Json) -> Json:
    return {
        "refId": ref,
        "datasourceUid": source,
        "relativeTimeRange": {"from": since_s, "to": 0},
        "model": model,
    }


def rules(alerts: tuple[Alert, ...]) -> Json:
    """The file of rules: one group a severity."""
    groups = []
    for severity in ("critical", "warning", "info"):
        those = [alert.document() for alert in alerts if alert.severity == severity]
        groups.append(
            {
                "orgId": 1,
                "name": severity,
                "folder": FOLDER,
                "interval": f"{GROUP_INTERVAL_S}s",
                "rules": those,
            }
        )
    return {"apiVersion": 1, "groups": groups}


def contacts() -> Json:
    """Where alerts go: a placeholder address, which Grafana only reaches once [smtp] is set."""
    receiver = {
        "uid": CONTACT,
        "type": "email",
        "settings": {"addresses": "operators@example.invalid", "singleEmail": True},
        "disableResolveMessage": False,
    }
    return {"apiVersion": 1, "contactPoints": [{"orgId": 1, "name": CONTACT, "receivers": [receiver]}]}


def policies() -> Json:
    """Who is told how often. This is the whole tree of the organisation: Grafana keeps no other routes beside it."""

    def route(severity: Severity, **times: str) -> Json:
        return {"receiver": CONTACT, "object_matchers": [["severity", "=", severity]], **times}

    tree = {
        "orgId": 1,
        "receiver": CONTACT,
        "group_by": ["grafana_folder", "alertname"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "12h",
        "routes": [
            route("critical", group_wait="10s", repeat_interval="1h"),
            route("warning", repeat_interval="6h"),
            route("info", repeat_interval="24h"),
        ],
    }
    return {"apiVersion": 1, "policies": [tree]}
