"""Ordering legs: `lading leg begin`, `lading leg end`, `lading leg list`."""

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lading import profiles
from lading.assignment import BEGIN, END, Assignment
from lading.errors import ServiceError
from lading.gateways import GatewayEntry
from lading.log import wall_ms
from lading.names import LEG_SALT_BYTES, tenant_id
from lading.opening import open_gateways
from lading.orders import WAIT_S, issue, logged_orders, take_number
from lading.settings import Shared, load_shared
from lading.terminal import CONFIG, AsJson, Config

app = typer.Typer(help="Order gateways to begin and end legs.", no_args_is_help=True, add_completion=False)

Reference = Annotated[
    str, typer.Argument(help="What the shipment is called; only its salted hash leaves the company.")
]
WaitS = Annotated[
    float, typer.Option(help="How long to wait until the log has the order; 0: only for the broker.", min=0)
]


@app.command()
def begin(
    reference: Reference,
    gateway: Annotated[str, typer.Argument(help="The gateway's name.")],
    profile: Annotated[str, typer.Option(help="A product profile's name, or a toml file.")] = "vaccine-2-8",
    begin_at: Annotated[
        datetime | None,
        typer.Option("--begin", help="When the leg is planned to begin, UTC; now where left out."),
    ] = None,
    due: Annotated[datetime | None, typer.Option(help="When the leg should be closed, UTC.")] = None,
    wait_s: WaitS = WAIT_S,
    config: Config = CONFIG,
) -> None:
    """Sign and publish the order to begin a leg; prints the leg's id."""
    shared = load_shared(config)
    entry = _entry(shared, gateway)
    channels = shared.lading.channels.get(gateway)
    if not channels:
        raise ServiceError(
            "settings", f'lading.channels.{gateway}: no parts of its channels, wanted 1 = "air", …'
        )
    limits = _profile(profile).limits(channels)
    now_ms = wall_ms()
    due_ms = 0 if due is None else utc_ms(due)
    _give(
        shared,
        wait_s,
        Assignment(
            BEGIN,
            tenant_id(shared.lading.tenant),
            entry.public.gateway_id,
            take_number(shared, entry.public.gateway_id),
            secrets.token_bytes(LEG_SALT_BYTES),
            reference,
            now_ms,
            now_ms if begin_at is None else utc_ms(begin_at),
            due_ms,
            limits,
        ),
    )


@app.command()
def end(reference: Reference, wait_s: WaitS = WAIT_S, config: Config = CONFIG) -> None:
    """Sign and publish the order to end a leg: its gateway signs the closing frame."""
    shared = load_shared(config)
    begun = [
        order for order in logged_orders(shared) if order.action == BEGIN and order.reference == reference
    ]
    if not begun:
        raise ServiceError("leg_unknown", f"the log holds no begin order of {reference!r}")
    leg = max(begun, key=lambda order: order.issued_ms)
    now_ms = wall_ms()
    seq = take_number(shared, leg.gateway)
    _give(
        shared,
        wait_s,
        Assignment(
            END, leg.tenant, leg.gateway, seq, leg.salt, reference, now_ms, leg.begin_ms, leg.due_ms, None
        ),
    )


@app.command("list")
def list_legs(
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Every leg that was begun, and whether its end was ordered."""
    shared = load_shared(config)
    orders = logged_orders(shared)
    ended = {order.leg_id for order in orders if order.action == END}
    names = {entry.public.gateway_id: entry.name for entry in open_gateways(shared).all()}
    rows = [
        {
            "leg": order.leg_id.hex(),
            "reference": order.reference,
            "gateway": names.get(order.gateway, order.gateway.hex()),
            "begin_ms": order.begin_ms,
            "due_ms": order.due_ms or None,
            "end_ordered": order.leg_id in ended,
        }
        for order in orders
        if order.action == BEGIN
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        ordered = "end ordered" if row["end_ordered"] else "open"
        typer.echo(f"{str(row['leg'])[:16]}  {row['gateway']:16} {ordered:12} {row['reference']}")


def utc_ms(time_utc: datetime) -> int:
    """Of a time as it was typed: without a zone, and UTC wherever the operator sits."""
    return int(time_utc.replace(tzinfo=UTC).timestamp() * 1000)


def _profile(name: str) -> profiles.Profile:
    return profiles.load_file(Path(name)) if name.endswith(".toml") else profiles.load(name)


def _entry(shared: Shared, name: str) -> GatewayEntry:
    found = [entry for entry in open_gateways(shared).all() if entry.name == name]
    if len(found) != 1:
        known = ", ".join(sorted(entry.name for entry in open_gateways(shared).all()))
        raise ServiceError(
            "gateway_unknown", f"{len(found)} gateways are called {name!r}, wanted one of {known}"
        )
    return found[0]


def _give(shared: Shared, wait_s: float, order: Assignment) -> None:
    """The leg's id comes first, so that it is known also where the log does not have the order in time."""
    typer.echo(order.leg_id.hex())
    issue(shared, order, wait_s)
