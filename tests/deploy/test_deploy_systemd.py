"""Promise: the systemd unit is one that systemd reads whole, and that lets a stage do little.

It is never started: there is no systemd here that would.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy import compose

UNIT = compose.ROOT / "deploy/systemd/lading@.service"
EXPOSURE_MAX = 2.0  # of 10
PROGRAM = "/opt/lading/bin/lading-stage"


def _settings() -> dict[str, str]:
    lines = (line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def test_the_stage_is_closed_in_and_comes_back() -> None:
    """No root, no capabilities, no writing but its own; started again for ever; the program is what is installed."""
    found = _settings()
    assert found["User"] == "lading"
    assert found["CapabilityBoundingSet"] == ""
    assert (found["NoNewPrivileges"], found["ProtectSystem"], found["Restart"]) == ("yes", "strict", "always")
    assert found["StartLimitIntervalSec"] == "0"
    assert found["ExecStart"].startswith(f"{PROGRAM} %i run ")
    assert '"$prefix/bin/lading-stage"' in (compose.ROOT / "deploy/install.sh").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_reads_it_and_calls_it_closed(tmp_path: Path) -> None:
    """Not one setting is unknown, and the exposure that systemd counts is small."""
    unit = tmp_path / "lading@ingest.service"
    here = re.sub(r"^(User|Group)=lading\n", "", UNIT.read_text(), flags=re.MULTILINE)  # no such user here
    unit.write_text(here.replace(PROGRAM, "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    root = tmp_path / "root/etc/systemd/system"
    root.mkdir(parents=True)
    shutil.copy(UNIT, root / unit.name)
    command = [
        "systemd-analyze",
        f"--root={tmp_path}/root",
        "security",
        "--offline=yes",
        "--no-pager",
        unit.name,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= EXPOSURE_MAX
