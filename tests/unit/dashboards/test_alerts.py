"""Alert rules and provisioning files: complete, of documented fields only, each rule with its page in the runbook."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.boards import documents
from dashboards.boards.alerts import Alert
from dashboards.boards.influxql import DATASOURCE_UID
from dashboards.boards.rulebook import ALERTS
from tests.unit.dashboards.test_boards import BOARDS, undeclared

ROOT = Path(__file__).parents[3]

# Below grafana.com/docs/grafana/v11.6: alerting/set-up/provision-alerting-resources/file-provisioning,
# administration/provisioning, datasources/influxdb/configure-influxdb-data-source
ALLOWED: dict[str, set[str]] = {
    "alerting/rules.yaml": {
        "apiVersion", "groups", "groups.orgId", "groups.name", "groups.folder", "groups.interval", "groups.rules",
        *(f"groups.rules.{name}" for name in (
            "uid", "title", "condition", "data", "dashboardUid", "panelId", "noDataState", "execErrState", "for",
            "annotations", "labels", "isPaused",
        )),
        *(f"groups.rules.data.{name}" for name in ("refId", "datasourceUid", "relativeTimeRange", "model")),
        *(f"groups.rules.data.relativeTimeRange.{name}" for name in ("from", "to")),
        *(f"groups.rules.data.model.{name}" for name in (
            "refId", "datasource", "datasource.type", "datasource.uid", "query", "rawQuery", "resultFormat",
            "intervalMs", "maxDataPoints", "type", "expression", "reducer", "settings", "settings.mode", "conditions",
            "conditions.evaluator", "conditions.evaluator.type", "conditions.evaluator.params",
        )),
        *(f"groups.rules.annotations.{name}" for name in (
            "summary", "description", "runbook_url", "__dashboardUid__", "__panelId__",
        )),
        "groups.rules.labels.severity", "groups.rules.labels.product",
    },
    "alerting/contacts.yaml": {
        "apiVersion", "contactPoints", "contactPoints.orgId", "contactPoints.name", "contactPoints.receivers",
        *(f"contactPoints.receivers.{name}" for name in (
            "uid", "type", "settings", "settings.addresses", "settings.singleEmail", "disableResolveMessage",
        )),
    },
    "alerting/policies.yaml": {
        "apiVersion", "policies",
        *(f"policies.{name}" for name in (
            "orgId", "receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "routes",
        )),
        *(f"policies.routes.{name}" for name in ("receiver", "object_matchers", "group_wait", "repeat_interval")),
    },
    "datasources/lading.yaml": {
        "apiVersion", "datasources",
        *(f"datasources.{name}" for name in (
            "name", "uid", "orgId", "type", "access", "url", "isDefault", "editable", "jsonData", "secureJsonData",
        )),
        *(f"datasources.jsonData.{name}" for name in (
            "version", "dbName", "httpMode", "httpHeaderName1", "timeInterval",
        )),
        "datasources.secureJsonData.httpHeaderValue1",
    },
    "dashboards/lading.yaml": {
        "apiVersion", "providers",
        *(f"providers.{name}" for name in (
            "name", "orgId", "folder", "folderUid", "type", "disableDeletion", "allowUiUpdates",
            "updateIntervalSeconds", "options", "options.path",
        )),
    },
}  # fmt: skip


def keys(value: Any, at: str = "") -> Iterator[str]:
    """Every key's path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{at}{key}"
            yield from keys(item, f"{at}{key}.")
    elif isinstance(value, list):
        for item in value:
            yield from keys(item, at)


def read(path: str) -> Any:
    """A committed file, as a YAML reader of another maker understands it."""
    return yaml.safe_load((ROOT / documents.PROVISIONING / path).read_text("utf-8"))


@pytest.mark.parametrize("path", ALLOWED)
def test_files_have_documented_fields_only(path: str) -> None:
    """One field that Grafana does not know in a provider's file stops the whole server."""
    found = read(path)
    assert set(keys(found)) <= ALLOWED[path]
    assert found["apiVersion"] == 1


def test_every_yaml_file_is_listed_here() -> None:
    """No file of provisioning escapes the test above."""
    assert {path for path in documents.files() if path.endswith(".yaml")} == set(ALLOWED)


def test_yaml_says_what_was_built() -> None:
    """What another reader finds in the file of rules is the rules, texts with quotes and dollars included."""
    rules = [rule for group in read("alerting/rules.yaml")["groups"] for rule in group["rules"]]
    assert sorted(rules, key=lambda rule: rule["uid"]) == sorted(
        (json.loads(json.dumps(alert.document())) for alert in ALERTS), key=lambda rule: rule["uid"]
    )


def test_uids_are_unique_and_short_enough() -> None:
    """Grafana takes uids of at most 40 characters, and one rule a uid."""
    uids = [alert.uid for alert in ALERTS]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[a-z-]{8,40}", uid) for uid in uids)
    assert len({alert.title for alert in ALERTS}) == len(uids)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.uid)
def test_an_alert_is_complete(alert: Alert) -> None:
    """Severity, texts, a bounded query of declared names, and a panel that exists."""
    assert alert.summary
    assert alert.description
    assert alert.query.count("$timeFilter") >= alert.query.count('FROM "') >= 1
    assert "$__interval" not in alert.query
    undeclared(alert.query)
    board, panel = alert.page
    assert panel in {shown["id"] for shown in BOARDS[board]["panels"] if shown["type"] != "row"}
    named = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
    grouped = set(re.findall(r'"(\w+)"', alert.query.rpartition("GROUP BY")[2]))
    assert named <= grouped


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.uid)
def test_an_alert_has_its_page_in_the_runbook(alert: Alert) -> None:
    """docs/operations.md has a heading `alert-<uid>` that says what the alert means, and what to do."""
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    page = re.search(rf"^### alert-{alert.uid}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert page, f"no heading ### alert-{alert.uid}"
    for part in ("Means", "Affects", "Look at", "Do", "Over when"):
        assert f"**{part}**" in page[1], f"{alert.uid}: no {part}"
    assert alert.document()["annotations"]["runbook_url"] == f"docs/operations.md#alert-{alert.uid}"


def test_the_runbook_has_no_page_of_an_alert_that_is_gone() -> None:
    """Each heading `alert-…` is of a rule."""
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    assert set(re.findall(r"^### alert-(\S+)$", text, re.MULTILINE)) == {alert.uid for alert in ALERTS}


def test_nothing_that_grafana_expands_has_a_dollar() -> None:
    """Grafana puts environment variables into labels, titles, contacts and policies; only a secret's file is meant."""
    for alert in ALERTS:
        document = alert.document()
        assert "$" not in json.dumps([document["labels"], document["title"], document["uid"]])
    for path in ("alerting/contacts.yaml", "alerting/policies.yaml", "dashboards/lading.yaml"):
        assert "$" not in documents.files()[path]
    (value,) = re.findall(r".*\$.*", documents.files()["datasources/lading.yaml"])
    assert value.strip() == 'httpHeaderValue1: "Token $__file{/run/lading/influxdb_read}"'


def test_the_data_source_is_the_one_that_boards_name() -> None:
    """One data source, with the uid that every query has; boards lie at an absolute path."""
    (source,) = read("datasources/lading.yaml")["datasources"]
    assert source["uid"] == DATASOURCE_UID
    (provider,) = read("dashboards/lading.yaml")["providers"]
    assert provider["options"]["path"].startswith("/")


def test_policies_send_to_a_contact_that_exists() -> None:
    """Every receiver of the tree is provisioned, and every severity has its route."""
    (tree,) = read("alerting/policies.yaml")["policies"]
    contacts = {point["name"] for point in read("alerting/contacts.yaml")["contactPoints"]}
    assert {tree["receiver"], *(route["receiver"] for route in tree["routes"])} <= contacts
    routed = {matcher[2] for route in tree["routes"] for matcher in route["object_matchers"]}
    assert routed == {alert.severity for alert in ALERTS}
