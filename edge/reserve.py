"""Room for what must not fail: a file of real blocks, which a full disk is relieved with once."""

import os
from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 8 * 2**20


class Reserve:
    """One file. Nothing fails here: without it there is no more room, and no less."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> None:
        """Have it there, as long as the disk has four times as much."""
        partial = self._path.with_suffix(".partial")
        try:
            disk = os.statvfs(self._path.parent)
            if self._path.exists() or disk.f_bavail * disk.f_frsize < 4 * RESERVE_BYTES:
                return
            partial.write_bytes(os.urandom(RESERVE_BYTES))  # nothing that a file system could store in less
            partial.rename(self._path)
        except OSError:
            with suppress(OSError):
                partial.unlink()

    def give(self) -> bool:
        """Whether there was one, and there is its room now."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
