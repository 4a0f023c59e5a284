"""`lading dashboards build`, `check`: the boards' files, and whether what they ask has an answer."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from dashboards.boards import documents
from dashboards.boards.checking import Outcome, check_all
from dashboards.boards.influx import InfluxQL
from lading.errors import ServiceError
from lading.log import wall_ms
from lading.terminal import AsJson

HOUR_S = 3600


def build(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where files differ.")] = False,
    to: Annotated[Path, typer.Option(help="Folder of Grafana's provisioning.")] = documents.PROVISIONING,
) -> None:
    """Write boards, alerts and data source as Grafana reads them."""
    if not check:
        for path in documents.write(to):
            typer.echo(f"{to / path} written")
        return
    differing = documents.differences(to)
    for path in differing:
        typer.echo(f"{to / path} differs: `lading dashboards build` writes it", err=True)
    raise typer.Exit(1 if differing else 0)


def check(
    url: Annotated[str, typer.Option(help="InfluxDB.")] = "http://127.0.0.1:8086",
    token_file: Annotated[Path, typer.Option(help="File with a token that may read.")] = Path(
        "influxdb_read"
    ),
    database: Annotated[str, typer.Option(help="Bucket, by its InfluxQL name.")] = "lading",
    since_h: Annotated[float | None, typer.Option(help="Hours back, instead of each board's range.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="What finds nothing is a failure too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask InfluxDB all that boards and alerts ask. Exit 1 where a question fails or its answer lacks a column."""
    since_s = None if since_h is None else int(since_h * HOUR_S)
    outcomes = list(check_all(InfluxQL(url, database, read_token(token_file)), wall_ms(), since_s))
    _show(outcomes, as_json)
    bad = {"failed", "columns"} | ({"empty"} if strict else set())
    raise typer.Exit(1 if any(outcome.state in bad for outcome in outcomes) else 0)


def read_token(path: Path) -> str:
    """A secret from its file. ServiceError `token`."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ServiceError("token", f"{path}: {exc}") from exc


def _show(outcomes: list[Outcome], as_json: bool) -> None:
    if as_json:
        listed = [
            {
                "place": one.question.place,
                "kind": one.question.kind,
                "state": one.state,
                "rows": one.rows,
                "text": one.text,
            }
            for one in outcomes
        ]
        typer.echo(json.dumps(listed, ensure_ascii=False))
        return
    for one in outcomes:
        if one.state != "ok":
            typer.echo(f"{one.state:8} {one.question.place}{': ' if one.text else ''}{one.text}")
    counts = Counter(one.state for one in outcomes)
    typer.echo(
        f"{len(outcomes)} questions: " + ", ".join(f"{count} {state}" for state, count in counts.items())
    )
