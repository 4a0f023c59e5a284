"""SQLite files as every stage uses them: transactions begun by hand, WAL, errors in our tree.

How durable a file is (synchronous), how long it waits for others and who may open it is said where it is opened.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from lading import locks
from lading.errors import ServiceError

BUSY_TIMEOUT_S = 5.0
RETRY_S = 0.01
WANTED = "a file that can be read and written"


def connect(path: Path | str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """A connection that begins no transaction by itself. Threads may share it, one at a time."""
    return sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)


def connect_still(path: Path | str) -> sqlite3.Connection:
    """Read a file that nobody writes; nothing appears beside it."""
    uri = f"{Path(path).absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def connect_beside(path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """Read a file beside those who write it."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)


@contextmanager
def held(path: Path | str, wait_s: float) -> Iterator[None]:
    """One process at a time works on a file; others may read it meanwhile. sqlite3.OperationalError: another does."""
    if str(path) == ":memory:":
        yield
        return
    with locks.held(f"{path}.lock", wait_s) as is_mine:
        if not is_mine:
            raise sqlite3.OperationalError(f"{path} is locked by another process")
        yield


def make_folder(path: Path | str, code: str) -> None:
    """The folder that a file is to be in. ServiceError of this code where there is none and none can be made."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ServiceError(code, f"{exc.filename}: {exc.strerror}, wanted a folder for {path}") from exc


class NamedErrors(sqlite3.Connection):
    """A connection whose errors are ServiceErrors, wherever it is used."""

    code = "store_failed"

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """See sqlite3."""
        return self.cursor(NamedCursor).execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """See sqlite3."""
        return self.cursor(NamedCursor).executemany(*arguments)

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        """See sqlite3."""
        return self.cursor(NamedCursor).executescript(*arguments)


class NamedCursor(sqlite3.Cursor):
    """A cursor of NamedErrors. A file can fail at any row: SQLite reads on as rows are asked for."""

    connection: NamedErrors

    def execute(self, *arguments: Any) -> Self:
        """See sqlite3."""
        try:
            return super().execute(*arguments)
        except sqlite3.Error as exc:
            raise self._named(exc) from exc

    def executemany(self, *arguments: Any) -> Self:
        """See sqlite3."""
        try:
            return super().executemany(*arguments)
        except sqlite3.Error as exc:
            raise self._named(exc) from exc

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        """See sqlite3."""
        try:
            return super().executescript(*arguments)
        except sqlite3.Error as exc:
            raise self._named(exc) from exc

    def fetchone(self) -> Any:
        """See sqlite3."""
        try:
            return super().fetchone()
        except sqlite3.Error as exc:
            raise self._named(exc) from exc

    def fetchmany(self, *arguments: Any, **named: Any) -> list[Any]:
        """See sqlite3."""
        try:
            return super().fetchmany(*arguments, **named)
        except sqlite3.Error as exc:
            raise self._named(exc) from exc

    def fetchall(self) -> list[Any]:
        """See sqlite3."""
        try:
            return super().fetchall()
        except sqlite3.Error as exc:
            raise self._named(exc) from exc

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except sqlite3.Error as exc:
            raise self._named(exc) from exc

    def __iter__(self) -> Any:
        # Not through the above, which as Python's own for each row is several times as slow.
        try:
            yield from iter(super().__next__, None)
        except sqlite3.Error as exc:
            raise self._named(exc) from exc

    def _named(self, exc: sqlite3.Error) -> ServiceError:
        return named(exc, self.connection.code, WANTED)


def open_named(path: Path | str, code: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> NamedErrors:
    """As `connect`, with ServiceErrors of this code; `disk_full` where there is no room."""
    with service_errors(code, WANTED):
        db = sqlite3.connect(
            path,
            timeout=busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            factory=NamedErrors,
        )
    db.code = code
    return db


def to_wal(db: sqlite3.Connection, wait_s: float) -> None:
    """Turn WAL on, in a file. Here SQLite does not wait for other openers, whatever its busy timeout: so we do."""
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            if db.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                return
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > deadline_s:
                raise
            time.sleep(RETRY_S)


def create(db: sqlite3.Connection, schema: str) -> None:
    """Run a schema's statements, all or none. None may hold a semicolon."""
    with transaction(db):
        for statement in schema.split(";"):
            db.execute(statement)


def keep_version(
    db: sqlite3.Connection, path: Path | str, version: int, migrations: Mapping[int, str] = {}
) -> None:
    """Bring a file's schema to `version`, before its tables are made.

    `migrations` has the statements that lead from each older version to the next; files of before there were versions
    (0) are as version 1 is. ServiceError `store_version`: a newer Lading wrote it.
    """
    stated = int(db.execute("PRAGMA user_version").fetchone()[0])
    if stated > version:
        raise ServiceError(
            "store_version",
            f"{path} is of version {stated}, wanted at most {version}: a newer Lading wrote it "
            "(docs/operations.md, Upgrading)",
        )
    if stated == version:
        return
    with transaction(db):
        is_new = db.execute("SELECT 1 FROM sqlite_master").fetchone() is None
        for step in range(version if is_new else max(stated, 1), version):
            for statement in migrations[step].split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; one at a time over all processes, from the beginning on."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def service_errors(code: str, wanted: str) -> Iterator[None]:
    """SQLite's errors as ServiceError: `disk_full` where there is no room, else `code`."""
    try:
        yield
    except sqlite3.Error as exc:
        raise named(exc, code, wanted) from exc


def named(exc: sqlite3.Error, code: str, wanted: str) -> ServiceError:
    """SQLite's error as ours."""
    if getattr(exc, "sqlite_errorname", "") == "SQLITE_FULL":
        return ServiceError("disk_full", f"{exc}, wanted room to write")
    return ServiceError(code, f"{exc}, wanted {wanted}")
