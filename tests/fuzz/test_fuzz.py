"""Each decoder under a coverage-guided fuzzer for a bounded time: no crash, no second encoding.

LADING_FUZZ_S is the time for each target in seconds; `python -m tests.fuzz --seconds N` goes on for longer.
"""

import importlib.util
import os
from pathlib import Path

import pytest

from tests.fuzz.running import fuzz
from tests.fuzz.targets import TARGETS

SECONDS = int(os.environ.get("LADING_FUZZ_S", "3"))
RUNS_MIN = 20


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_taken(name: str) -> None:
    """Every vector through its target, without a fuzzer."""
    seeds = list(TARGETS[name].seeds())
    assert seeds
    for seed in seeds:
        TARGETS[name].check(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("atheris is not installed")
        pytest.skip("atheris is not installed")
    outcome = fuzz(name, SECONDS, tmp_path)
    assert outcome.ok, outcome.output
    assert outcome.runs > RUNS_MIN
