"""Broker, log, chain and time series away or hanging, one after the other. LADING_TEST_OUTAGE_S makes it minutes."""

import os
from pathlib import Path

import pytest

from tests.simulation.drill import Drill, undisturbed
from tests.simulation.installation import LEG_MS, Installation
from tests.simulation.outages import Outage, Outages
from tests.simulation.outcome import differences

OUTAGE_S = float(os.environ.get("LADING_TEST_OUTAGE_S", "30"))
SEED = int(os.environ.get("LADING_TEST_SEED", "1"))
SAMPLE_MS = 20_000
OUTAGES = (
    Outage("log", "away", OUTAGE_S),
    Outage("log", "hangs", OUTAGE_S),
    Outage("broker", "hangs", OUTAGE_S),
    Outage("chain", "hangs", OUTAGE_S),
    Outage("influxdb", "away", OUTAGE_S),
)
BACK_S_MAX = 120.0  # the slowest retry comes after 30 s; a busy machine needs its time as well
GROWTH_MIB_MAX = 150.0


@pytest.mark.slow
@pytest.mark.timeout(900 + 20 * len(OUTAGES) * OUTAGE_S)
def test_outages_cost_time_alone(tmp_path: Path) -> None:
    """Nothing is lost or paid twice, memory stays bounded, and all goes on by itself soon after the return."""
    calm = undisturbed(tmp_path / "undisturbed", SEED, len(OUTAGES), print, SAMPLE_MS)
    speed = LEG_MS / 1000 / (OUTAGE_S + 10)  # so that gateways sample for longer than an outage takes
    site = Installation(tmp_path / "disturbed", SEED, speed, is_real=True, sample_ms=SAMPLE_MS)
    outages = Outages(site, OUTAGES)
    found = Drill(site, outages, len(OUTAGES), print).run()
    for passed in outages.passed:
        growth = {name: round(mib) for name, mib in passed.growth.items()}
        print(f"{passed.outage}: all well after {passed.recovered_s:.0f} s; memory grew by {growth} MiB")
    assert not (said := differences(found, calm)), "\n".join(said)
    assert [passed.outage for passed in outages.passed] == list(OUTAGES)
    assert max(passed.recovered_s for passed in outages.passed) < BACK_S_MAX
    assert max(mib for passed in outages.passed for mib in passed.growth.values()) < GROWTH_MIB_MAX
