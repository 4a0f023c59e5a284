"""Promise: the one-shot `keys` gives each service what it needs and no other's, once, and mends what is missing."""

from pathlib import Path

import pytest

from tests.deploy import compose
from tests.deploy.engine import Engine

STAGES = ("ingest", "anchoring", "series")
GATEWAYS = ("truck-1", "truck-2", "cold-room")


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_service_gets_its_own_keys_once(tmp_path: Path) -> None:
    """The authority's key stays apart; private keys are for one user alone; a second run changes nothing."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    engine = Engine(tmp_path, tmp_path, {})
    engine.run("keys")
    made = {name: _files(engine.volume(name)) for name in compose.project()["volumes"]}
    for stage in STAGES:
        assert set(made[stage]) == {f"certs/{stage}.crt", f"certs/{stage}.key"}
    keys = {f"keys/{name}.pem" for name in GATEWAYS}
    assert set(made["edge"]) == keys | {f"certs/{name}.{end}" for name in GATEWAYS for end in ("crt", "key")}
    assert set(made["shared"]) == {"gateways.json", "operator.pub.pem", "ca.crt"}
    assert "ca.key" in made["certs"]
    assert "ca.key" not in {Path(path).name for name in made if name != "certs" for path in made[name]}
    private = [path for path in (tmp_path / "volumes").rglob("*") if path.suffix in (".key", ".pem")]
    open_ones = {path.name for path in private if path.stat().st_mode & 0o077}
    assert open_ones == {
        "server.key",
        "health.key",
        "operator.pub.pem",
    }  # the broker's group, and a public one
    assert {path.stat().st_mode & 0o007 for path in private if path.suffix == ".key"} == {0}

    (engine.volume("ingest") / "certs/ingest.key").unlink()
    engine.run("keys")
    assert {name: _files(engine.volume(name)) for name in compose.project()["volumes"]} == made
