"""`lading anomaly backtest`: how good a release is on series that it has not seen."""

import json
from pathlib import Path
from typing import Annotated

import typer

from anomaly.forecast_cli import Release
from anomaly.train_cli import Archive, Csv, progress, proven, read
from lading.errors import ServiceError
from lading.terminal import CONFIG, AsJson, Config


def backtest(
    release: Release,
    out: Annotated[Path | None, typer.Option(help="HTML file for the plots.")] = None,
    upper: Annotated[float | None, typer.Option(help="Upper limit: judges calls, too.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.999, help="Probability of a breach at which a call begins."),
    ] = None,
    csv: Csv = None,
    archive: Archive = None,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Pinball loss beside baselines, calibration, and how long before a limit is crossed the forecast calls."""
    from anomaly.forecast import report
    from anomaly.forecast.backtest import MODEL
    from anomaly.forecast.backtest import backtest as judged
    from anomaly.forecast.calls import CALL_ABOVE
    from anomaly.forecast.serving import Forecaster

    forecaster = Forecaster.load(release)
    with proven(), progress() as tell:
        series, _ = read(config, archive, csv, forecaster.shape.quantity, tell)
    found = judged(forecaster, series, upper, CALL_ABOVE if threshold is None else threshold)
    if out is not None:
        _write(out, report.page(found, f"Backtest of {release.name}"))
    if as_json:
        typer.echo(json.dumps(report.document(found), allow_nan=False))
        return
    for block in ("value", "above"):
        for method in dict.fromkeys(one.method for one in found.ahead):
            losses = [one.figure for one in found.ahead if (one.block, one.method) == (block, method)]
            shown = "  ".join(f"{figure.value:7.4f}" for figure in losses)
            typer.echo(f"pinball {block:6} {method + (' *' if method == MODEL else ''):12} {shown}")
    for one in found.covered:
        if one.block != "below":
            figure = one.figure
            typer.echo(
                f"coverage {one.block:6} of {one.level:g}: {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
            )
    if found.early is not None:
        typer.echo(report.lines(found.early))


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_text(text, "utf-8")
        draft.replace(path)
    except OSError as exc:
        raise ServiceError("unwritable", f"{path}: {exc.strerror or exc}") from exc
