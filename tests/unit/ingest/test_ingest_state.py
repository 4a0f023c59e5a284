"""What ingest's state gives at once."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ingest.state import GAP, State, Waiting
from lading.errors import ServiceError


def test_overdue_frames_come_in_bounded_pieces(tmp_path: Path) -> None:
    """Frames may be 2 MiB each: the oldest first, as many as the bytes allow and one at least; the rest comes next."""
    state = State(tmp_path / "ingest.sqlite")
    sent = [Waiting(b"g" * 32, seq, bytes(32), GAP, 1_000 - seq, "origin", bytes(1_000)) for seq in range(10)]
    with state.transaction():
        for waiting in sent:
            state.add_waiting(waiting)
        assert state.overdue(2_000, 100, 2_500) == sent[:6:-1]
        assert state.overdue(2_000, 100, 1) == sent[9:]
        assert state.overdue(2_000, 2) == sent[:7:-1]
        assert state.overdue(993, 100) == sent[:7:-1]
        for seq in range(10):
            state.remove_waiting(b"g" * 32, seq)
        assert state.overdue(2_000, 100) == []
    state.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda state: state.waiting_count(),
        lambda state: state.waiting_since(),
        lambda state: state.waiting_newest_ms(),
        lambda state: state.positions("lading.raw.v1"),
        lambda state: state.counts(),
    ],
    ids=["count", "since", "newest", "positions", "counts"],
)
def test_figures_of_a_file_that_fails(tmp_path: Path, ask: Callable[[State], object]) -> None:
    """They are asked between the stage's steps: a damaged file is a service that fails, as within a step."""
    path = tmp_path / "ingest.sqlite"
    state = State(path)
    ask(state)
    with closing(sqlite3.connect(path)) as other:
        for table in ("waiting", "positions", "counts"):
            other.execute(f"DROP TABLE {table}")
        other.commit()
    with pytest.raises(ServiceError, match="state_failed"):
        ask(state)
    state.close()
