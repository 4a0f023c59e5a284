"""YAML as Grafana's provisioning reads it: blocks, and every text in double quotes, so that nothing is guessed."""

import json
from collections.abc import Iterator
from typing import Any


def text(document: dict[str, Any], head: str) -> str:
    """One file; `head` is its comment."""
    lines = [f"# {line}" for line in head.splitlines()]
    return "\n".join([*lines, *_block(document, 0), ""])


def _block(value: dict[str, Any] | list[Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for key, item in items:
        lead = f"{indent}-" if key is None else f"{indent}{key}:"
        if not isinstance(item, dict | list) or not item:
            yield f"{lead} {json.dumps(item, ensure_ascii=False)}"
        elif key is None:
            first, *rest = _block(item, depth + 1)
            yield f"{lead} {first.strip()}"
            yield from rest
        else:
            yield lead
            yield from _block(item, depth + 1)
