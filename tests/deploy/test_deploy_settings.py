"""Promise: deploy/lading.toml is what every process of docker-compose.yml takes, and each may write where it is to."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from anchoring.settings import AnchoringSettings
from anomaly.settings import AnomalySettings
from contracts.settings import SettleSettings
from dashboards.settings import DashboardsSettings
from edge.settings import EdgeSettings
from ingest.settings import IngestSettings
from lading.settings import Settings, StageSettings, load, load_shared
from tests.deploy import compose

FILE = compose.ROOT / "deploy/lading.toml"
MODELS: dict[str, type[Settings]] = {
    "edge": EdgeSettings,
    "ingest": IngestSettings,
    "anomaly": AnomalySettings,
    "anchoring": AnchoringSettings,
    "settle": SettleSettings,
    "dashboards": DashboardsSettings,
}
# What each service writes, by its stage's table.
WRITTEN = {
    "edge": {"edge": ["folder"]},
    "ingest": {"ingest": ["state"]},
    "archive": {"ingest": ["archive"]},
    "anomaly": {"anomaly": ["state"]},
    "anchoring": {"anchoring": ["outbox", "index"]},
    "settle": {"settle": ["outbox", "ledger"]},
    "series": {"dashboards": ["state"]},
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
    own = load(FILE, "dashboards", DashboardsSettings, {})
    assert _meet("edge", shared.mqtt.host)
    assert _meet("ingest", shared.mqtt.host)
    assert _meet("anchoring", _host(shared.chain.rpc))
    assert _meet("settle", _host(shared.chain.rpc))
    assert _meet("series", _host(own.url))
    for name in ("init", "ingest", "archive", "anomaly", "anchoring", "settle", "series"):
        assert _meet(name, shared.log.bootstrap.split(":")[0])


def test_one_broker_writes_to_disk_before_it_acknowledges() -> None:
    """What Kafka has acknowledged is gone from its gateway: where no other broker has it too, memory is not enough."""
    log = load_shared(FILE, {}).log
    assert log.replicas >= 3 or log.fsync


def _host(url: str) -> str:
    return str(urlsplit(url).hostname)


def _meet(one: str, other: str) -> bool:
    """Whether two services are on one network."""
    found = compose.services()
    return bool(set(found[one]["networks"]) & set(found[other]["networks"]))


@pytest.mark.parametrize("name", WRITTEN)
def test_health_is_asked_where_it_is_served(name: str) -> None:
    """The stage's port is the one that its container's health check and the scraper ask; it serves to others too."""
    table = next(iter(WRITTEN[name]))
    own = load(FILE, table, MODELS[table], compose.services()[name]["environment"])
    assert isinstance(own, StageSettings)
    ready = urlsplit(compose.services()[name]["environment"]["LADING_READY"])
    assert (ready.hostname, ready.port, ready.path) == ("127.0.0.1", own.metrics_port, "/readyz")
    assert own.metrics_host == "0.0.0.0"
    scraped = urlsplit(load(FILE, "dashboards", DashboardsSettings, {}).scrape[name])
    assert (scraped.hostname, scraped.port, scraped.path) == (name, own.metrics_port, "/metrics")
    assert _meet("series", name)


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
