"""The report opens offline, says what happened where it happened, and cannot be made to say anything else."""

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_sample import BEGIN_MS, HOUR_MS, leg, sample

from dashboards import refusals, words
from dashboards.model import ChannelSeries, DeadLetterRow, EventMark, Report, SkippedLine
from dashboards.report import render, write_report
from dashboards.timeline import delay_range
from lading.deadletter import DeadLetter
from lading.limits import ChannelLimits, Limits
from lading.quantities import FAULT, Quantity

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\u202eevil\x00\x1b[31m"
_VOID = {"meta", "br", "hr"}
_LOADING = ("src", "srcset", "data", "action", "poster", "background")


class Page(HTMLParser):
    """Every element with its attributes; complains of what is not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.script = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"doubled attribute in {tag}"
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.script += data
        elif self.open and self.open[-1] != "style":
            self.text.append(data)

    def having(self, cls: str) -> list[dict[str, str | None]]:
        """Attributes of the elements of a class."""
        return [attrs for _, attrs in self.elements if cls in (attrs.get("class") or "").split()]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(sample()))


def one_channel(series: ChannelSeries, limits: ChannelLimits) -> Report:
    """A report of one leg of one channel."""
    whole = replace(leg("L", "g", (series,), ()), limits=Limits((limits,)), first_ms=0, last_ms=1_000_000)
    return Report("t", "s", 0, 0, 1_000_000, (whole,))


def test_balanced_with_unique_ids(page: Page) -> None:
    """Well-formed, and every link inside the page leads somewhere."""
    ids = Counter(attrs["id"] for _, attrs in page.elements if "id" in attrs)
    assert [name for name, count in ids.items() if count > 1] == []
    links = {attrs["href"] or "" for _, attrs in page.elements if "href" in attrs}
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    labels = {attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs}
    assert labels <= set(ids)


def test_loads_nothing(page: Page) -> None:
    """No element, style or script asks for anything outside the file."""
    for tag, attrs in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "img", "base", "form")
        assert not any(name in attrs for name in _LOADING)
        assert not (tag == "a" and re.match(r"[a-z]+:|//", attrs["href"] or "", re.IGNORECASE))
    text = render(sample())
    style = text[text.index("<style>") : text.index("</style>")]
    assert "@import" not in style
    assert not re.search(r"url\((?!#)", style)
    assert not re.search(r"fetch|XMLHttp|import\(|https?:", page.script)


def test_policy_allows_one_script(page: Page) -> None:
    """The page's policy names the hash of its own script; any other is refused by the browser."""
    policy = next(attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert sum(tag == "script" for tag, _ in page.elements) == 1


def test_small_enough(tmp_path: Path) -> None:
    """Two weeks of four gateways stay below 3 MB."""
    path = tmp_path / "report.html"
    write_report(path, sample())
    assert 100_000 < path.stat().st_size < 3_000_000


def test_hostile_texts_stay_text() -> None:
    """A name from a sensor, a file or the network is shown, and never becomes markup."""
    report = sample()
    first = report.legs[0]
    channels = tuple(replace(series, name=HOSTILE) for series in first.channels)
    letter = DeadLetter(HOSTILE, HOSTILE, HOSTILE, 0, b"")
    hostile = replace(
        report,
        title=HOSTILE,
        story=HOSTILE,
        figures=((HOSTILE, HOSTILE),),
        legs=(replace(first, reference=HOSTILE, gateway_name=HOSTILE, profile=HOSTILE, channels=channels),),
        offline=(replace(report.offline[0], gateway_name=HOSTILE),),
        events=(EventMark(BEGIN_MS, HOSTILE, HOSTILE),),
        settlements=tuple(replace(row, why=HOSTILE, currency=HOSTILE) for row in report.settlements),
        dead_letters=(DeadLetterRow(HOSTILE, 1, (letter,)),),
        skipped=(SkippedLine(HOSTILE, 1, HOSTILE, HOSTILE),),
        evidence=tuple(replace(result, path="javascript:alert(3)//" + HOSTILE) for result in report.evidence),
    )
    text = render(hostile)
    page = Page(text)
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert not any(tag == "img" for tag, _ in page.elements)
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert not any((attrs.get("href") or "").lower().startswith("javascript") for _, attrs in page.elements)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)
    assert "<script>alert(1)</script>" in "".join(page.text)


def test_excursion_is_drawn_where_it_was() -> None:
    """200 s above from 300 s to 500 s of 1000 s: a shade at 30 % of the width, 20 % wide, as worked by hand."""
    times = [i * 100_000 for i in range(11)]
    values = [5_000, 5_000, 5_000, 9_000, 9_500, 6_000, 5_000, 1_000, 5_000, 5_000, 5_000]
    series = ChannelSeries(1, Quantity.TEMPERATURE, "air", times, values, [0] * 11)
    page = Page(render(one_channel(series, ChannelLimits(1, Quantity.TEMPERATURE, 2_000, 8_000, 600_000))))
    figure = [attrs for attrs in page.having("outside") if attrs["height"] == "220"]
    assert [(attrs["x"], attrs["width"]) for attrs in figure] == [("30%", "20%"), ("70%", "10%")]
    assert [(attrs["data-first"], attrs["data-last"]) for attrs in figure] == [
        ("300000", "500000"),
        ("700000", "800000"),
    ]


def test_line_is_the_data() -> None:
    """The path holds times and values exactly. By hand: 1 to 9.5 °C with a twelfth (708) of room, the top is 10.208."""
    series = ChannelSeries(
        1, Quantity.TEMPERATURE, "air", [0, 500_000, 1_000_000], [5_000, 9_500, 1_000], [0, 0, 0]
    )
    text = render(one_channel(series, ChannelLimits(1, Quantity.TEMPERATURE, 2_000, 8_000, 600_000)))
    assert 'viewBox="0 0 1000000 9916"' in text
    assert 'd="M0 5208l500000-4500 500000 8500"' in text
    assert 'data-top="10208"' in text


def test_limits_are_drawn_at_their_values() -> None:
    """Between 0 and 12 °C plus a twelfth on both sides, 8 °C is 5000 of 14000 below the top: 78.5714 of 220 pixels."""
    series = ChannelSeries(1, Quantity.TEMPERATURE, "air", [0, 1_000_000], [0, 12_000], [0, 0])
    page = Page(render(one_channel(series, ChannelLimits(1, Quantity.TEMPERATURE, upper=8_000))))
    lines = [attrs for tag, attrs in page.elements if tag == "line" and attrs.get("class") == "limit"]
    assert [(attrs["y1"], attrs["y2"]) for attrs in lines] == [("78.5714", "78.5714")]


def test_gap_and_fault_are_shown_and_no_temperature() -> None:
    """Silence and a broken sensor are hatched; the error code is nowhere on the line."""
    series = ChannelSeries(
        1,
        Quantity.TEMPERATURE,
        "air",
        [0, 100_000, 600_000, 700_000, 800_000, 1_000_000],
        [5_000, 5_000, 5_000, -127_000, -127_000, 5_000],
        [0, 0, 0, FAULT, FAULT, 0],
    )
    text = render(one_channel(series, ChannelLimits(1, Quantity.TEMPERATURE, 2_000, 8_000, 200_000)))
    page = Page(text)
    unknown = [attrs for attrs in page.having("unknown") if attrs["height"] == "220"]
    assert [(attrs["x"], attrs["width"]) for attrs in unknown] == [("30%", "30%"), ("70%", "30%")]
    faults = [attrs for attrs in page.having("fault") if attrs.get("data-first")]
    assert [(attrs["x"], attrs["width"]) for attrs in faults] == [("70%", "30%")]
    assert 'data-top="8500"' in text  # 2 to 8 °C and a twelfth: the −127 did not stretch the axis


@pytest.mark.parametrize("quantity", [*Quantity, 0x8001])
def test_a_dead_sensor_has_a_plot(quantity: int) -> None:
    """A channel of nothing but faults, or of nothing at all, is drawn as such."""
    dead = ChannelSeries(1, quantity, "dead", [0, 1_000_000], [-127_000, -127_000], [FAULT, FAULT])
    empty = ChannelSeries(1, quantity, "none", [], [], [])
    assert "none of them valid" in render(one_channel(dead, ChannelLimits(1, quantity)))
    report = one_channel(dead, ChannelLimits(1, quantity))
    silent = replace(report.legs[0], channels=(empty,))
    Page(render(replace(report, legs=(silent,))))


def test_an_empty_report_is_a_page() -> None:
    """A run without legs still says so."""
    page = Page(render(Report("t", "nothing came", 0, 0, 0, ())))
    assert "nothing came" in page.text


def test_every_skipped_line_is_named() -> None:
    """The ranges of lines not taken hold each of them and no other."""
    numbers = [1, 2, 3, 7, 9, 10, 400]
    ranges = refusals.line_ranges(numbers)
    assert ranges == ["1–3", "7", "9–10", "400"]
    skipped = tuple(SkippedLine("a.csv", number, "no time", "x") for number in numbers)
    assert ", ".join(ranges) in render(replace(sample(), skipped=skipped))


def test_verdict_is_not_told_by_colour_alone(page: Page) -> None:
    """Marks and words stand beside every colour."""
    text = "".join(page.text)
    assert "✓ clean" in text
    assert "✕ breach" in text
    assert "provisional" in text
    assert "Cargo air above 8.000 °C for 8 h 36 min in one stretch, allowed 30 min" in text


def test_settlements_show_whole_transactions(page: Page) -> None:
    """Who got what, and the transaction in full."""
    text = "".join(page.text)
    for row in sample().settlements:
        assert "0x" + row.tx_hash.hex() in text
    assert "Helvetia Pharma (shipper) got 1,250.00 USDC" in text


def test_evidence_matrix(page: Page) -> None:
    """Each file by each check."""
    cells = [
        attrs
        for tag, attrs in page.elements
        if tag == "td" and "check" in (attrs.get("class") or "").split() and "data-tip" in attrs
    ]
    report = sample()
    assert len(cells) == len(report.evidence) * 11
    assert sum("WARN" in (attrs["class"] or "") for attrs in cells) == 2


def test_delay_of_an_interval() -> None:
    """From the block back to the newest event (95 s) and to the oldest one (2 h 2 min)."""
    assert delay_range(sample().anchors[0]) == (95_000, 2 * HOUR_MS + 120_000)


def test_same_report_same_bytes() -> None:
    """Nothing of the moment of writing is in the page."""
    assert render(sample()) == render(sample())


def test_words() -> None:
    """Money, moments and spans as people write them."""
    assert words.money(1_250_000_000, 6, "USDC") == "1,250.00 USDC"
    assert words.money(1, 18, "DAI") == "0.000000000000000001 DAI"
    assert words.money(7, 0, "PTS") == "7 PTS"
    assert words.value(-127_000, Quantity.TEMPERATURE) == "−127 °C"
    assert words.clock(0) == "1970-01-01 00:00 UTC"
    assert words.span(0, 3_600_000) == "1970-01-01 00:00 to 01:00 UTC"
