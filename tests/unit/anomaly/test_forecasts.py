"""Forecasts of the stream: those of `lading anomaly forecast` on the same readings, each once, whatever happens."""

import json
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from anomaly.cli import app
from anomaly.forecast import features
from anomaly.forecast.calls import CALL_ABOVE, call_horizon
from anomaly.forecast.grid import to_grid
from anomaly.forecast.past import Past, add
from anomaly.forecast.release import write
from anomaly.forecast.serving import Forecaster, History
from anomaly.forecasts import as_document, latest
from anomaly.scoring import forecasts as module
from anomaly.scoring.forecasts import Forecasts
from anomaly.scoring.stage import Scores
from lading import topics
from lading.episode import read_anomaly
from lading.fields import TIME_MS_MAX
from lading.forecast import Forecast
from lading.limits import ChannelLimits, Limits
from lading.log import Log
from lading.quantities import FAULT, Quantity
from lading.totals import Reading
from tests.legs import OPERATOR, TENANT, Leg, make_leg, make_order
from tests.unit.anomaly.harness import Bench, run
from tests.unit.anomaly.test_anomaly_crash import CHILD_S_MAX, FailingLog, PowerCut
from tests.unit.anomaly.test_forecast import manifest_of, random_weights

HOUR_MS, STEP_MS, UPPER, LOWER = 3_600_000, 300_000, 6_000, 3_000
BEGIN_MS = 1_772_409_600_000 + 1_234
CHANNELS = {1: (LOWER, UPPER), 2: (LOWER, UPPER), 3: None}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases") / "one"
    weights = random_weights([features.FEATURES, 8, 18])
    write(folder, manifest_of(weights), weights)
    return folder


def readings(channel: int, hours: int) -> list[Reading]:
    """Every two minutes, with a fault now and then, and a channel that is silent for three hours."""
    found = []
    for n in range(hours * 30):
        if channel == 2 and 180 < n < 270:
            continue
        value = round(4_500 + 1_500 * math.sin(n / 200) + 300 * math.sin(n * channel))
        at = len(found)
        found.append(Reading(at, BEGIN_MS + n * 120_000, value, FAULT if n % 41 == 0 else 0))
    return found


def make(hours: int = 30, cuts: int = 40) -> Leg:
    """A leg with two channels that have limits and one of the same quantity without."""
    limits = [ChannelLimits(one, Quantity.TEMPERATURE, *(bounds or ())) for one, bounds in CHANNELS.items()]
    series = {channel: readings(channel, hours) for channel in CHANNELS}
    times = [one.time_ms for one in series[1]]
    places = sorted(random.Random(1).sample(times[:-1], cuts))
    return make_leg(make_order(Limits(tuple(limits))), series, places, times[-1])


@contextmanager
def opened(bench: Bench, log: Log, release: Path, **bounds: int) -> Iterator[Scores]:
    """Rules that know the order, and scores with forecasts over their state file; not closed in order."""
    rules = bench.stage()
    try:
        run(rules)
        made = Forecasts(
            Forecaster.load(release), rules.state, bytes_max=bounds.pop("bytes_max", module.BYTES_MAX)
        )
        yield Scores(log, rules.state, forecasts=made, **{"keep_s": 0, **bounds})
    finally:
        rules.close()


def finish(scores: Scores) -> None:
    """Step until nothing is left."""
    while scores.step():
        pass


def said(log: Log) -> list[Forecast]:
    """Every forecast in the log."""
    found = [read_anomaly(record.value) for record in log.read(topics.ANOMALIES, {}, 100_000)]
    return [one for one in found if isinstance(one, Forecast)]


def check(release: Path, one: Forecast) -> None:
    """It is what is said of the channel's readings before it, all at once."""
    own = readings(one.channel, 30)
    known = [reading for reading in own if reading.time_ms < one.from_ms and not reading.flags]
    times = np.array([reading.time_ms for reading in known])
    values = np.array([reading.value / 1000 for reading in known])
    found = Forecaster.load(release).forecast([History(times, values)])
    assert found.begin_ms[0] == one.from_ms
    above, below = found.breach(UPPER / 1000), found.breach_below(LOWER / 1000)
    assert np.abs(np.array(one.values) / 1000 - found.quantiles[0]).max() <= 0.0006
    for risk, breach in ((one.upper, above), (one.lower, below)):
        assert risk is not None
        assert np.abs(np.array(risk.shares) / 1e6 - breach.probability[0]).max() < 1e-5
        assert (risk.first_ms is None) == np.isnan(breach.first_ms[0])
        assert risk.first_ms is None or abs(risk.first_ms - one.from_ms - breach.first_ms[0]) <= 50


def test_the_stream_says_what_the_command_says(tmp_path: Path, release: Path) -> None:
    """At least each hour, of each channel with limits: the forecast of its readings before then, from whole rows."""
    leg, bench = make(), Bench(tmp_path)
    bench.order(leg)
    bench.frames(leg.frames)
    with opened(bench, bench.log, release) as scores:
        finish(scores)
    found = said(bench.log)
    for one in found:
        check(release, one)
    hours = {
        channel: [one.from_ms for one in found if one.channel == channel and one.from_ms % HOUR_MS == 0]
        for channel in CHANNELS
    }
    assert not [one for one in found if one.channel == 3]
    assert len(hours[1]) >= 27
    assert len(hours[2]) < len(hours[1]), "three silent hours have no forecast, nor has the first after them"
    shown = [as_document(one) for one in latest(bench.log)]
    assert [(one["leg"], one["channel"]) for one in shown] == [("leg-1", 1), ("leg-1", 2)]
    assert set(shown[0]["breach"]) == {"upper", "lower"}


def test_what_is_feared_is_said_at_every_row_until_it_is_not(tmp_path: Path, release: Path) -> None:
    """By the backtest's own forecasts of every row: on the hour, at a call's probability, and once after it."""
    valid = [one for one in readings(1, 30) if not one.flags]
    times, values = np.array([one.time_ms for one in valid]), np.array([one.value / 1000 for one in valid])
    grid = to_grid(times, values, STEP_MS)
    forecaster = Forecaster.load(release)
    shape, forecasts = forecaster.shape, forecaster.forecast_rows(grid)
    at = call_horizon(shape)
    assert shape.horizons_ms[at] <= shape.hold_ms
    upper, risk, crossings = 0, np.empty(0), 0
    for limit in range(1_000, 12_000, 100):  # one that is feared now and then
        found = forecasts.breach(limit / 1000).probability[:-1, at]
        if (changes := np.diff(found >= CALL_ABOVE).sum()) > crossings:
            upper, risk, crossings = limit, found, changes
    expected, feared = [], False
    for from_ms, share in zip(grid.begin_ms + np.arange(1, len(risk) + 1) * STEP_MS, risk, strict=True):
        if not np.isnan(share):
            if from_ms % HOUR_MS == 0 or feared or share >= CALL_ABOVE:
                expected.append(int(from_ms))
            feared = share >= CALL_ABOVE
    limits = Limits((ChannelLimits(1, Quantity.TEMPERATURE, upper=upper),))
    cuts = sorted(random.Random(1).sample([one.time_ms for one in valid[:-1]], 40))
    leg = make_leg(make_order(limits), {1: readings(1, 30)}, cuts, valid[-1].time_ms)
    bench = Bench(tmp_path)
    bench.order(leg)
    bench.frames(leg.frames)
    with opened(bench, bench.log, release, keep_readings=100) as scores:
        finish(scores)
    assert [one.from_ms for one in said(bench.log)] == expected
    assert crossings >= 4
    assert 40 < len(expected) < len(risk) - 40


def test_cut_off_anywhere_each_forecast_is_there_once(tmp_path: Path, release: Path) -> None:
    """The power goes around appends, with room for one channel: what an undisturbed stage says, in its order."""
    leg, calm, bench = make(24, 60), Bench(tmp_path / "calm"), Bench(tmp_path / "cut")
    for one in (calm, bench):
        one.order(leg)
        one.frames(leg.frames)
    with opened(calm, calm.log, release) as scores:
        finish(scores)
    rng, cuts = random.Random(3), 0
    log = FailingLog(tmp_path / "cut" / "log.sqlite", rng)
    while True:
        bounds = {
            "records_max": rng.randint(1, 4),
            "keep_readings": rng.choice([1, 300, 10**9]),
            "bytes_max": 1,
        }
        try:
            with opened(bench, log, release, **bounds) as scores:
                finish(scores)
            break
        except PowerCut:
            cuts += 1
    assert cuts >= 2
    assert [one.key for one in said(bench.log)] == [one.key for one in said(calm.log)]
    for here, there in zip(said(bench.log), said(calm.log), strict=True):
        assert np.abs(np.array(here.values) - np.array(there.values)).max() <= 1


def test_without_a_release_nothing_changes(tmp_path: Path, release: Path) -> None:
    """The detectors' records are the same to the byte."""
    leg, plain, bench = make(12, 10), Bench(tmp_path / "plain"), Bench(tmp_path / "both")
    for one in (plain, bench):
        one.order(leg)
        one.frames(leg.frames)
    rules = plain.stage()
    finish(Scores(plain.log, rules.state, keep_s=0))
    rules.close()
    with opened(bench, bench.log, release) as scores:
        finish(scores)
    without, both = (one.log.read(topics.ANOMALIES, {}, 10_000) for one in (plain, bench))
    assert said(plain.log) == []
    others = [one.value for one in both if not isinstance(read_anomaly(one.value), Forecast)]
    assert others == [one.value for one in without]
    assert len(both) > len(others)


def test_a_clock_at_the_end_of_time_stops_nothing(tmp_path: Path, release: Path) -> None:
    """Readings of the last hours of 9999: forecasts as far as their hours have a time, and every record can be read."""
    first_ms = TIME_MS_MAX - 4 * HOUR_MS
    limits = Limits((ChannelLimits(1, Quantity.TEMPERATURE, LOWER, UPPER),))
    series = [Reading(n, first_ms + n * 120_000, 4_500 + 70 * n) for n in range(119)]
    leg = make_leg(make_order(limits), {1: series}, [], series[-1].time_ms)
    bench = Bench(tmp_path)
    bench.order(leg)
    bench.frames(leg.frames)
    with opened(bench, bench.log, release) as scores:
        finish(scores)
    found = said(bench.log)
    assert found
    assert all(one.from_ms + one.horizons_ms[-1] <= TIME_MS_MAX for one in found)
    hours = {one.from_ms for one in found}
    assert TIME_MS_MAX // HOUR_MS * HOUR_MS not in hours
    assert latest(bench.log)


def test_a_past_is_the_grid_of_its_last_rows() -> None:
    """Whatever the cuts: rows, gaps and the newest, as all readings at once give them; no more than there is room."""
    rng = np.random.default_rng(2)
    time_ms = BEGIN_MS + np.cumsum(rng.integers(1_000, 700_000, 400))
    time_ms[200:] += 9 * HOUR_MS
    value = rng.normal(4, 1, 400)
    value[::7] = np.nan
    own, at = Past.of(150), 0
    while at < 400:
        end, is_met = min(at + int(rng.integers(1, 30)), 400), False
        while (at := add(own.ring, own.open, own.newest, time_ms, value, at, end, STEP_MS, 12, is_met)) < end:
            is_met = True
    good = np.isfinite(value)
    rows = time_ms // STEP_MS
    near = good & (rows > rows[good].max() - 150)
    expected, found = to_grid(time_ms[near], value[near], STEP_MS), own.grid(STEP_MS)
    assert found.begin_ms == expected.begin_ms
    np.testing.assert_array_equal(found.value, expected.value)


def test_the_process_serves_a_release_that_is_whole(tmp_path: Path, release: Path) -> None:
    """`anomaly run` forecasts what its settings name, `anomaly forecasts` shows it; a changed file stops the start."""
    bench, leg = Bench(tmp_path), make(12, 10)
    own = tmp_path / "release"
    shutil.copytree(release, own)
    config = tmp_path / "lading.toml"
    config.write_text(
        f'[lading]\ntenant = "{TENANT}"\ndata = "."\n[log]\npath = "log.sqlite"\n[anomaly]\npoll_s = 0.05\n'
        f'forecaster = "release"\noperators = {{ {TENANT} = "{OPERATOR.public.encode().hex()}" }}\n'
    )
    bench.order(leg)
    bench.frames(leg.frames)
    command = [sys.executable, "-m", "lading.cli", "anomaly", "run", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as child:
        try:
            wait_until(lambda: len(said(bench.log)) >= 2)
        finally:
            child.send_signal(signal.SIGTERM)
            child.communicate(timeout=CHILD_S_MAX)
    shown = CliRunner().invoke(app, ["forecasts", "--json", "--config", str(config)], catch_exceptions=False)
    assert {one["channel"] for one in json.loads(shown.stdout)} == {1, 2}
    lines = CliRunner().invoke(app, ["forecasts", "leg-1", "--config", str(config)]).stdout.splitlines()
    assert lines[1].startswith("  in   15 min   0.1: ")
    assert "above 6.000 °C: " in lines[1]
    weights = own / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\7")
    stopped = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CHILD_S_MAX)
    assert stopped.returncode != 0
    assert "wanted" in stopped.stderr
    assert "of the manifest" in stopped.stderr


def wait_until(is_so: Callable[[], bool]) -> None:
    """Bounded."""
    end_s = time.monotonic() + CHILD_S_MAX
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.05)
