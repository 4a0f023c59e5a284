"""`lading anomaly forecasts`: what the stage foresees of legs under way."""

import json
from typing import Annotated

import typer

from anomaly.alerts import refuse_unknown
from anomaly.forecasts import as_document, latest, lines
from lading.opening import open_log
from lading.settings import load_shared
from lading.terminal import CONFIG, AsJson, Config


def list_forecasts(
    leg: Annotated[str | None, typer.Argument(help="Reference, leg id or its beginning; none: all.")] = None,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """The newest forecast of each channel with limits, as `lading anomaly run` made it."""
    log = open_log(load_shared(config))
    found = [
        one
        for one in latest(log)
        if leg is None or one.name == leg or one.forecast.leg_id.hex().startswith(leg.lower())
    ]
    if leg is not None and not found:
        refuse_unknown(log, leg)
    if as_json:
        typer.echo(json.dumps([as_document(one) for one in found]))
        return
    if not found:
        typer.echo("none: `forecaster` of [anomaly] makes them, two hours into a leg with limits", err=True)
    for one in found:
        for line in lines(one):
            typer.echo(line)
