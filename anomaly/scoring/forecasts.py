"""Forecasts of the stream: each channel's past goes on with its frames, and the next hours are said when it matters."""

import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from anomaly.forecast import breach, past
from anomaly.forecast import serving as served
from anomaly.forecast.calls import CALL_ABOVE, call_horizon
from anomaly.forecast.grid import Floats, Grid
from anomaly.forecast.past import Past
from anomaly.forecast.serving import Forecaster
from anomaly.state import LegKey, State
from lading.assignment import read_assignment
from lading.fast import walk_frames
from lading.fields import TIME_MS_MAX
from lading.forecast import SHARE_MAX, Forecast, Risk
from lading.frame import HEADER_BYTES, IDLE, RECORD_BYTES
from lading.limits import OFF_HIGH, OFF_LOW, ChannelLimits
from lading.quantities import INVALID
from lading.walk import Walked

EVERY_MS = 3_600_000
BYTES_MAX = 64 * 1024 * 1024
"""Of the channels' pasts in memory."""
TOGETHER = 256
"""Forecasts made at once: each holds its channel's rows until then."""
_MILLI = 1000.0
_HEAD = struct.Struct(
    "<Qqdd?"
)  # last frame_seq, newest row, its sum and count, whether feared; then the ring
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pasts (
  gateway BLOB, channel INTEGER, step_ms INTEGER, kept BLOB, PRIMARY KEY (gateway, channel)) WITHOUT ROWID;
"""

Shares = tuple[list[int], float]
"""Millionths by horizon, and ms from now."""
Key = tuple[bytes, int]
"""Gateway id and channel: what a channel was goes on from leg to leg."""


class Due(NamedTuple):
    """A channel whose next hours are asked for, and its rows as they were then."""

    leg: LegKey
    limits: ChannelLimits
    grid: Grid
    own: Past
    is_asked: bool  # said, whatever it says


class Forecasts:
    """The forecaster over a state file that it shares with the scores, which keep it with theirs.

    A forecast is made as each row ends, when the first reading after it comes, of channels with limits on a leg whose
    order is known. It is said at each `every_ms`, while it fears a breach soon, and once when it no longer does.
    Killed anywhere, it comes to the same from what was kept.
    """

    def __init__(
        self, forecaster: Forecaster, state: State, *, every_ms: int = EVERY_MS, bytes_max: int = BYTES_MAX
    ) -> None:
        self._forecaster, self._state = forecaster, state
        self._step_ms, self._call_at = forecaster.shape.step_ms, call_horizon(forecaster.shape)
        self._every = max(every_ms // self._step_ms, 1)
        self._pasts: OrderedDict[Key, Past] = OrderedDict()  # least recently used first
        self._changed: set[Key] = set()
        self._pasts_max = max(bytes_max // (8 * forecaster.rows), 1)
        with state.alone():
            state.db.executescript(_SCHEMA)
        self._compile()

    @property
    def is_full(self) -> bool:
        """Whether more is in memory than may be."""
        return len(self._pasts) > self._pasts_max

    def take(self, values: Sequence[bytes]) -> list[Forecast]:
        """Frames that passed every check, in the order of the log: what is to be said of them."""
        due = self._due(walk_frames(values)) if values else iter(())
        made: list[Forecast] = []
        while block := list(islice(due, TOGETHER)):
            made += self._foresee(block)
        return made

    def _foresee(self, due: Sequence[Due]) -> list[Forecast]:
        found = self._forecaster.forecast_grids([one.grid for one in due])
        upper, lower = (
            np.array([[limit / _MILLI] for limit in limits])
            for limits in ([one.limits.upper for one in due], [one.limits.lower for one in due])
        )
        above = breach.of_upper(found.above, found.levels, found.horizons_ms, upper)
        below = breach.of_lower(found.below, found.levels, found.horizons_ms, lower)
        known = ~np.isnan(found.quantiles).any(axis=(1, 2))
        known &= found.begin_ms + found.horizons_ms[-1] <= TIME_MS_MAX  # a clock may say any year
        feared = self._feared(above, due, "upper") | self._feared(below, due, "lower")
        return [
            self._said(found, i, due[i], _risk(above, i), _risk(below, i))
            for i in np.flatnonzero(known).tolist()
            if _is_news(due[i], bool(feared[i]))
        ]

    def _feared(self, risk: breach.Breach, due: Sequence[Due], side: str) -> npt.NDArray[np.bool_]:
        """Whether it calls, as the backtest judges it, of a limit that there is."""
        off = {"upper": OFF_HIGH, "lower": OFF_LOW}[side]
        has_limit = np.array([getattr(one.limits, side) != off for one in due])
        return has_limit & (risk.probability[:, self._call_at] >= CALL_ABOVE)

    def save(self) -> None:
        """Keep what changed; inside the state's transaction."""
        rows = ((*key, self._step_ms, _kept(self._pasts[key])) for key in self._changed)
        self._state.db.executemany("INSERT OR REPLACE INTO pasts VALUES (?, ?, ?, ?)", rows)
        self._changed.clear()

    def forget(self) -> None:
        """After `save`: let go of those not needed for longest, while there are too many."""
        room = (
            self._pasts_max * 3 // 4 if self.is_full else self._pasts_max
        )  # so that this is not for each frame
        while len(self._pasts) > room:
            self._pasts.popitem(last=False)

    def reset(self) -> None:
        """Back to what was kept."""
        self._pasts.clear()
        self._changed.clear()

    def _compile(self) -> None:
        """So that nothing is compiled when frames come."""
        rows, own = self._forecaster.rows, Past.of(self._forecaster.rows)
        time_ms, value = np.arange(rows) * self._step_ms, np.zeros(rows)
        past.add(own.ring, own.open, own.newest, time_ms, value, 0, rows, self._step_ms, rows, False)
        self._forecaster.forecast_grids([own.grid(self._step_ms)])

    def _due(self, walked: Walked) -> Iterator[Due]:
        columns, headers, records = walked.columns, walked.headers.tobytes(), walked.records.tobytes()
        value = np.where(columns.flags & INVALID, np.nan, columns.value / _MILLI)
        for frame in np.flatnonzero(walked.whole).tolist():
            header = headers[frame * HEADER_BYTES : (frame + 1) * HEADER_BYTES]
            for run in range(walked.run_starts[frame], walked.run_starts[frame + 1]):
                channel, quantity = struct.unpack_from(">HH", records, run * RECORD_BYTES + 1)
                if quantity == self._forecaster.shape.quantity:
                    yield from self._run(header, channel, walked, value, run)

    def _run(self, header: bytes, channel: int, walked: Walked, value: Floats, run: int) -> Iterator[Due]:
        """One run's readings, and what is due between them."""
        gateway, seq = header[2:34], int.from_bytes(header[99:107], "big")
        at, end = int(walked.reading_starts[run]), int(walked.reading_starts[run + 1])
        own = self._past((gateway, channel))
        if seq <= own.last_frame_seq or at == end:
            return
        own.last_frame_seq = seq
        self._changed.add((gateway, channel))
        is_met = False
        while True:
            rows = own.ring, own.open, own.newest
            at = past.add(*rows, walked.columns.time_ms, value, at, end, self._step_ms, self._every, is_met)
            if at == end:
                return
            is_met = True
            limits = self._limits(header, channel)
            if limits is not None:
                leg = LegKey(header[35:67], gateway, header[67:99])
                hour, next_hour = (
                    row // self._every
                    for row in (int(own.newest[0]), int(walked.columns.time_ms[at]) // self._step_ms)
                )
                yield Due(leg, limits, own.grid(self._step_ms), own, next_hour > hour)

    def _limits(self, header: bytes, channel: int) -> ChannelLimits | None:
        if header[34] == IDLE:
            return None
        with self._state.alone():
            message = self._state.order(LegKey(header[35:67], header[2:34], header[67:99]))
        order = read_assignment(message) if message else None
        limits = order.limits.by_channel.get(channel) if order and order.limits else None
        return limits if limits and (limits.upper != OFF_HIGH or limits.lower != OFF_LOW) else None

    def _past(self, key: Key) -> Past:
        if key not in self._pasts:
            self._pasts[key] = self._load(key)
        self._pasts.move_to_end(key)
        return self._pasts[key]

    def _load(self, key: Key) -> Past:
        """As it was kept; nothing where it was not, or with rows of another length."""
        with self._state.alone():
            asked = "SELECT kept FROM pasts WHERE (gateway, channel, step_ms) = (?, ?, ?)"
            found = self._state.db.execute(asked, (*key, self._step_ms)).fetchone()
        if found is None or len(found[0]) != _HEAD.size + 8 * self._forecaster.rows:
            return Past.of(self._forecaster.rows)
        seq, newest, total, count, is_feared = _HEAD.unpack_from(found[0])
        ring = np.frombuffer(found[0], "<f8", offset=_HEAD.size).astype(np.float64)
        return Past(ring, np.array([total, count]), np.array([newest]), seq, is_feared)

    def _said(self, found: served.Forecast, i: int, due: Due, above: Shares, below: Shares) -> Forecast:
        limits, begin_ms = due.limits, int(found.begin_ms[i])
        values = np.rint(found.quantiles[i].astype(np.float64) * _MILLI).astype(np.int64)
        return Forecast(
            bytes.fromhex(found.release),
            *due.leg,
            limits.channel,
            self._forecaster.shape.quantity,
            begin_ms,
            found.horizons_ms,
            tuple(round(level * SHARE_MAX) for level in found.levels),
            tuple(tuple(row) for row in values.tolist()),
            None if limits.upper == OFF_HIGH else _of(limits.upper, above, begin_ms),
            None if limits.lower == OFF_LOW else _of(limits.lower, below, begin_ms),
        )


def _is_news(due: Due, is_feared: bool) -> bool:
    """Whether a forecast is said; the channel's next one goes by it."""
    was_feared, due.own.is_feared = due.own.is_feared, is_feared
    return due.is_asked or is_feared or was_feared


def _risk(found: breach.Breach, i: int) -> Shares:
    return np.rint(found.probability[i] * SHARE_MAX).astype(np.int64).tolist(), float(found.first_ms[i])


def _of(limit: int, shares: Shares, begin_ms: int) -> Risk:
    first_ms = shares[1]
    return Risk(limit, tuple(shares[0]), None if first_ms != first_ms else begin_ms + round(first_ms))


def _kept(own: Past) -> bytes:
    head = _HEAD.pack(own.last_frame_seq, int(own.newest[0]), *own.open.tolist(), own.is_feared)
    return head + own.ring.astype("<f8").tobytes()
