"""A terms file becomes what the escrow takes; whatever it would refuse is said by the file's own keys."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.agreements import Agreement, Disclosure
from contracts.drafting import Parties, Place, make_terms, read_draft
from contracts.legs import refuse_lacking
from contracts.money import Money
from contracts.typed_data import Domain
from contracts.words import describe, sentence
from lading.assignment import Assignment
from lading.errors import MalformedError, RejectedError, ServiceError
from lading.limits import ChannelLimits, Limits
from lading.mkt import weight
from lading.quantities import Quantity
from lading.terms import Terms
from lading.tiers import Metric, Tier
from tests.legs import make_order as make_order_of

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BEGIN_MS, DUE_MS, NOW_S = 1_700_000_000_000, 1_700_086_400_000, 1_700_000_000
PARTIES = Parties(b"\1" * 20, b"\2" * 20)
PLACE = Place(b"\3" * 20, Money("TEST", 6), window_min_s=3_600)
LIMITS = Limits(
    (
        ChannelLimits(1, Quantity.TEMPERATURE, lower=2000, upper=8000),
        ChannelLimits(2, Quantity.HUMIDITY, upper=60_000),
    )
)


def make_order(reference: str = "leg-1", begin_ms: int = BEGIN_MS, due_ms: int = DUE_MS) -> Assignment:
    """A begin order of these limits."""
    return replace(make_order_of(LIMITS, reference=reference, due_ms=due_ms), begin_ms=begin_ms)


ORDER = make_order()
FULL = """
bond = "2000 TEST"
leg_cap = "1500.5 TEST"
deadline = "5 days"
window = "48 h"
uncertainty_max = 500

[[tier]]
channel = 1
metric = "above"
threshold = "30 min"
amount = "100 TEST"
[[tier]]
channel = 1
metric = "above_longest_ms"
threshold = 600000
amount = 7
[[tier]]
channel = 1
metric = "mkt"
threshold = "8.0 C"
amount = "200 TEST"
[[tier]]
channel = 1
metric = "min_value"
threshold = "-5.25 °C"
amount = "1 TEST"
[[tier]]
channel = 2
metric = "max_value"
threshold = "75 %RH"
amount = "1 TEST"
[[tier]]
metric = "silence"
threshold = "24 h"
amount = "2000 TEST"
[[tier]]
metric = "late"
threshold = "0 min"
amount = "0.000001 TEST"
"""


def drafted(tmp_path: Path, text: str, *orders: Any, place: Place = PLACE, now_s: int = NOW_S) -> Terms:
    path = tmp_path / "terms.toml"
    path.write_text(text)
    return make_terms(read_draft(path), orders or [ORDER], PARTIES, place, 9, now_s)


def test_units_become_what_the_escrow_compares(tmp_path: Path) -> None:
    """Durations in ms, values in thousandths (shifted, or as weights), amounts in smallest units; tiers in order."""
    terms = drafted(tmp_path, FULL)
    assert terms.tiers == (
        Tier(0, Metric.LATE_MS, 0, 1),
        Tier(0, Metric.SILENCE_MS, 24 * HOUR_MS, 2_000_000_000),
        Tier(1, Metric.ABOVE_MS, 30 * MINUTE_MS, 100_000_000),
        Tier(1, Metric.ABOVE_LONGEST_MS, 600_000, 7),
        Tier(1, Metric.MKT, weight(8_000), 200_000_000),
        Tier(1, Metric.MIN_VALUE, 2**31 + 5_250, 1_000_000),
        Tier(2, Metric.MAX_VALUE, 2**31 + 75_000, 1_000_000),
    )
    assert (terms.bond, terms.leg_cap, terms.window_s) == (2_000_000_000, 1_500_500_000, 172_800)
    assert (terms.uncertainty_max_milli, terms.salt, terms.token) == (500, 9, PLACE.token)
    (leg,) = terms.legs
    assert (leg.deadline_s, leg.due_ms, leg.limits_hash) == (DUE_MS // 1000 + 432_000, DUE_MS, LIMITS.hash)


def test_plain_numbers_are_as_on_the_wire(tmp_path: Path) -> None:
    """Then no chain has to tell the token's decimals; without a due time the deadline is after the begin."""
    tier = '[[tier]]\nchannel = 1\nmetric = "mkt"\nthreshold = 8000\namount = 3\n'
    text = f"bond = 10\ndeadline_s = 100\nwindow_s = 3600\n{tier}"
    order = make_order(begin_ms=BEGIN_MS, due_ms=0)
    terms = drafted(tmp_path, text, order, place=Place(PLACE.token, Money()))
    assert terms.tiers == (Tier(1, Metric.MKT, weight(8_000), 3),)
    assert (terms.bond, terms.leg_cap, terms.legs[0].deadline_s) == (10, 10, BEGIN_MS // 1000 + 100)
    with pytest.raises(MalformedError, match="bond: found '10 TEST', wanted whole smallest units"):
        drafted(tmp_path, text.replace("bond = 10", 'bond = "10 TEST"'), place=Place(PLACE.token, Money()))


def test_legs_of_a_shipment_are_in_the_escrows_order(tmp_path: Path) -> None:
    """By leg id, whichever was named first; each with its own times."""
    orders = [make_order(reference=f"PO 77/{n}", begin_ms=BEGIN_MS + n, due_ms=DUE_MS + n) for n in range(4)]
    terms = drafted(tmp_path, FULL, *orders)
    assert [leg.leg_id for leg in terms.legs] == sorted(order.leg_id for order in orders)
    assert {leg.begin_ms for leg in terms.legs} == {BEGIN_MS + n for n in range(4)}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"2000 TEST"', '"2000 EUR"', "bond: found '2000 EUR', wanted an amount such as \"250 TEST\""),
        ('"2000 TEST"', '"0.0000001 TEST"', "bond: .*wanted an amount of TEST with at most 6 decimals"),
        ('"2000 TEST"', "0", "bond: found 0, wanted 1 to"),
        ('"2000 TEST"', "1.5", "bond: .*found '1.5'"),
        ('"1500.5 TEST"', '"2001 TEST"', "leg_cap: found '2001 TEST', wanted at most the bond"),
        ('"5 days"', '"5 weeks"', "deadline: found '5 weeks', wanted a duration such as \"30 min\""),
        ('"5 days"', '"0.5 ms"', "deadline: .*whole"),
        ('"48 h"', '"59 min"', "window: found '3540 s', wanted at least 3600 s"),
        ('window = "48 h"', "", "wanted one of window and window_s"),
        ("uncertainty_max = 500", 'uncertainty_max = "0.5 C"', "uncertainty_max: .*differ in quantity"),
        ('"30 min"', '"8.0 C"', "tier 1, threshold: found '8.0 C', wanted a duration"),
        ('"30 min"', '"-1 min"', "tier 1, threshold: found '-1 min', wanted whole milliseconds"),
        ('"8.0 C"', '"8.0 F"', "tier 3, threshold: found '8.0 F', wanted a number with C or °C"),
        ('"above"', '"heat"', "tier 1, metric: found 'heat', wanted one of above, above_longest"),
        ("channel = 2", "channel = 3", "tier 5, channel: found 3, wanted one of 1, 2"),
        ("channel = 2", "channel = 70000", "tier 5, channel: .*found '70000'"),
        ('"max_value"\nthreshold = "75 %RH"', '"mkt"\nthreshold = 1', "tier 5, metric: .*temperature"),
        ('metric = "silence"', 'channel = 1\nmetric = "silence"', "tier 6, channel: found 1, wanted none"),
        ('amount = "1 TEST"', "", "tier 4, amount: Field required"),
        ('"48 h"', '"60000 days"', "window: found '60000 days', wanted at most 4294967295 s"),
        ('"2000 TEST"', "0x" + "f" * 9000, "bond: found 'a number of 36000 bits', wanted at most 256"),
        ("channel = 2", "channel = 0x" + "f" * 9000, "tier 5, channel: .*36000 bits"),
        ('"2000 TEST"', "9" * 5000, "4300 digits"),
        ("bond =", "bond = " + "[" * 60_000 + "\n#", "brackets inside brackets"),
        ("bond =", "#" * 65_536 + "\nbond =", "longer than 65536 bytes"),
        ("[[tier]]", "[[tier]]\ncolour = 1", "tier 1, colour: .*"),
        ('"above_longest_ms"\nthreshold = 600000', '"above"\nthreshold = 1800000', "tier 2 has .* of tier 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_by_its_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in FULL
    with pytest.raises(MalformedError, match=said):
        drafted(tmp_path, FULL.replace(old, new, 1))


def test_what_the_legs_do_not_allow_is_refused(tmp_path: Path) -> None:
    """Lateness without a due time, a leg twice, a deadline that has passed, one party on both sides, no file."""
    undated = make_order(reference="other", begin_ms=BEGIN_MS, due_ms=0)
    with pytest.raises(MalformedError, match=r"tier 7, metric: .*without a due time"):
        drafted(tmp_path, FULL, ORDER, undated)
    with pytest.raises(MalformedError, match=r"2 legs, wanted at most 16, each once"):
        drafted(tmp_path, FULL, ORDER, ORDER)
    with pytest.raises(MalformedError, match=r"deadline: leg .* is 0 s past"):
        drafted(tmp_path, FULL, now_s=DUE_MS // 1000 + 432_000)
    with pytest.raises(MalformedError, match="carrier and shipper are both"):
        make_terms(
            read_draft(tmp_path / "terms.toml"), [ORDER], Parties(b"\1" * 20, b"\1" * 20), PLACE, 9, NOW_S
        )
    with pytest.raises(ServiceError, match="No such file"):
        read_draft(tmp_path / "none.toml")
    with pytest.raises(MalformedError, match=r"terms: .*: "):
        drafted(tmp_path, "bond = ")


def test_the_example_of_the_docs_is_taken() -> None:
    """docs/examples/terms.toml, as docs/deploy.md uses it on a chain with the test token."""
    draft = read_draft(Path(__file__).parents[3] / "docs" / "examples" / "terms.toml")
    terms = make_terms(draft, [ORDER], PARTIES, replace(PLACE, window_min_s=60), 9, NOW_S)
    assert (terms.bond, terms.window_s) == (2_000_000, 120)
    assert terms.tiers == (Tier(1, Metric.ABOVE_MS, 1_800_000, 100_000),)


def test_a_reference_does_not_steer_the_terminal(tmp_path: Path) -> None:
    """The file comes from the other party: what would move the cursor or turn the text is shown as a mark."""
    order = make_order(reference="PO\x1b[2J\u202e77")
    terms = drafted(tmp_path, FULL, order)
    text = "\n".join(
        describe(Agreement(terms, Domain(1, b"\x11" * 20), (Disclosure.of(order),)), PLACE.money)
    )
    assert "PO\ufffd[2J\ufffd77" in text
    assert all(char.isprintable() or char == "\n" for char in text)


def test_words_say_all_that_is_signed(tmp_path: Path) -> None:
    """Parties, amounts, times in UTC, limits and each tier as a sentence: whoever signs reads what it costs."""
    terms = drafted(tmp_path, FULL)
    agreement = Agreement(terms, Domain(31_337, b"\x11" * 20), (Disclosure.of(ORDER),))
    text = "\n".join(describe(agreement, PLACE.money))
    for wanted in (
        agreement.id.hex(),
        "carrier   0x0101010101010101010101010101010101010101",
        "2,000 TEST",
        "leg cap   1,500.50 TEST",
        "begins 2023-11-14 22:13:20 UTC, due 2023-11-15 22:13:20 UTC",
        "deadline 2023-11-20 22:13:20 UTC",
        "channel 1 (temperature): from 2.000 °C to 8.000 °C",
        "channel 1 (temperature) above 8.000 °C for more than 30 min in all: 100 TEST",
        "channel 1 (temperature) above 8.000 °C for more than 10 min in one stretch: 0.000007 TEST",
        "channel 1 (temperature) with a mean kinetic temperature above 8.000 °C: 200 TEST",
        "channel 1 (temperature) with a reading below −5.250 °C: 1 TEST",
        "channel 2 (humidity) with a reading above 75.000 %RH: 1 TEST",
        "closed later than agreed: 0.000001 TEST",
        "not closed, and nothing heard for more than 1 d before the deadline: 2,000 TEST",
        "uncertainty of at most 0.5 of their unit",
        "shown for 2 d",
        "Signed by nobody; carrier and shipper have yet to sign.",
    ):
        assert wanted in text
    bare = "\n".join(describe(Agreement(terms, agreement.domain, (None,)), Money()))
    assert "channel 1 above its upper limit for more than 30 min in all: 100,000,000 of the token" in bare


def described(terms: Terms, *shown: Disclosure | None) -> str:
    agreement = Agreement(terms, Domain(31_337, b"\x11" * 20), shown or (Disclosure.of(ORDER),))
    return "\n".join(describe(agreement, PLACE.money))


def test_words_are_exact_where_money_hangs_on_them(tmp_path: Path) -> None:
    """No unit of a duration is left out, no digit of a figure; zero degrees is a temperature; ids are whole."""
    terms = replace(
        drafted(tmp_path, FULL),
        window_s=97_199,
        uncertainty_max_milli=1_234_567_891,
        tiers=(
            Tier(0, Metric.SILENCE_MS, 97_140_000, 1),
            Tier(1, Metric.ABOVE_MS, 86_400_001, 1),
            Tier(1, Metric.MKT, weight(0), 1),
            Tier(1, Metric.MKT, 0, 1),
            Tier(2, Metric.UNKNOWN_MS, 0, 1),
        ),
    )
    text = described(terms)
    for wanted in (
        "shown for 1 d 2 h 59 min 59 s;",
        "at most 1234567.891 of their unit",
        "heard for more than 1 d 2 h 59 min before",
        "above 8.000 °C for more than 1 d 1 ms in all",
        "with a mean kinetic temperature above 0.000 °C",
        "channel 1 (temperature) known at all",
        "without a value that is known for more than 0 ms in all",
        ORDER.gateway.hex(),
        ORDER.tenant.hex(),
    ):
        assert wanted in text
    assert "with a reading above 1234567.891" in sentence(Tier(1, Metric.MAX_VALUE, 2**31 + 1_234_567_891, 1))


def test_a_tier_on_a_channel_that_the_leg_lacks_is_told_and_refused(tmp_path: Path) -> None:
    """By it no frame could be shown: a leg closed in time would end as a silent one."""
    terms = drafted(tmp_path, FULL)
    assert "WARNING" not in described(terms)
    more = (*terms.tiers, Tier(99, Metric.ABOVE_MS, 2**127, 1))
    text = described(replace(terms, tiers=more))
    assert "WARNING: leg-1 has no channel 99, which tiers name" in text
    shown = Disclosure.of(ORDER)
    refuse_lacking([shown, None], terms.tiers)
    with pytest.raises(RejectedError, match="channel: tiers name channel 99"):
        refuse_lacking([None, shown], more)
    assert "WARNING: limits that are not disclosed" in described(terms, None)
    of_the_leg = tuple(tier for tier in terms.tiers if tier.channel == 0)
    assert "WARNING" not in described(replace(terms, tiers=of_the_leg), None)


def test_times_that_no_calendar_has_are_words_too(tmp_path: Path) -> None:
    """A file from elsewhere may name any 64-bit time and any weight: it is shown, not a traceback."""
    terms = drafted(tmp_path, FULL)
    (leg,) = terms.legs
    never = replace(leg, begin_ms=2**64 - 1, due_ms=2**64 - 1, deadline_s=2**64 - 1)
    tiers = (*terms.tiers, Tier(1, Metric.MKT, 2**128 - 1, 1))
    text = described(replace(terms, legs=(never,), tiers=tiers), None)
    assert "begins 18446744073709551615 ms after 1970, past the year 9999" in text
    assert "deadline 18446744073709551615000 ms after 1970" in text
    assert "with a mean kinetic temperature above 100.000 °C" in text


def test_finer_than_the_smallest_unit_is_refused_however_many_digits(tmp_path: Path) -> None:
    """Thirty digits are not rounded to twenty-eight without a word."""
    for old, new in (
        ('"2000 TEST"', '"2000000000.000001000000000000000001 TEST"'),
        ('"30 min"', '"1000000000.000000000000000000000001 min"'),
        ('"8.0 C"', '"10000000000.000000000000000000000001 C"'),
    ):
        with pytest.raises(MalformedError, match=r"decimals|whole milliseconds|at the finest"):
            drafted(tmp_path, FULL.replace(old, new, 1))
