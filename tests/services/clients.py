"""Public client libraries that the tests' own environment cannot hold, run as processes of their own."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "real" / "clients"
LIMIT_S = 60.0


def client_folder(name: str) -> Path:
    """Where tests/services/real/install.sh has put it; without it the test is skipped, and fails in CI."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lading" / "servers"
    key = hashlib.sha256((HERE / f"{name}.txt").read_bytes()).hexdigest()[:16]
    tag = f"py{sys.version_info[0]}{sys.version_info[1]}"
    folder = Path(os.environ.get("LADING_SERVERS", cache)) / f"clients-{name}-{tag}-{key}"
    if not (folder / ".complete").exists():
        reason = f"{name} is not there: tests/services/real/install.sh"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


class PublicClient:
    """The script NAME.py beside the library's pins. It answers each line of JSON with one line of JSON."""

    def __init__(self, name: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-c",
                _START,
                str(client_folder(name)),
                str(HERE / f"{name}.py"),
                *map(str, arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str = "", **more: Any) -> Any:
        """Its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the client ended with {self._process.wait(LIMIT_S)}"
        return json.loads(line)

    def kill(self) -> None:
        """SIGKILL: the broker publishes its will."""
        self._process.kill()
        self._process.communicate(timeout=LIMIT_S)


# Isolated from this environment: only the library's folder and the standard library.
_START = """
import runpy, sys
sys.path[:] = [sys.argv[1], *(p for p in sys.path if "site-packages" not in p)]
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
