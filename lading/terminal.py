"""What the commands share at a terminal: their options, and how they show a time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lading.fields import TIME_MS_MAX

CONFIG = Path("lading.toml")
Config = Annotated[Path, typer.Option("--config", help="Settings file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def shown_time(time_ms: int) -> str:
    """Milliseconds since 1970 as date and time, to the second; past the year 9999 as the number."""
    if time_ms > TIME_MS_MAX:
        return f"{time_ms} ms after 1970, past the year 9999"
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
