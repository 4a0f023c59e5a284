"""Forecasts as points: the quantiles at the times they are of, and the risk where the forecast was made."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from dashboards.timeseries import schema
from dashboards.timeseries.lines import NS_A_MS, Value, is_in_range, line
from dashboards.timeseries.names import HEX_DIGITS, Names, OfLeg
from dashboards.timeseries.readings import channel_tags
from dashboards.timeseries.state import OfRisk
from lading.forecast import SHARE_MAX, Forecast, Risk
from lading.log import Record

SOON_MS = 45 * 60_000
"""What `soon` looks at: a call of docs/forecasting.md looks as far ahead."""
LOW, MEDIAN, HIGH = 100_000, 500_000, 900_000


def forecast_lines(record: Record, one: Forecast, names: Names) -> Iterator[bytes]:
    """A forecast's points; an empty line for each at a time that cannot be."""
    of = names.leg(one.gateway_id, one.leg_id)
    tags = channel_tags(names, of, one.channel, one.quantity) | {"release": _release(one)}
    is_true = is_in_range(one.from_ms, record.time_ms)
    for at, ahead_ms in enumerate(one.horizons_ms):
        time_ms = one.from_ms + ahead_ms
        is_near = is_true and is_in_range(time_ms, one.from_ms)
        yield line(schema.FORECAST, tags, _values(one, at), time_ms * NS_A_MS) if is_near else b""
    for side, risk in _sides(one):
        values = _risk_values(one.horizons_ms, risk)
        yield line(schema.RISK, tags | {"side": side}, values, one.from_ms * NS_A_MS) if is_true else b""


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


def _values(one: Forecast, at: int) -> dict[str, Value]:
    """Of one horizon. Only what is said from furthest ahead of a time is early: no later forecast replaces it."""
    row = one.values[at]
    low, median, high = (_quantile(level, one.levels, row) for level in (LOW, MEDIAN, HIGH))
    is_last = at == len(one.horizons_ms) - 1
    early: dict[str, Value] = {
        "early_low": low,
        "early_median": median,
        "early_high": high,
        "early_s": one.horizons_ms[at] / 1000,
    }
    return {
        "lowest": row[0] / 1000,
        "low": low,
        "median": median,
        "high": high,
        "highest": row[-1] / 1000,
        "lowest_level": one.levels[0] / SHARE_MAX,
        "highest_level": one.levels[-1] / SHARE_MAX,
        "upper": one.upper and one.upper.limit / 1000,
        "lower": one.lower and one.lower.limit / 1000,
        "upper_probability": one.upper and one.upper.shares[at] / SHARE_MAX,
        "lower_probability": one.lower and one.lower.shares[at] / SHARE_MAX,
        "from_ms": one.from_ms,
        **(early if is_last else {}),
    }


def _risk_values(horizons_ms: Sequence[int], risk: Risk) -> dict[str, Value]:
    soon = _between(SOON_MS, (0, *horizons_ms), (0, *risk.shares))
    return {
        "limit": risk.limit / 1000,
        "probability": risk.shares[-1] / SHARE_MAX,
        "soon": (risk.shares[-1] if soon is None else soon) / SHARE_MAX,
        "begin_ms": risk.first_ms,
        "within_s": horizons_ms[-1] / 1000,
    }


def _quantile(level: int, levels: Sequence[int], row: Sequence[int]) -> float | None:
    """In the unit; None beyond the quantiles that there are."""
    found = _between(level, levels, row)
    return None if found is None else found / 1000


def _between(x: int, xs: Sequence[int], ys: Sequence[int]) -> float | None:
    """y at x, linear between the two beside it; None outside. `xs` ascend."""
    at = bisect_left(xs, x)
    if at == len(xs) or (at == 0 and xs[0] != x):
        return None
    if xs[at] == x:
        return ys[at]
    before, after = xs[at - 1], xs[at]
    return ys[at - 1] + (ys[at] - ys[at - 1]) * (x - before) / (after - before)
