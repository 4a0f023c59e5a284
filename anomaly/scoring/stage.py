"""The scoring on the log: frames in, anomalies out, state and offsets kept together from time to time."""

import time
from collections.abc import Callable

import structlog

from anomaly.scoring.block import Block
from anomaly.scoring.engine import Engine
from anomaly.scoring.forecasts import Forecasts
from anomaly.scoring.leg import Leg
from anomaly.scoring.store import ScoreStore
from anomaly.state import State
from lading import metrics, topics
from lading.episode import Episode
from lading.log import Log, Record, require_reached

GROUP = "anomaly-scores"
RECORDS_MAX = 1_000
TAKE_RECORDS = 100
"""Frames at once: more do not go faster, and each may be of channels that are not in memory."""
STEP_BYTES_MAX = 4 * 1024 * 1024
KEEP_READINGS = 2_000_000
"""How many readings are scored again, at most, after a kill: seconds of work."""
KEEP_S = 60.0
BYTES_MAX = 128 * 1024 * 1024
"""Of the channels' rows in memory: a bound in bytes, since another release's row may be longer."""
READ_RECORDS = 1_000
_FRAMES, _ANOMALIES = (
    f"{topics.FRAMES} scored",
    f"{topics.ANOMALIES} known",
)  # names of positions in the state

_log = structlog.get_logger()


class Scores:
    """Scores every channel and, with `forecasts`, says the next hours of those with limits.

    What it says is in the log after each `step`. What it knows is kept every `keep_s` (a leg's state is longer than its
    frames), when it scored `keep_readings`, or has more than `channels_cached_max` in memory. Killed anywhere, it
    scores again from what was kept, comes to the same, and writes nothing twice. How far it came is told to the log at
    most every `commit_s`, for others to see.
    """

    def __init__(
        self,
        log: Log,
        state: State,
        *,
        records_max: int = RECORDS_MAX,
        channels_cached_max: int | None = None,
        keep_readings: int = KEEP_READINGS,
        keep_s: float = KEEP_S,
        commit_s: float = 0.0,
        forecasts: Forecasts | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._state, self._forecasts = log, state, forecasts
        self._records_max, self._channels_max, self._keep_readings = (
            records_max,
            channels_cached_max or channels_in(BYTES_MAX),
            keep_readings,
        )
        self._keep_s, self._commit_s, self._monotonic_s = keep_s, commit_s, monotonic_s
        self._keep_due_s, self._commit_due_s = monotonic_s() + keep_s, monotonic_s()
        self._is_committed = True
        with state.alone():
            self._store = ScoreStore(state.db)
        self._engine = Engine(self._load)
        self._next: dict[int, int] = {}
        self._may_be_said, self._said_until = False, dict[int, int]()
        self._has_told_release = False
        self._must_recover = True
        self._recover()

    def step(self) -> int:
        """Take what is new in the log, at most `records_max` frames. How many that were; 0: idle."""
        try:
            if self._must_recover:
                self._recover()
            records = self._read()
            for at in range(0, len(records), TAKE_RECORDS):
                self._take(records[at : at + TAKE_RECORDS])
                if self._is_time():
                    self._keep()
            self._tell(is_more=bool(records))
        except BaseException:
            self._must_recover = True
            raise
        return len(records)

    @property
    def is_at_rest(self) -> bool:
        """Whether all that was scored is kept and told."""
        return self._is_committed and not self._engine.changed

    def close(self) -> None:
        """Keep what there is, so that the next one has nothing to do again."""
        if not self._must_recover and self._engine.changed:
            self._keep()

    def _read(self) -> list[Record]:
        records: list[Record] = []
        left = STEP_BYTES_MAX
        for record in self._log.read(topics.FRAMES, self._next, self._records_max):
            left -= len(record.value)
            if left < 0 and records:
                break
            records.append(record)
        return records

    def _take(self, records: list[Record]) -> None:
        before = self._engine.readings
        values = [record.value for record in records]
        said = self._engine.take(values)
        items = [(one.leg.gateway_id, one.encode()) for one in said] + self._foreseen(values)
        if self._may_be_said:
            with self._state.alone():
                items = [item for item in items if not self._store.is_said(item[1])]
        if items:
            self._log.append(topics.ANOMALIES, items)
        self._next |= {record.partition: record.offset + 1 for record in records}
        metrics.ANOMALY_SCORED.add(self._engine.readings - before)
        for one in said:
            if isinstance(one, Episode):
                metrics.ANOMALY_EPISODES.add(1, one.detector, one.state)
        self._tell_passed_over()

    def _foreseen(self, values: list[bytes]) -> list[tuple[bytes, bytes]]:
        made = self._forecasts.take(values) if self._forecasts else []
        metrics.ANOMALY_FORECASTS.add(len(made))
        return [(one.gateway_id, one.encode()) for one in made]

    def _tell_passed_over(self) -> None:
        if self._engine.passed_over:
            _log.warning("frames_not_scored", **self._engine.passed_over)
            for why, count in self._engine.passed_over.items():
                metrics.ANOMALY_UNSCORED.add(count, why)
            self._engine.passed_over.clear()

    def _is_time(self) -> bool:
        engine = self._engine
        is_due = bool(engine.changed) and self._monotonic_s() >= self._keep_due_s
        is_due |= self._forecasts is not None and self._forecasts.is_full
        return is_due or engine.readings >= self._keep_readings or engine.block.used > self._channels_max

    def _tell(self, *, is_more: bool) -> None:
        """Keep what is due also when nothing comes, and tell the log how far we are."""
        if not is_more and self._is_time():
            self._keep()
        self._is_committed = self._is_committed and not is_more
        if not self._is_committed and self._monotonic_s() >= self._commit_due_s:
            self._log.commit(GROUP, topics.FRAMES, self._next)
            self._is_committed, self._commit_due_s = True, self._monotonic_s() + self._commit_s

    def _keep(self) -> None:
        """State and offsets, in one transaction; then what is too much is forgotten."""
        engine = self._engine
        with self._state.transaction():
            self._store.save(engine.changed.values(), engine.block, engine.release)
            if self._forecasts:
                self._forecasts.save()
            self._state.set_positions(_FRAMES, self._next)
            self._state.set_positions(_ANOMALIES, self._log.end(topics.ANOMALIES))
            if self._may_be_said and self._is_past(self._said_until):
                self._store.forget_said()
                self._may_be_said = False
        self._keep_due_s = self._monotonic_s() + self._keep_s
        engine.changed.clear()
        engine.readings = 0
        if self._forecasts:
            self._forecasts.forget()
        # Some room, so that this is not for each frame.
        is_full = engine.block.used > self._channels_max
        engine.forget(self._channels_max * 3 // 4 if is_full else self._channels_max)

    def _is_past(self, ends: dict[int, int]) -> bool:
        return all(self._next.get(partition, 0) >= end for partition, end in ends.items())

    def _recover(self) -> None:
        """Go back to what was kept, and learn what the log has beyond it."""
        self._engine = Engine(self._load)
        if self._forecasts:
            self._forecasts.reset()
        self._has_told_release = False
        with self._state.transaction():
            self._next = self._state.positions(_FRAMES)
            known = self._state.positions(_ANOMALIES)
            require_reached(self._log, topics.FRAMES, self._next)
            require_reached(self._log, topics.ANOMALIES, known)
            while records := self._log.read(topics.ANOMALIES, known, READ_RECORDS):
                self._store.add_said(record.value for record in records)
                known |= {record.partition: record.offset + 1 for record in records}
            self._state.set_positions(_ANOMALIES, known)
            self._may_be_said = self._store.any_said()
        self._said_until = self._log.end(topics.FRAMES)
        self._must_recover = False

    def _load(self, key: bytes, block: Block) -> Leg:
        with self._state.alone():
            leg, is_other = self._store.load(key, block, self._engine.release)
        if is_other and not self._has_told_release:
            _log.warning("scoring_begun_anew", release=self._engine.release)
            self._has_told_release = True
        return leg


def channels_in(bytes_max: int) -> int:
    """How many channels' rows fit into so much memory."""
    return max(bytes_max // Block().row_bytes, 1)


def lag(log: Log) -> int:
    """Frames in the log that are not scored yet, as far as was told."""
    taken = log.committed(GROUP, topics.FRAMES)
    return sum(end - taken.get(partition, 0) for partition, end in log.end(topics.FRAMES).items())
