"""`lading dashboards …`: write the time series, show how that goes."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from dashboards.boards import cli as boards_cli
from dashboards.settings import DashboardsSettings
from lading import logs, metrics, settings
from lading.errors import ServiceError
from lading.fields import TIME_MS_MAX
from lading.health import log_answers, watched
from lading.log import wall_ms
from lading.opening import open_gateways, open_log
from lading.process import RETRIES_MAX, stop_on_signals
from lading.settings import Shared
from lading.terminal import CONFIG, AsJson, Config, shown_time

app = typer.Typer(help="The time series and the boards over it.", no_args_is_help=True, add_completion=False)

REFUSED_SHOWN = 10
TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]


@app.callback()
def dashboards() -> None:
    """The time series in InfluxDB, filled from the log, and the boards over it."""


@app.command()
def run(config: Config = CONFIG) -> None:
    """Write what the log has into InfluxDB as it comes, until SIGTERM or an interrupt. Nothing waits for it."""
    from dashboards.timeseries.names import Names
    from dashboards.timeseries.pulse import LogPulse, Moments, Scraper
    from dashboards.timeseries.running import Loop
    from dashboards.timeseries.stage import Series
    from dashboards.timeseries.state import SeriesState, only_writer
    from dashboards.timeseries.statuses import StatusListener
    from lading.mqtt import broker_of

    logs.configure("dashboards")
    shared, own = _load(config)
    stop = stop_on_signals()
    with ExitStack() as opened:
        path = shared.lading.below(own.state)
        opened.enter_context(only_writer(path))
        log, gateways, state = open_log(shared), open_gateways(shared), SeriesState(path)
        opened.callback(state.close)
        sink = _open_sink(shared, own)
        opened.callback(sink.close)
        channels = shared.lading.channels
        series = Series(log, state, sink, gateways, channels, own.batch_lines, records_max=own.records_max)
        moments = Moments()
        scraper = Scraper(own.scrape, own.interval_s, moments)
        scraper.start()
        opened.callback(scraper.stop)
        if own.status:
            names = Names(open_gateways(shared), channels, lambda leg: None)
            listener = StatusListener(names, moments, broker_of(shared, "series"), own.client_id)
            listener.start()
            opened.callback(listener.stop)
        if own.grafana_url:
            opened.enter_context(boards_cli.annotating(shared, own))
        structlog.get_logger().info("dashboards_started", url=own.url, bucket=own.bucket)

        def measure() -> None:
            for topic, records in series.behind().items():
                metrics.SERIES_BEHIND.set(records, topic)

        heart = opened.enter_context(
            watched("dashboards", shared, own, {"log": log_answers(log)}, measure, with_stages=("series",))
        )
        pulse = LogPulse(log)
        loop = Loop(series, state, pulse, moments, stop, heart, poll_s=own.poll_s, interval_s=own.interval_s)
        loop.run()


@app.command()
def init(
    config: Config = CONFIG,
    admin_token_file: Annotated[
        Path | None,
        typer.Option(help="All-access token; a new InfluxDB gets this one. Default: influxdb-admin.token."),
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="Password of a new InfluxDB's first user; default: one nobody knows.")
    ] = None,
    boards_token_file: Annotated[
        Path | None,
        typer.Option(help="Where the boards' token goes; default: `reader_token_file` of the settings."),
    ] = None,
    retention_days: Annotated[
        int, typer.Option(help="For a new bucket; 0 keeps all.", min=0, max=36_500)
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Make InfluxDB ready: bucket, InfluxQL database, a token that may only write it and one that may only read it.

    What is there stays. Default files lie in the data folder; the writer's is `token_file` of the settings.
    """
    from dashboards.timeseries.setting_up import Wanted, set_up

    shared, own = _load(config)
    below = shared.lading.below
    wanted = Wanted(
        own.url,
        own.org,
        own.bucket,
        admin_token_file or below(Path("influxdb-admin.token")),
        below(own.token_file),
        boards_token_file or below(own.reader_token_file),
        password_file,
        retention_days * 86_400,
        below(own.ca_file) if own.ca_file else None,
    )
    done = set_up(wanted)
    files = {"writer_token_file": str(wanted.writer_file), "boards_token_file": str(wanted.boards_file)}
    if as_json:
        typer.echo(json.dumps(done | files))
        return
    for name, state in done.items():
        typer.echo(f"{name:16} {state}")
    for name, path in files.items():
        typer.echo(f"{name:18} {path}")


@app.command()
def backfill(
    config: Config = CONFIG,
    since: Annotated[
        datetime | None, typer.Option("--from", formats=TIMES, help="Readings from this time on, UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", formats=TIMES, help="Readings up to this time, UTC.")
    ] = None,
    leg: Annotated[str, typer.Option(help="One leg's: its reference, id, or the beginning of the id.")] = "",
    retries: Annotated[
        int, typer.Option(help="Failures in a row after which it ends; the pauses between them grow.", min=0)
    ] = RETRIES_MAX,
    as_json: AsJson = False,
) -> None:
    """Write readings and positions of the archive into InfluxDB. What is there already stays as it is.

    It may run beside the writer, and again: the points are the same.
    """
    from dashboards.timeseries.backfill import Asked, Backfill, Filled
    from dashboards.timeseries.lines import EARLIEST_MS
    from dashboards.timeseries.names import Names
    from dashboards.timeseries.stage import references_of
    from dashboards.timeseries.state import SeriesState

    logs.configure("dashboards")
    shared, own = _load(config)
    stop = stop_on_signals()
    references = references_of(open_log(shared), SeriesState(shared.lading.below(own.state), is_beside=True))
    names = Names(open_gateways(shared), shared.lading.channels, references.get)
    legs = frozenset(_find_legs(references, leg)) if leg else None
    asked = Asked(_time_ms(since, EARLIEST_MS), _time_ms(until, TIME_MS_MAX), legs)
    sink = _open_sink(shared, own)
    filling = Backfill(shared.lading.below(own.archive), sink, names, wall_ms(), own.batch_lines, retries)
    count = len(filling.files())

    def show(filled: Filled) -> None:
        if not as_json:
            typer.echo(f"{filled.files} of {count} files, {filled.readings} readings", err=True)

    filled = filling.run(asked, stop, show)
    sink.close()
    is_whole = filled.files == count
    if as_json:
        typer.echo(json.dumps({**asdict(filled), "is_whole": is_whole}))
    else:
        typer.echo(f"{filled.readings} readings of {filled.files} files, {filled.points} points written")
        for one in filling.refused[-REFUSED_SHOWN:]:
            typer.echo(f"{one.code}: {one.reason}")
    if filled.refused or not is_whole:
        raise typer.Exit(1)


@app.command()
def erase(
    config: Config = CONFIG,
    leg: Annotated[str, typer.Option(help="One leg's: its reference, id, or the beginning of the id.")] = "",
    before: Annotated[datetime | None, typer.Option(formats=TIMES, help="All before this time, UTC.")] = None,
) -> None:
    """Delete readings and positions from InfluxDB, after `lading archive erase`. Verdicts, findings and totals stay."""
    from dashboards.timeseries.erasing import Eraser
    from dashboards.timeseries.stage import references_of
    from dashboards.timeseries.state import SeriesState

    if bool(leg) == (before is not None):
        raise typer.BadParameter("give --leg or --before, one of them")
    shared, own = _load(config)
    below = shared.lading.below
    ca_file = below(own.ca_file) if own.ca_file else None
    eraser = Eraser(own.url, own.org, own.bucket, below(own.token_file), ca_file)
    if before is not None:
        eraser.erase_before(_time_ms(before, 0))
        return
    references = references_of(open_log(shared), SeriesState(below(own.state), is_beside=True))
    for one in _find_legs(references, leg):
        eraser.erase_leg(one, references.get(bytes.fromhex(one)))
        typer.echo(f"{one}: no readings in {own.bucket}")


def _find_legs(references: Mapping[bytes, str], leg: str) -> list[str]:
    """Ids, in hex, of the legs with this reference, or of the one whose id begins so."""
    named = [one.hex() for one, reference in references.items() if reference == leg]
    found = named or [one.hex() for one in references if one.hex().startswith(leg.lower())]
    if len(found) != 1 and not named:
        raise ServiceError("leg", f"{len(found)} legs are named {leg!r}, wanted one")
    return found


def _time_ms(time: datetime | None, default_ms: int) -> int:
    return default_ms if time is None else int(time.replace(tzinfo=UTC).timestamp() * 1000)


@app.command()
def status(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """How the writer is doing, how far it is behind the log, and what InfluxDB refused. Exit 1 while it is waiting."""
    from dashboards.timeseries.running import WRITING, status_document
    from dashboards.timeseries.stage import behind_of
    from dashboards.timeseries.state import SeriesState

    shared, own = _load(config)
    state = SeriesState(shared.lading.below(own.state), is_beside=True)
    document = status_document(state, behind_of(open_log(shared), state), wall_ms(), REFUSED_SHOWN)
    if as_json:
        typer.echo(json.dumps(document))
    else:
        for line in _status_lines(document):
            typer.echo(line)
    if document["state"] != WRITING:
        raise typer.Exit(1)


def _status_lines(document: dict[str, Any]) -> list[str]:
    since = f" since {shown_time(document['since_ms'])}" if "since_ms" in document else ""
    lines = [f"{document['state']}{since}"]
    if "code" in document:
        lines.append(f"  {document['code']}: {document['reason']}")
    lines.append(f"points written: {document['points']}")
    lines += [f"not written, {code}: {count}" for code, count in document["refused"].items() if count]
    lines += [f"behind, {topic}: {count}" for topic, count in document["behind"].items() if count]
    lines += [
        f"{shown_time(one['at_ms'])}  {one['code']}: {one['reason']}" for one in document["refused_last"]
    ]
    return lines


def _load(config: Path) -> tuple[Shared, DashboardsSettings]:
    return settings.load_shared(config), settings.load(config, "dashboards", DashboardsSettings)


def _open_sink(shared: Shared, own: DashboardsSettings) -> Any:
    from dashboards.timeseries.sink import Sink

    return Sink(
        own.url,
        own.org,
        own.bucket,
        shared.lading.below(own.token_file),
        timeout_s=own.timeout_s,
        threads=own.threads,
        gzip=own.gzip,
        ca_file=shared.lading.below(own.ca_file) if own.ca_file else None,
    )


app.command("build")(boards_cli.build)
app.command("check")(boards_cli.check)
app.command("annotate")(boards_cli.annotate)
