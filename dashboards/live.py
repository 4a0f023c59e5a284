"""The live view of a run: stages and progress on a terminal, plain lines elsewhere. Never touches stdout."""

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dashboards import words
from lading.rules.words import duration

STAGES = ("edge", "broker", "ingest", "log", "rules", "anchors", "settlement")
EVENTS_SHOWN = 8
REDRAW_S = 0.1
PLAIN_STEP_PERCENT = 5


class LiveView:
    """Context manager. `total` is what `progress` counts to: simulated milliseconds, readings or lines.

    >>> with LiveView(total=14) as view:
    ...     view.progress(3, clock_ms, {"edge": 1200, "ingest": 1190})
    ...     view.event("rules", "truck-2 breach provisional")
    """

    def __init__(
        self,
        total: int,
        title: str = "lading demo",
        stages: Sequence[str] = STAGES,
        out: TextIO | None = None,
        force_plain: bool = False,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        stream = sys.stderr if out is None else out
        self._console = Console(file=stream, highlight=False)
        self._state = _State(max(1, total), title, tuple(stages), now_s)
        self._plain = force_plain or not self._console.is_terminal or self._console.is_dumb_terminal
        self._live: Live | None = None
        self._drawn_s = float("-inf")
        self._percent_said = -PLAIN_STEP_PERCENT

    def __enter__(self) -> Self:
        if not self._plain:
            self._live = Live(
                console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
            self._redraw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._redraw()
            self._live.stop()
            self._live = None
        elif kind is None:
            self._say_progress()

    def progress(self, done: int, clock_ms: int, counts: Mapping[str, int]) -> None:
        """How far the run is, at which simulated time, and what each stage has counted since the start."""
        self._state.take(done, clock_ms, counts)
        if self._live is not None:
            if self._state.now_s() - self._drawn_s >= REDRAW_S:
                self._redraw()
        elif self._state.percent - self._percent_said >= PLAIN_STEP_PERCENT:
            self._say_progress()

    def event(self, stage: str, text: str) -> None:
        """Something worth a line, such as "truck-2 offline" or "interval 12 anchored"."""
        self._state.add_event(stage, text)
        if self._live is not None:
            self._redraw()
        else:
            self._say(f"{stage}: {text}")

    def _redraw(self) -> None:
        assert self._live is not None
        self._live.update(self._state.screen(self._console.width), refresh=True)
        self._drawn_s = self._state.now_s()

    def _say_progress(self) -> None:
        if self._state.percent == self._percent_said:
            return
        self._percent_said = self._state.percent
        self._say(self._state.line())

    def _say(self, text: str) -> None:
        """One line, whole, whatever the width; control characters of names shown, not obeyed."""
        self._console.file.write(words.printable(text) + "\n")
        self._console.file.flush()


class _State:
    """What is known of the run, and how it looks."""

    def __init__(self, total: int, title: str, stages: tuple[str, ...], now_s: Callable[[], float]) -> None:
        self.now_s = now_s
        self._total, self._title, self._stages = total, title, stages
        self._begun_s = now_s()
        self._done, self._clock_ms = 0, 0
        self._counts: dict[str, int] = {}
        self._newest: dict[str, str] = {}
        self._events: deque[tuple[str, str, str]] = deque(maxlen=EVENTS_SHOWN)

    @property
    def percent(self) -> int:
        """0 to 100."""
        return min(100, 100 * self._done // self._total)

    def take(self, done: int, clock_ms: int, counts: Mapping[str, int]) -> None:
        """Newer figures."""
        self._done, self._clock_ms = done, clock_ms
        self._counts.update(counts)

    def add_event(self, stage: str, text: str) -> None:
        """A newer event."""
        when = words.clock(self._clock_ms)[5:16] if self._clock_ms else ""
        self._newest[stage] = words.printable(text)
        self._events.append((when, stage, words.printable(text)))

    def line(self) -> str:
        """`25 % 2026-03-05 12:00 UTC edge 1,200 ingest 1,190`."""
        counted = " ".join(
            f"{stage} {self._counts[stage]:,}" for stage in self._rows() if stage in self._counts
        )
        return f"{self.percent:3d} % {words.clock(self._clock_ms)} {counted}"

    def _rows(self) -> list[str]:
        return [*self._stages, *(stage for stage in self._counts if stage not in self._stages)]

    def screen(self, width: int) -> RenderableType:
        """Panel of bar, stages and events."""
        elapsed_s = max(1e-9, self.now_s() - self._begun_s)
        body = Group(self._head(elapsed_s), Text(), self._table(elapsed_s, width), *self._news())
        return Panel(body, title=escape(self._title), title_align="left", border_style="cyan", padding=(0, 1))

    def _head(self, elapsed_s: float) -> RenderableType:
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True, justify="right")
        moment = words.clock(self._clock_ms) if self._clock_ms else "starting"
        bar = ProgressBar(total=self._total, completed=min(self._done, self._total))
        grid.add_row(f"[bold]{moment}[/]", bar, f"{self.percent} %  {duration(round(elapsed_s * 1000))}")
        return grid

    def _table(self, elapsed_s: float, width: int) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), expand=True, header_style="dim")
        table.add_column("stage", no_wrap=True, style="cyan")
        table.add_column("count", justify="right", no_wrap=True)
        table.add_column("a second", justify="right", no_wrap=True)
        if width >= 70:
            table.add_column("newest", ratio=1, no_wrap=True, overflow="ellipsis", style="dim")
        for stage in self._rows():
            count = self._counts.get(stage)
            cells = [
                stage,
                "–" if count is None else f"{count:,}",
                "–" if count is None else f"{count / elapsed_s:,.0f}",
            ]
            table.add_row(
                *map(escape, cells), *([escape(self._newest.get(stage, ""))] if width >= 70 else [])
            )
        return table

    def _news(self) -> list[RenderableType]:
        if not self._events:
            return []
        lines = Text(no_wrap=True, overflow="ellipsis")
        for i, (when, stage, text) in enumerate(self._events):
            lines.append("\n" if i else "")
            lines.append(f"{when}  ", "dim")
            lines.append(f"{stage}  ", "cyan")
            lines.append(text, _style(text))
        return [Text(), lines]


def _style(text: str) -> str:
    trouble = ("breach", "clone", "offline", "fault", "refused", "dead letter")
    return "bold yellow" if any(word in text for word in trouble) else ""
