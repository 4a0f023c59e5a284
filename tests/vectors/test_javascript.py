"""JavaScript with WebCrypto agrees with the same frozen vectors, as a browser would."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.vectors.read import vectors

NODE_MAJOR_MIN = 20
SCRIPT = Path(__file__).parent / "js" / "run.mjs"
SECTIONS = {
    "tree": ("roots", "inclusion"),
    "signature": ("cases",),
    "frame": ("readings", "records", "headers", "frames"),
    "totals": ("weights", "folds", "refused", "layouts"),
    "batch": ("leaves", "super_roots"),
    "anomaly": ("digests",),
}
WEIGHT_TABLE = 1


def node() -> str:
    """Path of node; without it a failure in CI, else a skip."""
    found = shutil.which("node")
    version = (
        subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if found
        else ""
    )
    if found and int(version.removeprefix("v").split(".")[0]) >= NODE_MAJOR_MIN:
        return found
    reason = f"node {NODE_MAJOR_MIN} or newer is wanted, found {version.strip() or 'none'}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def test_javascript_meets_every_vector() -> None:
    done = subprocess.run([node(), str(SCRIPT)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    closing = re.fullmatch(r"(\d+) passed, 0 failed", done.stdout.strip().splitlines()[-1])
    assert closing is not None
    wanted = sum(len(vectors(file)[section]) for file, sections in SECTIONS.items() for section in sections)
    assert int(closing[1]) == wanted + WEIGHT_TABLE
