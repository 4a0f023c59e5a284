"""The amount that the chain pays is the amount that Python says is due."""

from pathlib import Path

from tests.amounts import settle_many
from tests.settling import World


def test_chain_pays_what_is_due(tmp_path: Path) -> None:
    """Legs with totals anywhere in their range and thresholds next to the figures: the same penalty."""
    found = settle_many(World(tmp_path), seed=1, legs=6)
    assert len(found) == 6
    assert [paid for _, _, paid in found] == [due for _, due, _ in found]
    assert {due == 0 for _, due, _ in found} == {True, False}
