"""Every question that boards and alerts ask, taken from the documents that Grafana is given."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dashboards.boards.influxql import Json

Kind = Literal["variable", "series", "table", "annotation", "alert"]

STEPS = 300
"""Values that a graph shows about; Grafana takes the panel's width in pixels."""
STEP_S_MIN = 10
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_VARIABLE = re.compile(r"\$\{(\w+):regex\}")


@dataclass(frozen=True, slots=True)
class Question:
    """One query. `wants`: names that its answer must have as columns; `step_s`: its panel's least step.

    `since_s`: how far back it looks of itself, for alerts and for panels of what holds now; 0 for the range of the
    board. `counts`: its panel shows an answer without rows as 0.
    """

    place: str
    kind: Kind
    query: str
    wants: tuple[str, ...] = ()
    step_s: int = 0
    since_s: int = 0
    counts: bool = False

    def span(self, of_board: "Span", now_ms: int) -> "Span":
        """Its own range where it has one, which no choice of a relative range for the board changes."""
        return Span(now_ms - self.since_s * 1000, now_ms) if self.since_s else of_board


@dataclass(frozen=True, slots=True)
class Span:
    """A range of time, ms."""

    from_ms: int
    to_ms: int

    @property
    def filter(self) -> str:
        """What Grafana puts in the place of `$timeFilter`."""
        return f"time >= {self.from_ms}ms and time <= {self.to_ms}ms"


def filled(question: Question, span: Span, values: dict[str, list[str]]) -> str:
    """The query as Grafana would send it with all these values chosen; none chosen is All."""
    step_s = max((span.to_ms - span.from_ms) // 1000 // STEPS, question.step_s, STEP_S_MIN)
    text = question.query.replace("$timeFilter", span.filter).replace("$__interval", f"{step_s}s")
    return _VARIABLE.sub(lambda found: _choice(values.get(found[1], [])), text)


def _choice(values: list[str]) -> str:
    if not values:
        return ".*"
    return f"({'|'.join(_escaped(value) for value in values)})"


def _escaped(value: str) -> str:
    """As Grafana's format `regex` does it."""
    return re.sub(r"[\\^$*+?.()|\[\]{}/]", lambda found: "\\" + found[0], value)


def variables(board: Json) -> list[Json]:
    """A board's variables, in the order in which they are asked."""
    return list(board["templating"]["list"])


def of_board(board: Json) -> Iterator[Question]:
    """What its variables, annotations and panels ask."""
    for variable in variables(board):
        yield Question(f"{board['uid']} variable {variable['name']}", "variable", variable["query"])
    for mark in board["annotations"]["list"]:
        asked = mark["target"]
        columns = (asked["textColumn"], *asked["tagsColumn"].split(","), asked.get("timeEndColumn", ""))
        wants = tuple(name for name in columns if name)
        place = f"{board['uid']} annotation {mark['name']}"
        yield Question(place, "annotation", asked["query"], wants)
    for panel in board["panels"]:
        yield from _of_panel(board["uid"], panel)


def _of_panel(uid: str, panel: Json) -> Iterator[Question]:
    for target in panel.get("targets", ()):
        is_table = target["resultFormat"] == "table"
        yield Question(
            f"{uid} panel {panel['id']} {target['refId']} ({panel['title']})",
            "table" if is_table else "series",
            target["query"],
            _shown(panel) if is_table else (),
            _seconds(panel.get("interval", "0s")),
            _back_s(panel.get("timeFrom", "")),
            counts=panel["fieldConfig"]["defaults"].get("noValue") == "0",
        )


def _shown(panel: Json) -> tuple[str, ...]:
    """Columns that the panel names: those it formats, its links', its map's, its figure's."""
    names = [
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["id"] == "byName"
    ]
    for layer in panel["options"].get("layers", ()):
        names += [layer["location"]["latitude"], layer["location"]["longitude"]]
    for change in panel.get("transformations", ()):
        names += change["options"]["indexByName"]
    names += re.findall(r"__data\.fields\.(\w+)", json.dumps(panel["fieldConfig"]["overrides"]))
    field = panel["options"].get("reduceOptions", {}).get("fields", "")
    names += [field.strip("/^$")] if field else []
    return tuple(name for name in names if name != "Time")


def of_rules(rules: Json) -> Iterator[Question]:
    """What the alerts ask."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            asked = rule["data"][0]
            since_s = asked["relativeTimeRange"]["from"]
            yield Question(f"alert {rule['uid']}", "alert", asked["model"]["query"], since_s=since_s)


def _back_s(since: str) -> int:
    """A panel's own range back from now, `90m`; one ahead, `+3h`, lies within the board's."""
    return _seconds(since) if since and not since.startswith("+") else 0


def _seconds(text: str) -> int:
    return int(text[:-1]) * _UNITS_S[text[-1]]


def board_span(board: Json, now_ms: int) -> Span:
    """The range that the board opens with: `now-7d` to now, or to `now+3h`."""
    since, until = board["time"]["from"], board["time"]["to"]
    ahead_s = _seconds(until.removeprefix("now+")) if until != "now" else 0
    return Span(now_ms - _seconds(since.removeprefix("now-")) * 1000, now_ms + ahead_s * 1000)
