"""What `lading init` writes is what every stage takes."""

from pathlib import Path

import pytest

from anchoring.settings import AnchoringSettings
from anomaly.settings import AnomalySettings
from contracts.settings import SettleSettings
from dashboards.settings import DashboardsSettings
from edge.settings import EdgeSettings
from ingest.settings import IngestSettings
from lading.errors import ServiceError
from lading.initial import init
from lading.settings import load, load_shared

MODELS = {
    "edge": EdgeSettings,
    "ingest": IngestSettings,
    "anomaly": AnomalySettings,
    "anchoring": AnchoringSettings,
    "settle": SettleSettings,
    "dashboards": DashboardsSettings,
}


@pytest.mark.parametrize("services", [False, True], ids=["embedded", "services"])
@pytest.mark.parametrize("metrics_port", [0, 9461])
def test_settings_are_taken(tmp_path: Path, services: bool, metrics_port: int) -> None:
    """Each table by its model; the ports differ; a second run changes nothing."""
    config = tmp_path / "lading.toml"
    init(config, "acme", 1883, 8545, metrics_port, services)
    shared = load_shared(config, {})
    own = [load(config, name, model, {}) for name, model in MODELS.items()]
    ports = [one.metrics_port for one in own if one.metrics_port]
    assert len(set(ports)) == len(ports) == ((6 if services else 5) if metrics_port else 0)
    assert (shared.log.kind, "broker" in shared.lading.up) == (
        ("kafka", False) if services else ("sqlite", True)
    )
    assert shared.log.kind == "sqlite" or shared.log.replicas >= 3 or shared.log.fsync
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    init(config, "acme", 1883, 8545, metrics_port, services)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_part_that_is_none_is_told(tmp_path: Path) -> None:
    """`up` names parts; another word is refused with those that there are."""
    config = tmp_path / "lading.toml"
    config.write_text('[lading]\nup = ["kafka"]\n')
    with pytest.raises(ServiceError, match=r"lading\.up\.0.*'broker'"):
        load_shared(config, {})
