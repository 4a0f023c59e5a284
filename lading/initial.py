"""`lading init`: settings, keys and the list of gateways of a new installation, on embedded parts or on services."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from lading.cose import KeySigner, save_public
from lading.gateways import GatewayEntry, save_gateways
from lading.names import tenant_id
from lading.settings import PROCESSES, LadingSettings, load, load_shared
from lading.terminal import CONFIG, Config
from lading.whole import write_whole

app = typer.Typer(add_completion=False)

METRICS_PORT = 9461

_FLEET = {"truck-1": "reefer", "truck-2": "reefer", "cold-room": "cold-room"}
_CHANNELS = {
    1: "air",
    2: "temperature",
    3: "humidity",
    4: "door",
    5: "light",
    6: "shock",
    7: "latitude",
    8: "longitude",
    9: "battery",
}
_ROOM_CHANNELS = (1, 2, 3, 4, 5, 9)
_HEAD = """\
# Lading's settings: one table a stage. What is left out has its default; `lading STAGE run --help` and docs say more.
# An environment variable overrides a key: LADING_MQTT_PORT=1884.

[lading]
tenant = "{tenant}"
data = "lading-data"  # everything that stages keep: keys, outboxes, log, archive
{services}
[chain]
rpc = "http://127.0.0.1:{chain_port}"

[ingest]{ingest_port}

[anomaly]{anomaly_port}

[anchoring]{anchoring_port}
interval_s = 60

[settle]{settle_port}
{series}
# Simulated gateways, a reading of every sensor each second; docs/gateway.md has real ones.
[edge]{edge_port}
flush_s = 10
{link}"""
_EMBEDDED = """
[mqtt]
port = {mqtt_port}
"""
_LINK = """
[edge.link]
protocol = "3.1.1"  # what the embedded broker speaks; "auto" tries MQTT 5 first
"""
_SERVICES = """\
# Broker, log and chain are services: `lading up` runs the stages alone. Not all need to be on this machine.
up = ["edge", "ingest", "anomaly", "anchoring", "settle", "dashboards"]

[mqtt]
host = "127.0.0.1"
port = {mqtt_port}
# ca = "certs/ca.crt"  # `lading certs` makes a trial authority; {{name}} is who speaks: ingest, truck-1, …
# certificate = "certs/{{name}}.crt"
# key = "certs/{{name}}.key"

[log]
kind = "kafka"
bootstrap = "127.0.0.1:9092"  # by commas, where there are more brokers
partitions = 4  # as many processes can share a stage's work; fixed at first use
replicas = 1  # brokers that keep a topic; 3 outlive one
fsync = true  # one broker alone: on disk before it is acknowledged; false with three
create_topics = false  # `lading log init` makes them
"""
_SERIES = """
[dashboards]{dashboards_port}
url = "http://127.0.0.1:8086"  # InfluxDB; `lading dashboards init` makes bucket and tokens

[dashboards.scrape]
{scrape}
"""
_GATEWAY = """
[[edge.gateways]]
name = "{name}"
source = "{source}"
sample_s = 1

[lading.channels.{name}]
{channels}
"""


class _Gateway(BaseModel):
    """What `init` wants of a gateway's settings; the stage checks the rest."""

    name: str
    key: Path | None = None

    @property
    def key_path(self) -> Path:
        return self.key or Path("keys") / f"{self.name}.pem"


class _Edge(BaseModel):
    gateways: tuple[_Gateway, ...] = ()


@app.command()
def init(
    config: Config = CONFIG,
    tenant: Annotated[str, typer.Option(help="Your name here: a-z, 0-9 and -.")] = "demo",
    mqtt_port: Annotated[int, typer.Option(help="The broker's port.", min=1, max=65535)] = 1883,
    chain_port: Annotated[int, typer.Option(help="The local chain's port.", min=1, max=65535)] = 8545,
    metrics_port: Annotated[
        int,
        typer.Option(
            help="First of the ports on which stages show metrics and health; 0: none.", min=0, max=65_000
        ),
    ] = METRICS_PORT,
    services: Annotated[
        bool,
        typer.Option("--services", help="For Mosquitto, Kafka, InfluxDB and a chain that run by themselves."),
    ] = False,
) -> None:
    """Write settings, keys and the list of gateways for one machine. What is there already stays."""
    tenant_id(tenant)
    if config.exists():
        typer.echo(f"{config} is there already: left as it is")
    else:
        config.parent.mkdir(parents=True, exist_ok=True)
        text = _settings(tenant, mqtt_port, chain_port, metrics_port, has_services=services)
        write_whole(config, text.encode())
        typer.echo(f"{config} written")
    shared = load_shared(config)
    _make_keys(config, shared.lading)
    own = (
        ""
        if "chain" in shared.lading.up
        else "lading log init, lading dashboards init, lading anchoring deploy, "
    )
    typer.echo(f"keys and gateways are in {shared.lading.data}; next: {own}lading up")


def _settings(tenant: str, mqtt_port: int, chain_port: int, metrics_port: int, *, has_services: bool) -> str:
    """The text of lading.toml."""
    ports = {stage: metrics_port + at for at, stage in enumerate(PROCESSES)} if metrics_port else {}
    lines = {f"{stage}_port": _metrics(ports, stage) for stage in PROCESSES}
    scrape = "\n".join(f'{stage} = "http://127.0.0.1:{port}/metrics"' for stage, port in ports.items())
    text = _HEAD.format(
        tenant=tenant,
        chain_port=chain_port,
        services=(_SERVICES if has_services else _EMBEDDED).format(mqtt_port=mqtt_port),
        series=_SERIES.format(scrape=scrape, **lines) if has_services else "",
        link="" if has_services else _LINK,
        **lines,
    )
    return text + "".join(_gateway(name, source) for name, source in _FLEET.items())


def _make_keys(config: Path, shared: LadingSettings) -> None:
    """The operator's key, the gateways' and their list, where they are missing."""
    operator = _ensure_key(shared.below(shared.operator_key))
    if shared.operator_public is not None:
        save_public(operator.public, shared.below(shared.operator_public))
    enrolled = shared.below(shared.gateways)
    if enrolled.exists():
        return
    found = load(config, "edge", _Edge).gateways
    keys = {one.name: _ensure_key(shared.below(one.key_path)) for one in found}
    save_gateways(
        enrolled, [GatewayEntry(key.public, shared.tenant, name=name) for name, key in keys.items()]
    )


def _metrics(ports: Mapping[str, int], stage: str) -> str:
    return f"\nmetrics_port = {ports[stage]}" if stage in ports else ""


def _gateway(name: str, source: str) -> str:
    numbers = _ROOM_CHANNELS if source == "cold-room" else tuple(_CHANNELS)
    channels = "\n".join(f'{number} = "{_CHANNELS[number]}"' for number in numbers)
    return _GATEWAY.format(name=name, source=source, channels=channels)


def _ensure_key(path: Path) -> KeySigner:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        KeySigner.generate().save(path)
    return KeySigner.load(path)
