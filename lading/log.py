"""The log that joins the stages: records in topics, in order by key, read again from any offset.

`Log` is the port; `SqliteLog` is the embedded one: one SQLite file in WAL mode, used by several processes at
once. A topic's partition is one table whose row id is the offset, so offsets start at 0, go up by one and
have no holes. Every number that could grow has a bound, and `append` refuses beyond it (`log_full`), so a
caller that does not acknowledge before `append` returns pushes back on whoever feeds it.
"""

import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol

from lading import sqlite
from lading.errors import ServiceError

RECORD_BYTES_MAX = 8 * 1024 * 1024
"""Longest value: a dead letter with a whole frame and a related envelope fits."""
KEY_BYTES_MAX = 1024
APPEND_ITEMS_MAX = 100_000
READ_BYTES_MAX = 64 * 1024 * 1024
"""A read stops after the record that passes it, so it always gets on."""
PARTITIONS_MAX = 1024
LOG_BYTES_MAX = 1 << 40
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 30.0
LOOK_S = 0.01
"""How long a commit may go unseen by who waits."""

_PAGE_BYTES = 16384
_SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS commits (
  reader TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
  PRIMARY KEY (reader, topic, partition)) WITHOUT ROWID;
"""


class Record(NamedTuple):
    """One record of a topic. `time_ms` is when it was appended."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    time_ms: int


class Log(Protocol):
    """Topics of records. A key's records are in one partition, in the order they were appended."""

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """Append (key, value) items; durable on return. Gives (partition, offset) of each.

        Raises ServiceError: `log_full` (bounded size reached), `log_record` (too long), `log_topic` (no such topic may
        be made), `log_failed`. With `log_record` none is in the log. After another error some or all of them may be:
        whoever appends again reads the log first, and what is read then is all that the failed append will ever leave.
        """

    def read(self, topic: str, positions: Mapping[int, int], count_max: int) -> list[Record]:
        """At most `count_max` records from the next offsets on (by partition; absent: 0), each in order."""

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """Remember the next offset to read, by partition; durable on return."""

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The next offsets that the group committed, by partition; empty before the first commit."""

    def end(self, topic: str) -> dict[int, int]:
        """The offset that the next record will get, by partition."""


class WatchedLog(Log, Protocol):
    """A log that is asked about many topics at once, and waited at."""

    def ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        """`Log.end` of each topic, for the price of one question."""

    def known_ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        """`ends`, as far as is known without asking: by what was appended, read or waited for."""

    def wait(self, positions: Mapping[str, Mapping[int, int]], wait_s: float) -> bool:
        """Wait until some topic has a record past its next offsets (by partition; absent: 0), at most `wait_s`.

        Whether there is one, as far as is known: a log that fails has none here, and says why when it is read.
        """


class OpenLog(WatchedLog, Protocol):
    """A log for the one who opened it, and for whoever looks after it."""

    def create(self, topic: str) -> bool:
        """Make a topic; False when it is there. ServiceError `log_topic` when it has other partitions than wanted."""

    def begin(self, topic: str) -> dict[int, int]:
        """The oldest record's offset, by partition; the end where there is none."""

    def groups(self) -> list[str]:
        """Groups that committed anything."""

    def close(self) -> None:
        """Let go of files and connections. The log is as durable without it."""


def require_reached(log: Log, topic: str, positions: Mapping[int, int]) -> None:
    """ServiceError `log_lost` when the log ends before positions that were read in it: it is another, or was cut."""
    require_ends(topic, log.end(topic), positions)


def require_ends(topic: str, ends: Mapping[int, int], positions: Mapping[int, int]) -> None:
    """`require_reached`, with the topic's ends at hand."""
    for partition, position in sorted(positions.items()):
        end = ends.get(partition, 0)
        if position > end:
            raise ServiceError(
                "log_lost",
                f"{topic}: partition {partition} ends at {end} and was read up to {position}, wanted the log that this "
                "state is of, or a new state",
            )


def wall_ms() -> int:
    """Milliseconds since 1970, by the machine's clock."""
    return time.time_ns() // 1_000_000


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: its CRC-32 modulo the partitions."""
    return zlib.crc32(key) % partitions


class SqliteLog:
    """The log in one SQLite file, for one or several processes and threads.

    `partitions` is for topics that do not exist yet; an existing topic keeps its own. `bytes_max` bounds the
    file, `read_bytes_max` what one read returns. `is_still`: a copy that nobody writes, only to be read.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        partitions: int = 1,
        bytes_max: int = LOG_BYTES_MAX,
        read_bytes_max: int = READ_BYTES_MAX,
        now_ms: Callable[[], int] = wall_ms,
        is_still: bool = False,
    ) -> None:
        if not 1 <= partitions <= PARTITIONS_MAX:
            raise ServiceError("log_settings", f"{partitions} partitions, wanted 1..{PARTITIONS_MAX}")
        self._partitions = partitions
        self._read_bytes_max = read_bytes_max
        self._now_ms = now_ms
        self._lock = Lock()
        self._topics: dict[str, tuple[int, int]] = {}
        sqlite.make_folder(path, "log_failed")
        with _service_errors(f"{path}: "):
            self._db = sqlite.connect_still(path) if is_still else _open(path, bytes_max)

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """See `Log.append`."""
        check_items(items)
        if not items:
            return []
        time_ms = self._now_ms()
        with self._transaction():
            topic_id, partitions = self._ensure_topic(topic)
            places: list[tuple[int, int]] = []
            rows: dict[int, list[tuple[int, bytes, bytes, int]]] = {}
            for key, value in items:
                partition = partition_of(key, partitions)
                if partition not in rows:
                    rows[partition] = []
                    first = self._next_offset(topic_id, partition)
                    rows[partition].append((first, key, value, time_ms))
                else:
                    rows[partition].append((rows[partition][-1][0] + 1, key, value, time_ms))
                places.append((partition, rows[partition][-1][0]))
            for partition, new in rows.items():
                self._db.executemany(f"INSERT INTO records_{topic_id}_{partition} VALUES (?, ?, ?, ?)", new)
        return places

    def read(self, topic: str, positions: Mapping[int, int], count_max: int) -> list[Record]:
        """See `Log.read`. Partitions share the count, so that a long one does not starve the others."""
        records: list[Record] = []
        bytes_left = self._read_bytes_max
        with self._lock, _service_errors():
            topic_id, partitions = self._find_topic(topic)
            for partition in range(partitions if topic_id else 0):
                share = -(-(count_max - len(records)) // (partitions - partition))
                found = self._db.execute(
                    f"SELECT at, key, value, time_ms FROM records_{topic_id}_{partition}"
                    " WHERE at >= ? ORDER BY at LIMIT ?",
                    (positions.get(partition, 0), max(share, 0)),
                )
                for offset, key, value, time_ms in found:
                    records.append(Record(partition, offset, key, value, time_ms))
                    bytes_left -= len(value)
                    if bytes_left <= 0:
                        return records
        return records

    def replace(self, topic: str, values: Mapping[tuple[int, int], bytes]) -> None:
        """Put other values at (partition, offset), and leave nothing of the old ones in the file: for erasure alone."""
        with self._lock, _service_errors():
            self._db.execute("PRAGMA secure_delete = ON")
        with self._transaction():
            topic_id, _ = self._find_topic(topic)
            for (partition, offset), value in values.items():
                done = self._db.execute(
                    f"UPDATE records_{topic_id}_{partition} SET value = ? WHERE at = ?", (value, offset)
                )
                if done.rowcount != 1:
                    raise ServiceError("log_hole", f"{topic}: nothing at {partition}:{offset} to replace")
        with self._lock, _service_errors():
            busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise ServiceError(
                "log_busy", "a reader keeps old pages in the WAL, wanted to empty it: try again"
            )

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """See `Log.commit`."""
        rows = [(group, topic, partition, offset) for partition, offset in positions.items()]
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO commits VALUES (?, ?, ?, ?)", rows)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """See `Log.committed`."""
        with self._lock, _service_errors():
            rows = self._db.execute(
                "SELECT partition, next_offset FROM commits"
                " WHERE reader = ? AND topic = ? ORDER BY partition",
                (group, topic),
            )
            return {int(partition): int(offset) for partition, offset in rows}

    def end(self, topic: str) -> dict[int, int]:
        """See `Log.end`."""
        with self._lock, _service_errors():
            topic_id, partitions = self._find_topic(topic)
            if not topic_id:
                return dict.fromkeys(range(partitions), 0)
            return {partition: self._next_offset(topic_id, partition) for partition in range(partitions)}

    def ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        """See `WatchedLog.ends`."""
        return {topic: self.end(topic) for topic in topics}

    def known_ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        """See `WatchedLog.known_ends`: asking costs little."""
        return self.ends(topics)

    def wait(self, positions: Mapping[str, Mapping[int, int]], wait_s: float) -> bool:
        """See `WatchedLog.wait`. Commits show in numbers that cost no reading of the file."""
        until_s = time.monotonic() + wait_s
        version: tuple[int, int] | None = None
        while True:
            try:
                now = self._version()
                if now != version and self._has_past(positions):
                    return True
            except ServiceError:
                now = None
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return False
            version = now
            time.sleep(min(LOOK_S, left_s))

    def _version(self) -> tuple[int, int]:
        """Changes when another connection has committed, or this one."""
        with self._lock, _service_errors():
            return int(self._db.execute("PRAGMA data_version").fetchone()[0]), self._db.total_changes

    def _has_past(self, positions: Mapping[str, Mapping[int, int]]) -> bool:
        return any(
            end > at.get(partition, 0)
            for topic, at in positions.items()
            for partition, end in self.end(topic).items()
        )

    def create(self, topic: str) -> bool:
        """See `OpenLog.create`. A topic that exists keeps its partitions."""
        with self._transaction():
            if self._find_topic(topic)[0]:
                return False
            self._ensure_topic(topic)
            return True

    def begin(self, topic: str) -> dict[int, int]:
        """See `OpenLog.begin`: nothing is ever deleted here."""
        return dict.fromkeys(self.end(topic), 0)

    def groups(self) -> list[str]:
        """See `OpenLog.groups`."""
        with self._lock, _service_errors():
            return [name for (name,) in self._db.execute("SELECT DISTINCT reader FROM commits ORDER BY 1")]

    def close(self) -> None:
        """Close the file. The log is as durable without it."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, _service_errors():
            try:
                with sqlite.transaction(self._db):
                    yield
            except BaseException:
                self._topics.clear()
                raise

    def _find_topic(self, topic: str) -> tuple[int, int]:
        if topic not in self._topics:
            row = self._db.execute("SELECT id, partitions FROM topics WHERE name = ?", (topic,)).fetchone()
            if row is None:
                return 0, self._partitions
            self._topics[topic] = (int(row[0]), int(row[1]))
        return self._topics[topic]

    def _ensure_topic(self, topic: str) -> tuple[int, int]:
        topic_id, partitions = self._find_topic(topic)
        if topic_id:
            return topic_id, partitions
        cursor = self._db.execute("INSERT INTO topics (name, partitions) VALUES (?, ?)", (topic, partitions))
        for partition in range(partitions):
            self._db.execute(
                f"CREATE TABLE records_{cursor.lastrowid}_{partition} (at INTEGER PRIMARY KEY,"
                " key BLOB NOT NULL, value BLOB NOT NULL, time_ms INTEGER NOT NULL)"
            )
        return self._find_topic(topic)

    def _next_offset(self, topic_id: int, partition: int) -> int:
        row = self._db.execute(f"SELECT max(at) FROM records_{topic_id}_{partition}").fetchone()
        return 0 if row[0] is None else int(row[0]) + 1


def check_items(items: Sequence[tuple[bytes, bytes]]) -> None:
    """ServiceError `log_record` when an append has too many items, or one that is too long."""
    if len(items) > APPEND_ITEMS_MAX:
        raise ServiceError(
            "log_record", f"{len(items)} items in one append, wanted at most {APPEND_ITEMS_MAX}"
        )
    for key, value in items:
        if len(key) > KEY_BYTES_MAX or len(value) > RECORD_BYTES_MAX:
            raise ServiceError(
                "log_record",
                f"key of {len(key)} and value of {len(value)} bytes, "
                f"wanted at most {KEY_BYTES_MAX} and {RECORD_BYTES_MAX}",
            )


def _open(path: Path | str, bytes_max: int) -> sqlite3.Connection:
    db = sqlite.connect(path, BUSY_TIMEOUT_S)
    db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    sqlite.to_wal(db, BUSY_TIMEOUT_S)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 2000")
    page_bytes = int(db.execute("PRAGMA page_size").fetchone()[0])
    db.execute(f"PRAGMA max_page_count = {max(bytes_max // page_bytes, 16)}")
    sqlite.keep_version(db, path, SCHEMA_VERSION)
    sqlite.create(db, _SCHEMA)
    return db


@contextmanager
def _service_errors(where: str = "") -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        code = "log_full" if "full" in str(exc) else "log_failed"
        raise ServiceError(code, f"{where}{exc}, wanted a log that takes and gives records") from exc
