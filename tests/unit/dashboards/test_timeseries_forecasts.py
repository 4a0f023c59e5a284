"""Forecasts as points: what a record says, at the times that it says it of, and nothing where that cannot be."""

from dataclasses import replace

import pytest

from dashboards.timeseries.forecasts import forecast_lines
from lading.forecast import Forecast, Risk
from lading.log import Record
from tests.legs import GATEWAY
from tests.series import T0_MS
from tests.unit.dashboards.test_timeseries_readings import names

MINUTE_MS, DAY_MS = 60_000, 86_400_000
FORECAST = Forecast(
    bytes.fromhex("ab" * 32),
    bytes([1]) * 32,
    GATEWAY.public.gateway_id,
    bytes([2]) * 32,
    1,
    1,
    T0_MS,
    (30 * MINUTE_MS, 60 * MINUTE_MS),
    (20_000, 300_000, 900_000),
    ((-1_000, 1_000, 4_000), (2_000, 3_000, 9_000)),
    Risk(8_000, (100_000, 300_000), T0_MS + 20 * MINUTE_MS),
    Risk(-2_000, (0, 10_000), None),
)
TAGS = r"tenant=demo,gateway=truck\ 1,leg=PO\ 77,channel=1,part=air,quantity=temperature,release=abababababababab"


def lines(one: Forecast, record_ms: int = T0_MS) -> list[str]:
    record = Record(0, 7, b"", one.encode(), record_ms)
    return [found.decode() for found in forecast_lines(record, one, names("PO 77"))]


def test_a_forecast_is_a_point_a_horizon_and_one_a_limit() -> None:
    """Quantiles stand at the future times they are of, worked out by hand where the record lacks the level (0.5 is a
    third of the way from 0.3 to 0.9); the last horizon alone is early; a risk stands where the forecast was made."""
    at = [T0_MS + span for span in FORECAST.horizons_ms]
    levels = "lowest_level=0.02,highest_level=0.9,upper=8.0,lower=-2.0"
    assert lines(FORECAST) == [
        f"forecast,{TAGS} lowest=-1.0,low=-0.42857142857142855,median=2.0,high=4.0,highest=4.0,{levels},"
        f"upper_probability=0.1,lower_probability=0.0,from_ms={T0_MS}i {at[0]}000000\n",
        f"forecast,{TAGS} lowest=2.0,low=2.2857142857142856,median=5.0,high=9.0,highest=9.0,{levels},"
        f"upper_probability=0.3,lower_probability=0.01,from_ms={T0_MS}i,"
        f"early_low=2.2857142857142856,early_median=5.0,early_high=9.0,early_s=3600.0 {at[1]}000000\n",
        f"risk,{TAGS},side=upper limit=8.0,probability=0.3,soon=0.2,begin_ms={T0_MS + 20 * MINUTE_MS}i,"
        f"within_s=3600.0 {T0_MS}000000\n",
        f"risk,{TAGS},side=lower limit=-2.0,probability=0.01,soon=0.005,within_s=3600.0 {T0_MS}000000\n",
    ]


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
    row = (1_000, 2_000, 3_000)
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
    assert len(found) == 2
    for name in ("upper", "lower", "low=", "median", "high=", "early_median"):
        assert name not in "".join(found)


@pytest.mark.parametrize(
    ("from_ms", "record_ms", "left"),
    [
        (T0_MS, T0_MS - DAY_MS, 4),
        (T0_MS, T0_MS - DAY_MS - 1, 0),
        (T0_MS, T0_MS + 400 * DAY_MS, 4),
        (0, T0_MS, 0),
        (253402300799999, T0_MS, 0),
    ],
)
def test_a_forecast_of_times_that_cannot_be_leaves_empty_lines(
    from_ms: int, record_ms: int, left: int
) -> None:
    """From before 2000, or from more than a day after its record: nothing is written, and each point is counted."""
    found = lines(replace(FORECAST, from_ms=from_ms), record_ms)
    assert len(found) == 4
    assert len([one for one in found if one]) == left


def test_a_horizon_further_than_a_day_is_left_out_alone() -> None:
    """InfluxDB keeps a folder a week: no record makes folders for ever."""
    one = replace(FORECAST, horizons_ms=(DAY_MS, DAY_MS + 1))
    found = lines(one)
    assert [bool(text) for text in found] == [True, False, True, True]


def test_the_greatest_values_are_written() -> None:
    """Whatever the document's integers hold: finite floats."""
    row = (-(2**64), 0, 2**64 - 1)
    one = replace(FORECAST, values=(row, row), upper=Risk(2**64 - 1, (0, 0), None))
    assert "lowest=-1.844674407370955e+16," in lines(one)[0]
    assert Forecast.decode(one.encode()) == one
