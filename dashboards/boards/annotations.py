"""What happened, as marks over every graph: from the time series itself, so nothing must be written to Grafana."""

from dashboards.boards.board import events
from dashboards.boards.influxql import Json, chosen, rows
from dashboards.boards.panels import BLUE, ORANGE, RED

_LEG = chosen("tenant", "gateway", "leg")


def breaches(condition: str = _LEG) -> Json:
    """Findings of severity breach, from their first time to their last."""
    found = rows(
        ("text", "last_ms"),
        ("rule", "gateway"),
        "finding",
        f'{condition} AND "active" = 1 AND "severity" = \'breach\'',
    )
    return events("Excursions", found, "finding.text", "finding.rule,finding.gateway", RED, "finding.last_ms")


def notices(condition: str = _LEG) -> Json:
    """Findings of severity notice: faults, stuck sensors, clocks."""
    found = rows(
        ("text", "last_ms"),
        ("rule", "gateway"),
        "finding",
        f'{condition} AND "active" = 1 AND "severity" = \'notice\'',
    )
    return events("Notices", found, "finding.text", "finding.rule,finding.gateway", ORANGE, "finding.last_ms")


def episodes(condition: str = _LEG) -> Json:
    """What the detectors found, from its first high score to its last."""
    found = rows(("text", "last_ms", "detector"), ("gateway",), "episode", condition)
    tags = "episode.detector,episode.gateway"
    return events("Detectors", found, "episode.text", tags, "yellow", "episode.last_ms")


def verdicts(condition: str = _LEG) -> Json:
    """Final verdicts."""
    final = rows(("result",), ("leg", "gateway"), "verdict", f'{condition} AND "final" = 1')
    return events("Final verdicts", final, "verdict.result", "verdict.leg,verdict.gateway", BLUE)


def settlements(condition: str = "") -> Json:
    """Payments."""
    paid = rows(("agreement",), ("leg", "kind"), "settlement", condition or chosen("tenant", "leg"))
    return events("Settlements", paid, "settlement.agreement", "settlement.leg,settlement.kind", "purple")
