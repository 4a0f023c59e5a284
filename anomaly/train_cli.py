"""`lading anomaly train`: archive to release."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from anomaly.settings import AnomalySettings
from lading import settings
from lading.chain import Chain
from lading.chaincheck import ChainCheck, PlainRpc
from lading.errors import MalformedError, ProofError, ServiceError
from lading.opening import open_log
from lading.quantities import Quantity
from lading.terminal import CONFIG, AsJson, Config

if TYPE_CHECKING:  # numpy and pyarrow only when a command runs
    from anomaly.forecast.archive import Confirm, Tell
    from anomaly.forecast.series import Key, Series, Source

EXIT_FAILED = 1
EXTRA = "pip install 'lading-evidence[train]'"

Csv = Annotated[
    Path | None, typer.Option(help="A csv file or a folder of them instead of the archive; proves no origin.")
]
Archive = Annotated[Path | None, typer.Option(help="Folder of the archive; else that of the settings.")]
Rpc = Annotated[str | None, typer.Option(help="JSON-RPC URL: the chain confirms each anchor, too.")]
Registry = Annotated[str | None, typer.Option(help="The AnchorRegistry that you trust, as hex.")]


def train(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the new release.")],
    csv: Csv = None,
    archive: Archive = None,
    quantity: Annotated[str, typer.Option(help="What to learn: temperature, humidity, …")] = "temperature",
    hold_min: Annotated[
        int, typer.Option(min=1, max=1_440, help="Minutes beyond a limit that make a breach.")
    ] = 45,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31, help="Same seed, data and machine: same release.")
    ] = 1,
    steps: Annotated[int, typer.Option(min=10, max=10_000_000, help="Batches to learn from.")] = 1_000,
    rpc: Rpc = None,
    registry: Registry = None,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Learn a forecaster from anchored archive data; write a release. Exit 1: a file does not prove its origin."""
    from anomaly.forecast.release import require_new

    require_new(out)
    if find_spec("torch") is None or find_spec("pytorch_lightning") is None:
        raise ServiceError("install", f"`lading anomaly train` needs torch and pytorch-lightning: {EXTRA}")
    code = code_of(quantity)
    with proven(), progress() as tell:
        series, source = read(config, archive, csv, code, tell, confirm=_confirm(rpc, registry))
        from anomaly.forecast import learning
        from anomaly.forecast.training import Plan

        shape = learning.Recipe(quantity=code, hold_ms=hold_min * 60_000).shape()
        plan = Plan(seed=seed, steps=steps)
        found = learning.learn(
            series, source, shape, plan, out, lambda done, count, loss: tell(done, count, f"loss {loss:.4f}")
        )
    if as_json:
        metrics = [one.model_dump() for one in found.metrics]
        typer.echo(
            json.dumps({"release": found.id, "folder": str(out), "rows": found.rows, "metrics": metrics})
        )
        return
    typer.echo(f"release {found.id}: {out}, learned from {found.rows:,} rows of {len(series)} channels")
    for one in found.metrics:
        if one.name.startswith("pinball"):
            typer.echo(f"  {one.name:28} {one.value:.4f}  ({one.low:.4f} to {one.high:.4f})")


def code_of(quantity: str) -> int:
    """A quantity's code; ServiceError where there is none of the name."""
    try:
        return int(Quantity[quantity.upper()])
    except KeyError as exc:
        wanted = ", ".join(one.name.lower() for one in Quantity)
        raise ServiceError("quantity", f"{quantity!r}, wanted one of {wanted}") from exc


def read(
    config: Path,
    archive: Path | None,
    csv: Path | None,
    quantity: int,
    tell: "Tell",
    *,
    only: "Key | None" = None,
    confirm: "Confirm | None" = None,
) -> "tuple[list[Series], Source]":
    """Series from csv files, or from the archive, whose anchored batches are checked as they are read."""
    if csv is not None:
        from anomaly.forecast.series import of_csvs

        if not csv.exists():
            raise ServiceError("no_input", f"{csv}: found nothing, wanted a csv file or a folder of them")
        return of_csvs(csv)
    try:
        from anomaly.forecast.archive import load
        from anomaly.forecast.series import Collector
    except ModuleNotFoundError as exc:
        raise ServiceError("install", f"reading the archive needs {exc.name}: {EXTRA}") from exc
    shared = settings.load_shared(config)
    own = settings.load(config, "anomaly", AnomalySettings)
    folder = archive or shared.lading.below(own.archive)
    path = shared.lading.below(shared.log.path)
    if shared.log.kind == "sqlite" and not path.exists():
        raise ServiceError("log", f"{path}: found nothing, wanted the log of an installation")
    log = open_log(shared)
    try:
        collector = Collector(quantity, only)
        source = load(log, folder, collector, tell, confirm)
        return collector.series(), source
    finally:
        log.close()


def _confirm(rpc: str | None, registry: str | None) -> "Confirm | None":
    if rpc is None:
        return None
    try:
        trusted = bytes.fromhex(registry.removeprefix("0x")) if registry else None
    except ValueError as exc:
        raise MalformedError("option", "registry is not hex") from exc
    return ChainCheck(Chain(PlainRpc(rpc)), trusted).check_anchor


@contextmanager
def proven() -> Iterator[None]:
    """What does not prove its claim ends in one line and exit code 1."""
    try:
        yield
    except ProofError as exc:
        typer.echo(f"lading: {exc}", err=True)
        raise typer.Exit(EXIT_FAILED) from exc


@contextmanager
def progress() -> Iterator["Tell"]:
    """A bar on a terminal; elsewhere a line on stderr at every tenth."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda done, count, text: bar.update(task, completed=done, total=count, description=text)


def _lines(console: Console) -> "Tell":
    said = [-1]

    def tell(done: int, count: int, text: str) -> None:
        tenth = 10 * done // max(1, count)
        if tenth != said[0] or done == 0:
            said[0] = tenth
            console.print(f"{done} of {count} {text}", highlight=False)

    return tell
