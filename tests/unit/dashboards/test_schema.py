"""The page of the time series and its declaration are one."""

from pathlib import Path

import pytest

from dashboards.timeseries import schema
from dashboards.timeseries.schema import MEASUREMENTS, Measurement

PAGE = Path(__file__).parents[3] / "docs" / "spec" / "series.md"


@pytest.mark.parametrize("measurement", MEASUREMENTS.values(), ids=MEASUREMENTS)
def test_the_page_says_what_the_declaration_says(measurement: Measurement) -> None:
    """docs/spec/series.md has each measurement's tags, fields, units and time, word by word."""
    assert schema.page(measurement) in PAGE.read_text("utf-8")


def test_names_do_not_clash() -> None:
    """InfluxDB refuses or hides a field that is called like a tag; `time` is its own."""
    for measurement in MEASUREMENTS.values():
        names = [*measurement.tags, *(field.name for field in measurement.fields)]
        assert len(set(names)) == len(names)
        assert "time" not in names
