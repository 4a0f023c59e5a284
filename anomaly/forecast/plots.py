"""Small plots as SVG, each with its description in words, for a page that needs nothing else."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 40
COLOURS = ("#1f5fa8", "#b4552d", "#5b7f3b", "#7a5195")
DASHES = ("", "6 3", "2 3", "8 3 2 3")
TICKS = 5

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over x. `rules` are horizontal lines with a name; `diagonal` is drawn where x and y are the same thing."""

    title: str
    about: str
    x: str
    y: str
    lines: Mapping[str, Points]
    rules: Mapping[str, float]
    diagonal: bool = False


def svg(plot: Plot) -> str:
    """The plot as a figure."""
    xs = [x for line in plot.lines.values() for x, y in line if math.isfinite(y)]
    ys = [y for line in plot.lines.values() for _, y in line if math.isfinite(y)] + list(plot.rules.values())
    if not xs:
        return f"<figure><figcaption>{escape(plot.title)}: nothing to show</figcaption></figure>"
    to_x, x_ticks = _axis(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    to_y, y_ticks = _axis(min(ys), max(ys), HEIGHT - BOTTOM, TOP)
    parts = [_grid(x_ticks, y_ticks, to_x, to_y)]
    if plot.diagonal:
        low, high = max(min(xs), min(ys)), min(max(xs), max(ys))
        parts.append(_line([(to_x(low), to_y(low)), (to_x(high), to_y(high))], "#888", "4 4"))
    for name, y in plot.rules.items():
        parts.append(_line([(LEFT, to_y(y)), (WIDTH - RIGHT, to_y(y))], "#888", "4 4"))
        parts.append(_text(WIDTH - RIGHT, to_y(y) - 4, name, "end"))
    for n, (name, line) in enumerate(plot.lines.items()):
        colour, dash = COLOURS[n % len(COLOURS)], DASHES[n % len(DASHES)]
        parts.append(_line([(to_x(x), to_y(y)) for x, y in line if math.isfinite(y)], colour, dash, 2))
        parts.append(_text(LEFT + 8, TOP + 14 + 15 * n, name, "start", colour))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, plot.x, "middle"))
    return (
        f"<figure><figcaption><strong>{escape(plot.title)}</strong> ({escape(plot.y)})</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(plot.about)}</title>{"".join(parts)}</svg>'
        f"<p>{escape(plot.about)}</p></figure>"
    )


def _axis(low: float, high: float, first: float, last: float) -> tuple["_Scale", list[float]]:
    step = _round_step((high - low) or 1.0)
    begin, end = math.floor(low / step) * step, math.ceil(high / step) * step
    end = end if end > begin else begin + step
    ticks = [begin + step * n for n in range(round((end - begin) / step) + 1)]
    return _Scale(begin, end, first, last), ticks


def _round_step(span: float) -> float:
    size = 10.0 ** math.floor(math.log10(span / TICKS))
    return float(next(size * m for m in (1, 2, 5, 10) if span / (size * m) <= TICKS))


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: float
    end: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        return self.first + (value - self.begin) / (self.end - self.begin) * (self.last - self.first)


def _grid(x_ticks: list[float], y_ticks: list[float], to_x: _Scale, to_y: _Scale) -> str:
    parts = []
    for x in x_ticks:
        parts.append(_line([(to_x(x), TOP), (to_x(x), HEIGHT - BOTTOM)], "#ddd"))
        parts.append(_text(to_x(x), HEIGHT - BOTTOM + 14, f"{x:g}", "middle"))
    for y in y_ticks:
        parts.append(_line([(LEFT, to_y(y)), (WIDTH - RIGHT, to_y(y))], "#ddd"))
        parts.append(_text(LEFT - 6, to_y(y) + 4, f"{y:.6g}", "end"))
    return "".join(parts)


def _line(points: Points, colour: str, dash: str = "", width: int = 1) -> str:
    shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    shape = f'fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}"'
    return f'<polyline {shape} points="{shown}"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
