"""`lading dashboards init` on a new InfluxDB: all it needs is made once, and each token may do one thing alone."""

import json
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dashboards.cli import app
from tests.services.influxd import Influxd


@pytest.fixture
def server(tmp_path: Path) -> Influxd:
    return Influxd(tmp_path / "influxd")


def test_a_new_server_is_made_ready(tmp_path: Path, server: Influxd) -> None:
    """User, organisation, bucket, database, tokens; a second run makes nothing; denied is what was not given."""
    server.start(set_up=False)
    try:
        config = tmp_path / "lading.toml"
        config.write_text(f'[lading]\ndata = "data"\n[dashboards]\nurl = "{server.url}"\n', "utf-8")
        arguments = ["init", "--config", str(config), "--retention-days", "30", "--json"]
        made = json.loads(CliRunner().invoke(app, arguments).stdout)
        assert (made["user"], made["database"], made["writer_token"]) == ("made", "made", "made")
        again = json.loads(CliRunner().invoke(app, arguments).stdout)
        assert {again[name] for name in again if not name.endswith("_file")} == {"there"}
        writer, boards = (Path(made[f"{name}_token_file"]) for name in ("writer", "boards"))
        assert writer.stat().st_mode & 0o777 == boards.stat().st_mode & 0o777 == 0o600
        server.token = writer.read_text().strip()
        server.write("m,a=b v=1")
        read = boards.read_text().strip()
        assert server.rows("SELECT v FROM m", token=read)[0]["v"] == 1
        assert denied(lambda: server.rows("SELECT v FROM m"))
        assert denied(lambda: server.request("GET", "/api/v2/authorizations")["authorizations"])
        server.token = read
        assert denied(lambda: server.write("m,a=b v=2"))
    finally:
        server.stop()


def denied(ask: Callable[[], object]) -> bool:
    """Refused, or answered with nothing."""
    try:
        return not ask()
    except (urllib.error.HTTPError, AssertionError):
        return True


def test_a_wrong_admin_token_is_told(tmp_path: Path, server: Influxd) -> None:
    """Exit without anything made, and the reason."""
    server.start()
    try:
        config = tmp_path / "lading.toml"
        config.write_text(f'[lading]\ndata = "."\n[dashboards]\nurl = "{server.url}"\n', "utf-8")
        assert "series_token" in str(CliRunner().invoke(app, ["init", "--config", str(config)]).exception)
        assert not (tmp_path / "influxdb-admin.token").exists()
        (tmp_path / "influxdb-admin.token").write_text("wrong", "utf-8")
        result = CliRunner().invoke(app, ["init", "--config", str(config)])
        assert "series_token" in str(result.exception)
        assert not (tmp_path / "influxdb-writer.token").exists()
    finally:
        server.stop()
