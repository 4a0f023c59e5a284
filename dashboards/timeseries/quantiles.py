"""p50 and p99 of the stages' histograms, as further samples: InfluxQL has no quantile over buckets.

Named as Prometheus names a summary's: the histogram's own name with a label `quantile`. They are of what was counted
between two scrapes at most WINDOW_S apart, by linear interpolation within a bucket, beyond the last bound that bound.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

QUANTILES = (0.5, 0.99)
WINDOW_S = 60.0
SCRAPES_MAX = 120
HISTOGRAMS_MAX = 1_000

Buckets = dict[float, float]
"""Upper bound to how many were at most that; the last bound is infinite."""
Key = tuple[str, str, tuple[tuple[str, str], ...]]


class Quantile(NamedTuple):
    """One sample."""

    name: str
    labels: dict[str, str]
    value: float


class Quantiles:
    """Remembers each histogram's last scrapes. One that began anew, with its process, begins anew here."""

    def __init__(self) -> None:
        self._seen: dict[Key, deque[tuple[float, Buckets]]] = {}

    def of(
        self, instance: str, samples: Iterable[tuple[str, Mapping[str, str], float]], now_s: float
    ) -> Iterator[Quantile]:
        """The quantiles of a page of samples: (name, labels, value). None of what counted nothing new."""
        for (name, labels), buckets in _histograms(samples).items():
            before = self._before((instance, name, labels), buckets, now_s)
            if before is not None:
                new = {bound: count - before.get(bound, 0.0) for bound, count in buckets.items()}
                for quantile in QUANTILES:
                    value = quantile_of(new, quantile)
                    if value is not None:
                        yield Quantile(name, {**dict(labels), "quantile": str(quantile)}, value)

    def _before(self, key: Key, buckets: Buckets, now_s: float) -> Buckets | None:
        """The oldest scrape of the window, and remember this one."""
        if key not in self._seen and len(self._seen) >= HISTOGRAMS_MAX:
            return None
        seen = self._seen.setdefault(key, deque(maxlen=SCRAPES_MAX))
        if seen and seen[-1][1].get(math.inf, 0.0) > buckets.get(math.inf, 0.0):
            seen.clear()
        while len(seen) > 1 and now_s - seen[0][0] > WINDOW_S:
            seen.popleft()
        before = seen[0][1] if seen else None
        seen.append((now_s, buckets))
        return before


def quantile_of(counts: Buckets, quantile: float) -> float | None:
    """The value that `quantile` of these are at most; None where there are none."""
    bounds = sorted(counts)
    total = counts[bounds[-1]] if bounds else 0.0
    if total <= 0 or bounds[-1] != math.inf:
        return None
    wanted, below, lower = quantile * total, 0.0, 0.0
    for bound in bounds:
        count = counts[bound]
        if count >= wanted:
            if bound == math.inf:
                break
            share = (wanted - below) / (count - below) if count > below else 1.0
            return lower + (bound - lower) * share
        below, lower = count, bound
    return lower


def _histograms(
    samples: Iterable[tuple[str, Mapping[str, str], float]],
) -> dict[tuple[str, tuple[tuple[str, str], ...]], Buckets]:
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Buckets] = {}
    for name, labels, value in samples:
        if name.endswith("_bucket") and "le" in labels:
            others = tuple(sorted((key, text) for key, text in labels.items() if key != "le"))
            found.setdefault((name.removesuffix("_bucket"), others), {})[float(labels["le"])] = value
    return found
