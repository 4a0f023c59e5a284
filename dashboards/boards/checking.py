"""Asks the time series every question of boards and alerts, and says which fail, lack columns or find nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dashboards.boards import alerts, documents
from dashboards.boards.asked import Question, Span, board_span, filled, of_board, of_rules
from dashboards.boards.influx import InfluxQL, QueryError, Series
from dashboards.boards.influxql import Json
from dashboards.boards.rulebook import ALERTS

State = Literal["ok", "empty", "columns", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one question."""

    question: Question
    state: State
    rows: int
    text: str = ""

    def document(self) -> Json:
        """For programs."""
        asked = self.question
        return {
            "place": asked.place,
            "kind": asked.kind,
            "state": self.state,
            "rows": self.rows,
            "text": self.text,
        }


def check_all(store: InfluxQL, now_ms: int, since_s: int | None) -> Iterator[Outcome]:
    """Every board, then every alert. `since_s` takes the place of each board's own range, not of a panel's."""
    for board in documents.boards():
        document = board.document()
        own = board_span(document, now_ms)
        span = own if since_s is None else Span(now_ms - since_s * 1000, now_ms)
        yield from check_board(store, document, span, now_ms)
    for question in of_rules(alerts.rules(ALERTS)):
        yield check(store, question, Span(now_ms - question.since_s * 1000, now_ms), {})


def check_board(store: InfluxQL, board: Json, span: Span, now_ms: int) -> Iterator[Outcome]:
    """Its variables first: what they find is chosen for the rest."""
    values: dict[str, list[str]] = {}
    for question in of_board(board):
        if question.kind == "variable":
            name = question.place.rsplit(" ", 1)[-1]
            values[name] = _values(store, filled(question, span, values))
        yield check(store, question, question.span(span, now_ms), values)


def _values(store: InfluxQL, query: str) -> list[str]:
    try:
        return sorted({str(row[1]) for series in store.ask(query) for row in series.rows})
    except QueryError:
        return []


def check(store: InfluxQL, question: Question, span: Span, values: dict[str, list[str]]) -> Outcome:
    """Ask one question. ServiceError where the server does not answer at all."""
    try:
        found = store.ask(filled(question, span, values))
    except QueryError as exc:
        return Outcome(question, "failed", 0, str(exc))
    rows = sum(len(series.rows) for series in found)
    missing = [name for name in question.wants if found and not _has(found[0], name)]
    if missing:
        return Outcome(question, "columns", rows, f"no {', '.join(missing)}")
    is_quiet = not rows or all(_says_nothing(series) for series in found)
    may_be_quiet = question.kind == "alert" or question.counts
    return Outcome(question, "empty" if is_quiet and not may_be_quiet else "ok", rows)


def _has(series: Series, name: str) -> bool:
    """`name` is a column, or a tag, or as Grafana names a column of an annotation."""
    whole = {f"{series.name}.{column}" for column in series.columns}
    return name in whole or name in series.columns or name in series.tags


def _says_nothing(series: Series) -> bool:
    """True when nothing but times was found."""
    first = 1 if series.columns[0] == "time" else 0
    return all(value is None for row in series.rows for value in row[first:])
