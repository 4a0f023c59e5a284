"""`lading anomaly alerts`: episodes of high scores."""

import json
from typing import Annotated

import typer

from anomaly.alerts import alerts, as_document, line, refuse_unknown
from lading.opening import open_log
from lading.settings import load_shared
from lading.terminal import CONFIG, AsJson, Config


def list_alerts(
    leg: Annotated[str | None, typer.Argument(help="Reference, leg id or its beginning; none: all.")] = None,
    only_up: Annotated[bool, typer.Option("--up", help="Those that go on.")] = False,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """What the detectors found: one line an episode, with begin, end, greatest score and reason."""
    log = open_log(load_shared(config))
    found = [
        alert
        for alert in alerts(log)
        if leg is None or alert.name == leg or alert.episode.leg.leg_id.hex().startswith(leg.lower())
    ]
    if leg is not None and not found:
        refuse_unknown(log, leg)
    found = [alert for alert in found if alert.is_up or not only_up]
    if as_json:
        typer.echo(json.dumps([as_document(alert) for alert in found]))
        return
    for alert in found:
        typer.echo(line(alert))
