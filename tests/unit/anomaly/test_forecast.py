"""Promises of forecasts: what is told without torch, of any history, and what a release is refused for."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anomaly.forecast import breach, calls, features, targets
from anomaly.forecast.grid import Grid, to_grid
from anomaly.forecast.release import Manifest, encode_weights, load, shapes_of, write
from anomaly.forecast.serving import Forecaster, History
from lading.errors import MalformedError, ServiceError
from lading.tree import sha256

STEP_MS = 300_000
NAN = np.nan


def manifest_of(weights: bytes, **changes: object) -> Manifest:
    fields: dict[str, object] = {
        "format": "lading/release/1",
        "kind": "forecaster",
        "features": 1,
        "quantity": 1,
        "step_ms": STEP_MS,
        "hold_ms": 9 * STEP_MS,
        "pause_ms": 2 * STEP_MS,
        "horizons_ms": [3 * STEP_MS, 12 * STEP_MS],
        "quantiles": [0.1, 0.5, 0.9],
        "layers": [features.FEATURES, 8, 18],
        "data": {
            "source": "csv", "root": "00" * 32, "batches": 0, "frames": 0, "readings": 9, "channels": 1,
            "first_ms": 0, "last_ms": 1, "held_out_from": 0.8,
        },
        "training": {
            "seed": 1, "steps": 1, "batch_rows": 1, "learning_rate": 0.1, "weight_decay": 0.0, "rows": 1,
        },
        "code": {"commit": "unknown", "versions": {}},
        "metrics": [],
        "weights": {"file": "weights.safetensors", "sha256": sha256(weights).hex(), "bytes": len(weights)},
    }  # fmt: skip
    return Manifest.model_validate({**fields, **changes})


def random_weights(layers: list[int]) -> bytes:
    rng = np.random.default_rng(1)
    return encode_weights(
        {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes_of(layers).items()}
    )


@pytest.fixture
def release(tmp_path: Path) -> Path:
    weights = random_weights([features.FEATURES, 8, 18])
    write(tmp_path / "release", manifest_of(weights), weights)
    return tmp_path / "release"


def days(count: float) -> History:
    """Readings five minutes apart."""
    n = int(count * 288)
    return History(np.arange(n) * STEP_MS, 4 + np.sin(np.arange(n) / 20))


def test_a_release_serves_many_channels_each_for_itself(release: Path) -> None:
    """Quantiles ascend, risks never fall with the horizon nor rise with the limit, channels do not touch."""
    forecaster = Forecaster.load(release)
    histories = [days(3), days(1), days(9)]
    together = forecaster.forecast(histories)
    assert together.quantiles.shape == together.above.shape == (3, 2, 3)
    assert (np.diff(together.quantiles, axis=-1) >= 0).all()
    low, high = together.breach(4.5), together.breach(6.0)
    assert (np.diff(low.probability, axis=-1) >= 0).all()
    assert (low.probability >= high.probability).all()
    assert ((low.first_ms > 0) & (low.first_ms <= 12 * STEP_MS)).all()
    for i, history in enumerate(histories):
        alone = forecaster.forecast([history])
        np.testing.assert_allclose(alone.above[0], together.above[i], rtol=1e-5)


def test_a_backtests_row_is_what_is_served_then(release: Path) -> None:
    """Of values far from 0, too: the same quantiles from a whole series as from the readings up to its last row."""
    forecaster, history = Forecaster.load(release), days(10)
    far = History(history.time_ms, history.value + 1e6)
    rows = forecaster.forecast_rows(Grid(0, STEP_MS, far.value))
    now = forecaster.forecast([far])
    assert now.begin_ms[0] == rows.begin_ms[-1] == 10 * 86_400_000
    np.testing.assert_allclose(now.above[0], rows.above[-1], rtol=0, atol=1e-4)
    near = forecaster.forecast([history])
    np.testing.assert_allclose(now.above - 1e6, near.above, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "history",
    [
        History(np.empty(0, np.int64), np.empty(0)),
        History(np.arange(3) * STEP_MS, np.ones(3)),
        History(np.arange(100) * STEP_MS, np.full(100, NAN)),
    ],
    ids=["nothing", "three readings", "faults alone"],
)
def test_too_short_a_history_gives_no_forecast(release: Path, history: History) -> None:
    """Where a history does not reach, the answer is NaN, for that channel alone."""
    found = Forecaster.load(release).forecast([history, days(2)])
    assert np.isnan(found.above[0]).all()
    assert np.isnan(found.breach(5.0).probability[0]).all()
    assert np.isfinite(found.above[1]).all()


def test_readings_at_any_spacing_and_in_any_order(release: Path) -> None:
    """Shuffled readings at odd times, with faults between them, give a forecast; order changes nothing."""
    rng = np.random.default_rng(3)
    times = np.sort(rng.choice(3 * 86_400_000, 2_000, replace=False)).astype(np.int64)
    values = np.where(rng.random(2_000) < 0.1, NAN, 4 + np.sin(times / 1e7))
    order = rng.permutation(2_000)
    forecaster = Forecaster.load(release)
    found = forecaster.forecast([History(times, values), History(times[order], values[order])])
    assert np.isfinite(found.above).all()
    np.testing.assert_allclose(found.above[0], found.above[1], rtol=1e-5)


def test_a_forecast_knows_nothing_of_what_comes_later() -> None:
    """The features of a row are the same whether later rows are there or not."""
    value = days(9).value
    value[500:520] = NAN
    rows = np.array([30, 530, 2_000])
    whole = features.see(Grid(0, STEP_MS, value), rows, 9, 2)
    for i, row in enumerate(rows):
        cut = features.see(Grid(0, STEP_MS, value[: row + 1]), rows[i : i + 1], 9, 2)
        np.testing.assert_array_equal(cut.inputs[0], whole.inputs[i])


def test_the_level_held() -> None:
    """By hand, three rows held, pauses of one bridged: a stretch begins above, and within the horizon."""
    value = np.array([1, 5, 5, 2, 5, 4, 1, 1, 1], float)
    held = targets.held_from(value, 3, 1)
    np.testing.assert_array_equal(held[:7], [1, 5, 5, 2, 1, 1, 1])
    ahead = targets.held(value, (1, 2), 3, 1)
    np.testing.assert_array_equal(ahead[0], [5, 5])
    np.testing.assert_array_equal(ahead[1], [5, 5])
    np.testing.assert_array_equal(ahead[2], [2, 2])
    assert np.isnan(ahead[-1]).all()


def test_a_series_shorter_than_a_horizon_has_no_value_there() -> None:
    """By hand: with four rows nothing lies four or five ahead of any."""
    ahead = targets.values(np.array([1, 2, 3, 4], float), (1, 3, 4, 5))
    nan = np.nan
    wanted = [[2, 4, nan, nan], [3, nan, nan, nan], [4, nan, nan, nan], [nan] * 4]
    np.testing.assert_array_equal(ahead, wanted)


def test_risk_of_a_limit_by_hand() -> None:
    """Linear between quantiles, an exponential tail past the last: at 0.5 and 0.9 the tail falls fivefold a width."""
    quantiles = np.array([[1.0, 2.0, 3.0]])
    levels = (0.1, 0.5, 0.9)
    assert breach.exceedance(quantiles, levels, 2.5)[0] == pytest.approx(0.3)
    assert breach.exceedance(quantiles, levels, 4.0)[0] == pytest.approx(0.1 / 5)
    assert breach.exceedance(quantiles, levels, 0.0)[0] == pytest.approx(1 - 0.1 / 5)
    times = breach.first_times(np.array([[0.2, 0.4]]), (60, 120))
    assert times[0] == pytest.approx(60)


def test_what_is_no_millionth_has_no_time() -> None:
    """A limit far away: half of its probability may be no number to interpolate between; a millionth has one."""
    probability = np.array([[1e-320, 2e-320], [0.0, 1e-310], [0.0, 4e-7], [0.0, 1e-6]])
    times = breach.first_times(probability, (60, 120))
    assert np.isnan(times[:3]).all()
    assert times[3] == pytest.approx(90)


def test_a_grid_is_refused_where_a_clock_leapt() -> None:
    """Readings a century apart are a clock's fault, not a grid of a hundred years."""
    with pytest.raises(MalformedError, match="wanted at most"):
        to_grid(np.array([0, 4 * 10**12]), np.ones(2), STEP_MS)


def test_a_release_is_written_once_and_whole(release: Path) -> None:
    """Another under the same name is refused; nothing of a draft is left; its id is the manifest's digest."""
    weights = (release / "weights.safetensors").read_bytes()
    with pytest.raises(ServiceError, match="wanted a name that is free"):
        write(release, manifest_of(weights), weights)
    assert [path.name for path in release.parent.iterdir()] == ["release"]
    assert load(release).id == sha256((release / "manifest.json").read_bytes()).hex()


def _change(release: Path, **changes: object) -> None:
    path = release / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_a_release_is_refused_for(release: Path, tmp_path: Path) -> None:
    """Another version, another digest, weights of another shape or not finite, unknown fields, files not there."""
    forecast = release / "weights.safetensors"
    good, manifest = forecast.read_bytes(), (release / "manifest.json").read_bytes()

    def refused(match: str) -> None:
        with pytest.raises((MalformedError, ServiceError), match=match):
            load(release)
        forecast.write_bytes(good)
        (release / "manifest.json").write_bytes(manifest)

    _change(release, format="lading/release/2")
    refused("format 'lading/release/2', wanted 'lading/release/1'")
    _change(release, colour="red")
    refused("colour")
    _change(release, quantiles=[0.5, 0.1, 0.9])
    refused("wanted them ascending")
    forecast.write_bytes(good[:-1] + b"\x01")
    refused("SHA-256 .* wanted .* of the manifest")
    for data, match in (
        (random_weights([features.FEATURES, 9, 18]), "tensors .* wanted"),
        (b"\xff" * 64, "wanted safetensors"),
    ):
        forecast.write_bytes(data)
        described = {"file": "weights.safetensors", "sha256": sha256(data).hex(), "bytes": len(data)}
        _change(release, weights=described)
        refused(match)
    (release / "manifest.json").write_bytes(b"[" * 100_000)
    refused("wanted JSON")
    with pytest.raises(ServiceError, match="nowhere"):
        load(tmp_path / "nowhere")


def test_serving_imports_neither_torch_nor_lightning() -> None:
    """The whole of what serves, and the command line up to it, runs where the extra `train` is not installed."""
    code = (
        "import sys; import anomaly.cli, anomaly.forecast.serving, anomaly.forecast_cli\n"
        "from safetensors import numpy\n"
        "sys.exit(any(name.split('.')[0] in ('torch', 'pytorch_lightning', 'lightning') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=240).returncode == 0


def test_calls_by_hand() -> None:
    """A call lasts until three hours have passed under half the threshold; unknown rows neither end nor begin one."""
    probability = np.array([0.0, 0.3, 0.2, NAN, 0.2] + [0.1] * 36 + [0.0, 0.3])
    assert calls.calls(probability, 0.25, STEP_MS) == [(1, 40), (42, 43)]


def test_what_calls_are_worth_by_hand() -> None:
    """Three excursions: called 20 minutes before, called 10 minutes after, not called; one call is false."""
    made = [calls.Stretch(96, 120), calls.Stretch(202, 230), calls.Stretch(400, 420)]
    events = [calls.Stretch(100, 112), calls.Stretch(200, 215), calls.Stretch(300, 312)]
    judged = calls.judge(made, events, 45 * 60_000, STEP_MS, 2_016)
    assert judged.leads_ms == [20 * 60_000, -10 * 60_000, -45 * 60_000]
    assert judged.false == [made[2]]
    assert judged.weeks == 1.0


def test_excursions_by_hand() -> None:
    """At least three rows above 8, a pause of one bridged, those closer than two and a half hours are one."""
    value = np.full(100, 5.0)
    value[[10, 11, 13, 14]] = 9  # one, with a pause
    value[[30, 31]] = 9  # too short
    value[35:40] = 9  # 21 rows after: the same
    value[80:84] = 9
    assert calls.excursions(value, 8.0, 3, 1, STEP_MS) == [(10, 40), (80, 84)]


def test_a_backtest_of_csv_files(release: Path, tmp_path: Path) -> None:
    """The model beside three baselines at each horizon, coverage of each quantile, calls, and a page with plots."""
    times = np.arange(288 * 4) * STEP_MS // 1000
    rows = "".join(f"{t},{5 + 5 * (t % 86_400 // 7_200 == 6)}\n" for t in times)
    (tmp_path / "hall.csv").write_text("time,value\n" + rows)
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "lading.cli", "anomaly", "backtest", str(release)]
    command += ["--csv", str(tmp_path / "hall.csv"), "--upper", "8", "--out", str(page), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    methods = {one["method"] for one in found["pinball"]}
    assert methods == {"model", "last_value", "seasonal", "smoothed"}
    seasonal = [one for one in found["pinball"] if (one["block"], one["method"]) == ("value", "seasonal")]
    assert len(seasonal) == 2
    assert {one["quantile"] for one in found["coverage"]} == {0.1, 0.5, 0.9}
    assert found["calls"]["excursions"] == 4  # noon to two, each of four days
    assert page.read_text("utf-8").count("<svg") == 4
