"""`lading ingest …`: run the stage, its embedded broker, look at dead letters, the archive and the state."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import structlog
import typer

from ingest import dead_cli, meters
from ingest.opening import load, open_intake, open_states
from ingest.settings import IngestSettings
from ingest.state import Place, State
from ingest.turn import Outcome
from lading import logs, topics
from lading.errors import ServiceError
from lading.gateways import GatewayFile
from lading.health import log_answers, watched
from lading.heart import TEND_S, Lookout, Probe
from lading.log import Log
from lading.opening import open_gateways, open_log
from lading.process import results, stop_on_signals
from lading.settings import Shared
from lading.terminal import CONFIG, AsJson, Config

app = typer.Typer(
    help="Stage 2: receive, check, log, archive; dead letters.", no_args_is_help=True, add_completion=False
)
app.add_typer(dead_cli.app, name="dead")

RETRY_S = 0.1
STEP_S = 1.0
WAIT_S = 0.2


@app.command()
def run(config: Config = CONFIG) -> None:
    """Take frames and orders from the broker, archive batches, until SIGTERM or an interrupt."""
    from ingest.lost_orders import LostOrders
    from ingest.receiver import Receiver
    from ingest.upkeep import Upkeep
    from lading.beside import Beside
    from lading.mqtt import broker_of

    logs.configure("ingest")
    shared, own = load(config)
    stop = stop_on_signals()
    log, gateways = open_log(shared), open_gateways(shared)
    is_apart = own.is_apart(shared.log)
    relay_log = open_log(shared) if is_apart else log  # a log's appends wait for one another
    intake = open_intake(log, relay_log, gateways, shared, own)
    receiver = Receiver(
        intake.taker,
        broker_of(shared, "ingest"),
        client_id=own.client_id,
        share=own.share,
        session_s=own.session_s,
        batch_messages_max=own.batch_messages_max,
        batch_wait_s=own.batch_wait_s,
        note=_log_outcomes,
        lost_orders=LostOrders(relay_log, gateways, time.monotonic),
    )
    upkeep = Upkeep(intake)
    archive_log = open_log(shared) if own.archive_here else log
    lookout_log = open_log(shared)
    lookout = Lookout(
        {"log": log_answers(lookout_log)},
        partial(meters.measure_archive, lookout_log) if own.archive_here else lambda: None,
    )
    beside = {"lookout": Beside("lookout", lookout.look, TEND_S)}
    if own.archive_here:  # else this process loads nothing of it
        beside["archive"] = Beside("archive", _archive_step(archive_log, gateways, shared, own), STEP_S)
    if is_apart:
        beside["receiving"] = Beside("receiving", lambda: receiver.step(WAIT_S))

    def step() -> None:
        if not is_apart:
            receiver.step(WAIT_S)
        elif admitted := intake.admit():
            _log_outcomes(admitted)
        else:
            intake.rest()

    def measure() -> None:
        meters.measure_intake(receiver, [ingest.state for ingest in intake.ingests()])

    probes: dict[str, Probe] = {
        "broker": lambda: "" if receiver.is_up else f"{shared.mqtt.host}:{shared.mqtt.port} is not connected",
        "upkeep": lambda: upkeep.failing,
        **lookout.probes(),
    }
    probes |= {name: partial(getattr, one, "failing") for name, one in beside.items()}
    with watched("ingest", shared, own, probes, measure, with_stages=("archive",)) as heart:
        receiver.start()
        for one in beside.values():
            one.start()
        structlog.get_logger().info("ingest_started")
        try:
            for _ in results(step, stop, RETRY_S, heart=heart, errors=ServiceError):
                upkeep.step(time.monotonic())
                for one in beside.values():
                    one.check()
        finally:
            for one in beside.values():
                one.stop()
            receiver.stop()
            intake.close()
            for opened in (lookout_log, archive_log, relay_log, log):
                opened.close()


@app.command()
def broker(
    config: Config = CONFIG,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; by default that of the settings.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
) -> None:
    """The embedded MQTT broker as a process of its own."""
    from ingest.broker import Broker

    logs.configure("broker")
    shared, own = load(config)
    stop = stop_on_signals()
    store = shared.lading.below(own.broker_store)
    server = Broker(host or shared.mqtt.host, shared.mqtt.port if port is None else port, store)
    server.start()
    structlog.get_logger().info("broker_started", host=server.host, port=server.port)
    stop.wait()
    server.stop()


@app.command()
def archive(config: Config = CONFIG) -> None:
    """Write the archive in a process of its own (then set `archive_here = false`)."""
    logs.configure("archive")
    shared, own = load(config)
    stop = stop_on_signals()
    log, gateways = open_log(shared), open_gateways(shared)
    step = _archive_step(log, gateways, shared, own)
    probes = {"log": log_answers(log)}
    with watched("archive", shared, own, probes, lambda: meters.measure_archive(log)) as heart:
        for written in results(step, stop, STEP_S, heart=heart, errors=ServiceError):
            if not written:
                stop.wait(STEP_S)
    log.close()


def _archive_step(log: Log, gateways: GatewayFile, shared: Shared, own: IngestSettings) -> Callable[[], int]:
    """Writes new batches; how many."""
    from ingest.archive import Archive

    writer = Archive(log, shared.lading.below(own.archive), gateways.tenant_of)

    def step() -> int:
        written = writer.step()
        for batch in written:
            meters.count_archived(batch)
            structlog.get_logger().info(
                "batch_archived", location=batch.location, frames=batch.frames, readings=batch.readings
            )
        return len(written)

    return step


@app.command()
def query(
    sql: Annotated[
        str, typer.Argument(help="SQL over the view `readings`; without it, what there is of each leg.")
    ] = "",
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Ask the archive."""
    from ingest.queries import Queries

    shared, own = load(config)
    queries = Queries(shared.lading.below(own.archive))
    if sql:
        names, rows = queries.sql(sql)
    else:
        found = queries.coverage()
        names, rows = list(found[0]._fields) if found else [], [tuple(one) for one in found]
    if as_json:
        typer.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=_as_text))
        return
    typer.echo("\t".join(names))
    for row in rows:
        typer.echo("\t".join("" if value is None else str(_shown(value)) for value in row))


@app.command()
def status(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Gateways, frames that wait, counters, and how far the archive is behind."""
    shared, own = load(config)
    log = open_log(shared)
    document = _status(log, open_states(log, shared, own), open_gateways(shared))
    if as_json:
        typer.echo(json.dumps(document))
        return
    for gateway in document["gateways"]:
        typer.echo(
            f"{gateway['name'] or gateway['gateway'][:16]:24} {gateway['frames']} frames, "
            f"newest {gateway['newest']}, {gateway['missing']} missing, {gateway['waiting']} waiting"
        )
    for code, count in document["counts"].items():
        typer.echo(f"{code:24} {count}")
    typer.echo(f"{'batches to archive':24} {document['batches_to_archive']}")


def _status(log: Log, states: list[State], gateways: GatewayFile) -> dict[str, Any]:
    return {
        "gateways": [
            {
                "gateway": gateway.hex(),
                "name": entry.name if (entry := gateways.find(gateway)) else "",
                "frames": frames,
                "newest": newest,
                "missing": missing,
                "waiting": state.waiting_count(gateway),
                "last_seen_ms": _last_seen_ms(log, state.place(gateway, newest)),
            }
            for state in states
            for gateway, frames, newest, missing in state.gateways()
        ],
        "counts": dict(sum((Counter(state.counts()) for state in states), Counter())),
        "batches_to_archive": meters.batches_behind(log),
    }


def _last_seen_ms(log: Log, place: Place | None) -> int | None:
    """When the log got a frame."""
    if place is None:
        return None
    found = log.read(topics.FRAMES, {**log.end(topics.FRAMES), place.partition: place.offset}, 1)
    return next((one.time_ms for one in found if one.offset == place.offset), None)


def _log_outcomes(outcomes: Sequence[Outcome]) -> None:
    counts = meters.count_outcomes(outcomes)
    structlog.get_logger().info("batch_taken", messages=len(outcomes), **counts)


def _shown(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _as_text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
