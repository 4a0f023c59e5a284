"""A file system of its own that can be filled to the last block, and relieved again."""

import math
import re
import subprocess
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.simulation.kills import Progress

CHUNK_BYTES = 64 * 1024
HOLD_S = 5.0
FULL_S_MAX = 120.0
POLL_S = 0.05
_CODE = re.compile(r'"code": "([a-z_]+)"|^lading: ([a-z_]+):', re.MULTILINE)


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[None]:
    """A file system in memory over a folder. Where one cannot be mounted the test is skipped, and fails in CI."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size_mib}m,mode=0777"
    command = ["mount", "-t", "tmpfs", "-o", options, "lading-test", str(folder)]
    as_root: list[str] = []
    if subprocess.run(command, capture_output=True, check=False).returncode:
        as_root = ["sudo", "-n"]
        if subprocess.run([*as_root, *command], capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted: it wants root, or sudo without a password")
    try:
        yield
    finally:
        subprocess.run([*as_root, "umount", "-l", str(folder)], check=True)


class FullDisk:
    """Fills a folder's file system while the first leg is sampled. As a disturbance of a drill.

    It stays full until the parts of `wanted` have told of it and HOLD_S more. `codes` counts the errors that parts have
    told meanwhile, by part.
    """

    def __init__(self, folder: Path, logs: Collection[Path], wanted: Collection[str]) -> None:
        self._ballast = folder / "ballast"
        self._logs = {path.stem: path for path in logs}
        self._wanted = wanted
        self._from: dict[str, int] = {}
        self._until_s: float | None = None
        self._told_s: float | None = None
        self.codes: dict[str, Counter[str]] = {}
        self.done = 0

    @property
    def left(self) -> int:
        """Whether it is yet to come, or on."""
        return 1 - self.done

    def step(self, progress: Progress) -> None:
        """Fill, keep full, relieve."""
        if self.done:
            return
        if self._until_s is None:
            if progress.is_sampling:
                self._until_s = time.monotonic() + FULL_S_MAX
                self._from = {name: _size(path) for name, path in self._logs.items()}
            return
        self._fill()
        self.codes = {name: codes_of(path, self._from[name]) for name, path in self._logs.items()}
        if self._told_s is None and all(self.codes[name] for name in self._wanted):
            self._told_s = time.monotonic()
        if time.monotonic() > min(self._until_s, (self._told_s or math.inf) + HOLD_S):
            self._ballast.unlink()
            self.done = 1

    def calm(self) -> None:
        """Wait until there is room again."""
        while self._until_s is not None and not self.done:
            self.step(Progress(1.0, 0, is_sampling=True))
            time.sleep(POLL_S)

    def _fill(self) -> None:
        try:
            with self._ballast.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(CHUNK_BYTES))
        except OSError:
            return  # full to the last block


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def codes_of(path: Path, begin: int) -> Counter[str]:
    if not path.exists():
        return Counter()
    said = path.read_bytes()[begin:].decode(errors="replace")
    return Counter(one or other for one, other in _CODE.findall(said))
