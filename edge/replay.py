"""Recorded csv files as readings, streaming and in order of time; of every line not taken: where, why, its bytes."""

import csv
import gzip
import heapq
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, NamedTuple, cast

from edge.mapping import ChannelModel, Columns, Mapping, guess_mapping, make_clock, read_header
from edge.units import to_milli
from lading.errors import MalformedError, ServiceError
from lading.fields import I32_MAX, I32_MIN, TIME_MS_MAX
from lading.quantities import FAULT

LINE_BYTES_MAX = 4_096
FILES_MAX = 256
SENSORS_MAX = 1_024
DETECT_LINES_MAX = 20_000
SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")

_NUMBER = re.compile(r"[+-]?\d{1,12}(\.\d{0,24})?([eE][+-]?\d{1,2})?\Z")
_THOUSAND, _ZERO = Decimal(1000), Decimal(0)


class ReplayReading(NamedTuple):
    """A reading of the recording and the line it is from. `behind`: not after the channel's past, so flagged CLOCK."""

    gateway: str
    channel: int
    time_ms: int
    value_milli: int
    flags: int
    behind: bool
    origin: str
    line: bytes


@dataclass(frozen=True, slots=True)
class LineRefused:
    """A line, or one cell of it, that gave no reading. `origin` is FILE:LINE."""

    code: str
    reason: str
    origin: str
    data: bytes


@dataclass
class Report:
    """Counts of a replay so far."""

    lines: int = 0
    readings: int = 0
    faults: int = 0
    behind: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class _Line(NamedTuple):
    number: int
    data: bytes
    whole: bool


class _Sensor(NamedTuple):
    gateway: str
    channel: int
    scale: Decimal
    offset: Decimal
    faults: frozenset[Decimal]
    fault_texts: frozenset[str]


Item = ReplayReading | LineRefused


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those in the folders named, sorted by name; ServiceError `replay_file`."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.iterdir() if p.name.endswith(SUFFIXES))
        elif path.is_file():
            found.append(path)
        else:
            raise ServiceError("replay_file", f"{path}: no such file or folder")
    if not 1 <= len(found) <= FILES_MAX:
        raise ServiceError("replay_file", f"{len(found)} csv files, wanted 1 to {FILES_MAX}")
    return found


class Replay:
    """Iterate over it once: readings and refused lines, merged over the files by time.

    A row whose time is behind its file's newest keeps its place in the file. A row that says again what its channel
    said at that very time is refused as `row_duplicate`.
    """

    def __init__(self, files: Sequence[Path], mapping: Mapping) -> None:
        self.report = Report()
        self._files = files
        self._mapping = mapping
        self._clock = make_clock(mapping.csv)
        self._sensors = _sensors(mapping)
        self._last: dict[tuple[str, int], tuple[int, int]] = {}
        self._used = 0

    def __iter__(self) -> Iterator[Item]:
        merged = heapq.merge(*map(self._rows, self._files), key=lambda row: row[0])
        for _, item in merged:
            found = self._in_order(item) if isinstance(item, ReplayReading) else item
            if isinstance(found, LineRefused):
                self.report.refused[found.code] += 1
            yield found
        if not self._used:
            raise ServiceError(
                "replay_file", f"none of {len(self._files)} files has the columns that the mapping names"
            )

    def _in_order(self, reading: ReplayReading) -> Item:
        key = (reading.gateway, reading.channel)
        past_ms, past_milli = self._last.get(key, (-1, 0))
        if (reading.time_ms, reading.value_milli) == (past_ms, past_milli):
            return LineRefused(
                "row_duplicate", f"channel {reading.channel} said so already", reading.origin, reading.line
            )
        self.report.readings += 1
        self.report.faults += bool(reading.flags & FAULT)
        if reading.time_ms <= past_ms:
            self.report.behind += 1
            return reading._replace(behind=True)
        self._last[key] = (reading.time_ms, reading.value_milli)
        return reading

    def _rows(self, path: Path) -> Iterator[tuple[int, Item]]:
        """A file's rows under its newest time so far, so that the merge leaves their order as it is."""
        newest_ms, number = -1, 0
        names: Sequence[str] = self._mapping.csv.columns
        try:
            for line in _lines(path):
                number = line.number
                self.report.lines += 1
                if number == 1:
                    names = names or self._split(line.data.removeprefix(b"\xef\xbb\xbf"))
                    problem = self._header_problem(names)
                    if problem:
                        yield newest_ms, LineRefused("file_header", problem, f"{path.name}:1", line.data)
                        return
                    self._used += 1
                    if not self._mapping.csv.columns:
                        continue
                for item in self._line(path, line, names):
                    if isinstance(item, ReplayReading):
                        newest_ms = max(newest_ms, item.time_ms)
                    yield newest_ms, item
        except (OSError, EOFError, zlib.error) as exc:
            yield newest_ms, LineRefused("file_damaged", f"after line {number}: {exc}", path.name, b"")

    def _header_problem(self, names: Sequence[str]) -> str | None:
        layout = self._mapping.csv
        value_columns = {"long": {layout.sensor, layout.value}, "file": {layout.value}, "wide": set[str]()}
        wanted = {layout.time} | value_columns[layout.layout]
        if wanted <= set(names) and (layout.layout != "wide" or self._sensors.keys() & set(names)):
            return None
        return f"columns {', '.join(names)[:200]!r}, wanted {', '.join(sorted(wanted))} and mapped sensors"

    def _line(self, path: Path, line: _Line, names: Sequence[str]) -> Iterator[Item]:
        origin = f"{path.name}:{line.number}"
        try:
            cells = self._cells(line, names)
            time_text = cells.pop(self._mapping.csv.time)
            time_ms = self._time_ms(time_text)
        except MalformedError as exc:
            yield LineRefused(exc.code, exc.text, origin, line.data)
            return
        for name, text in self._values(cells, _stem(path)):
            try:
                yield self._reading(name, time_ms, text, origin, line.data)
            except MalformedError as exc:
                yield LineRefused(exc.code, exc.text, origin, line.data)

    def _cells(self, line: _Line, names: Sequence[str]) -> dict[str, str]:
        if not line.whole:
            raise MalformedError("line_long", f"more than {LINE_BYTES_MAX} bytes")
        nul_count = line.data.count(0)
        if nul_count:
            raise MalformedError(
                "line_nul", f"{nul_count} NUL bytes of {len(line.data)}: lost in a power failure?"
            )
        if not line.data.strip():
            raise MalformedError("line_empty", "nothing but space")
        cells = self._split(line.data)
        if len(cells) != len(names):
            raise MalformedError("line_columns", f"{len(cells)} columns, wanted {len(names)}")
        return dict(zip(names, cells, strict=True))

    def _split(self, data: bytes) -> list[str]:
        try:
            text = data.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as exc:
            raise MalformedError("line_encoding", f"byte {exc.start} is not UTF-8") from exc
        delimiter = self._mapping.csv.delimiter
        if '"' not in text:
            return [cell.strip() for cell in text.split(delimiter)]
        try:
            return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter, strict=True))]
        except csv.Error as exc:
            raise MalformedError("line_quotes", str(exc)) from exc

    def _time_ms(self, text: str) -> int:
        try:
            time_ms = self._clock(text)
        except (ValueError, OverflowError) as exc:
            raise MalformedError("row_time", f"time {text[:60]!r}: {exc}") from exc
        if not 0 <= time_ms <= TIME_MS_MAX:
            raise MalformedError("row_time", f"time {text[:60]!r} is out of range")
        return time_ms

    def _values(self, cells: dict[str, str], stem: str) -> Iterator[tuple[str, str]]:
        """(sensor, text): one of a long row; of a wide row one for every mapped cell that is not empty."""
        layout = self._mapping.csv
        if layout.layout == "file":
            yield stem, cells[layout.value]
            return
        if layout.layout == "long":
            yield cells[layout.sensor], cells[layout.value]
            return
        for name, text in cells.items():
            if text and name in self._sensors:
                yield name, text

    def _reading(self, name: str, time_ms: int, text: str, origin: str, line: bytes) -> ReplayReading:
        sensor = self._sensors.get(name)
        if sensor is None:
            raise MalformedError("row_sensor", f"sensor {name[:60]!r} is not in the mapping")
        if text in sensor.fault_texts:
            return ReplayReading(sensor.gateway, sensor.channel, time_ms, 0, FAULT, False, origin, line)
        if self._mapping.csv.decimal == ",":
            text = text.replace(",", ".")
        if not _NUMBER.match(text):
            raise MalformedError("row_value", f"value {text[:60]!r} is no number")
        value = Decimal(text)
        if value in sensor.faults:
            raw_milli = max(I32_MIN, min(I32_MAX, int(value * _THOUSAND)))
            return ReplayReading(
                sensor.gateway, sensor.channel, time_ms, raw_milli, FAULT, False, origin, line
            )
        try:
            milli = to_milli(value, sensor.scale, sensor.offset)
        except MalformedError as exc:
            raise MalformedError("row_value", exc.text) from exc
        return ReplayReading(sensor.gateway, sensor.channel, time_ms, milli, 0, False, origin, line)


def detect(files: Sequence[Path]) -> Mapping:
    """A mapping from the header and the first lines: long (timestamp, sensor, value) or wide (timestamp, a, b, …)."""
    columns = None
    sensors: set[str] = set()
    for path in files:
        lines = _lines(path)
        try:
            found = read_header(next(lines, _Line(1, b"", True)).data.decode("utf-8-sig").rstrip("\r\n"))
        except (MalformedError, UnicodeDecodeError):
            continue
        columns = columns or found
        sensors |= {_stem(path)} if found.layout == "file" else _seen(found, lines)
    if columns is None or not sensors:
        raise ServiceError(
            "replay_file", "no file begins with a header that names a time column; a mapping would help"
        )
    if len(sensors) > FILES_MAX:
        raise ServiceError(
            "replay_file", f"{len(sensors)} sensors, wanted at most {FILES_MAX}; a mapping would help"
        )
    return guess_mapping(columns, sensors)


def _seen(columns: Columns, lines: Iterator[_Line]) -> set[str]:
    if columns.sensor is None:
        return set(columns.names) - {columns.time, ""}
    names, delimiter = columns.names, columns.delimiter
    at, found = names.index(columns.sensor), set()
    for line in lines:
        cells = line.data.split(delimiter.encode())
        if len(cells) == len(names) and b"\0" not in line.data:
            found.add(cells[at].decode("utf-8", "replace").strip())
        if line.number >= DETECT_LINES_MAX or len(found) > SENSORS_MAX:
            break
    return found


def _stem(path: Path) -> str:
    """The file's name without its endings: the sensor where each file is one."""
    return path.name.split(".")[0]


def _sensors(mapping: Mapping) -> dict[str, _Sensor]:
    return {
        channel.sensor: _sensor(gateway.name, channel, mapping)
        for gateway in mapping.gateway
        for channel in gateway.channel
    }


def _sensor(gateway: str, channel: ChannelModel, mapping: Mapping) -> _Sensor:
    faults = (*mapping.csv.faults, *channel.faults)
    numbers = frozenset(Decimal(fault) for fault in faults if not isinstance(fault, str))
    texts = frozenset(fault for fault in faults if isinstance(fault, str))
    return _Sensor(gateway, channel.channel, *channel.scale, numbers, texts)


def _lines(path: Path) -> Iterator[_Line]:
    """Lines of a file, plain or gzip, each cut at LINE_BYTES_MAX."""
    with _open(path) as file:
        number = 0
        while data := file.readline(LINE_BYTES_MAX + 1):
            number += 1
            whole = len(data) <= LINE_BYTES_MAX or data.endswith(b"\n")
            while not data.endswith(b"\n") and not whole and (rest := file.readline(LINE_BYTES_MAX)):
                if rest.endswith(b"\n"):
                    break
            yield _Line(number, data.rstrip(b"\n")[:LINE_BYTES_MAX], whole)


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.name.endswith(".gz") else path.open("rb")
