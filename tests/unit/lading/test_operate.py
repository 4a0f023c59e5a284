"""Running all stages on one machine."""

import io

from rich.console import Console

from lading.operate import shower


def test_a_parts_line_is_text_whatever_is_in_it() -> None:
    """A stranger's name in a log line, as `[/x]`, must not end the thread that empties the part's pipe."""
    stream = io.StringIO()
    show = shower(Console(file=stream, highlight=False, soft_wrap=True))
    show("broker", 'client "[/evil]" [red]refused')
    assert stream.getvalue() == '    broker client "[/evil]" [red]refused\n'
