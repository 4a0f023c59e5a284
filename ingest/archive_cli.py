"""`lading archive …`: what is done with the archive beside the stage that writes it."""

import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingest.settings import ArchiveSettings, IngestSettings
from lading import settings
from lading.errors import ServiceError
from lading.export import find_leg, orders
from lading.log import Log, wall_ms
from lading.opening import open_gateways, open_log, open_operator_public
from lading.settings import Shared
from lading.terminal import CONFIG, AsJson, Config, shown_time

if TYPE_CHECKING:  # pyarrow only when a command runs
    from ingest.erasure import Choice, Erasure

app = typer.Typer(
    help="The archive: rebuild it, erase readings, let old ones expire.",
    no_args_is_help=True,
    add_completion=False,
)

DAY_MS = 86_400_000
Reason = Annotated[str, typer.Option(help="Why, for the erasure record.", min=1)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and leave everything.")]


@app.command()
def rebuild(config: Config = CONFIG) -> None:
    """Write archive files again that were lost, from the log. What is there stays."""
    from ingest.archive import Archive
    from ingest.rebuild import rebuild as rebuilt

    shared, folder = _load(config)
    log = open_log(shared)
    count = 0
    for one in rebuilt(log, folder, Archive(log, folder, open_gateways(shared).tenant_of)):
        typer.echo(f"{one.location}: {one.frames} frames, {one.readings} readings")
        count += 1
    typer.echo(f"{count} batches written again")
    log.close()


@app.command()
def erase(
    reason: Reason,
    leg: Annotated[str | None, typer.Option(help="A leg's reference, its id or the beginning of it.")] = None,
    before: Annotated[
        datetime | None, typer.Option(help="All legs that ended before, and readings of no leg; UTC.")
    ] = None,
    dry_run: DryRun = False,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Erase readings and salts of finished legs for good. Signatures, totals and all proofs stay."""
    if (leg is None) == (before is None):
        raise typer.BadParameter("give --leg or --before, one of them")
    shared, folder = _load(config)
    log = open_log(shared)
    if leg is not None:
        choice = _choose_leg(log, shared, leg)
    else:
        assert before is not None
        choice = _choose_before(log, int(before.replace(tzinfo=UTC).timestamp() * 1000))
    _erase(log, shared, folder, choice, reason, dry_run=dry_run, as_json=as_json)
    log.close()


@app.command()
def expire(config: Config = CONFIG, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Erase what is older than `keep_days` of table `archive`: for a timer, once a day."""
    shared, folder = _load(config)
    own = settings.load(config, "archive", ArchiveSettings)
    if own.keep_days is None:
        raise ServiceError("settings", "archive.keep_days is not set: nothing expires")
    log = open_log(shared)
    choice = _choose_before(log, wall_ms() - own.keep_days * DAY_MS)
    reason = f"kept for {own.keep_days} days"
    _erase(log, shared, folder, choice, reason, dry_run=dry_run, as_json=as_json)
    log.close()


@app.command()
def erasures(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """What was erased: when, by whom, why, and how much. Fails when the record was changed."""
    from ingest.erasure import erasures as recorded

    _, folder = _load(config)
    found = recorded(folder)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
        return
    for one in found:
        typer.echo(f"{shown_time(one.erased_ms)}  {one.by}: {one.reason}; {_amount(one)}")


def _erase(
    log: Log, shared: Shared, folder: Path, choice: "Choice", reason: str, *, dry_run: bool, as_json: bool
) -> None:
    from ingest.archive import Archive
    from ingest.erasure import erase as erased
    from ingest.erasure import find

    if dry_run:
        found = list(find(log, folder, choice))
        runs, readings = sum(len(one.runs) for one in found), sum(one.readings for one in found)
        document = {"legs": sorted(leg.hex() for leg, _ in choice.legs), "runs": runs, "readings": readings}
        shown = (
            f"{len(choice.legs)} legs: {readings} readings in {runs} runs of {len(found)} batches would go"
        )
        typer.echo(json.dumps(document) if as_json else shown)
        return
    archive = Archive(log, folder, open_gateways(shared).tenant_of)
    line = erased(log, folder, archive, choice, now_ms=wall_ms(), by=getpass.getuser(), reason=reason)
    if as_json:
        typer.echo(json.dumps(None if line is None else asdict(line)))
        return
    typer.echo("nothing is left to erase" if line is None else _amount(line))
    if line is not None:
        _tell_rest(shared)


def _tell_rest(shared: Shared) -> None:
    """Copies that this command cannot reach."""
    typer.echo(
        "copies elsewhere are yours to end: evidence files that were handed out, and backups", err=True
    )
    typer.echo(
        "InfluxDB: influx delete --bucket lading --predicate 'leg=\"REFERENCE\"' --start … --stop …", err=True
    )
    if shared.log.kind == "kafka":
        typer.echo("Kafka keeps its frames until the topic's retention.ms is over", err=True)


def _amount(line: "Erasure") -> str:
    return (
        f"{line.readings} readings in {line.runs} runs of {len(line.batches)} batches, {len(line.legs)} legs"
    )


def _choose_leg(log: Log, shared: Shared, text: str) -> "Choice":
    from ingest.erasure import Choice, finished

    leg_id = find_leg(orders(log, open_operator_public(shared)), text)
    legs = frozenset(leg for leg in finished(log) if leg[0] == leg_id)
    if not legs:
        raise ServiceError("leg_open", f"{text!r} has no final verdict yet, which needs its readings")
    return Choice(legs)


def _choose_before(log: Log, before_ms: int) -> "Choice":
    from ingest.erasure import Choice, finished

    legs = frozenset(leg for leg, verdict in finished(log).items() if verdict.horizon.last_ms < before_ms)
    return Choice(legs, before_ms)


def _load(config: Path) -> tuple[Shared, Path]:
    shared = settings.load_shared(config)
    own = settings.load(config, "ingest", IngestSettings)
    return shared, shared.lading.below(own.archive)
