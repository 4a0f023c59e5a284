"""`lading ingest dead …`: messages that were not taken."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.letters import Numbered, find_letter, letters, newest
from ingest.opening import load, open_stage
from ingest.relay import Relay
from ingest.settings import IngestSettings
from ingest.turn import Outcome
from lading.log import Log, WatchedLog
from lading.opening import open_gateways, open_log
from lading.settings import Shared
from lading.terminal import CONFIG, AsJson, Config, shown_time

app = typer.Typer(help="Messages that were not taken.", no_args_is_help=True)

SHOWN_MAX = 1_000


@app.command("list")
def list_dead(
    config: Config = CONFIG,
    code: Annotated[str, typer.Option(help="Only those with this code.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many, the newest.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """The dead letters, as they came."""
    shared, _ = load(config)
    found = newest(open_log(shared), min(limit, SHOWN_MAX), code)
    if as_json:
        typer.echo(json.dumps([_letter_document(one) for one in found]))
        return
    for one in found:
        letter = one.letter
        typer.echo(f"{one.number:>10}  {shown_time(letter.received_ms)}  {letter.code:18} {letter.reason}")


@app.command("show")
def show_dead(
    number: Annotated[str, typer.Argument(help="A number of `dead list`.")],
    config: Config = CONFIG,
    output: Annotated[Path | None, typer.Option("-o", help="Write the message's bytes to a file.")] = None,
    as_json: AsJson = False,
) -> None:
    """One dead letter; its message with -o, for `lading inspect`."""
    shared, _ = load(config)
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


@app.command("retry")
def retry_dead(
    numbers: Annotated[list[str], typer.Argument(help="Numbers of `dead list`, or a code for all with it.")],
    config: Config = CONFIG,
) -> None:
    """Put dead letters through the checks again, as after enrolling a gateway. Exit 1 if any is refused."""
    shared, own = load(config)
    log = open_log(shared)
    chosen = _chosen(log, numbers)
    if not chosen:
        typer.echo(f"no dead letter has the code {' or '.join(numbers)}: nothing was retried", err=True)
    outcomes = _relayed(log, chosen) if own.is_apart(shared.log) else _taken(log, shared, own, chosen)
    for one, outcome in zip(chosen, outcomes, strict=True):
        typer.echo(f"{one.number:>10}  {one.letter.code} → {outcome.action} {outcome.code}".rstrip())
    if any(outcome.action == "refused" for outcome in outcomes):
        raise typer.Exit(1)


def _taken(log: WatchedLog, shared: Shared, own: IngestSettings, chosen: list[Numbered]) -> list[Outcome]:
    stage = open_stage(log, shared.lading.below(own.state), open_gateways(shared), shared, own)
    try:
        return [stage.retry(one.letter) for one in chosen]
    finally:
        stage.close()


def _relayed(log: Log, chosen: list[Numbered]) -> list[Outcome]:
    """To whoever admits their gateways now. What is refused again for the same reason is counted, not written again."""
    relay = Relay(log)
    return [relay.take([(one.letter.origin, one.letter.data)])[0] for one in chosen]


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
