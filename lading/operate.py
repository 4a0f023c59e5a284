"""Running Lading on one machine: `lading init`, `lading up`."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from lading.cose import KeySigner, save_public
from lading.errors import ServiceError
from lading.gateways import GatewayEntry, save_gateways
from lading.names import tenant_id
from lading.settings import load, load_shared
from lading.supervise import Part, Supervisor, lading_command
from lading.terminal import CONFIG, Config

init_app = typer.Typer(add_completion=False)
up_app = typer.Typer(add_completion=False)

STAGES = ("edge", "ingest", "anomaly", "anchoring", "settle")
METRICS_PORT = 9461

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

[mqtt]
port = {mqtt_port}

[chain]
rpc = "http://127.0.0.1:{chain_port}"

[ingest]{ingest_port}

[anomaly]{anomaly_port}

[anchoring]{anchoring_port}
interval_s = 60

[settle]{settle_port}

# Simulated gateways, a reading of every sensor each second; docs/gateway.md has real ones.
[edge]{edge_port}
flush_s = 10

[edge.link]
protocol = "3.1.1"  # what the embedded broker speaks; "auto" tries MQTT 5 first
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


@init_app.command()
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
) -> None:
    """Write settings, keys and the list of gateways for one machine. What is there already stays."""
    tenant_id(tenant)
    names = {"truck-1": "reefer", "truck-2": "reefer", "cold-room": "cold-room"}
    if config.exists():
        typer.echo(f"{config} is there already: left as it is")
    else:
        config.parent.mkdir(parents=True, exist_ok=True)
        ports = {f"{stage}_port": _metrics(metrics_port, at) for at, stage in enumerate(STAGES)}
        text = _HEAD.format(tenant=tenant, mqtt_port=mqtt_port, chain_port=chain_port, **ports)
        config.write_text(text + "".join(_gateway(name, source) for name, source in names.items()), "utf-8")
        typer.echo(f"{config} written")
    shared = load_shared(config).lading
    operator = _ensure_key(shared.below(shared.operator_key))
    if shared.operator_public is not None:
        save_public(operator.public, shared.below(shared.operator_public))
    enrolled = shared.below(shared.gateways)
    if not enrolled.exists():
        found = load(config, "edge", _Edge).gateways
        keys = {one.name: _ensure_key(shared.below(one.key_path)) for one in found}
        entries = [GatewayEntry(key.public, shared.tenant, name=name) for name, key in keys.items()]
        save_gateways(enrolled, entries)
    typer.echo(f"keys and gateways are in {shared.data}; next: lading up")


def _metrics(first: int, at: int) -> str:
    return f"\nmetrics_port = {first + at}" if first else ""


def _gateway(name: str, source: str) -> str:
    numbers = _ROOM_CHANNELS if source == "cold-room" else tuple(_CHANNELS)
    channels = "\n".join(f'{number} = "{_CHANNELS[number]}"' for number in numbers)
    return _GATEWAY.format(name=name, source=source, channels=channels)


def _ensure_key(path: Path) -> KeySigner:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        KeySigner.generate().save(path)
    return KeySigner.load(path)


@up_app.command()
def up(
    config: Config = CONFIG,
    window_s: Annotated[
        int,
        typer.Option(
            help="Seconds in which an anchor may be contested; for contracts not yet deployed.", min=1
        ),
    ] = 60,
) -> None:
    """Run broker, local chain and every stage until an interrupt; what dies is started again."""
    shared = load_shared(config)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    show = shower(console)
    given = ("--config", str(config))
    chain_port = int(shared.chain.rpc.rsplit(":", 1)[-1].strip("/"))
    supervisor = Supervisor(show)
    try:
        supervisor.start(Part("broker", lading_command("ingest", "broker", *given), shared.mqtt.port))
        chain = lading_command("anchoring", "chain", *given, "--port", str(chain_port))
        supervisor.start(Part("chain", chain, chain_port))
        _deploy(given, window_s)
        for stage in STAGES:
            supervisor.start(Part(stage, lading_command(stage, "run", *given)))
    except BaseException:
        supervisor.stop()
        raise
    show("up", "everything runs; end with an interrupt. Begin a leg: lading leg begin REFERENCE truck-1")
    supervisor.watch()


_COLOURS = ("green", "cyan", "magenta", "blue", "yellow", "white", "white")


def shower(console: Console) -> Callable[[str, str], None]:
    """Shows a part's lines. They may hold what strangers sent: text, never markup."""
    colours = dict(zip((*STAGES, "broker", "chain"), _COLOURS, strict=True))

    def show(name: str, line: str) -> None:
        console.print(Text.assemble((f"{name:>9}", colours.get(name, "white")), " ", line))

    return show


def _deploy(given: tuple[str, str], window_s: int) -> None:
    """Contracts on the chain, and new gateways registered."""
    command = lading_command("anchoring", "deploy", *given, "--window-s", str(window_s))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError("deploy", done.stderr.strip()[-2000:] or f"ended with {done.returncode}")
