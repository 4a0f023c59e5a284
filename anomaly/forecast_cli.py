"""`lading anomaly forecast`: the next hours of a channel, from a release."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomaly.train_cli import Archive, Csv, progress, proven, read
from lading.errors import ServiceError
from lading.terminal import CONFIG, AsJson, Config, shown_time

if TYPE_CHECKING:  # numpy only when a command runs
    from anomaly.forecast.series import Series
    from anomaly.forecast.serving import Forecast

SHOWN_QUANTILES = (0.1, 0.5, 0.9)

Release = Annotated[Path, typer.Argument(metavar="RELEASE", help="Folder of a release.")]


def forecast(
    release: Release,
    gateway: Annotated[str, typer.Option(help="Its id or the beginning of it; all if none.")] = "",
    channel: Annotated[int | None, typer.Option(help="Its number; all if none.")] = None,
    upper: Annotated[float | None, typer.Option(help="Upper limit, in the channel's unit.")] = None,
    lower: Annotated[float | None, typer.Option(help="Lower limit, in the channel's unit.")] = None,
    csv: Csv = None,
    archive: Archive = None,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Quantiles of the next hours, and the probability and time of a breach, from each channel's newest reading on."""
    from anomaly.forecast.serving import Forecaster, History

    forecaster = Forecaster.load(release)
    with proven(), progress() as tell:
        series, _ = read(config, archive, csv, forecaster.shape.quantity, tell)
    wanted = [one for one in series if one.key[0].startswith(gateway) and channel in (None, one.key[1])]
    if not wanted:
        asked = f"gateway {gateway or 'any'}, channel {'any' if channel is None else channel}"
        raise ServiceError("channel", f"{asked}: found none of {len(series)} channels")
    found = forecaster.forecast([History(one.time_ms, one.value) for one in wanted])
    documents = [_document(found, i, one, upper, lower) for i, one in enumerate(wanted)]
    if as_json:
        typer.echo(json.dumps({"release": found.release, "channels": documents}))
        return
    for document in documents:
        for line in _lines(document):
            typer.echo(line)


def _document(
    found: "Forecast", i: int, series: "Series", upper: float | None, lower: float | None
) -> dict[str, Any]:
    quantiles = [
        {f"{level:g}": _number(value) for level, value in zip(found.levels, row, strict=True)}
        for row in found.quantiles[i]
    ]
    breaches: dict[str, Any] = {}
    for name, limit, of in (("upper", upper, found.breach), ("lower", lower, found.breach_below)):
        if limit is not None:
            breach = of(limit)
            breaches[name] = {
                "limit": limit,
                "probability": [_number(value) for value in breach.probability[i]],
                "first_ms": _number(breach.first_ms[i] + found.begin_ms[i], 0),
            }
    return {
        "gateway": series.key[0],
        "channel": series.key[1],
        "from_ms": int(found.begin_ms[i]),
        "horizons_ms": list(found.horizons_ms),
        "quantiles": quantiles,
        "breach": breaches,
    }


def _number(value: float, digits: int = 4) -> float | None:
    """None where there is no forecast."""
    return None if value != value else round(float(value), digits)


def _lines(document: dict[str, Any]) -> list[str]:
    head = f"{document['gateway'][:16]} channel {document['channel']}, from {shown_time(document['from_ms'])}"
    if document["quantiles"][0]["0.5"] is None:
        return [f"{head}: no forecast, its readings do not reach"]
    lines = [head]
    for k, horizon_ms in enumerate(document["horizons_ms"]):
        row = document["quantiles"][k]
        shown = "  ".join(f"{level:g}: {row[f'{level:g}']:.2f}" for level in SHOWN_QUANTILES)
        risks = "".join(
            f"   beyond {one['limit']:g}: {one['probability'][k]:.1%}" for one in document["breach"].values()
        )
        lines.append(f"  in {horizon_ms // 60_000:4} min   {shown}{risks}")
    return lines
