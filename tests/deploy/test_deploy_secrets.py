"""Promise: deploy/secrets.sh makes every secret of docker-compose.yml, once, for its owner and the containers alone."""

import shutil
import subprocess
from pathlib import Path

from tests.deploy import compose


def _run(folder: Path) -> None:
    subprocess.run([folder / "secrets.sh"], check=True, capture_output=True, timeout=60)


def test_every_secret_is_made_once(tmp_path: Path) -> None:
    """Long, random and different; a second run leaves them; an interrupted one leaves no half."""
    shutil.copy(compose.ROOT / "deploy/secrets.sh", tmp_path)
    _run(tmp_path)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == set(compose.project()["secrets"])
    assert all(len(bytes.fromhex(text)) == 32 for text in made.values())
    assert len(set(made.values())) == len(made)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o444}
    _run(tmp_path)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made


def test_git_does_not_take_them() -> None:
    """The folder is ignored, and stays out of the image's context."""
    ignored = subprocess.run(
        ["git", "check-ignore", "--quiet", "deploy/secrets/influxdb_admin"], cwd=compose.ROOT, check=False
    )
    assert ignored.returncode == 0
    rules = (compose.ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    assert not [rule for rule in rules if rule.startswith("!") and "secrets" in rule]
