"""What was not taken: messages by code, lines of recordings by file and reason."""

import itertools
from collections.abc import Sequence

from dashboards import words
from dashboards.cells import figure_cell, row_head, table
from dashboards.markup import Html, join, tag
from dashboards.model import DeadLetterRow, SkippedLine

_LINES_SHOWN_MAX = 200


def dead_letters(rows: Sequence[DeadLetterRow]) -> Html:
    """Refused messages by code, with what the code means and samples."""
    return table(
        ("code", "messages", "meaning", "samples"),
        (
            (
                row_head(tag("code", row.code)),
                figure_cell(f"{row.count:,}"),
                words.REFUSALS.get(row.code, ""),
                _samples(row),
            )
            for row in rows
        ),
        "dead",
    )


def _samples(row: DeadLetterRow) -> Html:
    items = (
        tag(
            "li",
            tag("time", words.clock(letter.received_ms)),
            f" {letter.reason} ",
            tag("span", f"{letter.origin}, {len(letter.data):,} bytes", cls="dim"),
        )
        for letter in row.samples
    )
    return tag("ul", *items, cls="plain") if row.samples else Html("–")


def skipped(lines: Sequence[SkippedLine]) -> Html:
    """Every line not taken: by file and reason as ranges, and the first ones in full."""
    ordered = sorted(lines, key=lambda line: (line.file, line.reason, line.line))
    groups = [
        (file, reason, [line.line for line in group])
        for (file, reason), group in itertools.groupby(ordered, key=lambda line: (line.file, line.reason))
    ]
    summary = table(
        ("file", "why", "lines", "which"),
        (
            (row_head(tag("code", file)), reason, figure_cell(f"{len(numbers):,}"), _which(numbers))
            for file, reason, numbers in groups
        ),
    )
    return join(summary, _lines_in_full(lines))


def line_ranges(numbers: Sequence[int]) -> list[str]:
    """Ascending line numbers as `3`, `7–12`."""
    found = []
    for _, run in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        found.append(f"{members[0]}–{members[-1]}" if len(members) > 1 else str(members[0]))
    return found


def _which(numbers: Sequence[int]) -> Html:
    ranges = line_ranges(numbers)
    shown = ", ".join(ranges)
    if len(ranges) <= 12:
        return tag("span", shown, cls="lines")
    head = tag("summary", f"{', '.join(ranges[:8])} and {len(ranges) - 8:,} more")
    return tag("details", head, tag("span", shown, cls="lines"))


def _lines_in_full(lines: Sequence[SkippedLine]) -> Html:
    first = lines[:_LINES_SHOWN_MAX]
    rows = (
        (row_head(tag("code", f"{line.file}:{line.line}")), line.reason, tag("code", line.text, cls="raw"))
        for line in first
    )
    whole = "all of them" if len(first) == len(lines) else f"the first {len(first)} of {len(lines):,}"
    return tag(
        "details", tag("summary", f"the lines themselves, {whole}"), table(("where", "why", "line"), rows)
    )
