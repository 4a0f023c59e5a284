"""Promise: what README and docs name is there: commands, options, links, make targets, tests, spec pages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lading.cli import COMMANDS

ROOT = Path(__file__).parents[3]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SHORT_STAGES = ("edge", "ingest", "anomaly", "anchoring", "settle")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page is a file of this repository."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_exist(page: Path) -> None:
    """Every `lading X` in a page is a command."""
    named = set(re.findall(r"`(?:\.venv/bin/)?lading ([a-z]+)", page.read_text("utf-8")))
    assert named <= set(COMMANDS) | {"STAGE"}


def test_the_readmes_make_targets_are_there() -> None:
    """`make demo` and `make test` are targets."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make ([a-z]+)$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_readmes_options_are_in_the_help() -> None:
    """Options that the README names for the demo are in its help."""
    shown = subprocess.run(
        [sys.executable, "-m", "lading.cli", "demo", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin", "COLUMNS": "200", "TERM": "dumb"},
    ).stdout
    assert all(option in shown for option in ("--seed", "--json", "--out", "--replay", "--map"))


def test_the_threat_models_tests_exist() -> None:
    """Each claim names a test that is there."""
    text = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    named = re.findall(r"`((?:tests|contracts)/[^`]*)`", text)
    assert named
    assert not [name for name in named if not list(ROOT.glob(name))]


def test_no_page_names_a_machine() -> None:
    """Pages hold for every machine: no home folder or scratch path of one."""
    pattern = re.compile(r"(?:^|[\s(`'\"])/(?:work|root|home|tmp)/")
    assert not [page_id(page) for page in PAGES if pattern.search(page.read_text("utf-8"))]
