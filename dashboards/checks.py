"""Evidence files by checks."""

from collections.abc import Iterable
from urllib.parse import quote

from dashboards.cells import row_head, table
from dashboards.markup import Html, join, tag
from dashboards.model import EvidenceResult, Report

_GLYPHS = {"PASS": "✓", "WARN": "!", "FAIL": "✕", "LEFT": "–"}


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
