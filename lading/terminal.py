"""What the commands share at a terminal: their options, its streams, and how they show a time."""

import codecs
import io
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO

import typer

from lading.errors import ServiceError
from lading.fields import TIME_MS_MAX

CONFIG = Path("lading.toml")
OFF_TERMINAL_COLUMNS = 500
Config = Annotated[Path, typer.Option("--config", help="Settings file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def shown_time(time_ms: int) -> str:
    """Milliseconds since 1970 as date and time, to the second; past the year 9999 as the number."""
    if time_ms > TIME_MS_MAX:
        return f"{time_ms} ms after 1970, past the year 9999"
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def settle_streams() -> None:
    """Let a terminal that is not UTF-8 show what it lacks as `\\u0141`, which JSON reads as the same text."""
    codecs.register_error("lading_escape", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="lading_escape")


def columns_of(stream: TextIO | None) -> int | None:
    """How wide tables may be: as the terminal or COLUMNS says (None), and off one so that no cell is cut or folded."""
    is_terminal = stream is not None and stream.isatty()
    return None if is_terminal or os.environ.get("COLUMNS") else OFF_TERMINAL_COLUMNS


def opened(stream: TextIO | None, name: str) -> TextIO:
    """A standard stream; ServiceError `file` where whoever started us closed it, and Python has none."""
    if stream is None:
        raise ServiceError("file", f"{name} is closed")
    return stream


def to_stdout(data: bytes) -> None:
    """Bytes to standard output, all of them. An OSError comes now, and not unseen at exit."""
    stream = opened(sys.stdout, "standard output").buffer
    stream.write(data)
    stream.flush()


def unheard() -> None:
    """Nobody reads standard output any more: what is still buffered goes nowhere, without an error at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
