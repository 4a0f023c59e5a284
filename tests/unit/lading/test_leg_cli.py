"""What the operator types becomes the order it means."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from lading.leg_cli import utc_ms


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock shows Tokyo's time."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_due_is_utc_wherever_the_operator_sits() -> None:
    """`--due` says UTC: 2026-01-01T00:00:00 is the spec's 1767225600000, not nine hours earlier."""
    assert utc_ms(datetime.fromisoformat("2026-01-01")) == 1_767_225_600_000
