"""Promise: what docker-compose.yml composes carries a reading from the demo fleet to a settlement and to the boards.

No engine is here. The servers are real and start from the same files; the stages run as the services say.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.composed import Composed, wait

WINDOW_S = 5
BOND = 2_000_000
TERMS = f"""
bond = {BOND}
deadline_s = 86400
window_s = {2 * WINDOW_S}
[[tier]]
channel = 1
metric = "above_ms"
threshold = 1800000
amount = 100000
"""
SETTINGS = {"LADING_ANCHORING_INTERVAL_S": "2", "LADING_EDGE_FLUSH_S": "2"}
SETTLE_LIMIT_S = 400.0


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Everything up, until the module ends."""
    folder = tmp_path_factory.mktemp("composed")
    folder.parent.chmod(0o755)
    with Composed(folder, WINDOW_S, SETTINGS) as one:
        yield one


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_from_the_demo_fleet_to_a_settlement(composed: Composed, tmp_path: Path) -> None:
    """Every stage is ready; a leg is begun, agreed on, ended, judged and settled; its evidence passes outside."""
    wait("ready", lambda: not composed.not_ready(), composed)
    leg = composed.lading("leg", "begin", "PO 77", "truck-1", "--wait-s", "240").decode().strip()
    wait("order in the log", lambda: composed.json("leg", "list"), composed)
    composed.lading("settle", "agree", "PO 77", "-", "--test-tokens", given=TERMS.encode())
    composed.lading("leg", "end", "PO 77", "--wait-s", "240")

    def settled() -> list[dict[str, Any]]:
        return [one for one in composed.json("settle", "status")["agreements"] if "kind" in one]

    (paid,) = wait("settlement", settled, composed, SETTLE_LIMIT_S)
    assert (paid["leg"], paid["kind"], paid["amount"]) == (leg, "release", BOND)
    path = tmp_path / "po77.evidence"
    path.write_bytes(composed.lading("evidence", "export", "PO 77", "-o", "-"))
    checks = _verify(path, composed)
    passed = ("signature", "chain", "totals", "completeness", "inclusion", "anchor", "settlement")
    assert {checks[name] for name in passed} == {"PASS"}
    assert "FAIL" not in checks.values()
    wait("ready still", lambda: not composed.not_ready(), composed)


def _verify(path: Path, composed: Composed) -> dict[str, str]:
    """By `lading verify` beside the installation, with the chain's public endpoint."""
    places = json.loads((composed.engine.volume("shared") / "deployment.json").read_text())
    options = ["--registry", places["anchors"], "--gateways", places["gateways"]]
    done = subprocess.run(
        [sys.executable, "-m", "lading.cli", "verify", path, "--json", "--rpc", composed.chain, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return {check["name"]: check["status"] for check in json.loads(done.stdout)["checks"]}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_boards_have_what_they_show(composed: Composed) -> None:
    """Readings of every gateway are in InfluxDB; every query of the boards and alerts is answered as it must be."""
    names = {"truck-1", "truck-2", "cold-room"}

    def gateways() -> bool:
        rows = composed.influxdb.rows('SELECT count("value") AS n FROM "reading" GROUP BY "gateway"')
        return {row["gateway"] for row in rows} == names

    wait("readings", gateways, composed)
    assert composed.lading("dashboards", "check")

    def all_well() -> bool:
        statuses = composed.json("status")
        errors = [answer for answer in statuses.values() if isinstance(answer, dict) and "error" in answer]
        return not errors and {one["state"] for one in statuses["processes"].values()} == {"ready"}

    wait("every stage ready by its status", all_well, composed)
    wait("ready still", lambda: not composed.not_ready(), composed)
