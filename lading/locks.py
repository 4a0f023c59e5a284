"""One process at a time: a lock on a file, which ends with its process however that ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lading.errors import ServiceError

_RETRY_S = 0.02


def take(path: Path | str, *, mode: int = 0o644) -> int | None:
    """An open file that holds the lock until it is closed; None: another has it. ServiceError `lock_failed`."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    except OSError as exc:
        raise _failed(path, exc) from exc
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as exc:
        os.close(handle)
        if isinstance(exc, BlockingIOError):
            return None
        if isinstance(exc, OSError):
            raise _failed(path, exc) from exc
        raise
    return handle


@contextmanager
def held(path: Path | str, wait_s: float = 0.0) -> Iterator[bool]:
    """Whether the lock could be taken within `wait_s`; it is held for the block."""
    end_s = time.monotonic() + wait_s
    while (handle := take(path)) is None and time.monotonic() < end_s:
        time.sleep(_RETRY_S)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _failed(path: Path | str, exc: OSError) -> ServiceError:
    return ServiceError(
        "lock_failed", f"{path}: {exc.strerror}, wanted a file that can be written and locked"
    )
