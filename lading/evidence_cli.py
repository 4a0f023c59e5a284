"""`lading evidence`: export the evidence of a leg from the log."""

from pathlib import Path
from typing import Annotated

import typer

from lading.assignment import BEGIN
from lading.cose import PublicKey
from lading.errors import ServiceError
from lading.export import Order, export_leg, find_leg, orders
from lading.log import Log, wall_ms
from lading.opening import open_gateways, open_log, open_operator_public
from lading.settings import Shared, load_shared
from lading.terminal import CONFIG, to_stdout
from lading.whole import write_whole

app = typer.Typer(add_completion=False, no_args_is_help=True)

STDOUT = Path("-")
Config = Annotated[Path, typer.Option("--config", "-c", help="Settings file.")]


@app.callback()
def evidence() -> None:
    """Evidence files: what an outsider checks with `lading verify`."""


@app.command()
def export(
    leg: Annotated[str, typer.Argument(help="Reference, leg id, or the unique beginning of one.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Evidence file to write; - for stdout.", allow_dash=True)
    ],
    gateway: Annotated[
        str | None, typer.Option(help="The gateway's id in hex, where the leg was begun at several.")
    ] = None,
    config: Config = CONFIG,
) -> None:
    """Write the evidence of LEG, as far as its frames are anchored."""
    shared = load_shared(config)
    log, operator = _open(shared)
    gateways = open_gateways(shared)
    leg_id = find_leg(_begun(log, operator), leg)
    gateway_id = None if gateway is None else _gateway_id(gateway)
    data = export_leg(log, gateways, operator, leg_id, wall_ms(), gateway_id)
    if output == STDOUT:
        to_stdout(data)
        return
    write_whole(output, data)
    typer.echo(f"{output}: {len(data)} bytes, leg {leg_id.hex()}; check with: lading verify {output}")


@app.command("list")
def list_legs(config: Config = CONFIG) -> None:
    """The legs that the operator began: id, gateway, reference."""
    log, operator = _open(load_shared(config))
    for order in {(o.assignment.leg_id, o.assignment.gateway): o for o in _begun(log, operator)}.values():
        begin = order.assignment
        typer.echo(f"{begin.leg_id.hex()}  {begin.gateway.hex()[:16]}  {begin.reference}")


def _open(shared: Shared) -> tuple[Log, PublicKey]:
    path = shared.lading.below(shared.log.path)
    if shared.log.kind == "sqlite" and not path.exists():
        raise ServiceError("log", f"no log at {path}")
    return open_log(shared), open_operator_public(shared)


def _gateway_id(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as exc:
        raise ServiceError("gateway_unknown", f"{text!r}, wanted a gateway id in hex") from exc


def _begun(log: Log, operator: PublicKey) -> list[Order]:
    return [order for order in orders(log, operator) if order.assignment.action == BEGIN]
