"""Product profiles: limits as data, each with its source."""

from pathlib import Path

import pytest

from lading import profiles
from lading.errors import ServiceError
from lading.limits import OFF_HIGH, ChannelLimits
from lading.quantities import Quantity

SMALL = """
title = "T"
note = "N"
[sources]
own = "ours"
[roles.air]
quantity = "temperature"
upper = { value = 8.5, source = "own" }
hold = { minutes = 2, source = "own" }
"""


def test_vaccine_limits_are_the_documents_figures() -> None:
    """2 to 8 °C, 10 h and 60 min as WHO's recorders alarm, −0.5 °C, MKT 8 °C."""
    limits = profiles.load("vaccine-2-8").limits({1: "air"}).channel(1)
    assert (limits.lower, limits.upper, limits.peak_lower, limits.mkt_max) == (2000, 8000, -500, 8000)
    assert (limits.above_stretch_max_ms, limits.below_stretch_max_ms) == (36_000_000, 3_600_000)


@pytest.mark.parametrize(
    ("name", "lower", "upper"),
    [("frozen", -25_000, -15_000), ("room-15-25", 15_000, 25_000), ("fresh-food-0-5", 0, 5000)],
)
def test_the_others_have_their_ranges(name: str, lower: int, upper: int) -> None:
    """Each by its name."""
    limits = profiles.load(name).limits({1: "air"}).channel(1)
    assert (limits.lower, limits.upper) == (lower, upper)


@pytest.mark.parametrize("name", profiles.names())
def test_every_limit_has_a_source_and_the_label_governs(name: str) -> None:
    """A figure that no document gives is called ours."""
    profile = profiles.load(name)
    assert "govern" in profile.note
    assert all(origin.source for role in profile.roles.values() for origin in role.origins)
    assert profile.roles["air"].quantity is Quantity.TEMPERATURE


def test_channels_play_roles_and_others_are_recorded_only() -> None:
    """Two air channels, and a position that the profile says nothing of."""
    limits = profiles.load("vaccine-2-8").limits({7: "latitude", 2: "air", 1: "air"})
    assert [own.channel for own in limits.channels] == [1, 2, 7]
    assert limits.channel(7) == ChannelLimits(7, Quantity.LATITUDE)
    assert limits.channel(7).upper == OFF_HIGH


def test_figures_become_thousandths_and_milliseconds(tmp_path: Path) -> None:
    """8.5 is exactly 8500: decimals, not floats."""
    path = tmp_path / "own.toml"
    path.write_text(SMALL)
    limits = profiles.load_file(path).limits({3: "air"}).channel(3)
    assert limits == ChannelLimits(3, Quantity.TEMPERATURE, upper=8500, hold_ms=120_000)


@pytest.mark.parametrize(
    "damage",
    [
        ("upper", "uper"),
        ('source = "own" }\nhold', 'source = "none" }\nhold'),
        ("value = 8.5", "minutes = 8.5"),
        ("value = 8.5", "value = 8.5004"),
        ("value = 8.5", 'value = "warm"'),
        ("value = 8.5", "value = 8.5, hours = 1"),
        ('"temperature"', '"heat"'),
        ('title = "T"', ""),
        ("[sources]", "[sources"),
    ],
)
def test_mistakes_in_a_profile_are_told(damage: tuple[str, str]) -> None:
    """Misspelt, without a source, of the wrong kind: nothing is guessed."""
    with pytest.raises(ServiceError, match="profile: own"):
        profiles.parse("own", SMALL.replace(*damage))


def test_unknown_names_are_told() -> None:
    """With what there is."""
    with pytest.raises(ServiceError, match="vaccine-2-8"):
        profiles.load("vaccines")
    with pytest.raises(ServiceError, match="humidity"):
        profiles.load("frozen").limits({1: "aer"})
    with pytest.raises(ServiceError, match="nowhere"):
        profiles.load_file(Path("nowhere.toml"))
