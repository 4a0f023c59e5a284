"""The report's tables: legs, totals, anchors, settlements."""

from collections.abc import Iterable, Sequence

from dashboards import words
from dashboards.cells import figure_cell, hash_text, row_head, table
from dashboards.markup import Html, join, number, tag
from dashboards.model import AnchorRow, LegReport, Report, SettlementRow
from lading.mkt import mean_kinetic_celsius
from lading.quantities import Quantity
from lading.rules.words import describe, duration
from lading.totals import Totals
from lading.verdict import Finding

_ANCHORS_SHOWN_MAX = 5_000


def badge(leg: LegReport) -> Html:
    """`✓ clean` or `✕ breach`, never by colour alone."""
    result = leg.verdict.result
    return tag("span", f"{'✓' if result == 'clean' else '✕'} {result}", cls=f"badge {result}")


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
    result = "breach" if row.kind in ("penalty", "payout") else "clean"
    link = tag("a", leg[1].reference, href=f"#leg-{leg[0]}") if leg else hash_text(row.leg_id)
    facts = (
        ("cover" if row.kind in ("payout", "lapse") else "agreement", hash_text(row.claim)),
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
