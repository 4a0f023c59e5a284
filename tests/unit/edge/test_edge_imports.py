"""Promise: a gateway stays small. Starting the stage loads none of the heavy libraries."""

import subprocess
import sys
from pathlib import Path

HEAVY = ("numpy", "numba", "torch", "web3", "pyarrow", "duckdb", "amqtt")


def test_the_stage_starts_without_heavy_libraries() -> None:
    """Neither directly nor by way of the shared language."""
    code = f"import edge.cli, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    root = Path(__file__).parents[3]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
