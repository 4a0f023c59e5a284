"""Episodes read back from the log, for people and for programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lading import quantities, topics
from lading.assignment import BEGIN, read_assignment
from lading.episode import SCORE_MAX, Episode, Moment, Scores, read_anomaly
from lading.errors import ServiceError
from lading.export import records
from lading.forecast import Forecast
from lading.log import Log
from lading.terminal import shown_time
from lading.tree import ZERO_HASH

BETWEEN_LEGS = "-"


@dataclass(frozen=True, slots=True)
class Alert:
    """An episode as the log last said it, and its leg's reference where the order is there."""

    episode: Episode
    name: str

    @property
    def is_up(self) -> bool:
        """True while it goes on."""
        return self.episode.state == "begun"


def alerts(log: Log) -> list[Alert]:
    """Every episode, by the time it began."""
    names = names_of_legs(log)
    found: dict[object, Episode] = {}
    for one in anomalies(log):
        if isinstance(one, Episode):
            found[one.key] = one
    listed = [Alert(one, names.get(one.leg.leg_id, _named(one.leg.leg_id))) for one in found.values()]
    return sorted(listed, key=lambda alert: (alert.episode.begin.time_ms, alert.episode.channel))


def anomalies(log: Log) -> Iterator[Episode | Scores]:
    """Every record of the detectors, in the order of the log."""
    found = (read_anomaly(record.value) for record in records(log, topics.ANOMALIES))
    return (one for one in found if not isinstance(one, Forecast))


def names_of_legs(log: Log) -> dict[bytes, str]:
    """References by leg id, as far as orders are in the log."""
    orders = (read_assignment(record.value) for record in records(log, topics.ASSIGNMENTS))
    return {order.leg_id: order.reference for order in orders if order.action == BEGIN}


def refuse_unknown(log: Log, text: str) -> None:
    """ServiceError `leg_unknown` where no order begins a leg of this reference, or of an id that begins so."""
    names = names_of_legs(log)
    if not any(name == text or leg_id.hex().startswith(text.lower()) for leg_id, name in names.items()):
        raise ServiceError("leg_unknown", f"{text!r} means no leg that was begun: see `lading leg list`")


def _named(leg_id: bytes) -> str:
    return BETWEEN_LEGS if leg_id == ZERO_HASH else leg_id.hex()[:16]


def as_document(alert: Alert) -> dict[str, Any]:
    """The alert as JSON values."""
    one = alert.episode
    return {
        "leg": alert.name,
        "leg_id": one.leg.leg_id.hex(),
        "gateway": one.leg.gateway_id.hex(),
        "channel": one.channel,
        "quantity": quantities.name(one.quantity),
        "up": alert.is_up,
        "detector": one.detector,
        "release": one.leg.release,
        "score": one.score / SCORE_MAX,
        "reason": one.reason,
        "begin": _moment(one.begin),
        "peak": _moment(one.peak),
        "end": None if alert.is_up else _moment(one.last),
    }


def _moment(moment: Moment) -> dict[str, Any]:
    return {"time_ms": moment.time_ms, "seq": moment.seq, "frame": moment.frame_hash.hex()}


def line(alert: Alert) -> str:
    """The alert for people."""
    one = alert.episode
    until = "goes on" if alert.is_up else f"until {shown_time(one.last.time_ms)}"
    score = f"{one.score / SCORE_MAX:.2f} at {shown_time(one.peak.time_ms)}"
    what = f"channel {one.channel} {one.reason} ({one.detector})"
    return f"{alert.name:16} {one.leg.gateway_id.hex()[:12]}  {what}: {shown_time(one.begin.time_ms)} {until}, {score}"
