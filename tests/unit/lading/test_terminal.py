"""The commands' streams as shells hand them over: full, closed, cut off, or of another encoding. Never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from lading.cli import COMMANDS, cli
from tests.unit.lading.evidence_world import evidence_of, make_world


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "Łęg €.evidence"
    path.write_bytes(evidence_of(make_world()).encode())
    return path


def shell(line: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`line` in bash, where `lading` is this installation's."""
    lading = f"lading() {{ '{sys.executable}' -m lading.cli \"$@\"; }}; {line}"
    known = {**os.environ, **environment}
    return subprocess.run(
        ["bash", "-c", lading], capture_output=True, text=True, check=False, env=known, timeout=60
    )


def test_a_full_disk_is_no_failed_evidence(good: Path) -> None:
    """Exit 1 says that evidence failed: where the answer cannot be written it is 2, with the reason."""
    done = shell(f"lading verify '{good}' >/dev/full")
    assert (done.returncode, done.stderr) == (2, "lading: file: No space left on device\n")


def test_who_reads_only_the_beginning_gets_the_evidences_code(good: Path) -> None:
    """`| head -1` closes the pipe; good evidence stays good."""
    done = shell(f"set -o pipefail; lading verify '{good}' --json | true")
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_standard_input_is_said() -> None:
    """As a daemon may start us."""
    done = shell("lading verify - <&-")
    assert (done.returncode, done.stderr) == (2, "lading: file: standard input is closed\n")


def test_another_encoding_loses_nothing(good: Path) -> None:
    """What a terminal cannot show is escaped as JSON has it, in help, lines and documents."""
    for command in (f"verify '{good}'", f"verify '{good}' --json", "verify --help"):
        done = shell(f"lading {command}", PYTHONIOENCODING="latin-1", COLUMNS="40")
        assert (done.returncode, done.stderr) == (0, ""), command
    shown = shell(f"lading verify '{good}' --json", PYTHONIOENCODING="latin-1").stdout
    assert "\\u0141" in shown
    assert json.loads(shown)["file"] == str(good)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_offers_a_completion_that_does_not_work(name: str) -> None:
    """Typer's own options for it complete a program, and a command of ours is none."""
    group = get_command(cli)
    assert isinstance(group, TyperGroup)
    command = group.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert not [one.name for one in command.params if "completion" in str(one.name)]
