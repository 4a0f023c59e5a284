"""`lading ingest …`: run the stage, its embedded broker, look at dead letters, the archive and the state."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from ingest import meters
from ingest.letters import Numbered, find_letter, letters
from ingest.settings import IngestSettings
from ingest.stage import Ingest
from ingest.state import Place, State
from ingest.turn import Outcome
from lading import logs, metrics, settings, topics
from lading.errors import ServiceError
from lading.gateways import GatewayFile
from lading.health import log_answers, watched
from lading.log import Log
from lading.opening import open_gateways, open_log, operator_keys
from lading.process import Tries, results, stop_on_signals
from lading.settings import Shared
from lading.terminal import CONFIG, AsJson, Config, shown_time

app = typer.Typer(help="Stage 2: receive, check, log, archive; dead letters.", no_args_is_help=True)
dead_app = typer.Typer(help="Messages that were not taken.", no_args_is_help=True)
app.add_typer(dead_app, name="dead")

RECEIVE_S = 0.2
RETRY_S = 0.1
STEP_S = 1.0
SHOWN_MAX = 1_000


@app.command()
def run(config: Config = CONFIG) -> None:
    """Take frames and orders from the broker, archive batches, until SIGTERM or an interrupt."""
    from ingest.archive import Archive
    from ingest.lost_orders import LostOrders
    from ingest.receiver import Receiver
    from lading.mqtt import broker_of

    logs.configure("ingest")
    shared, own = _load(config)
    stop = stop_on_signals()
    log, gateways = open_log(shared), open_gateways(shared)
    stage = _open_stage(log, gateways, shared, own)
    receiver = Receiver(
        stage,
        broker_of(shared, "ingest"),
        client_id=own.client_id,
        share=own.share,
        batch_messages_max=own.batch_messages_max,
        batch_wait_s=own.batch_wait_s,
        note=_log_outcomes,
        lost_orders=LostOrders(log, gateways, time.monotonic),
    )
    archive = Archive(log, shared.lading.below(own.archive), gateways.tenant_of) if own.archive_here else None
    upkeep = _Upkeep(stage, archive)

    def measure() -> None:
        meters.measure_intake(receiver, stage.state)
        if archive is not None:
            meters.measure_archive(log)

    probes = {
        "broker": lambda: "" if receiver.is_up else f"{shared.mqtt.host}:{shared.mqtt.port} is not connected",
        "log": log_answers(log),
        "upkeep": lambda: upkeep.failing,
    }
    with watched("ingest", shared, own, probes, measure, with_stages=("archive",)) as heart:
        receiver.start()
        structlog.get_logger().info("ingest_started")
        try:
            for _ in results(
                lambda: receiver.step(RECEIVE_S), stop, RETRY_S, heart=heart, errors=ServiceError
            ):
                upkeep.step(time.monotonic())
        finally:
            receiver.stop()
            stage.close()
            log.close()


class _Upkeep:
    """Releases what waited too long, writes new batches. While that fails, frames are taken all the same."""

    def __init__(self, stage: Ingest, archive: Any) -> None:
        self._stage = stage
        self._archive = archive
        self._tries = Tries(STEP_S)
        self._due_s = 0.0
        self.failing = ""

    def step(self, now_s: float) -> None:
        """If it is time. The ServiceError of a step that failed too often goes on."""
        if now_s < self._due_s:
            return
        try:
            self._work()
        except ServiceError as exc:
            self.failing = str(exc)
            metrics.PROCESS_STEP_FAILURES.add(1, exc.code)
            self._due_s = now_s + self._tries.failed(exc)
            return
        self.failing, self._due_s = "", now_s + STEP_S
        self._tries.succeeded()

    def _work(self) -> None:
        released = self._stage.step()
        if released:
            structlog.get_logger().info("waiting_released", frames=released)
        if self._archive is not None:
            _archive_step(self._archive)


def _archive_step(writer: Any) -> int:
    """Write new batches; how many."""
    written = writer.step()
    for batch in written:
        meters.count_archived(batch)
        structlog.get_logger().info(
            "batch_archived", location=batch.location, frames=batch.frames, readings=batch.readings
        )
    return len(written)


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
    shared, own = _load(config)
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
    from ingest.archive import Archive

    logs.configure("archive")
    shared, own = _load(config)
    stop = stop_on_signals()
    log, gateways = open_log(shared), open_gateways(shared)
    writer = Archive(log, shared.lading.below(own.archive), gateways.tenant_of)
    probes = {"log": log_answers(log)}
    with watched("archive", shared, own, probes, lambda: meters.measure_archive(log)) as heart:
        for written in results(lambda: _archive_step(writer), stop, STEP_S, heart=heart, errors=ServiceError):
            if not written:
                stop.wait(STEP_S)
    log.close()


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

    shared, own = _load(config)
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
    shared, own = _load(config)
    log, state = open_log(shared), State(shared.lading.below(own.state))
    document = _status(log, state, open_gateways(shared))
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


def _status(log: Log, state: State, gateways: GatewayFile) -> dict[str, Any]:
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
            for gateway, frames, newest, missing in state.gateways()
        ],
        "counts": state.counts(),
        "batches_to_archive": meters.batches_behind(log),
    }


def _last_seen_ms(log: Log, place: Place | None) -> int | None:
    """When the log got a frame."""
    if place is None:
        return None
    found = log.read(topics.FRAMES, {**log.end(topics.FRAMES), place.partition: place.offset}, 1)
    return next((one.time_ms for one in found if one.offset == place.offset), None)


@dead_app.command("list")
def list_dead(
    config: Config = CONFIG,
    code: Annotated[str, typer.Option(help="Only those with this code.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many, the newest.")] = 100,
    as_json: AsJson = False,
) -> None:
    """The dead letters, by number."""
    shared, _ = _load(config)
    found = [one for one in letters(open_log(shared)) if not code or one.letter.code == code]
    found = found[-min(limit, SHOWN_MAX) :]
    if as_json:
        typer.echo(json.dumps([_letter_document(one) for one in found]))
        return
    for one in found:
        letter = one.letter
        typer.echo(f"{one.number:>10}  {shown_time(letter.received_ms)}  {letter.code:18} {letter.reason}")


@dead_app.command("show")
def show_dead(
    number: Annotated[str, typer.Argument(help="A number of `dead list`.")],
    config: Config = CONFIG,
    output: Annotated[Path | None, typer.Option("-o", help="Write the message's bytes to a file.")] = None,
    as_json: AsJson = False,
) -> None:
    """One dead letter; its message with -o, for `lading inspect`."""
    shared, _ = _load(config)
    found = find_letter(open_log(shared), number)
    if output:
        output.write_bytes(found.letter.data)
    if as_json:
        typer.echo(json.dumps(_letter_document(found) | {"data": found.letter.data.hex()}))
        return
    letter = found.letter
    typer.echo(f"code      {letter.code}\nreason    {letter.reason}\norigin    {letter.origin}")
    typer.echo(f"received  {shown_time(letter.received_ms)}\nmessage   {len(letter.data)} bytes")
    if letter.related is not None:
        typer.echo(f"related   {letter.related.hex()}")


@dead_app.command("retry")
def retry_dead(
    numbers: Annotated[list[str], typer.Argument(help="Numbers of `dead list`, or a code for all with it.")],
    config: Config = CONFIG,
) -> None:
    """Put dead letters through the checks again, as after enrolling a gateway. Exit 1 if any is refused."""
    shared, own = _load(config)
    log = open_log(shared)
    stage = _open_stage(log, open_gateways(shared), shared, own)
    refused = 0
    try:
        for one in _chosen(log, numbers):
            outcome = stage.retry(one.letter)
            refused += outcome.action == "refused"
            typer.echo(f"{one.number:>10}  {one.letter.code} → {outcome.action} {outcome.code}".rstrip())
    finally:
        stage.close()
    if refused:
        raise typer.Exit(1)


def _chosen(log: Log, numbers: list[str]) -> list[Numbered]:
    chosen: list[Numbered] = []
    for number in numbers:
        if ":" in number or number.isdigit():
            chosen.append(find_letter(log, number))
        else:
            chosen += [one for one in letters(log) if one.letter.code == number]
    return chosen


def _letter_document(one: Numbered) -> dict[str, Any]:
    letter = one.letter
    return {
        "number": one.number,
        "code": letter.code,
        "reason": letter.reason,
        "origin": letter.origin,
        "received_ms": letter.received_ms,
        "bytes": len(letter.data),
        "related": letter.related.hex() if letter.related is not None else None,
    }


def _log_outcomes(outcomes: Sequence[Outcome]) -> None:
    counts = meters.count_outcomes(outcomes)
    structlog.get_logger().info("batch_taken", messages=len(outcomes), **counts)


def _load(config: Path) -> tuple[Shared, IngestSettings]:
    return settings.load_shared(config), settings.load(config, "ingest", IngestSettings)


def _open_stage(log: Log, gateways: GatewayFile, shared: Shared, own: IngestSettings) -> Ingest:
    return Ingest(
        log,
        shared.lading.below(own.state),
        gateways,
        operator_keys(shared, "ingest", own.operators),
        waiting_of_gateway_max=own.waiting_of_gateway_max,
        waiting_max=own.waiting_max,
        waiting_ms=int(own.waiting_s * 1000),
        verify_threads=own.verify_threads,
    )


def _shown(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _as_text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
