"""Reading the vectors: hex to bytes, decimal text to whole numbers."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent


@cache
def vectors(name: str) -> dict[str, Any]:
    found: dict[str, Any] = _real(json.loads((FOLDER / f"{name}.json").read_text("utf-8")))
    return found


def _real(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    if isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    if isinstance(value, list):
        return [_real(v) for v in value]
    if isinstance(value, dict):
        return {k: _real(v) for k, v in value.items()}
    return value


def cases(file: str, section: str) -> Any:
    """Parametrize a test by a section's cases, each under its name."""
    found = vectors(file)[section]
    return pytest.mark.parametrize("case", found, ids=[str(c.get("name", i)) for i, c in enumerate(found)])
