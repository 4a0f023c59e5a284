"""The crash drill, as CI runs it. LADING_TEST_KILLS and LADING_TEST_SEED make it longer, or the same again."""

import os
from pathlib import Path

import pytest

from tests.simulation.drill import drill
from tests.simulation.kills import plan_kills
from tests.simulation.services import STAGES

KILLS = int(os.environ.get("LADING_TEST_KILLS", "50"))
SEED = int(os.environ.get("LADING_TEST_SEED", "1"))


def test_a_seed_says_who_is_killed_when() -> None:
    """Every stage has its share of the kills, some of them while it starts; one seed is one plan."""
    plan = plan_kills(7, 52, STAGES)
    assert {stage: len(kills) for stage, kills in plan.items()} == dict(
        zip(STAGES, (11, 11, 10, 10, 10), strict=True)
    )
    assert any(kill.is_early for kills in plan.values() for kill in kills)
    assert plan_kills(7, 52, STAGES) == plan
    assert plan_kills(8, 52, STAGES) != plan


@pytest.mark.slow
@pytest.mark.timeout(600 + 20 * KILLS)
def test_killed_stages_end_as_if_undisturbed(tmp_path: Path) -> None:
    """Each reading once in the archive, each final verdict the same bytes, each payment once, however often killed."""
    print(f"seed {SEED}, {KILLS} kills")
    report = drill(tmp_path, SEED, KILLS)
    assert not report.differences, f"seed {SEED}: " + "\n".join(report.differences)
    assert sum(report.killed.values()) == KILLS
    is_penalty = {
        name.split("-")[0]: payment.penalty > 0 for name, payment in report.outcome.payments.items()
    }
    assert is_penalty == {"warm": True, "cool": False, "away": False}
