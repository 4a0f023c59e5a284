"""Promise: the table of attacks names tests that are there, and every defence that the mutation run takes out."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "contracts" / "tools"))

from mutants import HERE, Defence, file_of, read_defences, without  # noqa: E402

PAGE = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
SECTION = PAGE.partition("\n## Attacks on the money\n")[2].partition("\n## ")[0]
ROWS = [line for line in SECTION.splitlines() if line.startswith("| ")]
DEFENCES = read_defences()


def test_tests_named_are_there() -> None:
    """Each `Contract.test` of the section is declared in contracts/test."""
    named = set(re.findall(r"`(\w+Test\.\w+)`", SECTION))
    assert len(named) > 60
    for test in sorted(named):
        file_of(test)


def test_defences_named_are_listed() -> None:
    """Each name of a defence in the section is one of contracts/tools/defences.toml."""
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", SECTION))
    assert named == {defence.name for defence in DEFENCES}


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.name)
def test_a_defences_row_names_its_test(defence: Defence) -> None:
    """A row names the defence with a test that fails without it; its statement is in the contract, once."""
    rows = [row for row in ROWS if f"`{defence.name}`" in row]
    assert any(f"`{test}`" in row for row in rows for test in defence.tests)
    without((HERE / "src" / defence.source).read_text("utf-8"), defence)
