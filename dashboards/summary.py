"""The run's last tables on a terminal: legs and verdicts, settlements, refused messages, evidence."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dashboards import words
from dashboards.model import EvidenceResult, LegReport, Report, SettlementRow
from dashboards.tables import channel_name
from lading.rules.words import describe

_STATUS = {"PASS": ("✓", "green"), "WARN": ("!", "yellow"), "FAIL": ("✕", "bold red"), "LEFT": ("–", "dim")}
_FINDINGS_SHOWN = 3


def print_summary(console: Console, report: Report) -> None:
    """What the run came to, in tables as wide as the console. Give it a console on stderr."""
    console.print()
    console.print(_legs(report))
    for tables in (_settlements(report), _dead_letters(report), _evidence(report, console.width)):
        if tables is not None:
            console.print()
            console.print(tables)


def _table(title: str, *heads: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head)
    return table


def _text(shown: object, style: str = "") -> Text:
    """Text that is shown as it is, never read as markup."""
    return Text(words.printable(str(shown)), style=style)


def _legs(report: Report) -> Table:
    table = _table("Legs and verdicts", "leg", "gateway", "verdict", "", "what was found")
    for leg in report.legs:
        verdict = leg.verdict
        clean = verdict.result == "clean"
        table.add_row(
            _text(leg.reference, "bold"),
            _text(leg.gateway_name),
            _text("✓ clean", "green") if clean else _text("✕ breach", "bold red"),
            _text(
                "final" if verdict.final else f"provisional, {verdict.state}",
                "" if verdict.final else "yellow",
            ),
            _findings(leg),
        )
    return table


def _findings(leg: LegReport) -> Text:
    found = sorted(leg.verdict.findings, key=lambda f: f.severity)
    lines = []
    for one in found[:_FINDINGS_SHOWN]:
        limits = None if one.channel is None else leg.limits.by_channel.get(one.channel)
        sentence = describe(one, limits, channel_name(leg, one.channel))
        lines.append(_text(sentence, "red" if one.severity == "breach" else "yellow"))
    if len(found) > _FINDINGS_SHOWN:
        lines.append(_text(f"and {len(found) - _FINDINGS_SHOWN} more", "dim"))
    return Text("\n").join(lines) if lines else _text("nothing", "dim")


def _settlements(report: Report) -> Table | None:
    if not report.settlements:
        return None
    table = _table("Settlements", "leg", "kind", "amount", "gas", "who got what, by which transaction")
    table.columns[2].justify = table.columns[3].justify = "right"
    table.columns[4].overflow = "fold"
    references = {leg.verdict.leg_id: leg.reference for leg in report.legs}
    for row in report.settlements:
        table.add_row(
            _text(references.get(row.leg_id, row.leg_id.hex())),
            _text(row.kind, "red" if row.kind in ("penalty", "payout") else "green"),
            _text(words.money(row.amount, row.decimals, row.currency), "bold"),
            _text(f"{row.gas_used:,}"),
            _payouts(row),
        )
    return table


def _payouts(row: SettlementRow) -> Text:
    parts = (f"{p.party} {words.money(p.amount, row.decimals, row.currency)}" for p in row.payouts)
    return Text("\n").join([*(_text(part) for part in parts), _text("0x" + row.tx_hash.hex(), "dim")])


def _dead_letters(report: Report) -> Table | None:
    if not report.dead_letters and not report.skipped:
        return None
    table = _table("Not taken", "code", "count", "meaning")
    table.columns[1].justify = "right"
    for row in report.dead_letters:
        table.add_row(_text(row.code), _text(f"{row.count:,}"), _text(words.REFUSALS.get(row.code, "")))
    for reason, count in _skipped(report):
        table.add_row(_text("line"), _text(f"{count:,}"), _text(reason))
    return table


def _skipped(report: Report) -> Iterable[tuple[str, int]]:
    counts: dict[str, int] = {}
    for line in report.skipped:
        counts[line.reason] = counts.get(line.reason, 0) + 1
    return counts.items()


def _evidence(report: Report, width: int) -> Table | None:
    if not report.evidence:
        return None
    names = list(dict.fromkeys(check.name for result in report.evidence for check in result.checks))
    longest = max(len(result.path) for result in report.evidence)
    if longest + sum(len(name) + 3 for name in names) <= width:
        return _matrix(report, names)
    table = _table("Evidence files, checked", "file", "checks", "what did not simply pass")
    table.columns[0].overflow = "fold"
    for result in report.evidence:
        table.add_row(_text(result.path), Text(" ").join(_marks(result, names)), _remarks(result))
    return table


def _matrix(report: Report, names: list[str]) -> Table:
    table = _table("Evidence files, checked (✓ PASS  ! WARN  ✕ FAIL  – LEFT: needs a chain)", "file")
    for name in names:
        table.add_column(_text(name), justify="center", no_wrap=True)
    for result in report.evidence:
        table.add_row(_text(result.path), *_marks(result, names))
    return table


def _marks(result: EvidenceResult, names: list[str]) -> list[Text]:
    statuses = {check.name: check.status for check in result.checks}
    return [_text(*_STATUS.get(statuses.get(name, ""), (statuses.get(name, ""), ""))) for name in names]


def _remarks(result: EvidenceResult) -> Text:
    lines = [
        _text(f"{check.status} {check.name}: {check.text}", _STATUS.get(check.status, ("", ""))[1])
        for check in result.checks
        if check.status != "PASS"
    ]
    return Text("\n").join(lines)
