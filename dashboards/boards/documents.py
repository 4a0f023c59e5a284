"""Every file that Grafana is given, by its path below deploy/grafana/provisioning."""

import json
from pathlib import Path

from dashboards.boards import alerts, chain, fleet, pipeline, room, shipment, yamlfile
from dashboards.boards.board import Board
from dashboards.boards.influxql import DATASOURCE_UID, Json
from dashboards.boards.rulebook import ALERTS

PROVISIONING = Path("deploy/grafana/provisioning")
BOARDS_AT = "/etc/grafana/provisioning/dashboards"
TOKEN_AT = "/run/lading/influxdb_read"
HEAD = "Written by `lading dashboards build`: change dashboards/boards/ instead."


def boards() -> tuple[Board, ...]:
    """Every board."""
    return (fleet.board(), shipment.board(), room.board(), chain.board(), pipeline.board())


def files() -> dict[str, str]:
    """Path and text of each file."""
    shown = {f"dashboards/{board.uid}.json": board_text(board.document()) for board in boards()}
    return shown | {
        "datasources/lading.yaml": yamlfile.text(_datasources(), HEAD),
        "dashboards/lading.yaml": yamlfile.text(_provider(), HEAD),
        "alerting/rules.yaml": yamlfile.text(alerts.rules(ALERTS), HEAD),
        "alerting/contacts.yaml": yamlfile.text(alerts.contacts(), HEAD),
        "alerting/policies.yaml": yamlfile.text(alerts.policies(), HEAD),
    }


def board_text(document: Json) -> str:
    """A board's file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def differences(folder: Path) -> list[str]:
    """Files that are missing, differ or should not be there."""
    wanted = files()
    there = {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }
    changed = [path for path, text in wanted.items() if there.get(path) != text]
    return sorted(changed + [path for path in there if path not in wanted])


def write(folder: Path) -> list[str]:
    """Write what differs; the paths written."""
    written = []
    for path, text in files().items():
        at = folder / path
        if not at.exists() or at.read_text("utf-8") != text:
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_text(text, "utf-8")
            written.append(path)
    return written


def _datasources() -> Json:
    source = {
        "name": "Lading",
        "uid": DATASOURCE_UID,
        "orgId": 1,
        "type": "influxdb",
        "access": "proxy",
        "url": "http://influxdb:8086",
        "isDefault": True,
        "editable": False,
        "jsonData": {
            "version": "InfluxQL",
            "dbName": "lading",
            "httpMode": "POST",
            "httpHeaderName1": "Authorization",
            "timeInterval": "10s",
        },
        "secureJsonData": {"httpHeaderValue1": f"Token $__file{{{TOKEN_AT}}}"},
    }
    return {"apiVersion": 1, "datasources": [source]}


def _provider() -> Json:
    provider = {
        "name": "lading",
        "orgId": 1,
        "folder": "Lading",
        "folderUid": "lading",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 60,
        "options": {"path": BOARDS_AT},
    }
    return {"apiVersion": 1, "providers": [provider]}
