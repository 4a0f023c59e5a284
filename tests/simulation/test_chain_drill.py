"""The chain drill, as CI runs it. LADING_TEST_REORGS and LADING_TEST_SEED make it longer, or the same again."""

import os
from pathlib import Path

import pytest

from tests.simulation.chain_drill import drill
from tests.simulation.chain_stories import PLOTS

REORGS = int(os.environ.get("LADING_TEST_REORGS", "12"))
SEED = int(os.environ.get("LADING_TEST_SEED", "1"))


@pytest.mark.slow
@pytest.mark.timeout(300 + 20 * REORGS)
def test_a_bad_chain_pays_as_the_readings_make_due(tmp_path: Path) -> None:
    """Each agreement paid once and right, each interval anchored once, whatever chain, node and keys go through."""
    report = drill(tmp_path, SEED, REORGS)
    print(report)
    assert report.done["reorg"] == REORGS
    assert report.done["kill"] > 0
    assert report.done["race"] > 0
    assert sum(report.found.payments.values()) == report.agreements >= len(PLOTS)
