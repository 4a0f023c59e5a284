"""A backtest as a JSON document, and as a page with plots."""

from html import escape
from typing import Any

from anomaly.forecast.backtest import MODEL, Backtest, Early
from anomaly.forecast.judging import Figure
from anomaly.forecast.plots import Plot, svg
from lading.terminal import shown_time

MINUTE_MS = 60_000
_STYLE = (
    "body{font:15px sans-serif;max-width:62em;margin:2em auto;padding:0 1em}svg{width:100%;max-width:40em}"
)
_STYLE += (
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}"
)


def document(found: Backtest) -> dict[str, Any]:
    """What `--json` says."""
    return {
        "release": found.release,
        "pinball": [
            {"block": one.block, "method": one.method, "horizon_ms": one.horizon_ms, **_figure(one.figure)}
            for one in found.ahead
        ],
        "coverage": [
            {"block": one.block, "quantile": one.level, **_figure(one.figure)} for one in found.covered
        ],
        "calls": None if found.early is None else early(found.early),
        "sweep": [early(one) for one in found.sweep],
        "channels": [
            {
                "name": one.name,
                "excursions_ms": [one.grid.time_ms(stretch.begin) for stretch in one.excursions],
                "calls_ms": [one.grid.time_ms(stretch.begin) for stretch in one.calls],
            }
            for one in found.channels
        ],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    """None where there was nothing to judge."""
    return {name: None if value != value else value for name, value in figure._asdict().items()}


def early(one: Early) -> dict[str, Any]:
    """One threshold's figures."""
    fields = one._asdict()
    lead = fields.pop("lead_ms_median")
    minutes = {
        f"lead_min_median{end}": _minutes(value)
        for end, value in (("", lead.value), ("_low", lead.low), ("_high", lead.high))
    }
    return {**fields, **minutes}


def _minutes(span_ms: float) -> float | None:
    return None if span_ms != span_ms else span_ms / MINUTE_MS


def page(found: Backtest, title: str) -> str:
    """One HTML file that needs nothing else."""
    parts = [f"<h1>{escape(title)}</h1><p>Release {found.release}</p>"]
    parts += [svg(plot) for plot in plots(found)]
    if found.early is not None:
        parts.append("<h2>Calls</h2>" + _calls(found))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def plots(found: Backtest) -> list[Plot]:
    """Pinball loss by horizon, calibration, and lead against false calls."""
    methods = dict.fromkeys(one.method for one in found.ahead)
    blocks = dict.fromkeys(one.block for one in found.covered)
    made = []
    for block in ("value", "above"):
        lines = {
            method: [
                (one.horizon_ms / MINUTE_MS, one.figure.value)
                for one in found.ahead
                if (one.block, one.method) == (block, method)
            ]
            for method in methods
        }
        what = "value" if block == "value" else "level held"
        about = f"Mean pinball loss of the {what} by horizon, less is better: {MODEL} beside the baselines."
        made.append(Plot(f"Pinball loss, {what}", about, "minutes ahead", "unit of the channels", lines, {}))
    covered = {
        block: [(one.level, one.figure.value) for one in found.covered if one.block == block]
        for block in blocks
    }
    about = "How often the truth lay at or below each quantile: on the dashed line where it is calibrated."
    made.append(Plot("Calibration", about, "quantile", "share at or below", covered, {}, diagonal=True))
    if found.sweep:
        line = [(one.false_a_week, one.lead_ms_median.value / MINUTE_MS) for one in found.sweep]
        about = (
            "Median lead before the crossing against false calls, each threshold a point; 0 is the crossing."
        )
        made.append(
            Plot(
                "How early",
                about,
                "false calls a week and channel",
                "median lead, minutes",
                {"calls": line},
                {"crossing": 0.0},
            )
        )
    return made


def _calls(found: Backtest) -> str:
    chosen = found.early
    assert chosen is not None
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td><td>{len(one.excursions)}</td><td>{len(one.calls)}</td>"
        f"<td>{', '.join(shown_time(one.grid.time_ms(call.begin)) for call in one.calls[:20])}</td></tr>"
        for one in found.channels
    )
    return (
        f"<p>{lines(chosen)}</p><table><tr><th>channel</th><th>excursions</th><th>calls</th><th>begun</th></tr>"
        f"{rows}</table>"
    )


def lines(one: Early) -> str:
    """A threshold's figures in a sentence."""
    if not one.excursions:
        lead = "no excursion"
    else:
        figure = one.lead_ms_median
        lead = (
            f"{one.called} of {one.excursions} excursions called before the crossing, median lead "
            f"{figure.value / MINUTE_MS:.0f} min ({figure.low / MINUTE_MS:.0f} to {figure.high / MINUTE_MS:.0f})"
        )
    return (
        f"threshold {one.threshold:g}: {lead}; {one.false} false calls, {one.false_a_week:.2f} a week and channel, "
        f"{one.false_a_week_worst:.2f} of the worst"
    )
