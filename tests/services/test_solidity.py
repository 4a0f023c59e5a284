"""The contracts' own tests, by forge: named reverts, attacks, invariants, gas as committed, the shared vectors."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST_S_MAX = 900
"""Compiled by WebAssembly on two slow cores that others use."""


def make(*arguments: str) -> None:
    """`make -C contracts …` passes; without npm or make it is skipped, and fails where CI=true."""
    missing = [tool for tool in ("make", "npm") if shutil.which(tool) is None]
    if missing:
        reason = f"{', '.join(missing)} not installed: the contracts cannot be tested"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run(
        ["make", "-C", "contracts", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TEST_S_MAX,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]


@pytest.mark.slow
@pytest.mark.timeout(TEST_S_MAX + 60)
def test_contracts() -> None:
    """`make -C contracts test` passes."""
    make("test")


@pytest.mark.slow
@pytest.mark.timeout(TEST_S_MAX + 60)
def test_defences_taken_out() -> None:
    """A test fails for each defence of the short set that is taken out; `make -C contracts mutants` tries them all."""
    make("mutants", f"PYTHON={sys.executable}", "ARGS=--quick")
