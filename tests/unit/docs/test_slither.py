"""Promise: each answer to slither is about something in the contracts, and none is given twice or left over unseen."""

import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "contracts" / "tools"))

from mutants import file_of  # noqa: E402
from slither import ANSWERS, Finding, differences, read_answers, read_findings  # noqa: E402

PAGE = ANSWERS.read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
ANSWERED = read_answers(PAGE)
SOURCES = "\n".join(path.read_text("utf-8") for path in (ROOT / "contracts" / "src").rglob("*.sol"))
FAILING = """{"success": true, "results": {"detectors": [{
"check": "timestamp",
"description": "Vault.pay uses timestamp\\n",
"elements": [{"name": "pay", "type_specific_fields": {"parent": {"name": "Vault"}}}]
}]}}"""


def test_every_row_is_read() -> None:
    """Each row has its four columns, and a place and detector one row."""
    assert len(ANSWERED) == len(ROWS) > 30


def test_places_are_in_the_contracts() -> None:
    """Contract, function and parameter of each row are named in contracts/src."""
    for finding in ANSWERED:
        contract, *names = finding.place.split(".")
        assert re.search(rf"\b(?:contract|library|interface) {contract}\b", SOURCES), finding
        assert all(re.search(rf"\b{name}\b", SOURCES) for name in names), finding


def test_tests_named_are_there() -> None:
    """Each `Contract.test` of an answer is declared in contracts/test."""
    named = set(re.findall(r"`(\w+Test\.\w+)`", PAGE))
    assert named
    for test in sorted(named):
        assert f"function {test.split('.')[1]}(" in file_of(test).read_text("utf-8")


def test_findings_and_answers_must_be_the_same() -> None:
    """A finding without answer is told in slither's words, an answer without finding by its name; a match is silent."""
    found = read_findings(FAILING)
    answer = Finding("timestamp", "Vault.pay")
    assert differences(found, Counter()) == [
        "timestamp of Vault.pay: 1 found, 0 answered\nVault.pay uses timestamp\n"
    ]
    assert differences({}, Counter([answer])) == ["timestamp of Vault.pay: 0 found, 1 answered\n"]
    assert differences(found, Counter([answer])) == []
