"""What ingest's state gives at once."""

from pathlib import Path

from ingest.state import GAP, State, Waiting


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
