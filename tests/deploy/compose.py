"""docker-compose.yml as Docker Compose itself reads it, without an engine."""

import json
import os
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
PINS = ROOT / "tests/services/real/compose"
APP_USER = "10001:10001"
ONE_SHOTS = ("keys", "init", "contracts", "lading")


def servers() -> Path:
    """The cache of tests/services/real/install.sh."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("LADING_SERVERS") or caches / "lading/servers")


def compose_program() -> Path:
    """The binary that tests/services/real/install.sh builds; without it the test is skipped, and fails in CI."""
    pins = sha256((PINS / "go.mod").read_bytes() + (PINS / "go.sum").read_bytes()).hexdigest()[:16]
    path = servers() / f"compose-{pins}" / "docker-compose"
    if not path.exists():
        reason = f"{path} is missing: make servers"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def config(file: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """`docker compose config` over a file that stands in the repository's folder, every profile on."""
    command = [str(compose_program()), "--project-directory", str(ROOT), "--file", str(file)]
    command += ["--env-file", os.devnull, "--profile", "*", "config", *options]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@cache
def project() -> dict[str, Any]:
    """The whole project, with everything filled in that Compose fills in."""
    done = config(FILE, "--format", "json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def services() -> dict[str, dict[str, Any]]:
    """Every service by name."""
    found: dict[str, dict[str, Any]] = project()["services"]
    return found


def stages() -> dict[str, dict[str, Any]]:
    """The services that run a stage and answer for its health."""
    return {
        name: one
        for name, one in services().items()
        if one["image"].startswith("lading:") and name not in ONE_SHOTS
    }


def mounts(service: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """A service's mounts of one kind: bind or volume."""
    return [one for one in service.get("volumes", []) if one["type"] == kind]
