"""Promise: what the Dockerfile does to install Lading gives, from the image's own context, one that runs closed.

No engine is here: the steps run on this machine, and a namespace stands for the container.
"""

import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.deploy import compose

DOCKERFILE = compose.ROOT / "Dockerfile"
SANDBOX = compose.ROOT / "tests/deploy/sandbox.sh"
BUILDERS = ("pip", "setuptools", "hatchling")
WARM_AGAIN = """
cp -R "$LADING_PREFIX/numba" /tmp/numba
cd /tmp/numba && find . -type f | sort | xargs sha256sum >/tmp/before
"$LADING_PREFIX/bin/python" -m demo.warm
find . -type f | sort | xargs sha256sum >/tmp/after
wc -l </tmp/before && cmp /tmp/before /tmp/after
"""


def _context() -> list[str]:
    """The committed files that .dockerignore leaves in the image's context: its rules in order, the last one wins."""
    rules = [
        line for line in (compose.ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"
    ]
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=compose.ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in tracked.stdout.splitlines() if _is_taken(name, rules)]


def _is_taken(name: str, rules: list[str]) -> bool:
    taken = True
    for rule in rules:
        pattern = rule.removeprefix("!").rstrip("/")
        if any(fnmatch(part, pattern) for part in _above(name)) and "/" not in _star(pattern, name):
            taken = rule.startswith("!")
    return taken


def _above(name: str) -> list[str]:
    """A file's path and the folders above it: a rule for a folder holds for what is in it."""
    return [name, *(str(folder) for folder in Path(name).parents if str(folder) != ".")]


def _star(pattern: str, name: str) -> str:
    """What a single star in a file pattern stands for: it never spans folders."""
    if "*" not in pattern or pattern in ("*",) or pattern.startswith("**"):
        return ""
    return name.removeprefix(pattern.split("*")[0])


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix, as the Dockerfile's install stage leaves it."""
    folder = tmp_path_factory.mktemp("install")
    context, prefix = folder / "src", folder / "lading"
    for name in _context():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_bytes((compose.ROOT / name).read_bytes())
        (context / name).chmod((compose.ROOT / name).stat().st_mode & 0o777)
    python = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
    environment = {"PATH": os.environ["PATH"], "PYTHON": python, "TMPDIR": str(folder)}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    done = subprocess.run(
        ["deploy/install.sh", prefix],
        cwd=context,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return prefix


def _closed(prefix: Path, *command: str) -> str:
    """A command's stdout in the sandbox."""
    if os.geteuid() != 0:
        pytest.skip("only root makes the namespaces that stand for a container")
    arguments = [SANDBOX, prefix, sys.base_prefix, *command]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile's form."""
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_pinned_small_and_of_nobody() -> None:
    """Both stages from one exact tag; nothing of the builder but the prefix; user and health check; OCI labels."""
    text = DOCKERFILE.read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm", bases[0])
    assert re.findall(r"^COPY --from=install (\S+)", text, re.MULTILINE) == ["/opt/lading"]
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] == compose.APP_USER
    assert re.search(r"^HEALTHCHECK", text, re.MULTILINE)
    assert "org.opencontainers.image.revision" in text
    assert "deploy/install.sh /opt/lading" in re.findall(r"^RUN (.*)$", text, re.MULTILINE)


def test_the_context_is_what_is_installed() -> None:
    """Sources and locks; no tests, no secrets, no contract sources, nothing of git."""
    names = _context()
    assert {"requirements.lock", "deploy/install.sh", "deploy/build.lock", "lading/cli.py"} <= set(names)
    assert "contracts/cli.py" in names
    assert "contracts/artifacts/AnchorRegistry.json" in names
    assert not [name for name in names if re.match(r"tests/|docs/|deploy/secrets|\.git|contracts/src", name)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_it_runs_where_nothing_may_be_written(installed: Path) -> None:
    """As a user of no one, without capabilities, on a read-only file system: the entry point finds its command."""
    entrypoint = (compose.ROOT / "deploy/entrypoint.sh").read_text()
    assert "lading, version" in _closed(installed, "sh", "-c", entrypoint, "lading", "--version")
    for stage in ("edge", "ingest", "anomaly", "anchoring", "settle"):
        assert "run" in _closed(installed, "sh", "-c", entrypoint, "lading", stage, "--help")
    refused = _closed(
        installed, "sh", "-c", 'for x in "$LADING_PREFIX" /etc /var; do ! touch $x/new; done; id -u'
    )
    assert refused.strip() == "10001"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kernels_are_taken_and_not_compiled_again(installed: Path) -> None:
    """A copy of what the image holds is enough for a run of the whole path: not one file is new or other."""
    count = int(_closed(installed, "sh", "-ec", WARM_AGAIN).split()[-1])
    assert count > 20


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_times_survive_a_layer(installed: Path) -> None:
    """Layers keep whole seconds: a fraction would make bytecode and kernels strangers to their sources."""
    odd = [path for path in (installed / "lib").rglob("*.py") if path.stat().st_mtime_ns % 10**9]
    assert not odd


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_builder_is_left(installed: Path) -> None:
    """No installer, no build tools, nothing that others may write."""
    packages = {path.name for path in installed.glob("lib/python*/site-packages/*")}
    assert not packages & set(BUILDERS)
    assert list(installed.glob("lib/python*/site-packages/lading/__pycache__/cli.*.pyc"))
    assert not [
        path for path in installed.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022
    ]
