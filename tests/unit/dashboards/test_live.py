"""The live view tells of progress without getting in anyone's way."""

import io

import pytest
from report_sample import BEGIN_MS, sample
from rich.console import Console

from dashboards.live import LiveView
from dashboards.summary import print_summary


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_plain_lines() -> None:
    """Off a terminal: a line every few per cent and one an event, at the end 100 %."""
    out = io.StringIO()
    with LiveView(total=1000, out=out) as view:
        for done in range(1001):
            view.progress(done, BEGIN_MS, {"edge": done * 12, "ingest": done * 11})
            if done == 500:
                view.event("edge", "truck-2 offline")
    lines = out.getvalue().splitlines()
    assert lines[0] == "  0 % 2026-11-02 00:00 UTC edge 0 ingest 0"
    assert lines[-1] == "100 % 2026-11-02 00:00 UTC edge 12,000 ingest 11,000"
    assert "edge: truck-2 offline" in lines
    assert len(lines) == 21 + 1


def test_stdout_is_left_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a byte goes to stdout, on a terminal or off it: the JSON document belongs there."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for out in (Terminal(), io.StringIO()):
        with LiveView(total=10, out=out) as view:
            print("{}")
            view.progress(5, BEGIN_MS, {"edge": 1})
            view.event("rules", "breach provisional")
        assert "breach provisional" in out.getvalue()
    assert capsys.readouterr().out == "{}\n{}\n"


def test_terminal_shows_stages_and_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stage has its row with count and rate; names are not read as markup."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "110")
    out = Terminal()
    seconds = iter(range(0, 10_000, 2))
    with LiveView(total=100, out=out, now_s=lambda: next(seconds)) as view:
        view.progress(40, BEGIN_MS, {"edge": 120_000, "anchors": 12})
        view.event("edge", "truck-[bold]2[/bold] offline")
    shown = out.getvalue()
    for stage in ("edge", "broker", "ingest", "log", "rules", "anchors", "settlement"):
        assert stage in shown
    assert "120,000" in shown
    assert "40 %" in shown
    assert "truck-[bold]2[/bold] offline" in shown


def test_names_do_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape sequences and line breaks in a name are shown, not obeyed."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for out in (Terminal(), io.StringIO()):
        with LiveView(total=1, out=out) as view:
            view.event("edge", "evil\x1b]0;title\x07\nname")
        assert "\x1b]0;" not in out.getvalue()
        assert "evil\ufffd]0;title\ufffd\ufffdname" in out.getvalue()


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_an_error_passes_through(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """The view ends cleanly and hides nothing; the cursor is shown again."""
    monkeypatch.setenv("TERM", "xterm-256color")
    out = stream()
    with pytest.raises(RuntimeError, match="broker gone"), LiveView(total=1, out=out):
        raise RuntimeError("broker gone")
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_summary(width: int) -> None:
    """Verdicts, transactions, refusals and checks are all there at any width."""
    out = io.StringIO()
    report = sample()
    print_summary(Console(file=out, width=width), report)
    shown = out.getvalue()
    joined = "".join(shown.split())
    for row in report.settlements:
        assert row.tx_hash.hex()[:20] in joined
    assert shown.count("✕ breach") == 2
    assert shown.count("✓ clean") == 2
    assert "provisional" in shown
    assert "equivocation" in shown
    assert "anchor" in shown
    assert all(len(line.rstrip()) <= width for line in shown.splitlines())
