"""Forecasts read back from the log, for people and for programs."""

from typing import Any, NamedTuple

from anomaly.alerts import names_of_legs
from lading import quantities, topics
from lading.episode import read_anomaly
from lading.export import records
from lading.forecast import SHARE_MAX, Forecast, Risk
from lading.log import Log
from lading.rules import amount
from lading.terminal import shown_time

SHOWN_LEVELS = (100_000, 500_000, 900_000)


class Foreseen(NamedTuple):
    """A channel's newest forecast, and its leg's reference where the order is there."""

    forecast: Forecast
    name: str


def latest(log: Log) -> list[Foreseen]:
    """The newest forecast of each channel of each leg, by the time from which it counts."""
    names = names_of_legs(log)
    found: dict[object, Forecast] = {}
    for record in records(log, topics.ANOMALIES):
        one = read_anomaly(record.value)
        if isinstance(one, Forecast):
            key = one.leg_id, one.gateway_id, one.limits_hash, one.channel
            if key not in found or one.from_ms >= found[key].from_ms:
                found[key] = one
    listed = [Foreseen(one, names.get(one.leg_id, one.leg_id.hex()[:16])) for one in found.values()]
    return sorted(listed, key=lambda one: (one.forecast.from_ms, one.name, one.forecast.channel))


def as_document(foreseen: Foreseen) -> dict[str, Any]:
    """The forecast as JSON values: units, and probabilities of 1."""
    one = foreseen.forecast
    quantiles = [
        {f"{level / SHARE_MAX:g}": value / 1000 for level, value in zip(one.levels, row, strict=True)}
        for row in one.values
    ]
    return {
        "leg": foreseen.name,
        "leg_id": one.leg_id.hex(),
        "gateway": one.gateway_id.hex(),
        "channel": one.channel,
        "quantity": quantities.name(one.quantity),
        "release": one.release.hex(),
        "from_ms": one.from_ms,
        "horizons_ms": list(one.horizons_ms),
        "quantiles": quantiles,
        "breach": {
            name: _risk_document(risk) for name, risk in (("upper", one.upper), ("lower", one.lower)) if risk
        },
    }


def _risk_document(risk: Risk) -> dict[str, Any]:
    shares = [share / SHARE_MAX for share in risk.shares]
    return {"limit": risk.limit / 1000, "probability": shares, "first_ms": risk.first_ms}


def lines(foreseen: Foreseen) -> list[str]:
    """The forecast for people."""
    one = foreseen.forecast
    head = f"{foreseen.name:16} {one.gateway_id.hex()[:12]}  channel {one.channel}, from {shown_time(one.from_ms)}"
    return [head, *(_line(one, k) for k in range(len(one.horizons_ms)))]


def _line(one: Forecast, k: int) -> str:
    shown = "  ".join(
        f"{level / SHARE_MAX:g}: {amount(value, one.quantity)}"
        for level, value in zip(one.levels, one.values[k], strict=True)
        if level in SHOWN_LEVELS
    )
    risks = "".join(
        f"   {name} {amount(risk.limit, one.quantity)}: {risk.shares[k] / SHARE_MAX:.1%}"
        for name, risk in (("above", one.upper), ("below", one.lower))
        if risk
    )
    return f"  in {one.horizons_ms[k] // 60_000:4} min   {shown}{risks}"
