"""A folder of signed documents that the stage serves: files come and go while it runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from lading.errors import LadingError, ServiceError


class Identified(Protocol):
    """A document with an id."""

    @property
    def id(self) -> bytes:
        """As the chain knows it."""


Document = TypeVar("Document", bound=Identified)
_Stamp = tuple[int, int, int]  # of a file: when it and its place last changed, and its size


class DocumentFolder(Generic[Document]):
    """The documents of a folder by id. A file that is none is named in `problems`, until it changes or goes.

    `read` takes at most `bytes_max` + 1 bytes of a file; ServiceError `many` where there are more than `files_max`.
    """

    def __init__(
        self,
        folder: Path,
        suffix: str,
        many: tuple[str, int],
        bytes_max: int,
        read: Callable[[bytes], Document],
    ) -> None:
        self.problems: dict[str, str] = {}
        self._folder = folder
        self._suffix = suffix
        self._code, self._files_max = many
        self._bytes_max = bytes_max
        self._read = read
        self._known: dict[str, Document] = {}
        self._refused: dict[str, _Stamp | None] = {}

    def __call__(self) -> dict[bytes, Document]:
        """Every document that is there now, checked when first seen: a file is named by its id and never changes."""
        names = sorted(path.name for path in self._folder.glob(f"*{self._suffix}"))
        if len(names) > self._files_max:
            raise ServiceError(self._code, f"{self._folder}: {len(names)}, wanted at most {self._files_max}")
        for gone in self.problems.keys() - set(names):
            del self.problems[gone]
        for name in names:
            if name not in self._known:
                self._take(name)
        return {self._known[name].id: self._known[name] for name in names if name in self._known}

    def _take(self, name: str) -> None:
        """A file that was none is read again once it has changed: it may have been half copied, or not readable."""
        path = self._folder / name
        stamp = _stamp(path)
        if name in self.problems and stamp is not None and self._refused.get(name) == stamp:
            return
        try:
            with path.open("rb") as file:
                self._known[name] = self._read(file.read(self._bytes_max + 1))
        except OSError as exc:
            self._refuse(name, stamp, f"{exc.strerror}, wanted a file to read")
        except LadingError as exc:
            self._refuse(name, stamp, str(exc))
        else:
            self.problems.pop(name, None)

    def _refuse(self, name: str, stamp: _Stamp | None, why: str) -> None:
        self.problems[name], self._refused[name] = why, stamp


def _stamp(path: Path) -> _Stamp | None:
    """None where there is no such file, or no more."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size
