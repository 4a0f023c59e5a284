"""Times as people write them, to milliseconds UTC. The way a file writes its times is found once, by its first rows."""

import itertools
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from anomaly.detectors.arith import Ints

WANTED = "a time: 2014-07-01 00:00:00, ISO 8601, day or month first with / . or -, or seconds since 1970"
BACK_MS = 86_400_000
NO_TIME = np.iinfo(np.int64).min
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (times without a zone are taken as UTC)
_MS = timedelta(milliseconds=1)
_EPOCH_UNITS = ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (math.inf, 1e-6))  # limit, ms a unit
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_DATES = ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%Y/%m/%d", "%m/%d/%y", "%d/%m/%y")
_COMPACT = ("%Y%m%d%H%M%S", "%Y%m%d%H%M")

Parser = Callable[[str], int | None]


def _ms(moment: datetime) -> int:
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return (moment - _EPOCH) // _MS


def iso(cell: str) -> int | None:
    """ISO 8601, with a space or T, with or without fractions and zone."""
    text = cell.strip()
    for ending in (" UTC", " GMT"):
        text = text.removesuffix(ending)
    try:
        return _ms(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def epoch(ms_a_unit: float) -> Parser:
    """Seconds, or milli-, micro- or nanoseconds since 1970."""

    def parse(cell: str) -> int | None:
        try:
            return math.floor(float(cell) * ms_a_unit)
        except (ValueError, OverflowError):
            return None

    return parse


def written(dates: Sequence[str]) -> Parser:
    """By the formats of strptime that fit, with any of the clocks; the one that fitted last is tried first."""
    formats = [date + clock for date in dates for clock in (_CLOCKS if dates is not _COMPACT else ("",))]

    def parse(cell: str) -> int | None:
        text = " ".join(cell.split())
        for i, form in enumerate(formats):
            try:
                moment = datetime.strptime(text, form)  # noqa: DTZ007
            except ValueError:
                continue
            formats.insert(0, formats.pop(i))
            return _ms(moment)
        return None

    return parse


def is_time(cell: str) -> bool:
    """Whether it can be read as a time in any of the ways."""
    return any(make(cell) is not None for make in _ways(cell))


def parser_for(cells: Sequence[str]) -> Parser | None:
    """How these are written: the way that reads most, then goes back in time least often, then the first of them."""
    first = next((cell for cell in cells if is_time(cell)), None)
    if first is None:
        return None
    return max(_ways(first), key=lambda way: _fit(way, cells))


def parse_all(parse: Parser, cells: Sequence[str]) -> Ints:
    """Milliseconds; NO_TIME where a cell is not a time."""
    if parse is iso:
        fast = _iso_all(cells)
        if fast is not None:
            return fast
    found = (parse(cell) for cell in cells)
    return np.array([NO_TIME if time_ms is None else time_ms for time_ms in found], np.int64)


def clock(time_ms: Ints, last_ms: int) -> Ints:
    """The rows' times as a clock that does not go back: a time before `last_ms` or an earlier row's is taken as that.

    A clock that goes back by more than BACK_MS was wrong before, or was set: it is followed. NO_TIME takes the last.
    """
    parts = []
    while True:
        reached = np.maximum.accumulate(np.maximum(time_ms, last_ms))
        back = np.flatnonzero((time_ms != NO_TIME) & (time_ms < reached - BACK_MS))
        at = int(back[0]) if len(back) else len(time_ms)
        parts.append(reached[:at])
        if not len(back):
            return np.concatenate(parts)
        time_ms, last_ms = time_ms[at:], int(time_ms[at])


def _iso_all(cells: Sequence[str]) -> Ints | None:
    """The same for plain times without a zone, many at once; None where there are others."""
    text = np.array(cells, np.str_)
    if text.dtype.itemsize // 4 > 26 or not all(len(cell) >= 10 and cell[-1].isdigit() for cell in cells):
        return None
    if any("+" in cell or cell.count("-") != 2 or cell[4] != "-" for cell in cells):
        return None
    try:
        return text.astype("datetime64[ms]").astype(np.int64)
    except ValueError:
        return None


def _ways(cell: str) -> list[Parser]:
    """The ways this one may have been written in."""
    text = cell.strip()
    if text.isdigit() and len(text) in (8, 12, 14) and text[:2] in ("19", "20"):
        compact = iso if len(text) == 8 else written(_COMPACT)
        if compact(text) is not None:
            return [compact]
    number = epoch(1.0)(text) if text[:1].isdigit() or text[:1] in "+-." else None
    if number is not None:
        return [epoch(next(ms for limit, ms in _EPOCH_UNITS if abs(float(text)) < limit))]
    ways = [iso, *(written((date,)) for date in _DATES)]
    return [way for way in ways if way(text) is not None]


def _fit(way: Parser, cells: Sequence[str]) -> tuple[int, int]:
    found = [time_ms for time_ms in map(way, cells) if time_ms is not None]
    back = sum(after < before for before, after in itertools.pairwise(found))
    return len(found), -back
