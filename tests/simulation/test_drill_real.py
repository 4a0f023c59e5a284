"""The crash drill on Mosquitto, Kafka, InfluxDB and anvil, as CI runs it. LADING_TEST_REAL_KILLS makes it longer."""

import os
from pathlib import Path

import pytest

from tests.simulation.drill import drill

KILLS = int(os.environ.get("LADING_TEST_REAL_KILLS", "26"))
SEED = int(os.environ.get("LADING_TEST_SEED", "1"))


@pytest.mark.slow
@pytest.mark.timeout(1200 + 60 * KILLS)
def test_killed_stages_and_servers_end_as_if_undisturbed(tmp_path: Path) -> None:
    """Each reading once in the archive, each final verdict the same bytes, each payment once, whoever was killed."""
    print(f"seed {SEED}, {KILLS} kills")
    report = drill(tmp_path, SEED, KILLS, is_real=True)
    print(f"{report.killed} in {report.disturbed_s:.0f} s; ended by errors: {report.restarts}")
    assert not report.differences, f"seed {SEED}: " + "\n".join(report.differences)
    assert sum(report.killed.values()) == KILLS
    assert all(
        report.killed[name] for name in ("broker", "log", "influxdb", "edge", "ingest", "ingest-2", "series")
    )
