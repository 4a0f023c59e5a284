"""`lading anomaly score`: csv files to scores."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from anomaly.detectors.rows import HOLD_ROWS
from anomaly.tables.files import find_csvs
from anomaly.tables.scoring import FileScored, score_file
from lading.errors import LadingError, ServiceError
from lading.terminal import AsJson

EXIT_SOME_FAILED = 1
HOLD_ROWS_MAX = 1_000_000
REPORT_S = 10.0


def score(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A csv file, or a folder of them; plain or .gz.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the scores go, laid out as IN.")],
    hold: Annotated[
        int, typer.Option(min=1, max=HOLD_ROWS_MAX, help="For how many rows an alarm says its score.")
    ] = HOLD_ROWS,
    explain: Annotated[bool, typer.Option("--explain", help="Add which detector, and why.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score csv files: first column the time, every other a value; out comes `anomaly_score` in [0, 1] a row.

    Exit code: 0 all scored, 1 some files of a folder could not be, 2 nothing was.
    """
    pairs = _pairs(source, target)
    done: list[FileScored] = []
    failed: dict[Path, LadingError] = {}
    with _progress(len(pairs)) as (tick, finished):
        for one, to in pairs:
            try:
                done.append(score_file(one, to, hold=hold, explain=explain, tick=tick))
            except LadingError as exc:
                if not source.is_dir():
                    raise
                failed[one] = exc
            finished()
    if as_json:
        typer.echo(json.dumps(_document(done, failed)))
    else:
        _say(done, failed, target)
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED if done else 2)


def _pairs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Each input with where its scores go."""
    if not source.exists():
        raise ServiceError("no_input", f"{source}: found nothing, wanted a csv file or a folder of them")
    if not source.is_dir():
        return [(source, target / source.name if target.is_dir() else target)]
    if target.exists() and (not target.is_dir() or target.samefile(source)):
        found = "the input itself" if target.is_dir() else "a file"
        raise ServiceError("output", f"{target}: found {found}, wanted another folder for the scores")
    found_files = find_csvs(source, target)
    if not found_files:
        raise ServiceError("no_input", f"{source}: found no .csv or .csv.gz file, wanted one or more")
    return [(path, target / path.relative_to(source)) for path in found_files]


@contextmanager
def _progress(files: int) -> Iterator[tuple[Any, Any]]:
    """A bar on a terminal; elsewhere a line on stderr every ten seconds."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console, files).pair()
        return
    columns = (
        TextColumn("files"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("score", total=files, rows=0)
        rows = [0]

        def tick(count: int) -> None:
            rows[0] += count
            bar.update(task, rows=rows[0])

        yield tick, lambda: bar.advance(task)


class _Lines:
    """Progress in words, for logs."""

    def __init__(self, console: Console, files: int) -> None:
        self._console, self._files = console, files
        self._done = self._rows = 0
        self._said_s = time.monotonic()

    def pair(self) -> tuple[Any, Any]:
        return self._tick, self._finished

    def _tick(self, rows: int) -> None:
        self._rows += rows
        if time.monotonic() - self._said_s >= REPORT_S:
            self._said_s = time.monotonic()
            self._console.print(f"{self._done} of {self._files} files, {self._rows} rows", highlight=False)

    def _finished(self) -> None:
        self._done += 1


def _document(done: list[FileScored], failed: dict[Path, LadingError]) -> dict[str, Any]:
    files = [
        {
            "file": str(one.source),
            "scores": str(one.target),
            "rows": one.rows,
            "alarms": one.alarms,
            "learned_rows": one.learned,
            "columns": list(one.columns),
            "ignored": one.ignored,
            "oddities": [
                {"what": what, "rows": rows, "first_line": line}
                for what, (rows, line) in one.oddities.items()
            ],
        }
        for one in done
    ]
    errors = [{"file": str(path), "code": exc.code, "error": exc.text} for path, exc in failed.items()]
    totals = {"rows": sum(one.rows for one in done), "alarms": sum(one.alarms for one in done)}
    return {**totals, "files": files, "failed": errors}


def _say(done: list[FileScored], failed: dict[Path, LadingError], target: Path) -> None:
    for line in _remarks(done):
        typer.echo(line, err=True)
    for exc in failed.values():
        typer.echo(f"lading: {exc}", err=True)
    rows, alarms = sum(one.rows for one in done), sum(one.alarms for one in done)
    more = f"; {_files(len(failed))} could not be scored" if failed else ""
    typer.echo(f"{_files(len(done))}, {rows:,} rows, {alarms:,} alarms: {target}{more}")


def _remarks(done: list[FileScored]) -> list[str]:
    """What was taken otherwise than it stands; each remark once, however many files it is about."""
    places: dict[str, list[str]] = {}
    for one in done:
        for name, why in one.ignored.items():
            places.setdefault(f"column {name!r} left out: {why}", []).append(str(one.source))
        if one.learned is not None and one.silent is not None and one.learned <= one.silent:
            short = f"too short to be learned: wanted more than {one.silent} rows of five minutes or longer"
            places.setdefault(short, []).append(f"{one.source} ({one.learned})")
        for what, (rows, line) in one.oddities.items():
            places.setdefault(what, []).append(f"{one.source}, line {line} ({rows} rows)")
    return [
        f"{remark}: {found[0]}" + (f", and in {_files(len(found) - 1)} more" if len(found) > 1 else "")
        for remark, found in places.items()
    ]


def _files(count: int) -> str:
    return f"{count} file" + ("" if count == 1 else "s")
