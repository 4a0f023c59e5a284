"""Forecasts as points: the quantiles at the times they are of, and the risk where the forecast was made."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from dashboards.timeseries import schema
from dashboards.timeseries.lines import AHEAD_MS_MAX, NS_A_MS, Value, is_in_range, line
from dashboards.timeseries.names import HEX_DIGITS, Names, OfLeg
from dashboards.timeseries.readings import channel_tags
from dashboards.timeseries.state import OfRisk
from lading.forecast import SHARE_MAX, Forecast, Risk
from lading.log import Record

SOON_MS = 45 * 60_000
"""What `soon` looks at: a call of docs/forecasting.md looks as far ahead."""
EVERY_MS = 300_000
"""Points are of these times of the clock: so the next forecast's, whatever its horizons, replace them."""
QUANTILES = {"low": 100_000, "median": 500_000, "high": 900_000}

Column = Sequence[float]
"""A value a horizon."""


def forecast_lines(record: Record, one: Forecast, names: Names) -> Iterator[bytes]:
    """A forecast's points; an empty line for each at a time that cannot be."""
    of = names.leg(one.gateway_id, one.leg_id)
    tags = channel_tags(names, of, one.channel, one.quantity) | {"release": _release(one)}
    if not is_in_range(one.from_ms, record.time_ms):
        yield from (b"" for _ in (*one.horizons_ms, *_sides(one)))
        return
    for time_ms, values in _points(one):
        yield line(schema.FORECAST, tags, values, time_ms * NS_A_MS)
    yield from (b"" for ahead_ms in one.horizons_ms if ahead_ms > AHEAD_MS_MAX)
    for side, risk in _sides(one):
        values = _risk_values(one.horizons_ms, risk)
        yield line(schema.RISK, tags | {"side": side}, values, one.from_ms * NS_A_MS)


def risks_of(one: Forecast) -> list[OfRisk]:
    """The series of its risks."""
    return [OfRisk(one.channel, one.quantity, _release(one), side) for side, _ in _sides(one)]


def over_lines(
    names: Names, of: OfLeg, risks: Iterable[OfRisk], time_ms: int, record_ms: int
) -> Iterator[bytes]:
    """Nothing is to be feared of a leg that is over since `time_ms`: no alert goes on by what was said before."""
    is_true = is_in_range(time_ms, record_ms)
    for one in risks:
        tags = channel_tags(names, of, one.channel, one.quantity) | {"release": one.release, "side": one.side}
        values: dict[str, Value] = {"probability": 0, "soon": 0}
        yield line(schema.RISK, tags, values, time_ms * NS_A_MS) if is_true else b""


def _release(one: Forecast) -> str:
    return one.release.hex()[:HEX_DIGITS]


def _sides(one: Forecast) -> list[tuple[str, Risk]]:
    return [(side, risk) for side, risk in (("upper", one.upper), ("lower", one.lower)) if risk is not None]


def _points(one: Forecast) -> Iterator[tuple[int, dict[str, Value]]]:
    """Times and fields from the first horizon to the last, as a line through the horizons has them."""
    first_ms, last_ms = one.horizons_ms[0], min(one.horizons_ms[-1], AHEAD_MS_MAX)
    times = range(-(-(one.from_ms + first_ms) // EVERY_MS) * EVERY_MS, one.from_ms + last_ms + 1, EVERY_MS)
    same, columns = _same(one), _columns(one)
    for time_ms in times:
        ahead_ms = time_ms - one.from_ms
        values: dict[str, Value] = {
            name: _between(ahead_ms, one.horizons_ms, column) for name, column in columns.items()
        }
        if time_ms == times[-1]:  # no later forecast writes early_* there: it stays
            values |= {f"early_{name}": values.get(name) for name in QUANTILES} | {"early_s": ahead_ms / 1000}
        yield time_ms, values | same


def _same(one: Forecast) -> dict[str, Value]:
    """What each of its points has."""
    return {
        "lowest_level": one.levels[0] / SHARE_MAX,
        "highest_level": one.levels[-1] / SHARE_MAX,
        **{side: risk.limit / 1000 for side, risk in _sides(one)},
        "from_ms": one.from_ms,
    }


def _columns(one: Forecast) -> dict[str, Column]:
    """What changes along the horizons: quantiles in the unit, those beyond the record's left out, and probabilities."""
    columns: dict[str, Column] = {"lowest": [row[0] / 1000 for row in one.values]}
    for name, level in QUANTILES.items():
        if one.levels[0] <= level <= one.levels[-1]:
            columns[name] = [_between(level, one.levels, row) / 1000 for row in one.values]
    columns["highest"] = [row[-1] / 1000 for row in one.values]
    for side, risk in _sides(one):
        columns[f"{side}_probability"] = [share / SHARE_MAX for share in risk.shares]
    return columns


def _risk_values(horizons_ms: Sequence[int], risk: Risk) -> dict[str, Value]:
    soon_ms = min(SOON_MS, horizons_ms[-1])
    return {
        "limit": risk.limit / 1000,
        "probability": risk.shares[-1] / SHARE_MAX,
        "soon": _between(soon_ms, (0, *horizons_ms), (0, *risk.shares)) / SHARE_MAX,
        "begin_ms": risk.first_ms,
        "within_s": horizons_ms[-1] / 1000,
    }


def _between(x: int, xs: Sequence[int], ys: Column) -> float:
    """y at x, linear between the two beside it. `xs` ascend, and x lies among them."""
    at = bisect_left(xs, x)
    if xs[at] == x:
        return ys[at]
    before, after = xs[at - 1], xs[at]
    return ys[at - 1] + (ys[at] - ys[at - 1]) * (x - before) / (after - before)
