"""`lading up`: what the settings name, as processes of this machine under one command."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from lading.errors import ServiceError
from lading.settings import EMBEDDED, PARTS, Shared, load_shared
from lading.supervise import Part, Supervisor, lading_command
from lading.terminal import CONFIG, Config

app = typer.Typer(add_completion=False)


@app.command()
def up(
    config: Config = CONFIG,
    window_s: Annotated[
        int,
        typer.Option(
            help="Seconds in which an anchor may be contested; for contracts not yet deployed.", min=1
        ),
    ] = 60,
) -> None:
    """Run what `up` of the settings names until an interrupt; what dies is started again.

    By default these are an embedded broker, a local chain and every stage.
    """
    shared = load_shared(config)
    show = shower(Console(stderr=True, highlight=False, soft_wrap=True))
    given = ("--config", str(config))
    supervisor = Supervisor(show)
    try:
        for part in _parts(shared, given):
            supervisor.start(part)
            if part.name == "chain":
                _deploy(given, window_s)
        show("up", "everything runs; end with an interrupt. Begin a leg: lading leg begin REFERENCE truck-1")
        supervisor.watch()
    except BaseException:
        supervisor.stop()
        raise


def _parts(shared: Shared, given: tuple[str, str]) -> list[Part]:
    """In the order of PARTS: what is embedded comes before the stages, which want it."""
    chain_port = int(shared.chain.rpc.rsplit(":", 1)[-1].strip("/")) if "chain" in shared.lading.up else 0
    embedded = {
        "broker": Part("broker", lading_command("ingest", "broker", *given), shared.mqtt.port),
        "chain": Part(
            "chain", lading_command("anchoring", "chain", *given, "--port", str(chain_port)), chain_port
        ),
    }
    return [
        embedded[name] if name in EMBEDDED else Part(name, lading_command(name, "run", *given))
        for name in PARTS
        if name in shared.lading.up
    ]


_COLOURS = ("white", "white", "green", "cyan", "magenta", "blue", "yellow", "green")


def shower(console: Console) -> Callable[[str, str], None]:
    """Shows a part's lines. They may hold what strangers sent: text, never markup.

    Where nobody reads them any more (`| head`), they go nowhere: a part that could not write its lines would stand.
    """
    colours = dict(zip(PARTS, _COLOURS, strict=True))

    def show(name: str, line: str) -> None:
        with suppress(OSError, SystemExit):  # rich ends a program whose pipe is closed, once
            console.print(Text.assemble((f"{name:>10}", colours.get(name, "white")), " ", line))

    return show


def _deploy(given: tuple[str, str], window_s: int) -> None:
    """Contracts on the chain, and new gateways registered."""
    command = lading_command("anchoring", "deploy", *given, "--window-s", str(window_s))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError("deploy", done.stderr.strip()[-2000:] or f"ended with {done.returncode}")
