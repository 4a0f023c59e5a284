"""p50 and p99 from buckets: by hand, against the observations themselves, and over restarts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.timeseries.quantiles import HISTOGRAMS_MAX, SCRAPES_MAX, Quantiles, quantile_of

BOUNDS = (0.1, 0.5, 1.0, 5.0, math.inf)


def page(counts: list[float], name: str = "h") -> list[tuple[str, dict[str, str], float]]:
    """Samples as a scrape gives them: counts up to each bound."""
    return [
        (f"{name}_bucket", {"le": "+Inf" if bound == math.inf else str(bound)}, count)
        for bound, count in zip(BOUNDS, counts, strict=True)
    ]


@pytest.mark.parametrize(
    ("counts", "quantile", "value"),
    [
        ([10, 10, 10, 10, 10], 0.5, 0.05),  # half of the first bucket
        ([0, 10, 10, 10, 10], 0.5, 0.3),  # from 0.1 half way to 0.5
        ([5, 10, 10, 10, 10], 0.5, 0.1),  # exactly a bound
        ([0, 0, 0, 100, 100], 0.99, 4.96),  # 1 + 4 * 0.99
        ([0, 0, 0, 0, 10], 0.99, 5.0),  # beyond the last bound
        ([98, 98, 98, 98, 100], 0.99, 5.0),
    ],
)
def test_by_hand(counts: list[float], quantile: float, value: float) -> None:
    """Linear within a bucket, from 0 in the first; beyond the last bound it is that bound."""
    assert quantile_of(dict(zip(BOUNDS, counts, strict=True)), quantile) == pytest.approx(value)


def test_nothing_counted_has_none() -> None:
    """Neither an empty histogram, nor one without its infinite bucket."""
    assert quantile_of({}, 0.5) is None
    assert quantile_of(dict.fromkeys(BOUNDS, 0.0), 0.5) is None
    assert quantile_of({0.1: 3.0}, 0.5) is None


@given(st.lists(st.floats(0, 4.9), min_size=1, max_size=60), st.sampled_from([0.5, 0.99]))
def test_it_lies_in_the_bucket_of_the_observation(values: list[float], quantile: float) -> None:
    """The observation that has the rank and the figure are between the same bounds."""
    counts = {bound: float(sum(value <= bound for value in values)) for bound in BOUNDS}
    found = quantile_of(counts, quantile)
    ranked = sorted(values)[math.ceil(quantile * len(values)) - 1]
    upper = min(bound for bound in BOUNDS if ranked <= bound)
    lower = max([0.0, *(bound for bound in BOUNDS if bound < ranked)])
    assert found is not None
    assert lower - 1e-9 <= found <= upper + 1e-9


def test_they_are_of_what_is_new() -> None:
    """The first scrape says nothing; the next is of the difference; one without news says nothing."""
    seen = Quantiles()
    assert list(seen.of("a", page([100, 100, 100, 100, 100]), 0)) == []
    (half, most) = seen.of("a", page([100, 110, 110, 110, 110]), 5)
    assert (half.name, half.labels) == ("h", {"quantile": "0.5"})
    assert half.value == pytest.approx(0.3)
    assert most.value == pytest.approx(0.496)
    assert list(seen.of("b", page([100, 110, 110, 110, 110]), 5)) == []
    assert len(list(seen.of("a", page([100, 110, 110, 110, 110]), 30))) == 2  # still within the window
    assert list(seen.of("a", page([100, 110, 110, 110, 110]), 90)) == []


def test_a_restart_begins_anew() -> None:
    """Counts that fall are a new process: nothing negative, and the next scrape counts from there."""
    seen = Quantiles()
    list(seen.of("a", page([100, 100, 100, 100, 100]), 0))
    assert list(seen.of("a", page([1, 1, 1, 1, 1]), 5)) == []
    (half, _) = seen.of("a", page([1, 11, 11, 11, 11]), 10)
    assert half.value == pytest.approx(0.3)


def test_what_it_remembers_is_bounded() -> None:
    """Many histograms, and many scrapes within a moment."""
    seen = Quantiles()
    for number in range(HISTOGRAMS_MAX + 50):
        list(seen.of("a", page([1, 1, 1, 1, 1], f"h{number}"), 0))
    assert len(seen._seen) == HISTOGRAMS_MAX
    for number in range(SCRAPES_MAX + 50):
        list(seen.of("a", page([1, 1, 1, 1, 1], "h0"), number / 1000))
    assert max(len(scrapes) for scrapes in seen._seen.values()) == SCRAPES_MAX
