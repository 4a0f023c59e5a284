"""Excursions and payments of the log as annotations in Grafana, each once, corrected when a later verdict differs.

Grafana keeps the state: what is there is looked up by tags before anything is written, so that a run that was killed
at any instant, or one from the log's beginning, leaves the same annotations.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog

from dashboards import marks
from dashboards.grafana import Grafana
from dashboards.marks import Mark
from dashboards.timeseries.names import Names
from lading import topics
from lading.assignment import BEGIN, read_assignment
from lading.errors import MalformedError, ServiceError
from lading.gateways import Gateways
from lading.limits import Limits
from lading.log import Log, Record
from lading.payout import decode_settled
from lading.verdict import Verdict, VerdictRecord

GROUP = "annotations"
RECORDS_MAX = 500
KNOWN_MAX = 65_536
FOUND_MAX = 2 * marks.MARKS_OF_LEG_MAX
PAUSE_S_MIN, PAUSE_S_MAX = 1.0, 60.0

_log = structlog.get_logger()


class Orders:
    """References and limits of legs, as far as the orders were read. The oldest are forgotten beyond KNOWN_MAX."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._positions: dict[int, int] = {}
        self._references: OrderedDict[bytes, str] = OrderedDict()
        self._limits: OrderedDict[bytes, Limits] = OrderedDict()

    def read(self) -> None:
        """Read what is new."""
        while records := self._log.read(topics.ASSIGNMENTS, self._positions, RECORDS_MAX):
            for record in records:
                self._positions[record.partition] = record.offset + 1
                self._take(record)

    def reference_of(self, leg_id: bytes) -> str | None:
        """A leg's reference."""
        return self._references.get(leg_id)

    def limits_of(self, limits_hash: bytes) -> Limits | None:
        """A limits document."""
        return self._limits.get(limits_hash)

    def _take(self, record: Record) -> None:
        try:
            order = read_assignment(record.value)
        except MalformedError as exc:
            _log.warning("order_undecodable", offset=record.offset, code=exc.code)
            return
        self._references[order.leg_id] = order.reference
        if order.action == BEGIN and order.limits is not None:
            self._limits[order.limits.hash] = order.limits
        for kept in (self._references, self._limits):
            if len(kept) > KNOWN_MAX:
                kept.popitem(last=False)


class Annotator:
    """Reads verdicts and payments from where it was, and brings Grafana's annotations up to them."""

    def __init__(
        self,
        log: Log,
        gateways: Gateways,
        channels: dict[str, dict[int, str]],
        grafana: Grafana,
        *,
        from_beginning: bool = False,
    ) -> None:
        self._log = log
        self._grafana = grafana
        self._orders = Orders(log)
        self._names = Names(gateways, channels, self._orders.reference_of)
        self._positions = {
            topic: {} if from_beginning else dict(log.committed(GROUP, topic))
            for topic in (topics.VERDICTS, topics.SETTLEMENTS)
        }
        self.written = 0

    def step(self) -> int:
        """Annotate what is new, at most RECORDS_MAX records a topic; how many records. ServiceError: again later."""
        return self._take(topics.VERDICTS, self._verdicts) + self._take(topics.SETTLEMENTS, self._settlements)

    def _take(self, topic: str, annotate: Callable[[list[Record]], None]) -> int:
        positions = self._positions[topic]
        records = self._log.read(topic, positions, RECORDS_MAX)
        if not records:
            return 0
        self._orders.read()
        annotate(list(records))
        for record in records:
            positions[record.partition] = record.offset + 1
        self._log.commit(GROUP, topic, positions)
        return len(records)

    def _verdicts(self, records: list[Record]) -> None:
        """The newest verdict of each leg among these: what earlier ones said is past."""
        newest: dict[str, Verdict] = {}
        for record in records:
            try:
                verdict = VerdictRecord.decode(record.value).verdict
            except MalformedError as exc:
                _log.warning("verdict_undecodable", offset=record.offset, code=exc.code)
                continue
            newest[marks.of_leg(verdict.leg_id, verdict.gateway_id, verdict.limits_hash)] = verdict
        for group, verdict in newest.items():
            limits = self._orders.limits_of(verdict.limits_hash)
            self._bring(group, marks.of_verdict(verdict, self._names, limits), whole=True)

    def _settlements(self, records: list[Record]) -> None:
        for record in records:
            try:
                settlement = decode_settled(record.value)
            except MalformedError as exc:
                _log.warning("settlement_undecodable", offset=record.offset, code=exc.code)
                continue
            mark = marks.of_settlement(settlement, self._names.leg_label(settlement.leg_id), record.time_ms)
            self._bring(mark.of, [mark], whole=False)

    def _bring(self, group: str, wanted: list[Mark], *, whole: bool) -> None:
        path = f"/annotations?type=annotation&tags={marks.PRODUCT}&tags={group}&limit={FOUND_MAX}"
        wrong = marks.changes(wanted, _annotations(self._grafana.get(path)), whole=whole)
        for mark in wrong.add:
            self._grafana.post("/annotations", mark.document())
        for number, mark in wrong.change:
            self._grafana.patch(f"/annotations/{number}", mark.document())
        for number in wrong.remove:
            self._grafana.delete(f"/annotations/{number}")
        self.written += len(wrong.add) + len(wrong.change) + len(wrong.remove)


def keep_annotated(open_annotator: Callable[[], Annotator], stop: threading.Event, poll_s: float) -> None:
    """Until `stop`. Grafana or the log may be away for any time: nothing else waits for this."""
    annotator: Annotator | None = None
    pause_s = 0.0
    while not stop.is_set():
        try:
            annotator = annotator or open_annotator()
            handled = annotator.step()
            pause_s = 0.0
            if not handled:
                stop.wait(poll_s)
        except ServiceError as exc:
            pause_s = min(max(2 * pause_s, PAUSE_S_MIN), PAUSE_S_MAX)
            _log.warning("annotating_waits", code=exc.code, reason=exc.text, pause_s=pause_s)
            stop.wait(pause_s)


def _annotations(found: Any) -> list[dict[str, Any]]:
    """What Grafana has; ServiceError where that is not a list of annotations."""
    if isinstance(found, list) and all(_is_annotation(one) for one in found):
        return found
    raise ServiceError("grafana", f"annotations: found {str(found)[:200]}, wanted a list of them")


def _is_annotation(one: Any) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("tags"), list):
        return False
    numbers = (one.get("id"), one.get("time"))
    return all(isinstance(number, int) for number in numbers) and isinstance(one.get("text"), str)
