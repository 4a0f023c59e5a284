"""Files as they lie: plain or compressed, found in folders, written whole or not at all."""

import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from lading.errors import MalformedError, ServiceError

FILES_MAX = 1_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_GZIP_LEVEL = 6


def is_csv(path: Path) -> bool:
    """By its name: .csv or .csv.gz, and not hidden."""
    name = path.name.lower()
    return name.endswith((".csv", ".csv.gz")) and not name.startswith(".")


def find_csvs(folder: Path, without: Path) -> list[Path]:
    """Every csv file below a folder, in order of its path; what lies below `without` is passed over."""
    found: list[Path] = []
    hidden = without.resolve()
    for here, folders, names in os.walk(folder, onerror=_raise):
        at = Path(here)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and (at / f).resolve() != hidden)
        found += [at / name for name in sorted(names) if is_csv(at / name)]
        if len(found) > FILES_MAX:
            raise ServiceError("too_many_files", f"{folder}: found more than {FILES_MAX} csv files")
    return sorted(found)


def _raise(exc: OSError) -> None:
    raise ServiceError("unreadable", f"{exc.filename}: {exc.strerror}") from exc


@contextmanager
def reading(path: Path) -> Iterator[tuple[TextIO, str]]:
    """The text of a file, compressed or not by what it begins with, and its encoding.

    Bytes that are not UTF-8 are carried along as they are. Raises ServiceError where it cannot be read,
    MalformedError where what is compressed is damaged.
    """
    try:
        with path.open("rb") as raw, _plain(raw) as data:
            head = data.peek(4)[:4]
            encoding = next((name for bom, name in _BOMS if head.startswith(bom)), "utf-8")
            codec = "utf-8-sig" if head.startswith(_BOMS[0][0]) else encoding
            errors = "surrogateescape" if encoding == "utf-8" else "replace"
            yield io.TextIOWrapper(data, codec, errors, newline=""), encoding
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise MalformedError("csv", f"{path}: its gzip is damaged or cut off: {exc}") from exc
    except OSError as exc:
        raise ServiceError("unreadable", f"{path}: {exc.strerror or exc}") from exc


def _plain(raw: BinaryIO) -> io.BufferedReader:
    buffered = cast("io.BufferedReader", raw)
    if buffered.peek(2)[:2] == _GZIP_MAGIC:
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=buffered, mode="rb")))
    return buffered


@contextmanager
def writing(path: Path, encoding: str) -> Iterator[TextIO]:
    """A text file that takes the place of `path` once it is whole; compressed where its name ends in .gz."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as raw:
            if path.name.lower().endswith(".gz"):
                # No name or time inside: the same scores are the same bytes.
                with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, 0) as data, _text(data, encoding) as text:
                    yield text
            else:
                with _text(raw, encoding) as text:
                    yield text
        part.replace(path)
    except OSError as exc:
        raise ServiceError("unwritable", f"{path}: {exc.strerror or exc}") from exc
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _text(data: BinaryIO | gzip.GzipFile, encoding: str) -> TextIO:
    errors = "surrogateescape" if encoding == "utf-8" else "strict"
    return io.TextIOWrapper(cast("BinaryIO", data), encoding, errors, newline="")
