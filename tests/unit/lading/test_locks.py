"""Promise: one process at a time has a lock; a place where no lock can be is told of by name."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.outbox import Outbox
from lading import locks, sqlite
from lading.errors import ServiceError
from lading.intents import Intents


def held(path: Path) -> object:
    """By the lock that is waited for."""
    with ExitStack() as stack:
        return stack.enter_context(locks.held(path))


def held_beside(path: Path) -> object:
    """The lock of a SQLite file."""
    with ExitStack() as stack:
        return stack.enter_context(sqlite.held(path.with_suffix(""), 0))


OPENERS: dict[str, Callable[[Path], object]] = {
    "take": locks.take,
    "held": held,
    "state": held_beside,
    "outbox": lambda path: Outbox(path.with_suffix(""), bytes(16)),
    "intents": lambda path: Intents(path.with_suffix("")),
}


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
def test_a_place_where_no_lock_can_be_is_named(tmp_path: Path, opener: Callable[[Path], object]) -> None:
    """A ServiceError says which file, why, and what was wanted: no traceback of whoever wanted it."""
    path = tmp_path / "state.sqlite.lock"
    path.mkdir()
    with pytest.raises(ServiceError, match=f"{path}: Is a directory, wanted a file that can be") as failed:
        opener(path)
    assert failed.value.code == "lock_failed"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file stands where the folder is to be."""
    (tmp_path / "data").write_text("")
    with pytest.raises(ServiceError, match=r"data.*, wanted a folder for .*outbox\.sqlite") as failed:
        Outbox(tmp_path / "data/edge/outbox.sqlite", bytes(16))
    assert failed.value.code == "outbox"


def test_one_at_a_time(tmp_path: Path) -> None:
    """A second one is told that it has not the lock, and has it once the first has gone."""
    path = tmp_path / "a.lock"
    with locks.held(path) as is_mine:
        assert is_mine
        assert locks.take(path) is None
        with locks.held(path, 0.05) as is_mine_too:
            assert not is_mine_too
    with locks.held(path) as is_mine:
        assert is_mine
