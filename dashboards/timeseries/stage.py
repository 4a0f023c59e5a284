"""The writer's driver: the log's records as points, positions kept once InfluxDB has acknowledged them.

Nothing waits for it. While InfluxDB does not take what it is given, the log keeps it: the records are read and made
into points again later. State and positions change in one transaction, after the points are written, so a kill between
the two only writes the same points again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain

import structlog

from dashboards.timeseries.forecasts import forecast_lines, over_lines, risks_of
from dashboards.timeseries.lines import Chunk, gathered, log_ns
from dashboards.timeseries.names import Names
from dashboards.timeseries.readings import LINES_A_CHUNK, Points
from dashboards.timeseries.records import anchor_line, batch_line, dead_line, episode_line, settlement_line
from dashboards.timeseries.sink import Sink
from dashboards.timeseries.state import LegKey, Refused, SeriesState, Written
from dashboards.timeseries.verdicts import Judged, correction_lines, limit_lines, verdict_lines
from lading import metrics, topics
from lading.assignment import BEGIN, read_assignment
from lading.batch import AnchorRecord, BatchRecord
from lading.deadletter import DeadLetter
from lading.episode import Episode, read_anomaly
from lading.errors import MalformedError
from lading.forecast import Forecast
from lading.gateways import Gateways
from lading.limits import Limits
from lading.log import Log, Record, require_reached, wall_ms
from lading.payout import decode_settled
from lading.verdict import Verdict, VerdictRecord

GROUP = "series"
RECORDS_MAX = 1_000
TOPICS = (
    topics.ASSIGNMENTS,
    topics.VERDICTS,
    topics.ANOMALIES,
    topics.FRAMES,
    topics.BATCHES,
    topics.ANCHORS,
    topics.SETTLEMENTS,
    topics.DEAD,
)
_BEFORE = {
    topics.VERDICTS: topics.ASSIGNMENTS,
    topics.ANOMALIES: topics.ASSIGNMENTS,
    topics.FRAMES: topics.ASSIGNMENTS,
    topics.SETTLEMENTS: topics.ASSIGNMENTS,
    topics.ANCHORS: topics.BATCHES,
}
"""What a topic's records are named by lies in another one, written before them."""

Maker = Callable[[Record], Iterable[bytes]]

_log = structlog.get_logger()


class Series:
    """One process writes a bucket. `records_max`: of each topic in a step."""

    def __init__(
        self,
        log: Log,
        state: SeriesState,
        sink: Sink,
        gateways: Gateways,
        channels: Mapping[str, Mapping[int, str]],
        batch_lines: int = LINES_A_CHUNK,
        *,
        records_max: int = RECORDS_MAX,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._log = log
        self._state = state
        self._sink = sink
        self._names = Names(gateways, channels, state.reference_of)
        self._points = Points(self._names, batch_lines)
        self._batch_lines = batch_lines
        self._records_max = records_max
        self._now_ms = now_ms
        self._makers: dict[str, Maker] = {
            topics.ASSIGNMENTS: self._order,
            topics.VERDICTS: self._verdict,
            topics.ANOMALIES: self._anomaly,
            topics.BATCHES: self._batch,
            topics.ANCHORS: self._anchor,
            topics.SETTLEMENTS: self._settlement,
            topics.DEAD: self._dead,
        }
        for topic in TOPICS:
            require_reached(log, topic, self.positions(topic))

    def step(self) -> int:
        """Write what is new of every topic, at most a few records of each; how many. ServiceError: nothing is lost."""
        return sum(self._take(topic) for topic in TOPICS)

    def write(self, lines: Iterable[bytes]) -> None:
        """Write points that are of the moment: they are in no log, and are not tried again."""
        self._points.left_out = 0
        with self._state.transaction():
            self._write(gathered(lines, self._batch_lines), in_order=False)

    def positions(self, topic: str) -> dict[int, int]:
        """The next offsets. A new state file begins at the log's beginning, but for frames: they need no state."""
        return positions_of(self._log, self._state, topic)

    def behind(self) -> dict[str, int]:
        """Records of each topic that are not written."""
        return behind_of(self._log, self._state)

    def _take(self, topic: str) -> int:
        records = self._log.read(topic, self.positions(topic), self._records_max)
        if not records:
            return 0
        before = _BEFORE.get(topic)
        while before and self._take(before):
            pass
        positions = self.positions(topic)
        for record in records:
            positions[record.partition] = record.offset + 1
        self._points.left_out = 0
        with self._state.transaction():
            self._write(self._chunks(topic, records), in_order=topic != topics.FRAMES)
            self._state.set_positions(topic, positions)
        self._log.commit(GROUP, topic, positions)
        return len(records)

    def _write(self, given: Iterable[Chunk], *, in_order: bool) -> None:
        """Inside a transaction: write, and count."""
        points, refused = self._sink.write(given, in_order=in_order)
        counts = {"points": points, "out_of_range": self._points.left_out}
        for one in refused:
            counts[one.code] = counts.get(one.code, 0) + one.points
            _log.warning(
                "point_refused", code=one.code, reason=one.reason, line=_shown(one), points=one.points
            )
        self._note(counts, refused)

    def _note(self, counts: Mapping[str, int], refused: Sequence[Refused]) -> None:
        for name, count in counts.items():
            self._state.count(name, count)
            if name == "points":
                metrics.SERIES_POINTS.add(count)
            elif count:
                metrics.SERIES_REFUSED.add(count, name)
        if refused:
            self._state.add_refused(self._now_ms(), refused)

    def _chunks(self, topic: str, records: Sequence[Record]) -> Iterator[Chunk]:
        if topic == topics.FRAMES:
            return self._points.of_frames(records)
        lines = chain.from_iterable(self._lines(topic, record) for record in records)
        return gathered(lines, self._batch_lines)

    def _lines(self, topic: str, record: Record) -> list[bytes]:
        """A record's lines; one that does not decode has none, and is counted."""
        try:
            lines = list(self._makers[topic](record))
            self._points.left_out += lines.count(b"")
            return lines
        except MalformedError as exc:
            place = f"{topic} {record.partition}:{record.offset}"
            _log.warning("record_undecodable", place=place, code=exc.code, reason=exc.text)
            self._note({"undecodable": 1}, [Refused("undecodable", f"{place}: {exc}", b"")])
            return []

    # What a record says, and what it changes for later ones: inside the transaction.

    def _order(self, record: Record) -> Iterator[bytes]:
        order = read_assignment(record.value)
        self._state.add_leg(order.leg_id, order.reference)
        if order.action == BEGIN and order.limits is not None:
            self._state.add_limits(order.limits.hash, order.limits.encode())
            of = self._names.leg(order.gateway, order.leg_id)
            yield from limit_lines(self._names, of, order.limits, order.begin_ms, record.time_ms)

    def _verdict(self, record: Record) -> Iterator[bytes]:
        said = VerdictRecord.decode(record.value)
        verdict = said.verdict
        key = LegKey(verdict.leg_id, verdict.gateway_id, verdict.limits_hash)
        earlier = self._state.verdict(key)
        document = self._state.limits(verdict.limits_hash)
        judged = Judged(
            said,
            self._names.leg(verdict.gateway_id, verdict.leg_id),
            Limits.decode(document) if document else None,
            log_ns(record.time_ms, record.offset),
            max(verdict.horizon.last_ms, earlier.until_ms if earlier else 0),
        )
        if earlier is not None:
            before = Verdict.decode(earlier.verdict)
            yield from correction_lines(self._names, judged, before, earlier.time_ns)
        yield from verdict_lines(self._names, judged)
        if _is_over(verdict):
            risks = self._state.risks(key)
            yield from over_lines(self._names, judged.of, risks, judged.until_ms, judged.record_ms)
        self._state.set_verdict(key, Written(judged.time_ns, judged.until_ms, verdict.encoded))

    def _anomaly(self, record: Record) -> Iterator[bytes]:
        said = read_anomaly(record.value)
        if isinstance(said, Episode):
            yield episode_line(record, said, self._names)
        elif isinstance(said, Forecast):
            yield from self._forecast(record, said)

    def _forecast(self, record: Record, said: Forecast) -> Iterator[bytes]:
        yield from forecast_lines(record, said, self._names)
        key, risks = LegKey(said.leg_id, said.gateway_id, said.limits_hash), risks_of(said)
        self._state.add_risks(key, risks)
        # The verdict may lie in the log before what was forecast of the leg's last hour, and frames go on after a fork.
        judged = self._state.verdict(key)
        if judged is not None and _is_over(Verdict.decode(judged.verdict)):
            of = self._names.leg(said.gateway_id, said.leg_id)
            time_ms = max(judged.until_ms, said.from_ms + 1)
            yield from over_lines(self._names, of, risks, time_ms, record.time_ms)

    def _batch(self, record: Record) -> Iterator[bytes]:
        batch = BatchRecord.decode(record.value)
        self._state.add_batch(batch.interval, batch.leaf.last_event_ms)
        yield batch_line(record, batch)

    def _anchor(self, record: Record) -> Iterator[bytes]:
        anchor = AnchorRecord.decode(record.value)
        yield anchor_line(record, anchor, self._state.last_event_ms(anchor.interval))

    def _settlement(self, record: Record) -> Iterator[bytes]:
        yield settlement_line(record, decode_settled(record.value), self._names)

    def _dead(self, record: Record) -> Iterator[bytes]:
        yield dead_line(record, DeadLetter.decode(record.value), self._names)


def _is_over(verdict: Verdict) -> bool:
    """The leg has ended: closed, or forked, so that no frame can close it. An incomplete one may go on."""
    return verdict.state in ("closed", "forked")


def positions_of(log: Log, state: SeriesState, topic: str) -> dict[int, int]:
    """See `Series.positions`."""
    found = state.positions(topic)
    return found or (log.committed(GROUP, topic) if topic == topics.FRAMES else {})


def references_of(log: Log, state: SeriesState) -> dict[bytes, str]:
    """Every leg's reference that the log or the state file has."""
    found = {bytes.fromhex(leg): reference for leg, reference in state.legs()}
    positions: dict[int, int] = {}
    while records := log.read(topics.ASSIGNMENTS, positions, RECORDS_MAX):
        for record in records:
            positions[record.partition] = record.offset + 1
            with suppress(MalformedError):
                order = read_assignment(record.value)
                found[order.leg_id] = order.reference
    return found


def behind_of(log: Log, state: SeriesState) -> dict[str, int]:
    """See `Series.behind`."""
    return {topic: behind(log.end(topic), positions_of(log, state, topic)) for topic in TOPICS}


def behind(ends: Mapping[int, int], positions: Mapping[int, int]) -> int:
    """Records from the positions to the ends."""
    return sum(max(end - positions.get(partition, 0), 0) for partition, end in ends.items())


def _shown(refused: Refused) -> str:
    return refused.line[:200].decode("utf-8", "replace")
