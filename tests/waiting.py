"""Waiting for a condition, never longer than a limit."""

import time
from collections.abc import Callable

LIMIT_S = 120.0  # for a machine that does other things too; what holds comes at once
POLL_S = 0.005


def until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    """Wait for a condition."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, "the condition did not come true in time"
        time.sleep(POLL_S)
