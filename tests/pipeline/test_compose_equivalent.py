"""Promise: what docker-compose.yml composes carries a reading from the demo fleet to a settlement and to the boards.

No engine is here. The servers are real and start from the same files; the stages run as the services say.
"""

import json
from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Everything up, until the module ends."""
    folder = tmp_path_factory.mktemp("composed")
    folder.parent.chmod(0o755)
    with Composed(folder, WINDOW_S, SETTINGS) as one:
        yield one


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_the_demo_fleet_to_a_settlement(composed: Composed) -> None:
    """Every stage is ready; a leg is begun, agreed on, ended, judged and settled; its evidence passes."""
    wait("ready", lambda: not composed.not_ready(), composed)
    leg = composed.lading("leg", "begin", "PO 77", "truck-1").strip()
    wait("order in the log", lambda: composed.json("leg", "list"), composed)
    composed.lading("settle", "agree", "PO 77", "-", "--test-tokens", given=TERMS)
    composed.lading("leg", "end", "PO 77")

    def settled() -> list[dict[str, object]]:
        return [one for one in composed.json("settle", "status")["agreements"] if "kind" in one]

    (paid,) = wait("settlement", settled, composed)
    assert (paid["leg"], paid["kind"], paid["amount"]) == (leg, "release", BOND)
    composed.lading("evidence", "export", "PO 77", "-o", "/tmp/po77.evidence")
    assert composed.not_ready() == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_boards_have_what_they_show(composed: Composed) -> None:
    """Readings of every gateway are in InfluxDB."""
    names = {"truck-1", "truck-2", "cold-room"}

    def gateways() -> bool:
        rows = composed.influxdb.rows('SELECT count("value") AS n FROM "reading" GROUP BY "gateway"')
        return {row["gateway"] for row in rows} == names

    wait("readings", gateways, composed)
    assert json.dumps(composed.not_ready()) == "{}"
