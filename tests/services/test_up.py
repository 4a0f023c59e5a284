"""Promise: a user with one machine and the commands of the README gets from a leg's begin to a checked settlement."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port, free_ports

LIMIT_S = 240.0
WINDOW_S = 5
TERMS = f"""
bond = 2000000
deadline_s = 86400
window_s = {2 * WINDOW_S}
[[tier]]
channel = 1
metric = "above_ms"
threshold = 1800000
amount = 100000
"""


class Machine:
    """A folder with its settings, on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = [free_port(), free_port()]
        self.metrics_port = free_ports(5)
        self.environment = os.environ | {"LADING_ANCHORING_INTERVAL_S": "2", "LADING_EDGE_FLUSH_S": "2"}

    def lading(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "lading.cli", *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def readiness(self, stage: int) -> int:
        """What /readyz of the stage says; 0 while nothing listens."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.metrics_port + stage}/readyz", timeout=5
            ) as got:
                return int(got.status)
        except urllib.error.HTTPError as exc:
            return exc.code
        except OSError:
            return 0

    def json(self, *arguments: str) -> Any:
        return json.loads(self.lading(*arguments, "--json"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """`lading init`, then `lading up` until the test ends."""
    one = Machine(tmp_path)
    mqtt, chain = map(str, one.ports)
    more = ("--metrics-port", str(one.metrics_port))
    one.lading("init", "--mqtt-port", mqtt, "--chain-port", chain, *more)
    with (tmp_path / "up.log").open("wb") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "lading.cli", "up", "--window-s", str(WINDOW_S)],
            cwd=tmp_path,
            env=one.environment,
            stdout=log,
            stderr=log,
        )
        try:
            yield one
            assert up.poll() is None, "`lading up` ended by itself"
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(LIMIT_S)


def _until(what: str, found: Callable[[], Any]) -> Any:
    deadline_s = time.monotonic() + LIMIT_S
    while not (answer := found()):
        assert time.monotonic() < deadline_s, f"{what}: not within {LIMIT_S:.0f} s"
        time.sleep(0.5)
    return answer


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_a_legs_begin_to_a_checked_settlement(machine: Machine) -> None:
    """Begin, agree, end; the clean leg's bond is released; the exported evidence passes against the chain."""
    log = machine.folder / "up.log"
    _until("everything runs", lambda: b"everything runs" in log.read_bytes())
    _until("every stage is ready", lambda: set(map(machine.readiness, range(5))) == {200})
    leg = machine.lading("leg", "begin", "PO 77", "truck-1", "--wait-s", "240").strip()
    _until("order in the log", lambda: machine.json("leg", "list"))
    (machine.folder / "terms.toml").write_text(TERMS)
    machine.lading("settle", "agree", "PO 77", "terms.toml", "--test-tokens")

    def frames() -> int:
        return sum(one["frames"] for one in machine.json("ingest", "status")["gateways"])

    before = frames()
    _until("more frames", lambda: frames() > before + 3)
    machine.lading("leg", "end", "PO 77", "--wait-s", "240")
    agreements = _until(
        "settlement", lambda: [a for a in machine.json("settle", "status")["agreements"] if "kind" in a]
    )
    assert [(a["leg"], a["kind"], a["amount"]) for a in agreements] == [(leg, "release", 2_000_000)]
    status = machine.json("status")
    assert status["anchoring"]["intervals"]["finalized"] >= 1
    assert not [answer for answer in status.values() if "error" in answer]
    machine.lading("evidence", "export", "PO 77", "-o", "po77.evidence")
    deployment = json.loads((machine.folder / "lading-data" / "deployment.json").read_text())
    checks = machine.json(
        "verify",
        "po77.evidence",
        "--rpc",
        f"http://127.0.0.1:{machine.ports[1]}",
        "--registry",
        deployment["anchors"],
        "--gateways",
        deployment["gateways"],
    )
    statuses = {check["name"]: check["status"] for check in checks["checks"]}
    assert {statuses[name] for name in ("signature", "totals", "inclusion", "anchor", "settlement")} == {
        "PASS"
    }
    assert "FAIL" not in statuses.values()
