"""Runs a target in a process of its own: libFuzzer ends the process it is in."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
START_S_MAX = 120
INPUT_S_MAX = 10
MEMORY_MB_MAX = 2_048
INPUT_BYTES_MAX = 16_384
OUTPUT_CHARS_MAX = 4_000


class Outcome(NamedTuple):
    """`runs` is how many inputs were tried."""

    ok: bool
    runs: int
    output: str


def fuzz(name: str, seconds: int, keep: Path) -> Outcome:
    """Fuzz one target from its seeds; a crashing input is written to `keep`."""
    keep = keep.absolute()
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(TARGETS[name].seeds()):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        options = [
            f"-max_total_time={seconds}", f"-timeout={INPUT_S_MAX}", f"-rss_limit_mb={MEMORY_MB_MAX}",
            f"-max_len={INPUT_BYTES_MAX}", f"-artifact_prefix={keep}/{name}-", "-print_final_stats=1", "-verbosity=0",
        ]  # fmt: skip
        keep.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.fuzz.child", name, folder, *options]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + START_S_MAX, check=False
        )
    if not any(keep.iterdir()):
        keep.rmdir()
    output = done.stdout + done.stderr
    runs = re.search(r"number_of_executed_units:\s+(\d+)", output)
    return Outcome(done.returncode == 0, int(runs[1]) if runs else 0, output[-OUTPUT_CHARS_MAX:])
