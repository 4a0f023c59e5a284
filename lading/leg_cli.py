"""Ordering legs: `lading leg begin`, `lading leg end`, `lading leg list`."""

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lading import profiles
from lading.assignment import BEGIN, END, Assignment
from lading.errors import ServiceError
from lading.export import meant
from lading.gateways import GatewayEntry
from lading.log import wall_ms
from lading.names import LEG_SALT_BYTES, tenant_id
from lading.opening import open_gateways
from lading.orders import WAIT_S, issue, logged_orders, take_number
from lading.settings import Shared, load_shared
from lading.terminal import CONFIG, AsJson, Config, shown_time
from lading.verify_cli import printable

app = typer.Typer(help="Order gateways to begin and end legs.", no_args_is_help=True, add_completion=False)

SHOWN_MAX = 8

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
    """Sign and publish the order to begin a leg; prints the leg's id. A leg that the gateway has open ends with it."""
    shared = load_shared(config)
    entry = _entry(shared, gateway)
    channels = shared.lading.channels.get(gateway)
    if not channels:
        raise ServiceError(
            "settings", f'lading.channels.{gateway}: no parts of its channels, wanted 1 = "air", …'
        )
    limits = _profile(profile).limits(channels)
    now_ms = wall_ms()
    begin_ms, due_ms = now_ms if begin_at is None else utc_ms(begin_at), 0 if due is None else utc_ms(due)
    if due is not None and due_ms <= begin_ms:
        raise ServiceError("leg", f"due {shown_time(due_ms)}, wanted later than {shown_time(begin_ms)}")
    order = Assignment(
        BEGIN,
        tenant_id(shared.lading.tenant),
        entry.public.gateway_id,
        take_number(shared, entry.public.gateway_id),
        secrets.token_bytes(LEG_SALT_BYTES),
        reference,
        now_ms,
        begin_ms,
        due_ms,
        limits,
    )
    for open_leg in open_legs(logged_orders(shared)):
        if open_leg.gateway == order.gateway:
            about = f"{open_leg.leg_id.hex()[:16]}… ({printable(open_leg.reference)})"
            typer.echo(f"{gateway} ends leg {about}, which is open, as it begins this one", err=True)
    _give(shared, wait_s, order)


@app.command()
def end(
    leg: Annotated[str, typer.Argument(help="Reference, leg id, or the unique beginning of one.")],
    wait_s: WaitS = WAIT_S,
    config: Config = CONFIG,
) -> None:
    """Sign and publish the order to end a leg: its gateway signs the closing frame."""
    shared = load_shared(config)
    begun = to_end(logged_orders(shared), leg)
    now_ms = wall_ms()
    seq = take_number(shared, begun.gateway)
    _give(
        shared,
        wait_s,
        Assignment(
            END,
            begun.tenant,
            begun.gateway,
            seq,
            begun.salt,
            begun.reference,
            now_ms,
            begun.begin_ms,
            begun.due_ms,
            None,
        ),
    )


@app.command("list")
def list_legs(
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Every leg that was begun: open, its end ordered, or ended as its gateway was to begin the next."""
    shared = load_shared(config)
    orders = logged_orders(shared)
    ended = {order.leg_id for order in orders if order.action == END}
    open_ids = {order.leg_id for order in open_legs(orders)}
    names = {entry.public.gateway_id: entry.name for entry in open_gateways(shared).all()}
    rows = [
        {
            "leg": order.leg_id.hex(),
            "reference": order.reference,
            "gateway": names.get(order.gateway, order.gateway.hex()),
            "begin_ms": order.begin_ms,
            "due_ms": order.due_ms or None,
            "end_ordered": order.leg_id in ended,
            "open": order.leg_id in open_ids,
        }
        for order in orders
        if order.action == BEGIN
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        state = "end ordered" if row["end_ordered"] else "open" if row["open"] else "next begun"
        typer.echo(
            f"{str(row['leg'])[:16]}  {row['gateway']:16} {state:12} {printable(str(row['reference']))}"
        )


def open_legs(orders: Sequence[Assignment]) -> list[Assignment]:
    """Each gateway's newest begin, unless its end was ordered: with the next begin a gateway closes what is open."""
    ended = {order.leg_id for order in orders if order.action == END}
    newest: dict[bytes, Assignment] = {}
    for order in sorted(orders, key=lambda order: order.order_seq):
        if order.action == BEGIN:
            newest[order.gateway] = order
    return [order for order in newest.values() if order.leg_id not in ended]


def to_end(orders: Sequence[Assignment], text: str) -> Assignment:
    """The begin order of the leg to end: one that is open, or else the newest, whose end order may have been lost.

    ServiceError `leg_unknown` where none or several are meant: one shipment may be on two trucks.
    """
    named = meant([order for order in orders if order.action == BEGIN], text)
    if not named:
        raise ServiceError("leg_unknown", f"the log holds no begin order of {text!r}: see `lading leg list`")
    found = [order for order in open_legs(orders) if order in named]
    if len(found) > 1:
        shown = ", ".join(order.leg_id.hex()[:16] for order in found[:SHOWN_MAX])
        raise ServiceError("leg_unknown", f"{text!r} means {shown}, wanted one leg: say its id")
    return found[0] if found else max(named, key=lambda order: order.issued_ms)


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
