"""Forecasts as points: what a record says, at the times that it says it of, and nothing where that cannot be."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.timeseries.forecasts import forecast_lines
from lading.forecast import SHARE_MAX, Forecast, Risk
from lading.log import Record
from tests.legs import GATEWAY
from tests.unit.dashboards.test_timeseries_readings import names

MINUTE_MS, DAY_MS = 60_000, 86_400_000
FROM_MS = 1_789_999_800_000
"""On the clock's five minutes."""
FORECAST = Forecast(
    bytes.fromhex("ab" * 32),
    bytes([1]) * 32,
    GATEWAY.public.gateway_id,
    bytes([2]) * 32,
    1,
    1,
    FROM_MS,
    (30 * MINUTE_MS, 40 * MINUTE_MS),
    (60_000, 140_000, 300_000, 900_000),
    ((-2_000, 0, 1_000, 4_000), (1_000, 3_000, 3_000, 9_000)),
    Risk(8_000, (100_000, 300_000), FROM_MS + 20 * MINUTE_MS),
    Risk(-2_000, (0, 10_000), None),
)
TAGS = r"tenant=demo,gateway=truck\ 1,leg=PO\ 77,channel=1,part=air,quantity=temperature,release=abababababababab"


def lines(one: Forecast, record_ms: int = FROM_MS) -> list[str]:
    record = Record(0, 7, b"", one.encode(), record_ms)
    return [found.decode() for found in forecast_lines(record, one, names("PO 77"))]


def test_a_forecast_is_a_point_each_five_minutes_and_one_a_limit() -> None:
    """Quantiles stand at the future times they are of, worked out by hand where the record lacks the level (0.1 is half
    way from 0.06 to 0.14, 0.5 a third from 0.3 to 0.9) or the time (35 minutes is half way); the last point alone is
    early; a risk stands where the forecast was made."""
    levels = "lowest_level=0.06,highest_level=0.9,upper=8.0,lower=-2.0"
    at = [f"{levels},from_ms={FROM_MS}i {FROM_MS + span * MINUTE_MS}000000\n" for span in (30, 35, 40)]
    assert lines(FORECAST) == [
        f"forecast,{TAGS} lowest=-2.0,low=-1.0,median=2.0,high=4.0,highest=4.0,"
        f"upper_probability=0.1,lower_probability=0.0,{at[0]}",
        f"forecast,{TAGS} lowest=-0.5,low=0.5,median=3.5,high=6.5,highest=6.5,"
        f"upper_probability=0.2,lower_probability=0.005,{at[1]}",
        f"forecast,{TAGS} lowest=1.0,low=2.0,median=5.0,high=9.0,highest=9.0,"
        "upper_probability=0.3,lower_probability=0.01,"
        f"early_low=2.0,early_median=5.0,early_high=9.0,early_s=2400.0,{at[2]}",
        f"risk,{TAGS},side=upper limit=8.0,probability=0.3,soon=0.3,begin_ms={FROM_MS + 20 * MINUTE_MS}i,"
        f"within_s=2400.0 {FROM_MS}000000\n",
        f"risk,{TAGS},side=lower limit=-2.0,probability=0.01,soon=0.01,within_s=2400.0 {FROM_MS}000000\n",
    ]


@pytest.mark.parametrize("late_ms", [1, MINUTE_MS, 299_999, 300_000, 540_000])
def test_the_next_forecast_says_something_of_every_time_that_is_left(late_ms: int) -> None:
    """Wherever it counts from: no point of the one before stays ahead of its first horizon."""
    spans = tuple(span * MINUTE_MS for span in (15, 32, 47, 180))
    row = (1_000, 2_000, 3_000, 4_000)
    limits = {"upper": None, "lower": None}
    before = replace(FORECAST, horizons_ms=spans, values=(row,) * 4, **limits)
    after = replace(before, from_ms=FROM_MS + late_ms)
    first_ms = after.from_ms + spans[0]
    old, new = ({int(text.split()[-1]) // 10**6 for text in lines(one)} for one in (before, after))
    assert {time_ms for time_ms in old if time_ms >= first_ms} <= new
    assert all(first_ms <= time_ms <= after.from_ms + spans[-1] for time_ms in new)
    assert len(new) in (33, 34)


@pytest.mark.parametrize(
    ("spans", "shares", "soon"),
    [
        ((90,), (500_000,), "0.25"),
        ((45, 90), (100_000, 500_000), "0.1"),
        ((15, 30), (0, 70_000), "0.07"),
        ((46,), (1_000_000,), "0.9782608695652174"),
    ],
)
def test_soon_is_within_45_minutes(spans: tuple[int, ...], shares: tuple[int, ...], soon: str) -> None:
    """Linear from 0 now, exact at a horizon of 45 minutes, and the last share where the horizons end before."""
    row = (1_000, 2_000, 3_000, 4_000)
    spans_ms = tuple(span * MINUTE_MS for span in spans)
    one = replace(
        FORECAST,
        horizons_ms=spans_ms,
        values=(row,) * len(spans),
        upper=Risk(8_000, shares, None),
        lower=None,
    )
    assert f",soon={soon}," in lines(one)[-1]


def test_without_limits_there_is_no_risk_and_beyond_its_quantiles_none_is_made_up() -> None:
    """No field says what the record does not."""
    one = replace(FORECAST, upper=None, lower=None, levels=(300_000,), values=((1_000,), (2_000,)))
    found = lines(one)
    assert len(found) == 3
    for name in ("upper", "lower", "low=", "median", "high=", "early_median"):
        assert name not in "".join(found)


@pytest.mark.parametrize(
    ("from_ms", "record_ms", "is_true"),
    [
        (FROM_MS, FROM_MS - DAY_MS, True),
        (FROM_MS, FROM_MS - DAY_MS - 1, False),
        (FROM_MS, FROM_MS + 400 * DAY_MS, True),
        (0, FROM_MS, False),
        (253402300799999, FROM_MS, False),
    ],
)
def test_a_forecast_of_times_that_cannot_be_is_left_out(from_ms: int, record_ms: int, is_true: bool) -> None:
    """From before 2000, or from more than a day after its record: each horizon and each limit is counted."""
    found = lines(replace(FORECAST, from_ms=from_ms), record_ms)
    assert found == [""] * 4 if not is_true else all(found)


def test_a_horizon_further_than_a_day_is_left_out_alone() -> None:
    """InfluxDB keeps a folder a week: no record makes folders for ever, nor more points than a day has."""
    spans, row = (1, DAY_MS, DAY_MS + 1, 10**14), (1, 2, 3, 4)
    one = replace(
        FORECAST, horizons_ms=spans, values=(row,) * 4, upper=Risk(1, (0, 0, 0, 9), None), lower=None
    )
    found = lines(one)
    assert (len(found), found.count("")) == (288 + 2 + 1, 2)
    assert found[287].endswith(f" {FROM_MS + DAY_MS}000000\n")


def test_horizons_between_two_times_of_the_clock_have_no_point() -> None:
    """The risk is said all the same."""
    one = replace(FORECAST, horizons_ms=(MINUTE_MS, 2 * MINUTE_MS))
    assert [text.split(",")[0] for text in lines(one)] == ["risk", "risk"]


@pytest.mark.parametrize("code", [0, 10, 99, 0x7FFF, 0x8000])
def test_a_quantity_that_nobody_registered_does_not_stop_the_writer(code: int) -> None:
    """The document holds any number: the tag says it."""
    word = "private" if code == 0x8000 else "unknown"
    assert all(rf",quantity={word}\ {code}," in text for text in lines(replace(FORECAST, quantity=code)))


def ascending(maximum: int, count: int) -> st.SearchStrategy[tuple[int, ...]]:
    numbers = st.sets(st.integers(1, maximum), min_size=1, max_size=count)
    return numbers.map(lambda found: tuple(sorted(found)))


@st.composite
def forecasts(draw: st.DrawFn) -> Forecast:
    spans, levels = draw(ascending(2 * DAY_MS, 8)), draw(ascending(SHARE_MAX - 1, 8))
    row = st.lists(st.integers(-(10**9), 10**9), min_size=len(levels), max_size=len(levels))
    shares = st.lists(st.integers(0, SHARE_MAX), min_size=len(spans), max_size=len(spans))
    risk = st.none() | st.builds(
        lambda found: Risk(8_000, tuple(sorted(found)), None),
        shares,
    )
    return replace(
        FORECAST,
        from_ms=FROM_MS + draw(st.integers(0, 600_000)),
        horizons_ms=spans,
        levels=levels,
        values=tuple(tuple(sorted(draw(row))) for _ in spans),
        upper=draw(risk),
        lower=draw(risk),
    )


@settings(deadline=None)
@given(forecasts())
def test_whatever_a_forecast_says_its_points_keep_the_order(one: Forecast) -> None:
    """Any document that decodes: quantiles ascend at each time, probabilities never fall along them, and no more
    points than a day has of its five minutes."""
    shown = lines(Forecast.decode(one.encode()))
    points = [text for text in shown if text.startswith("forecast")]
    assert len(points) <= DAY_MS // 300_000 + 1
    found = [
        {
            name: float(value.rstrip("i"))
            for name, value in (pair.split("=") for pair in text.split()[-2].split(","))
        }
        for text in points
    ]
    for values in found:
        ordered = [values[name] for name in ("lowest", "low", "median", "high", "highest") if name in values]
        assert ordered == pytest.approx(sorted(ordered), rel=1e-9, abs=1e-9)
    for side in ("upper_probability", "lower_probability"):
        rising = [values[side] for values in found if side in values]
        assert rising == pytest.approx(sorted(rising), abs=1e-12)
        assert all(0 <= share <= 1 for share in rising)


def test_the_greatest_values_are_written() -> None:
    """Whatever the document's integers hold: finite floats."""
    row = (-(2**64), 0, 0, 2**64 - 1)
    one = replace(FORECAST, values=(row, row), upper=Risk(2**64 - 1, (0, 0), None))
    assert "lowest=-1.844674407370955e+16," in lines(one)[0]
    assert Forecast.decode(one.encode()) == one
