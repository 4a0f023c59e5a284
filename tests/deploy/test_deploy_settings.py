"""Promise: deploy/lading.toml is what every process of docker-compose.yml takes, and each may write where it is to."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from anchoring.settings import AnchoringSettings
from anomaly.settings import AnomalySettings
from contracts.settings import SettleSettings
from edge.settings import EdgeSettings
from ingest.settings import IngestSettings
from lading.settings import Settings, load, load_shared
from tests.deploy import compose

FILE = compose.ROOT / "deploy/lading.toml"
MODELS: dict[str, type[Settings]] = {
    "edge": EdgeSettings,
    "ingest": IngestSettings,
    "anomaly": AnomalySettings,
    "anchoring": AnchoringSettings,
    "settle": SettleSettings,
}
# What each stage writes, by its settings.
WRITTEN = {
    "edge": {"edge": ["folder"]},
    "ingest": {"ingest": ["state", "archive"]},
    "anomaly": {"anomaly": ["state"]},
    "anchoring": {"anchoring": ["outbox", "index"]},
    "settle": {"settle": ["outbox", "ledger"]},
}


@pytest.mark.parametrize("table", MODELS)
def test_a_stage_takes_its_settings(table: str) -> None:
    """Every key is known and within its bounds, and the table is there."""
    assert table in tomllib.loads(FILE.read_text())
    load(FILE, table, MODELS[table], {})


def test_hosts_are_services() -> None:
    """What the settings call by name is a service of the project, on a network that the caller is on."""
    shared = load_shared(FILE, {})
    assert shared.mqtt.host in compose.services()
    assert shared.chain.rpc.split("//")[1].split(":")[0] in compose.services()
    for name in ("edge", "ingest"):
        networks = compose.services()[name]["networks"]
        assert set(networks) & set(compose.services()[shared.mqtt.host]["networks"])


@pytest.mark.parametrize("service", WRITTEN)
def test_a_stage_may_write_what_it_keeps(service: str) -> None:
    """Each path of its table lies on a volume mounted for writing; the image makes its folder with the owner."""
    volumes = compose.mounts(compose.services()[service], "volume")
    places = [Path(one["target"]) for one in volumes if not one.get("read_only")]
    dockerfile = (compose.ROOT / "Dockerfile").read_text()
    for place in places:
        assert place.name in dockerfile.split("for part in ")[1].split(";")[0].split()
    data = load_shared(FILE, {}).lading.data
    for table, keys in WRITTEN[service].items():
        own = load(FILE, table, MODELS[table], {})
        for key in keys:
            path = data / getattr(own, key)
            assert any(path.is_relative_to(place) for place in places), (service, key, path)


def test_init_makes_every_key_that_a_stage_wants(tmp_path: Path) -> None:
    """`lading init` over these settings: keys in the folders of who uses them, gateways and public key for all."""
    environment = os.environ | {"LADING_LADING_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "lading.cli", "init", "--config", str(FILE)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    made = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    names = [gateway.name for gateway in load(FILE, "edge", EdgeSettings, {}).gateways]
    private = {"operator/operator.pem", *(f"edge/keys/{name}.pem" for name in names)}
    assert set(made) == private | {"shared/gateways.json", "shared/operator.pub.pem"}
    assert {made[name].stat().st_mode & 0o777 for name in private} == {0o600}
    before = {name: path.read_bytes() for name, path in made.items()}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    assert {name: path.read_bytes() for name, path in made.items()} == before
