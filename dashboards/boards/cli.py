"""`lading dashboards build`, `check`, `annotate`: files, whether their questions have answers, and Grafana."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dashboards.boards import documents
from dashboards.boards.checking import Outcome, check_all
from dashboards.boards.influx import InfluxQL
from dashboards.settings import DashboardsSettings
from dashboards.timeseries.state import only_writer
from lading import settings
from lading.errors import ServiceError
from lading.log import wall_ms
from lading.settings import Shared
from lading.terminal import CONFIG, AsJson, Config

if TYPE_CHECKING:
    from dashboards.annotating import Annotator

HOUR_S = 3600
STOP_S_MAX = 20.0
_ANNOTATIONS = Path("annotations")
"""Its lock keeps two from annotating at once."""

GrafanaUrl = Annotated[str | None, typer.Option(help="Grafana, instead of the setting's.")]
GrafanaToken = Annotated[Path | None, typer.Option(help="File with its token, instead of the setting's.")]


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
    config: Config = CONFIG,
    url: Annotated[str | None, typer.Option(help="InfluxDB, instead of the setting's.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with a token that may read.")] = None,
    bucket: Annotated[str | None, typer.Option(help="Bucket, by its InfluxQL name.")] = None,
    since_h: Annotated[float | None, typer.Option(help="Hours back, instead of each board's range.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="What finds nothing is a failure too.")] = False,
    grafana_url: GrafanaUrl = None,
    grafana_token_file: GrafanaToken = None,
    as_json: AsJson = False,
) -> None:
    """Ask InfluxDB all that boards and alerts ask; compare Grafana, if there is one, with the files.

    Exit 1 where a question fails, its answer lacks a column, or Grafana differs; 2 where a server does not answer.
    """
    shared, own = _load(config)
    token = read_token(token_file or shared.lading.below(own.reader_token_file))
    since_s = None if since_h is None else int(since_h * HOUR_S)
    outcomes = list(check_all(InfluxQL(url or own.url, bucket or own.bucket, token), wall_ms(), since_s))
    differing = _compared(shared, own, grafana_url, grafana_token_file)
    _show(outcomes, differing, as_json)
    bad = {"failed", "columns"} | ({"empty"} if strict else set())
    raise typer.Exit(1 if differing or any(outcome.state in bad for outcome in outcomes) else 0)


def annotate(
    config: Config = CONFIG,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="All that the log has, not what is new.")
    ] = False,
    grafana_url: GrafanaUrl = None,
    grafana_token_file: GrafanaToken = None,
) -> None:
    """Bring excursions and payments of the log into Grafana as annotations, each once. `run` does so by itself."""
    shared, own = _load(config)
    own = own.model_copy(
        update={
            "grafana_url": grafana_url or own.grafana_url,
            "grafana_token_file": grafana_token_file or own.grafana_token_file,
        }
    )
    if not own.grafana_url:
        raise ServiceError("settings", "no grafana_url in [dashboards], wanted one or --grafana-url")
    with only_writer(shared.lading.below(_ANNOTATIONS)):
        annotator = _annotator(shared, own, from_beginning=from_beginning)
        records = 0
        while handled := annotator.step():
            records += handled
    typer.echo(
        f"{own.grafana_url}: {annotator.written} annotations written, after {records} records of the log"
    )


@contextmanager
def annotating(shared: Shared, own: DashboardsSettings) -> Iterator[None]:
    """Annotate in a thread of its own, beside whatever runs in this context."""
    from dashboards.annotating import keep_annotated

    stop = threading.Event()
    opened = partial(_annotator, shared, own)
    with only_writer(shared.lading.below(_ANNOTATIONS)):
        thread = threading.Thread(
            target=keep_annotated, args=(opened, stop, own.interval_s), name="annotate", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(STOP_S_MAX)


def _annotator(shared: Shared, own: DashboardsSettings, *, from_beginning: bool = False) -> "Annotator":
    from dashboards.annotating import Annotator
    from dashboards.grafana import Grafana
    from lading.opening import open_gateways, open_log

    token = read_token(shared.lading.below(own.grafana_token_file))
    return Annotator(
        open_log(shared),
        open_gateways(shared),
        shared.lading.channels,
        Grafana(own.grafana_url, token),
        from_beginning=from_beginning,
    )


def read_token(path: Path) -> str:
    """A secret from its file. ServiceError `token`."""
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ServiceError("token", f"{path}: {exc}") from exc
    if not token or not token.isascii() or not token.isprintable():
        raise ServiceError("token", f"{path}: wanted one line of printable ASCII")
    return token


def _load(config: Path) -> tuple[Shared, DashboardsSettings]:
    return settings.load_shared(config), settings.load(config, "dashboards", DashboardsSettings)


def _compared(shared: Shared, own: DashboardsSettings, url: str | None, token_file: Path | None) -> list[str]:
    """What Grafana has otherwise; nothing where there is no Grafana."""
    if not (url or own.grafana_url):
        return []
    from dashboards.boards.provisioned import differences
    from dashboards.grafana import Grafana

    token = read_token(token_file or shared.lading.below(own.grafana_token_file))
    return list(differences(Grafana(url or own.grafana_url, token)))


def _show(outcomes: list[Outcome], differing: list[str], as_json: bool) -> None:
    if as_json:
        document = {"questions": [one.document() for one in outcomes], "grafana": differing}
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    for one in outcomes:
        if one.state != "ok":
            typer.echo(f"{one.state:8} {one.question.place}{': ' if one.text else ''}{one.text}")
    for line in differing:
        typer.echo(f"grafana  {line}")
    counts = Counter(one.state for one in outcomes)
    typer.echo(
        f"{len(outcomes)} questions: " + ", ".join(f"{count} {state}" for state, count in counts.items())
    )
