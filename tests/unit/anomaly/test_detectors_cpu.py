"""A score is evidence: every machine must compute the same bits, whatever vectors and fused operations it has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.anomaly.detector_digests import digests

CPUINFO = Path("/proc/cpuinfo")
TARGETS = {"skylake-avx512": "avx512f", "haswell": "avx2", "x86-64": "sse2"}
"""By LLVM's name of a CPU: the flag that a machine must have to run what is compiled for it."""
COMPILE_S_MAX = 500


def flags() -> set[str]:
    """What this machine's processor can do."""
    text = CPUINFO.read_text() if CPUINFO.exists() else ""
    return set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("cpu", TARGETS)
def test_the_same_bits_on_every_cpu(cpu: str) -> None:
    """Compiled for AVX-512, AVX2 with FMA, and SSE2, each kernel gives what it gives compiled for this machine."""
    if TARGETS[cpu] not in flags():
        pytest.skip(f"this processor has no {TARGETS[cpu]}")
    environment = {**os.environ, "NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, "-m", "tests.unit.anomaly.detector_digests"]
    shown = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=COMPILE_S_MAX
    )
    found = json.loads(shown.stdout)
    assert found["cpu"] == cpu
    assert found["digests"] == digests()
