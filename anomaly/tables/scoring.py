"""A csv file to its scores: read in chunks, scored in time order, written whole or not at all."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomaly.detectors.rows import CHANGE, NAMES, UPPER, RowScorer, RowScores
from anomaly.tables.files import writing
from anomaly.tables.reading import Chunk, Table, open_table
from lading.errors import ServiceError

SCORE, DETECTOR, REASON = "anomaly_score", "detector", "reason"
SCORE_FORMAT = "%.6f"
_REASONS = {
    "shape": "the last rows of {name}, {value:g} in the end, run unlike any before",
    "daily": "{name}, {value:g} in the end, is unlike the same time of the last days",
    "sustained": "{name}, {value:g} in the end, stays on one side of its middle",
    "level": "{name}, at {value:g}, is off its long-run level",
    "change": "{name}, at {value:g}, changes: another episode begins",
}

Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class FileScored:
    """What was done with one file."""

    source: Path
    target: Path
    rows: int
    columns: tuple[str, ...]
    ignored: dict[str, str]
    alarms: int
    learned: int | None  # of one column: how many rows of five minutes or more it was learned from
    silent: int | None  # of one column: in how many of them next to nothing can be said
    oddities: dict[str, tuple[int, int]]  # what: how often, first line


def score_file(source: Path, target: Path, *, hold: int, explain: bool, tick: Tick) -> FileScored:
    """Score one file; `tick` hears of rows as they are done. Raises MalformedError, ServiceError, writing nothing."""
    if target.exists() and target.samefile(source):
        raise ServiceError("same_file", f"{source}: found the input as output, wanted another place")
    alarms, learned, silent = 0, None, None
    with open_table(source) as table, writing(target, table.layout.encoding) as out:
        layout = table.layout
        writer = csv.writer(out, delimiter=layout.delimiter, lineterminator=layout.line_end)
        writer.writerow([layout.names[0], SCORE, *([DETECTOR, REASON] if explain else [])])
        before = 0.0
        for chunk, found in _scored(table, hold):
            texts = [SCORE_FORMAT % score for score in found.said.tolist()]
            columns = [chunk.time_cells, texts]
            if explain:
                columns += _explained(table, chunk, found)
            writer.writerows(zip(*columns, strict=True))
            up = found.said >= UPPER
            alarms += int((up & ~np.concatenate([[before >= UPPER], up[:-1]])).sum())
            before = found.said[-1]
            if found.learned is not None:
                learned, silent = (learned or 0) + found.learned, found.silent
            tick(len(texts))
    names = tuple(layout.names[at] for at in table.columns)
    oddities = table.oddities.found
    return FileScored(source, target, table.rows, names, table.ignored, alarms, learned, silent, oddities)


def _scored(table: Table, hold: int) -> Iterator[tuple[Chunk, RowScores]]:
    scorer: RowScorer | None = None
    for chunk in table.chunks():
        scorer = scorer or RowScorer(len(table.columns), hold)
        yield chunk, scorer.score(chunk.time_ms, chunk.values)


def _explained(table: Table, chunk: Chunk, found: RowScores) -> list[list[str]]:
    """Which detector, and why, where an alarm is up."""
    detectors, reasons = [""] * len(found.said), [""] * len(found.said)
    for i in np.flatnonzero((found.said >= UPPER) | (found.detector == CHANGE)).tolist():
        detector = NAMES[found.detector[i]]
        column = int(found.column[i])
        name, value = table.layout.names[table.columns[column]], chunk.values[i, column]
        detectors[i] = detector
        reasons[i] = (
            _REASONS[detector].format(name=name, value=value) if detector in _REASONS else "alarm goes on"
        )
    return [detectors, reasons]
