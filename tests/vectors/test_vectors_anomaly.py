"""Python agrees with the frozen vectors of what the detectors say."""

from typing import Any

import numpy as np
import pytest

from anomaly.scoring.fold import COUNT, DIGEST, DIGEST_START, FIELDS, Runs, fold
from lading.episode import Episode, Scores, read_anomaly
from lading.errors import MalformedError
from lading.forecast import Forecast
from tests.vectors.read import cases


@cases("anomaly", "episodes")
def test_episode(case: dict[str, Any]) -> None:
    check(Episode, case)


@cases("anomaly", "scores")
def test_scores(case: dict[str, Any]) -> None:
    check(Scores, case)


@cases("forecast", "forecasts")
def test_forecast(case: dict[str, Any]) -> None:
    check(Forecast, case)


def check(kind: type[Episode] | type[Scores] | type[Forecast], case: dict[str, Any]) -> None:
    """Decodes to what encodes to the same bytes, by itself and as a record of the topic; or is refused."""
    if case["error"]:
        with pytest.raises(MalformedError):
            kind.decode(case["bytes"])
        with pytest.raises(MalformedError):
            read_anomaly(case["bytes"])
        return
    found = kind.decode(case["bytes"])
    assert found.encode() == case["bytes"]
    assert read_anomaly(case["bytes"]) == found


@cases("anomaly", "digests")
def test_digest(case: dict[str, Any]) -> None:
    """The kernel's digest of a run."""
    bits = np.array([int(one) for one, _ in case["scores"]], np.uint64)
    detector = np.array([one for _, one in case["scores"]], np.uint8)
    count = len(bits)
    seq, invalid = np.arange(count, dtype=np.uint64), np.zeros(count, np.bool_)
    starts, ends = np.array([0, count], np.int64), np.zeros(1, np.bool_)
    runs = Runs(np.zeros(1, np.int64), starts, ends, seq, invalid, bits.view(np.float64), detector)
    rows, parts = np.zeros((1, FIELDS), np.uint64), np.zeros((1, FIELDS), np.uint64)
    fold(rows, runs, np.zeros(count, np.int64), parts)
    assert parts[0][COUNT] == count
    digest = int(parts[0][DIGEST]) if count else DIGEST_START
    assert digest.to_bytes(8, "big") == case["digest"]
