"""Promises of the edge table: what is wrong is named, and the defaults run."""

from pathlib import Path

import pytest

from edge.settings import EdgeSettings
from edge.simulation import ClockStep, SensorFault
from lading.errors import ServiceError
from lading.settings import load, load_shared


def edge(tmp_path: Path, text: str, **environment: str) -> EdgeSettings:
    (tmp_path / "lading.toml").write_text("[edge]\n" + text)
    return load(tmp_path / "lading.toml", "edge", EdgeSettings, environment)


SPARKPLUG = """
[[edge.gateways]]
name = 'a'
source = 'sparkplug'
sensor = [{{name = {}, unit = 'Cel', channel = {}}}, {{name = {}, unit = 'Cel', channel = {}}}]
"""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("flush = 1", "edge.flush"),
        ("flush_s = 0", "flush_s"),
        ("[[edge.gateways]]\nname = 'a b'", "name"),
        ("[[edge.gateways]]\nname = 'a'\n[[edge.gateways]]\nname = 'a'", "twice"),
        ("[[edge.gateways]]\nname = 'a'\nsensor = [{name = 's', unit = 'Cel', channel = 1}]", "sensors"),
        (
            "[[edge.gateways]]\nname = 'a'\nsource = 'senml'\nsensor = [{name = 's', unit = 'x', channel = 1}]",
            "unit",
        ),
        (SPARKPLUG.format("'G/N/air'", 1, "'G/N/D/air'", 2), "GROUP/NODE"),
        (SPARKPLUG.format("'G/N/D/air'", 1, "'G/N/D/air'", 2), "metric occurs twice"),
        (SPARKPLUG.format("'G/N/D/air'", 1, "'G/N/D/sun'", 1), "one channel"),
        ("[[edge.gateways]]\nname = 'a'\nsparkplug = {host_id = 'a/b'}", "host_id"),
        ("local = {user = 'a'}", "host is wanted"),
        ("operator = 'abc'", "operator"),
        ("link = {keep_until = 'puback', certificate = 'x.crt'}", "keep_until"),
        ("begin = 2025-01-01T00:00:00", "begin"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, wanted: str) -> None:
    """Unknown keys, values out of bounds, and times without a zone."""
    with pytest.raises(ServiceError, match=wanted):
        edge(tmp_path, text)


def test_stories_channels_and_environment(tmp_path: Path) -> None:
    """Stories become those of the simulation, channels follow from the source, a variable wins over the file."""
    text = """
flush_s = 600
[[edge.gateways]]
name = "a"
source = "cold-room"
[[edge.gateways.story]]
kind = "sensor-fault"
begin = 1970-01-01T00:00:01Z
channel = 2
code = 327.67
[[edge.gateways.story]]
kind = "clock-step"
begin = 1970-01-01T00:00:01Z
end = 1970-01-01T00:00:02Z
shift_s = -1.5
"""
    found = edge(tmp_path, text, LADING_EDGE_FLUSH_S="30")
    assert found.flush_s == 30
    assert list(found.gateways[0].channels()) == [1, 2, 3, 4, 5, 9]
    fault, step = (story.story() for story in found.gateways[0].story)
    assert isinstance(fault, SensorFault)
    assert (fault.begin_ms, fault.channel, fault.code_milli) == (1_000, 2, 327_670)
    assert isinstance(step, ClockStep)
    assert (step.end_ms, step.shift_ms) == (2_000, -1_500)


def test_the_documented_settings_are_settings(tmp_path: Path) -> None:
    """The example in docs/gateway.md loads, but for the placeholder of the operator's key."""
    page = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text("utf-8")
    text = page.split("```toml\n")[1].split("```")[0].replace("<128 hex digits", "ab" * 64 + '" #')
    (tmp_path / "lading.toml").write_text(text)
    found = load(tmp_path / "lading.toml", "edge", EdgeSettings, {})
    assert [gateway.source for gateway in found.gateways] == ["reefer", "senml"]
    assert load_shared(tmp_path / "lading.toml", {}).lading.tenant == "demo"
