"""Costs as tables, as one JSON document, and as a drawing."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contracts.fees.fleet import Costs, Fleet
from contracts.fees.formulas import Prices

ETHER, GWEI = 10**18, 10**9
MILLION = 10**6
_NAMES = {"l1": "L1", "op": "OP stack", "arbitrum": "Arbitrum"}
_WIDTH, _HEIGHT, _MARGIN = 720, 420, 70
_COLOURS = ("#1f6f8b", "#c8553d", "#6a8d3a", "#6c4a8b", "#8a6d1f", "#444444")


@dataclass(frozen=True, slots=True)
class Report:
    """One chain: where its prices come from, its costs at the fleet's interval, and at each cadence."""

    source: str
    prices: Prices
    costs: Costs
    cadences: tuple[Costs, ...]

    @property
    def name(self) -> str:
        """The kind of chain, and where the prices come from."""
        return f"{_NAMES[self.prices.chain]} ({self.source})"


def document(fleet: Fleet, reports: Sequence[Report], ether_price: float | None) -> dict[str, Any]:
    """Everything, in wei."""
    return {
        "fleet": asdict(fleet) | {"readings_per_month": fleet.readings_per_month},
        "ether_price": ether_price,
        "chains": [
            {
                "chain": report.prices.chain,
                "source": report.source,
                "prices": asdict(report.prices),  # type: ignore[call-overload]
                "operations": {
                    name: asdict(fee)
                    | {"total_wei": fee.total_wei, "per_month": report.costs.per_month[name]}
                    for name, fee in report.costs.fees.items()
                },
                **_month(fleet, report.costs),
                "cadences": [_month(fleet, one) for one in report.cadences],
            }
            for report in reports
        ],
    }


def _month(fleet: Fleet, costs: Costs) -> dict[str, Any]:
    return {
        "interval_s": costs.interval_s,
        "anchors_per_month": costs.per_month["anchor"],
        "anchoring_wei": costs.anchoring_wei,
        "month_wei": costs.month_wei,
        "gateway_month_wei": round(costs.month_wei / fleet.gateways),
        "million_readings_wei": round(costs.anchoring_wei * MILLION / fleet.readings_per_month),
    }


def lines(fleet: Fleet, reports: Sequence[Report], ether_price: float | None) -> list[str]:
    """Two tables a chain: one of each transaction, and a month at each cadence."""
    found = []
    for report in reports:
        found += [report.name, *_operations(report.costs, ether_price), ""]
        found += [*_cadences(fleet, report.cadences, ether_price), ""]
    return found


def _operations(costs: Costs, ether_price: float | None) -> list[str]:
    titles = ("", "gas", "bytes", "execution", "data", "operator", "together", "a month")
    rows = [
        (
            name,
            f"{fee.gas:,}",
            f"{fee.data_bytes:,}",
            *(shown(wei, ether_price) for wei in (fee.execution_wei, fee.data_wei, fee.operator_wei)),
            shown(fee.total_wei, ether_price),
            f"{costs.per_month[name]:,.0f}",
        )
        for name, fee in costs.fees.items()
    ]
    return _table([titles, *rows])


def _cadences(fleet: Fleet, cadences: Sequence[Costs], ether_price: float | None) -> list[str]:
    titles = (
        "an anchor in",
        "anchors a month",
        "anchoring",
        "with settling",
        "a gateway",
        "a million readings",
    )
    rows = []
    for one in cadences:
        month = _month(fleet, one)
        money = ("anchoring_wei", "month_wei", "gateway_month_wei", "million_readings_wei")
        rows.append(
            (
                duration(one.interval_s),
                f"{month['anchors_per_month']:,.0f}",
                *(shown(month[name], ether_price) for name in money),
            )
        )
    return _table([titles, *rows])


def shown(wei: int, ether_price: float | None) -> str:
    """Ether, or money where its price is given."""
    value = wei / ETHER * (1 if ether_price is None else ether_price)
    return (
        f"{value:,.2f}" if value >= 100 or not value else f"{value:.3g}" if value >= 1e-4 else f"{value:.2e}"
    )


def duration(interval_s: float) -> str:
    """Seconds as people say them."""
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if interval_s >= unit_s and interval_s % unit_s == 0:
            return f"{interval_s / unit_s:.0f} {unit}"
    return f"{interval_s:g} s"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(line)
        )
        for line in (list(zip(row, widths, strict=True)) for row in rows)
    ]


def drawing(reports: Sequence[Report], ether_price: float | None) -> str:
    """An SVG of the cost of a month over the interval's length; both axes are logarithmic."""
    money = 1 if ether_price is None else ether_price
    values = [[one.month_wei / ETHER * money for one in report.cadences] for report in reports]
    intervals = [one.interval_s for one in reports[0].cadences]
    low = 10 ** math.floor(math.log10(min(value for row in values for value in row if value > 0)))
    high = 10 ** math.ceil(math.log10(max(value for row in values for value in row)) + 1e-9)
    parts = [_grid(intervals, low, high, "ether" if ether_price is None else "money")]
    for at, (report, row) in enumerate(zip(reports, values, strict=True)):
        colour = _COLOURS[at % len(_COLOURS)]
        points = " ".join(
            f"{_x(s, intervals):.1f},{_y(max(value, low), low, high):.1f}"
            for s, value in zip(intervals, row, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(_WIDTH - _MARGIN, 24 + 16 * at, _NAMES[report.prices.chain], colour, "end"))
    body = "\n".join(parts)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">'
    )
    return f"{head}\n{body}\n</svg>\n"


def _grid(intervals: Sequence[float], low: float, high: float, unit: str) -> str:
    parts = [_text(_MARGIN, 16, f"{unit} a month, by the interval between anchors", "#222")]
    bottom = _HEIGHT - _MARGIN
    for interval_s in intervals:
        x = _x(interval_s, intervals)
        parts.append(f'<path d="M{x:.1f} {_MARGIN}V{bottom}" stroke="#ddd"/>')
        parts.append(_text(x, bottom + 18, duration(interval_s), "#222", "middle"))
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        y = _y(10.0**power, low, high)
        parts.append(f'<path d="M{_MARGIN} {y:.1f}H{_WIDTH - _MARGIN}" stroke="#ddd"/>')
        parts.append(_text(_MARGIN - 6, y + 4, f"{10.0**power:g}", "#222", "end"))
    return "\n".join(parts)


def _x(interval_s: float, intervals: Sequence[float]) -> float:
    first, last = math.log(intervals[0]), math.log(intervals[-1])
    return _MARGIN + (math.log(interval_s) - first) / (last - first) * (_WIDTH - 2 * _MARGIN)


def _y(value: float, low: float, high: float) -> float:
    share = (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" fill="{colour}" text-anchor="{anchor}">{text}</text>'
    )
