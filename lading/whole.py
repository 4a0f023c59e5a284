"""Files that are whole, or not there: one cut off by a full disk would be taken for what it is not."""

import os
from pathlib import Path

from lading.errors import ServiceError


def write_key(path: Path, data: bytes) -> None:
    """A new file with mode 0600, durable. ServiceError `key_file` where one is there already, or the disk takes none.

    One that could not be written whole is taken away: it would be loaded as a damaged key, and never made anew.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise ServiceError("key_file", f"{path}: {exc.strerror}") from exc
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        path.unlink()
        raise ServiceError("key_file", f"{path}: {exc.strerror}") from exc


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, or replace one, durable. ServiceError `file`."""
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
    except OSError as exc:
        new.unlink(missing_ok=True)
        raise ServiceError("file", f"{path}: {exc.strerror}") from exc
