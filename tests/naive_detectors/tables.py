"""Twins of readings gathered to rows, and of rows of several columns."""

import math

from anomaly.detectors import cross, gather, rows
from tests.naive_detectors.levels import Change, Robust
from tests.naive_detectors.twin import NONE, clip, in_order


class Gather:
    """Readings to rows."""

    def __init__(self) -> None:
        self.last_ms: int | None = None
        self.open: list[tuple[int, float]] = []

    def step(self, time_ms: int, value: float) -> tuple[int, float] | None:
        """The row that becomes known with this reading."""
        closed = None
        is_first, interval = self.last_ms is None, time_ms - (self.last_ms or 0)
        self.last_ms = time_ms
        taken = time_ms - self.open[0][0] if self.open else 0
        if taken >= gather.GAP * gather.ROW_MS or taken < 0:
            if gather.SOON * interval >= gather.ROW_MS:
                self.open = []
            else:
                closed = self.close()
        self.open.append((time_ms, clip(value, gather.VALUE_MAX)))
        if closed is None and (
            is_first or time_ms - self.open[0][0] + gather.SOON * interval >= gather.ROW_MS
        ):
            closed = self.close()
        return closed

    def close(self) -> tuple[int, float]:
        begin_ms, mean = self.open[0][0], in_order([value for _, value in self.open]) / len(self.open)
        self.open = []
        return begin_ms, mean


class Alarms:
    """When one begins."""

    def __init__(self, gate: float) -> None:
        self.gate, self.since, self.armed, self.last = gate, 0, True, 0.0

    def begins(self, score: float, *, is_quiet: bool, renewed: bool = False) -> bool:
        self.since += 1
        self.armed = self.armed or score < rows.REARM * self.gate
        far = renewed and score >= (1 + self.last) / 2
        if score < self.gate or (is_quiet and self.last) or not (self.armed or far):
            return False
        self.since, self.armed, self.last = 0, False, score
        return True


def one_column(times: list[int], scores: list[float], new: list[int], hold: int) -> list[float]:
    """Two bands."""
    alarms, said, out = Alarms(rows.RAISE), [], []
    for i, score in enumerate(scores):
        if new[i]:
            is_soon = bool(said) and 0 <= times[i] - times[said[-1][0]] < rows.QUIET_MS
            is_quiet = is_soon or alarms.since + 1 < rows.QUIET_NEW
            if alarms.begins(score, is_quiet=is_quiet, renewed=True):
                said.append((i, 0.5 + score * 0.5))
        up = said and i - said[-1][0] < hold
        out.append(said[-1][1] if up else score * 0.49)
    return out


def several_columns(table: list[list[float]], hold: int) -> list[float]:
    """The furthest level; 0 where a change begins."""
    twins, alarms, out = [Change() for _ in table[0]], Alarms(rows.C_RAISE), []
    said, last = (-hold, 0.0), [0 for _ in table[0]]
    for i, values in enumerate(table):
        furthest, most = 0.0, 0.0
        for j, value in enumerate(values):
            if math.isfinite(value):
                last[j] = i
                most = max(most, twins[j].step(0, value))
            if i - last[j] <= rows.MISSED_ROWS:
                furthest = max(furthest, twins[j].level.said)
        score = furthest / (furthest + rows.H_HALF) if any(map(math.isfinite, values)) else 0.0
        if score >= rows.UPPER:
            said = (i, score)
        out.append(max(score, said[1]) if i - said[0] < hold else score)
        if alarms.begins(most, is_quiet=alarms.since + 1 < rows.QUIET_ROWS):
            out[-1] = 0.0
    return out


class Cross:
    """Rows of `columns` values, None for a fault."""

    def __init__(self, columns: int) -> None:
        self.long = [Robust() for _ in range(columns)]
        self.weights = [[0.0] * columns for _ in range(columns)]

    def row(self, values: list[float | None], pace: float = 1.0) -> list[float]:
        z = [
            0.0 if value is None else clip(long.deviation(value, pace), cross.Z_MAX)
            for value, long in zip(values, self.long, strict=True)
        ]
        power = 0.0
        for one in z:
            power += one * one
        out = []
        for j, value in enumerate(values):
            if value is None:
                out.append(math.nan)
                continue
            others = [i for i in range(len(z)) if i != j]
            e = z[j]
            for i in others:
                e -= self.weights[j][i] * z[i]
            gain = cross.RATE * pace * e / (1 + (power - z[j] * z[j]))
            for i in others:
                self.weights[j][i] += gain * z[i]
            there = sum(v is not None for v in values)
            out.append(NONE if there < 2 or self.long[j].count <= cross.WARM_ROWS else abs(e))
        return out
