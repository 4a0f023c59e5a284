"""The report's tables: legs, totals, anchors, settlements, refusals, evidence."""

import itertools
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from dashboards import words
from dashboards.markup import Html, join, number, tag
from dashboards.model import (
    AnchorRow,
    DeadLetterRow,
    EvidenceResult,
    LegReport,
    Report,
    SettlementRow,
    SkippedLine,
)
from lading.mkt import mean_kinetic_celsius
from lading.quantities import Quantity
from lading.rules.words import describe, duration
from lading.totals import Totals
from lading.verdict import Finding

_GLYPHS = {"PASS": "✓", "WARN": "!", "FAIL": "✕", "LEFT": "–"}
_LINES_SHOWN_MAX = 200
_ANCHORS_SHOWN_MAX = 5_000


def table(heads: Sequence[str], rows: Iterable[Iterable[object]], cls: str = "") -> Html:
    """A table in a box that scrolls sideways; `th` elements among the cells are kept as they are."""
    head = tag("tr", *(tag("th", head, scope="col") for head in heads))
    body = (tag("tr", *(_cell(cell) for cell in row)) for row in rows)
    inner = tag("table", tag("thead", head), tag("tbody", *body), cls=cls or None)
    return tag("div", inner, cls="scroll", tabindex="0", role="region", aria_label="table")


def _cell(cell: object) -> Html:
    if isinstance(cell, Html) and cell.startswith(("<th", "<td")):
        return cell
    return tag("td", cell)


def figure_cell(shown: object, cls: str = "") -> Html:
    """A right-aligned number."""
    return tag("td", shown, cls=f"n {cls}".strip())


def row_head(*shown: object) -> Html:
    """The cell that names its row."""
    return tag("th", *shown, scope="row")


def hash_text(value: bytes) -> Html:
    """All of a hash: short to the eye, whole to the pointer, to paper and to copy and paste."""
    full = "0x" + value.hex()
    return tag("code", full, cls="hash", title=full)


def badge(leg: LegReport) -> Html:
    """`✓ clean` or `✕ breach`, never by colour alone."""
    result = leg.verdict.result
    return tag("span", f"{_GLYPHS['PASS' if result == 'clean' else 'FAIL']} {result}", cls=f"badge {result}")


def finality(leg: LegReport) -> Html:
    """`final` or `provisional`."""
    final = leg.verdict.final
    return tag("span", "final" if final else "provisional", cls=f"badge {'final' if final else 'open'}")


def channel_name(leg: LegReport, channel: int | None) -> str:
    """How staff call a channel."""
    named = {series.channel: series.name for series in leg.channels}
    return named.get(channel, f"channel {channel}") if channel is not None else ""


def findings(leg: LegReport, severity: str, count_max: int) -> Html:
    """Findings in words; what is beyond `count_max` unfolds."""
    found = [f for f in leg.verdict.findings if f.severity == severity]
    items = [_finding(leg, f) for f in found]
    shown = tag("ul", *items[:count_max], cls=f"findings {severity}")
    if len(items) <= count_max:
        return shown if items else Html("")
    more = tag("summary", f"{len(items) - count_max} more of this kind")
    return join(shown, tag("details", more, tag("ul", *items[count_max:], cls=f"findings {severity}")))


def _finding(leg: LegReport, found: Finding) -> Html:
    limits = None if found.channel is None else leg.limits.by_channel.get(found.channel)
    sentence = describe(found, limits, channel_name(leg, found.channel))
    when = words.span(found.first_ms, found.last_ms)
    return tag("li", sentence[:1].upper() + sentence[1:], " ", tag("time", when))


def leg_rows(legs: Sequence[LegReport], sparks: Sequence[Html]) -> Html:
    """Legs and verdicts."""
    heads = ("leg", "gateway", "verdict", "state", "what was found", "temperature")
    rows = (
        (
            row_head(tag("a", leg.reference, href=f"#leg-{i}")),
            leg.gateway_name,
            join(badge(leg), " ", finality(leg)),
            leg.verdict.state,
            _in_short(leg),
            tag("td", sparks[i], cls="sparks"),
        )
        for i, leg in enumerate(legs)
    )
    return table(heads, rows, "legs")


def _in_short(leg: LegReport) -> Html:
    counts: dict[tuple[str, str], int] = {}
    for found in sorted(leg.verdict.findings, key=lambda f: f.severity):
        key = (found.severity, words.rule_name(found.rule))
        counts[key] = counts.get(key, 0) + 1
    if not counts:
        return Html("nothing")
    chips = (
        tag("span", f"{rule}{f' × {count}' if count > 1 else ''}", cls=f"chip {severity}")
        for (severity, rule), count in counts.items()
    )
    return join(*chips)


def totals_table(leg: LegReport) -> Html:
    """What the newest frame signs of each channel."""
    heads = ("channel", "readings", "valid", "lowest", "highest", "mean kinetic", "time above", "time below",
             "unknown", "longest gap")  # fmt: skip
    return table(heads, (_totals_row(leg, *entry) for entry in leg.verdict.totals), "totals")


def _totals_row(leg: LegReport, channel: int, quantity: int, totals: Totals) -> Iterable[object]:
    limits = leg.limits.by_channel.get(channel)
    mean = mean_kinetic_celsius(totals.mkt_weight_sum, totals.known_ms)
    has_mean = quantity == Quantity.TEMPERATURE and mean is not None
    lowest, highest = (
        (words.value(v, quantity) if totals.valid_count else "–")
        for v in (totals.min_value, totals.max_value)
    )
    over = limits is not None and totals.valid_count > 0 and totals.max_value > limits.upper
    under = limits is not None and totals.valid_count > 0 and totals.min_value < limits.lower
    return (
        row_head(channel_name(leg, channel)),
        figure_cell(f"{totals.count:,}"),
        figure_cell(f"{totals.valid_count:,}"),
        figure_cell(lowest, "out" if under else ""),
        figure_cell(highest, "out" if over else ""),
        figure_cell(words.value(round(mean * 100) * 10, quantity) if has_mean and mean is not None else "–"),
        figure_cell(duration(totals.above_ms) if totals.above_ms else "–", "out" if totals.above_ms else ""),
        figure_cell(duration(totals.below_ms) if totals.below_ms else "–", "out" if totals.below_ms else ""),
        figure_cell(duration(totals.unknown_ms) if totals.unknown_ms else "–"),
        figure_cell(duration(totals.longest_gap_ms) if totals.longest_gap_ms else "–"),
    )


def anchor_table(anchors: Sequence[AnchorRow]) -> Html:
    """Every interval."""
    heads = ("interval", "state", "block", "block time", "batches", "frames", "readings", "gas", "transaction",
             "super-root")  # fmt: skip
    return table(heads, (_anchor_row(row) for row in anchors[-_ANCHORS_SHOWN_MAX:]), "anchors")


def _anchor_row(row: AnchorRow) -> Iterable[object]:
    record = row.record
    pending = record.state == "pending"
    return (
        tag("th", f"{record.interval:,}", scope="row", cls="n"),
        record.state,
        figure_cell("–" if pending else f"{record.block_number:,}"),
        "–" if pending else words.clock(record.block_time_ms),
        figure_cell(record.batch_count),
        figure_cell(f"{sum(batch.leaf.frame_count for batch in row.batches):,}"),
        figure_cell(f"{row.readings:,}"),
        figure_cell("–" if pending else f"{record.gas_used:,}"),
        hash_text(record.tx_hash),
        hash_text(record.super_root),
    )


def settlements(report: Report) -> Html:
    """One card a settlement: who got what, by which transaction."""
    references = {leg.verdict.leg_id: (i, leg) for i, leg in enumerate(report.legs)}
    return tag(
        "div",
        *(_settlement(row, references.get(row.leg_id)) for row in report.settlements),
        cls="cards",
    )


def _settlement(row: SettlementRow, leg: tuple[int, LegReport] | None) -> Html:
    result = "breach" if row.kind == "penalty" else "clean"
    link = tag("a", leg[1].reference, href=f"#leg-{leg[0]}") if leg else hash_text(row.leg_id)
    facts = (
        ("agreement", hash_text(row.agreement)),
        ("transaction", hash_text(row.tx_hash)),
        ("block", f"{row.block_number:,}"),
        ("gas", f"{row.gas_used:,}"),
    )
    return tag(
        "article",
        tag("h3", tag("span", row.kind, cls=f"badge {result}"), " ", link),
        tag("p", words.money(row.amount, row.decimals, row.currency), cls="amount"),
        tag("p", row.why) if row.why else None,
        _payouts(row),
        tag("dl", *(join(tag("dt", term), tag("dd", shown)) for term, shown in facts)),
        cls="card",
    )


def _payouts(row: SettlementRow) -> Html:
    whole = sum(payout.amount for payout in row.payouts)
    if whole <= 0:
        return Html("")
    bars = (
        tag("i", cls=f"share s{i % 4}", style=f"width:{number(100 * payout.amount / whole)}%")
        for i, payout in enumerate(row.payouts)
    )
    items = (
        tag("li", tag("i", cls=f"key s{i % 4}"), tag("b", payout.party), f" ({payout.role}) got ",
            tag("b", words.money(payout.amount, row.decimals, row.currency)))
        for i, payout in enumerate(row.payouts)
    )  # fmt: skip
    return join(tag("div", *bars, cls="shares", aria_hidden="true"), tag("ul", *items, cls="payouts"))


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


def evidence(report: Report) -> Html:
    """Files by checks, then what each check found."""
    references = {leg.verdict.leg_id: leg.reference for leg in report.legs}
    names = list(dict.fromkeys(check.name for result in report.evidence for check in result.checks))
    matrix = table(
        ("evidence file", *names),
        (_evidence_row(result, names, references) for result in report.evidence),
        "matrix",
    )
    details = (_evidence_details(result) for result in report.evidence)
    return join(matrix, _legend(), *details)


def _evidence_row(result: EvidenceResult, names: list[str], references: dict[bytes, str]) -> Iterable[object]:
    checks = {check.name: check for check in result.checks}
    yield row_head(
        tag("a", result.path, href=f"./{quote(result.path)}"),
        tag("span", f"{references.get(result.leg_id, '')} · {result.size_bytes:,} bytes", cls="dim"),
    )
    for name in names:
        check = checks.get(name)
        if check is None:
            yield tag("td", cls="check")
            continue
        glyph = tag("b", _GLYPHS.get(check.status, "?"), aria_hidden="true")
        yield tag("td", glyph, tag("span", check.status), cls=f"check {check.status}",
                  data_tip=f"{name}: {check.text}")  # fmt: skip


def _legend() -> Html:
    meaning = {
        "PASS": "holds",
        "WARN": "holds, with a remark",
        "FAIL": "does not hold",
        "LEFT": "needs a chain to ask",
    }
    keys = (
        tag("span", tag("b", _GLYPHS[status]), f" {status} {text}", cls=f"check {status}")
        for status, text in meaning.items()
    )
    return tag("p", *keys, cls="legend")


def _evidence_details(result: EvidenceResult) -> Html:
    rows = (
        (
            row_head(check.name),
            tag("td", f"{_GLYPHS.get(check.status, '?')} {check.status}", cls=f"check {check.status}"),
            check.text,
        )
        for check in result.checks
    )
    return tag("details", tag("summary", f"what each check of {result.path} found"),
               table(("check", "result", "found"), rows))  # fmt: skip
