"""The operator's orders: `lading leg begin`, `lading leg end`, `lading leg list`."""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import paho.mqtt.client as paho
import typer
from paho.mqtt.enums import CallbackAPIVersion

from lading import profiles
from lading.assignment import BEGIN, END, Assignment, open_assignment, sign_assignment
from lading.errors import LadingError, ServiceError
from lading.export import records
from lading.gateways import GatewayEntry
from lading.log import wall_ms
from lading.mqtt import broker_of, secure
from lading.names import LEG_SALT_BYTES, tenant_id
from lading.opening import open_gateways, open_log, open_operator, open_operator_public
from lading.settings import Shared, load_shared
from lading.terminal import CONFIG, AsJson, Config
from lading.topics import ASSIGNMENTS, gateway_topic

app = typer.Typer(help="Order gateways to begin and end legs.", no_args_is_help=True)

PUBLISH_LIMIT_S = 20.0
LOCK_LIMIT_S = 30.0
Reference = Annotated[
    str, typer.Argument(help="What the shipment is called; only its salted hash leaves the company.")
]


@app.command()
def begin(
    reference: Reference,
    gateway: Annotated[str, typer.Argument(help="The gateway's name.")],
    profile: Annotated[str, typer.Option(help="A product profile's name, or a toml file.")] = "vaccine-2-8",
    due: Annotated[datetime | None, typer.Option(help="When the leg should be closed, UTC.")] = None,
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
    _issue(
        shared,
        Assignment(
            BEGIN,
            tenant_id(shared.lading.tenant),
            entry.public.gateway_id,
            _take_number(shared, entry.public.gateway_id),
            secrets.token_bytes(LEG_SALT_BYTES),
            reference,
            now_ms,
            now_ms,
            due_ms,
            limits,
        ),
    )


@app.command()
def end(reference: Reference, config: Config = CONFIG) -> None:
    """Sign and publish the order to end a leg: its gateway signs the closing frame."""
    shared = load_shared(config)
    begun = [order for order in _orders(shared) if order.action == BEGIN and order.reference == reference]
    if not begun:
        raise ServiceError("leg_unknown", f"the log holds no begin order of {reference!r}")
    leg = max(begun, key=lambda order: order.issued_ms)
    now_ms = wall_ms()
    seq = _take_number(shared, leg.gateway)
    _issue(
        shared,
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
    orders = _orders(shared)
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


def _orders(shared: Shared) -> list[Assignment]:
    """The operator's orders in the log; those of other operators are not its own."""
    operator = open_operator_public(shared)
    log = open_log(shared)
    found = []
    for record in records(log, ASSIGNMENTS):
        try:
            found.append(open_assignment(record.value, operator))
        except LadingError:
            continue
    log.close()
    return found


def _take_number(shared: Shared, gateway: bytes) -> int:
    """One more than the newest order's, whether the log has it yet or not; remembered before it is used.

    A number may stay unused, but never names two orders: one process at a time, durable on return.
    """
    logged = max((order.order_seq for order in _orders(shared) if order.gateway == gateway), default=0)
    path = shared.lading.beside_operator(Path("orders.json"))
    with _only_one(path.with_name(path.name + ".lock")):
        issued: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        number = max(logged, issued.get(gateway.hex(), 0)) + 1
        draft = path.with_name(path.name + ".new")
        with draft.open("w") as file:
            file.write(json.dumps(issued | {gateway.hex(): number}))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return number


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Others wait, for a bounded time; the lock ends with its process, however that ends."""
    with path.open("w") as lock:
        end_s = time.monotonic() + LOCK_LIMIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as exc:
                if time.monotonic() > end_s:
                    raise ServiceError("orders_locked", f"{path}: held for {LOCK_LIMIT_S:.0f} s") from exc
                time.sleep(0.02)
        yield


def _issue(shared: Shared, order: Assignment) -> None:
    signer = open_operator(shared)
    _publish(
        shared,
        gateway_topic(shared.lading.tenant, order.gateway, "assignment"),
        sign_assignment(order, signer),
    )
    typer.echo(order.leg_id.hex())


def _publish(shared: Shared, topic: str, message: bytes) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    broker = broker_of(shared, "operator")
    secure(client, broker)
    try:
        client.connect(broker.host, broker.port)
    except OSError as exc:
        raise ServiceError("broker", f"{shared.mqtt.host}:{shared.mqtt.port}: {exc}") from exc
    client.loop_start()
    sent = client.publish(topic, message, qos=1, retain=True)
    sent.wait_for_publish(PUBLISH_LIMIT_S)
    client.disconnect()
    client.loop_stop()
    if not sent.is_published():
        raise ServiceError("broker", f"no PUBACK for {topic} within {PUBLISH_LIMIT_S:.0f} s")
